"""The page: every edit with its models side by side, first without their names, to vote blindly.

Pictures are called by their digests and stand in an order that a hash of the edit decides, so
neither a file's name nor its place tells whose it is.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from pipeline import look
from pipeline.comparing.figures import models_of, readers_of
from pipeline.durable import replacing
from pipeline.errors import InputError, StoreError
from pipeline.gallery import STATIC as GALLERY
from pipeline.gallery.disk import DiskLinks, Inputs
from pipeline.gallery.links import Picture
from pipeline.gallery.shelf import Shelf
from pipeline.job import Job
from pipeline.ledger import LedgerReader, timeline
from pipeline.ledger.timeline import DetailRow
from pipeline.pictures.thumbnails import Original, thumbnail
from pipeline.rendering.making import Progress

STATIC = Path(__file__).parent / "static"

SIDE = 1024
"""Pixels of a picture's long side on the page: sharp where two or three stand side by side."""

CHUNK = 50

FOLDER = "compare"


class ComparePage(msgspec.Struct, frozen=True, kw_only=True):
    """``edits``: on the page; ``votable``: of these, with pictures of two models or more."""

    index: Path
    edits: int
    votable: int
    made: int
    unreadable: int


def write_page(
    job: Job,
    *,
    rehearse: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
) -> ComparePage:
    """Writes ``<outputs>/compare/``. Blocks. Raises `ConfigError`, `LedgerError`, `StoreError`.

    ``observe`` hears of edits that are done, of all. Votes in a browser outlive a new page.
    """
    folder = job.outputs.directory / (f"{FOLDER}-rehearsal" if rehearse else FOLDER)
    title = f"{job.name} (rehearsal)" if rehearse else job.name
    jobs = models_of(job, rehearse=rehearse)
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            readers = readers_of(jobs, stack)
            shop = _Shop(folder, jobs, readers)
            ids = _ids(readers)
            edits = []
            for at in range(0, len(ids), CHUNK):
                edits += [*shop.edits(ids[at : at + CHUNK])]
                observe(Progress(min(at + CHUNK, len(ids)), len(ids)))
        votable = sum(len(edit["pictures"]) > 1 for edit in edits)
        command = f"{job.path}{' --rehearse' if rehearse else ''}"
        _write(folder, title=title, names=list(jobs), job=command, edits=edits)
        shop.sweep()
    except OSError as error:
        raise StoreError(
            f"{folder}: {error.strerror or error} (free some space, or make it writable)"
        ) from error
    return ComparePage(
        index=folder / "index.html",
        edits=len(edits),
        votable=votable,
        made=shop.made,
        unreadable=shop.unreadable,
    )


def _ids(readers: dict[str, LedgerReader]) -> list[str]:
    """Of all edits of all models, in the manifest's order."""
    found = dict[str, None]()
    for reader in readers.values():
        found |= dict.fromkeys(timeline.ids_in_order(reader))
    return list(found)


