"""A job's pictures for the served gallery: found by edit and number, previews made when they are
looked at and kept where `pipeline report` keeps its own.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import urlencode

import msgspec

from pipeline.dashboard.folder import Side
from pipeline.dashboard.replies import AnswerError
from pipeline.errors import PipelineError
from pipeline.gallery import Picture, Shown, thumbnail
from pipeline.gallery.data import pictures_of
from pipeline.gallery.disk import SHOWN_BY_BROWSERS, Found, Inputs, remote_reader
from pipeline.gallery.links import is_remote
from pipeline.gallery.shelf import Shelf
from pipeline.ledger import LedgerReader, open_reader, timeline
from pipeline.pictures.sniff import HEAD, sniff

What = Literal["input", "output", "take"]

CONTENT_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "avif": "image/avif",
}
"""By what the bytes are. Of everything else there is a preview at most."""

AT_ONCE = 4
"""Previews in the making. More would take the processor from the runs, and a disk has one head."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A picture as an address names it. ``number``: from 1; ``take``: of an earlier one."""

    what: What
    edit_id: str
    number: int
    take: int = 0


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A picture at its full size: a file, or its bytes."""

    content_type: str
    path: Path | None = None
    data: bytes = b""


class ServedLinks:
    """Implements `Links` for the served page. Looks at no file: whether there is a picture turns
    out when somebody looks at it.
    """

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], str] = {}

    def shown(self, picture: Picture) -> Shown:
        if picture.kind != "input":
            image = picture.image
            name = _named(picture, "" if image is None else image.sha256[:12])
            return Shown(src=f"./pictures/{name}", thumb=name)
        if is_remote(picture.source):
            return Shown(src=picture.source)
        if picture.source[:5].lower() == "data:":
            return Shown()
        # One picture in a thousand edits has one address, so that a browser asks for it once.
        manifest = picture.place.rpartition(":")[0]
        name = self._first.setdefault((manifest, picture.source), _named(picture, ""))
        seen = picture.source.lower().endswith(SHOWN_BY_BROWSERS)
        return Shown(src=f"./pictures/{name}" if seen else "", thumb=name)


class Pictures:
    """Finds and makes what is looked at. Belongs to one event loop."""

    def __init__(self) -> None:
        self._making = asyncio.Semaphore(AT_ONCE)
        self._shelves: dict[Path, Shelf] = {}
        self._turns: dict[tuple[Path, str], asyncio.Lock] = {}

    async def preview(self, side: Side, wanted: Wanted) -> bytes:
        """A WebP. Raises `AnswerError` where there is no such picture, or it cannot be shown."""
        found = await asyncio.to_thread(find, side, wanted)
        folder = side.outputs / "report" / "thumbs"
        shelf = self._shelves.get(folder)
        if shelf is None:
            shelf = self._shelves[folder] = await asyncio.to_thread(Shelf, folder)
        turn = self._turns.setdefault((folder, found.key), asyncio.Lock())
        try:
            # Whoever comes second finds it made.
            async with turn:
                kept = await asyncio.to_thread(_kept, shelf, found.key)
                if kept is not None:
                    return kept
                async with self._making:
                    return await asyncio.to_thread(_make, shelf, found)
        finally:
            if not turn.locked():
                self._turns.pop((folder, found.key), None)

    async def whole(self, side: Side, wanted: Wanted) -> Whole:
        """The picture as it is. Raises `AnswerError`."""
        found = await asyncio.to_thread(find, side, wanted)
        return await asyncio.to_thread(_whole, found)


def find(side: Side, wanted: Wanted) -> Found:
    """Where a picture of an edit lies. Blocks. Raises `AnswerError` (404) for what the ledger does
    not know, and for what lies outside the job's outputs and inputs.
    """
    reader = open_reader(side.ledger)
    if reader is not None:
        with reader:
            for picture in _pictures(reader, wanted):
                found = _lies(side, reader, picture)
                if found is not None:
                    return found
    raise AnswerError(404, "there is no such picture")


def _pictures(reader: LedgerReader, wanted: Wanted) -> Iterator[Picture]:
    for row in timeline.detail_rows(reader, [wanted.edit_id]):
        for picture in pictures_of(row):
            same = (picture.kind, picture.position) == (wanted.what, wanted.number)
            if same and (picture.kind != "take" or picture.take == wanted.take):
                yield picture


def _lies(side: Side, reader: LedgerReader, picture: Picture) -> Found | None:
    job = side.job
    if picture.kind == "input":
        return Inputs(job.manifest, job.inputs.root, reader.input_digest).find(picture)
    if picture.image is None:
        return None
    path = picture.image.path
    key = picture.image.sha256[: len(picture.image.sha256) // 2]
    if job.outputs.store is not None:
        fetch = remote_reader(job.outputs.store)
        return Found(key, lambda: fetch(path))
    inside = os.path.realpath(side.outputs)
    real = os.path.realpath(os.path.join(inside, path))  # noqa: PTH118 - links are followed here
    if not Path(real).is_relative_to(inside) or not Path(real).is_file():
        return None
    return Found(key, Path(real), real)


def _kept(shelf: Shelf, key: str) -> bytes | None:
    kept = shelf.get(key)
    if kept is None:
        return None
    if not kept.path:
        raise AnswerError(404, "there is no preview of this picture")
    try:
        return (shelf.folder / kept.path).read_bytes()
    except OSError:  # a report has swept it away
        return None


def _make(shelf: Shelf, found: Found) -> bytes:
    try:
        made = thumbnail(found.original)
    except (PipelineError, OSError, MemoryError) as error:
        raise AnswerError(404, f"there is no preview of this picture: {error}") from error
    try:
        shelf.put(found.key, made)
    except OSError:
        return made.data  # a full or read-only disk: it can be looked at all the same
    return made.data


def _whole(found: Found) -> Whole:
    try:
        if isinstance(found.original, Path):
            with found.original.open("rb") as file:
                return Whole(content_type=_type(file.read(HEAD)), path=found.original)
        data = found.original if isinstance(found.original, bytes) else found.original()
        return Whole(content_type=_type(data[:HEAD]), data=data)
    except (OSError, PipelineError) as error:
        raise AnswerError(404, f"this picture cannot be read: {error}") from error


def _type(head: bytes) -> str:
    kind = sniff(head)
    if kind not in CONTENT_TYPES:
        raise AnswerError(404, "no browser can show this picture")
    return CONTENT_TYPES[kind]


def _named(picture: Picture, digest: str) -> str:
    values: dict[str, str | int] = {"edit": picture.edit_id, "number": picture.position}
    if picture.kind == "take":
        values["take"] = picture.take
    if digest:
        values["v"] = digest  # another picture has another address, and may be kept for ever
    return f"{picture.kind}?{urlencode(values)}"