class _Shop:
    """Finds each edit's pictures and makes their copies for the page."""

    def __init__(
        self, folder: Path, jobs: dict[str, Job], readers: dict[str, LedgerReader]
    ) -> None:
        self._pictures = folder / "pictures"
        self._readers = readers
        self._names = list(jobs)
        self._used = set[str]()
        self._broken = set[str]()
        self.made = 0
        shelf = Shelf(self._pictures)  # never asked: links only find what is to be read
        self._links = {
            name: DiskLinks(
                report=folder,
                outputs=one.outputs.directory,
                store=one.outputs.store,
                inputs=Inputs(one.manifest, one.inputs.root, readers[name].input_digest),
                shelf=shelf,
            )
            for name, one in jobs.items()
        }

    @property
    def unreadable(self) -> int:
        return len(self._broken)

    def edits(self, ids: list[str]) -> Iterator[dict[str, Any]]:
        rows = {
            name: {row.id: row for row in timeline.detail_rows(reader, ids)}
            for name, reader in self._readers.items()
        }
        for edit_id in ids:
            mine = {name: rows[name][edit_id] for name in self._names if edit_id in rows[name]}
            if mine:
                yield self._edit(edit_id, mine)

    def sweep(self) -> None:
        """Removes pictures that nobody needs any more."""
        for path in self._pictures.glob("*.webp"):
            if path.stem not in self._used:
                path.unlink(missing_ok=True)

    def _edit(self, edit_id: str, rows: dict[str, DetailRow]) -> dict[str, Any]:
        first = next(iter(rows.values()))
        links = self._links[next(iter(rows))]
        before = [
            self._copied(
                links,
                Picture(
                    edit_id=edit_id, kind="input", position=at, place=first.place, source=source
                ),
            )
            for at, source in enumerate(first.inputs, start=1)
        ]
        shown = {}
        statuses = {name: self._status(name, edit_id) for name in rows}
        for name, row in rows.items():
            if row.images and statuses[name] == "succeeded":
                image = row.images[0]
                picture = Picture(
                    edit_id=edit_id, kind="output", position=1, place=row.place, image=image
                )
                if copy := self._copied(self._links[name], picture):
                    shown[name] = [copy, image.width, image.height]
        order = sorted(shown, key=lambda name: _shuffled(edit_id, name))
        outcomes = {
            str(self._names.index(name)): [
                statuses[name],
                _cost(row),
                round(row.finished_at - row.started_at, 2),
                row.error_message or "",
            ]
            for name, row in rows.items()
        }
        secret = {"order": [self._names.index(name) for name in order], "of": outcomes}
        return {
            "id": edit_id,
            "prompt": first.prompt,
            "before": [path for path in before if path],
            "pictures": [shown[name] for name in order],
            "sealed": _sealed(secret),
        }

    def _status(self, name: str, edit_id: str) -> str:
        known = self._readers[name].fingerprint_of(edit_id)
        return known[1] if known is not None else "pending"

    def _copied(self, links: DiskLinks, picture: Picture) -> str:
        """The name of the copy; empty where there is none to be had."""
        found = links.find(picture)
        if found is None:
            return ""
        key = f"{found.key}-{SIDE}"
        if key in self._broken:
            return ""
        target = self._pictures / f"{key}.webp"
        if key not in self._used and not target.exists() and not self._make(target, found.original):
            self._broken.add(key)
            return ""
        self._used.add(key)
        return f"pictures/{key}.webp"

    def _make(self, target: Path, original: Original) -> bool:
        try:
            made = thumbnail(original, side=SIDE)
        except InputError:
            return False
        _put(target, made.data)
        self.made += 1
        return True


def _cost(row: DetailRow) -> float | None:
    """USD of all requests that its latest answer took; ``None``: nobody said."""
    known = [
        attempt.cost_usd
        for attempt in row.history
        if attempt.run_id == row.run_id and attempt.cost_usd is not None
    ]
    return round(sum(known), 9) if known else None


def _shuffled(edit_id: str, name: str) -> bytes:
    return hashlib.blake2b(f"{edit_id}\x1f{name}".encode("utf-8", "surrogatepass")).digest()


def _sealed(value: Any) -> str:
    """No secret, but nothing that a glance at the page's source gives away."""
    return base64.b64encode(msgspec.json.encode(value)).decode()


def _write(folder: Path, *, title: str, names: list[str], job: str, edits: list[Any]) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from pipeline.gallery.rendering import script_value

    key = hashlib.blake2b(f"{job}\x1f{names}".encode(), digest_size=8).hexdigest()
    data = {"title": title, "job": job, "key": key, "models": _sealed(names), "edits": edits}
    _put(folder / "compare-data.js", f"comparison.load({script_value(data)});\n".encode())
    own = (STATIC / "compare.css", STATIC / "compare.js", GALLERY / "gallery.css")
    for asset in (*look.files(), *own):
        _put(folder / asset.name, asset.read_bytes())
    environment = Environment(
        loader=FileSystemLoader(STATIC), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("compare.html").render(title=title)
    _put(folder / "index.html", page.encode())


def _put(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
