"""Pictures as they lie on this machine: where each is, and how a page beside them links to it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from pipeline.errors import InputError, StoreError
from pipeline.gallery.links import Picture, Shown, is_local, is_remote
from pipeline.gallery.shelf import KEY_LENGTH, Shelf
from pipeline.manifest import input_folders
from pipeline.pictures.prepare import digest_file
from pipeline.pictures.thumbnails import Original
from pipeline.stores import Shelf as StoreShelf
from pipeline.stores import open_shelf

SHOWN_BY_BROWSERS = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".gif", ".bmp", ".avif")
"""Of others (HEIC, TIFF) a page can show the preview only."""


class Found(msgspec.Struct, frozen=True):
    """A picture that can be read: the key of its preview, its bytes' whereabouts, and its path if
    it is a file.
    """

    key: str
    original: Original
    path: str = ""


class Inputs:
    """Finds input pictures by what the manifest called them. ``digest``: what is known of a file's
    bytes by path, size and mtime; otherwise the file is read.
    """

    def __init__(
        self,
        manifests: Sequence[Path],
        root: Path | None,
        digest: Callable[[str, int, int], str | None],
    ) -> None:
        self._folders = input_folders(manifests, root)
        self._root = root
        self._digest = digest
        self._found: dict[tuple[str, str], Found | None] = {}

    def find(self, picture: Picture) -> Found | None:
        """``None`` for what is on the web, in the manifest itself, away, or outside its root."""
        source = picture.source
        if not is_local(picture):
            return None
        folder = self._root or self._folders.get(picture.place.rpartition(":")[0])
        if folder is None:
            return None
        known = (str(folder), source)
        if known not in self._found:
            self._found[known] = self._look(folder, source)
        return self._found[known]

    def _look(self, folder: Path, source: str) -> Found | None:
        try:
            inside = os.path.realpath(folder)
            path = os.path.realpath(os.path.join(inside, source))  # noqa: PTH118
            if not Path(path).is_relative_to(inside) or not Path(path).is_file():
                return None
            stat = Path(path).stat()
            digest = self._digest(path, stat.st_size, stat.st_mtime_ns) or digest_file(path)
        except (OSError, ValueError, InputError):
            return None
        return Found(digest[:KEY_LENGTH], Path(path), path)


class DiskLinks:
    """Implements `Links` for a page in the folder ``report``, beside the pictures.

    ``outputs``: the job's outputs folder; ``store``: the URL of a remote store, where the pictures
    are kept in one.
    """

    def __init__(
        self, *, report: Path, outputs: Path, store: str | None, inputs: Inputs, shelf: Shelf
    ) -> None:
        self._report = os.path.realpath(report)
        self._outputs = os.path.realpath(outputs)
        self._folders: dict[str, str] = {}
        self._inputs = inputs
        self._shelf = shelf
        self._fetch = None if store is None else remote_reader(store)

    def find(self, picture: Picture) -> Found | None:
        """The picture, if it can be looked at. Its file may be away all the same."""
        if picture.kind == "input":
            return self._inputs.find(picture)
        image = picture.image
        if image is None:
            return None
        key = image.sha256[:KEY_LENGTH]
        if self._fetch is not None:
            fetch, where = self._fetch, image.path
            return Found(key, lambda: fetch(where))
        path = f"{self._outputs}{os.sep}{image.path}"
        return Found(key, Path(path), path)

    def shown(self, picture: Picture) -> Shown:
        found = self.find(picture)
        if found is None:
            return Shown(src=picture.source if is_remote(picture.source) else "")
        kept = self._shelf.get(found.key)
        src = ""
        # Not by Path: a report of 20,000 edits asks 80,000 times.
        if found.path.lower().endswith(SHOWN_BY_BROWSERS) and os.path.isfile(found.path):  # noqa: PTH113
            src = self._address(found.path)
        if kept is None:
            return Shown(src=src)
        return Shown(src=src, thumb=kept.path, width=kept.width, height=kept.height)

    def _address(self, path: str) -> str:
        folder, name = os.path.split(path)
        start = self._folders.get(folder)
        if start is None:
            start = self._folders[folder] = _start(folder, self._report)
        return start + quote(name, safe="")


def _start(folder: str, report: str) -> str:
    """The address of a folder from the page, with a slash at its end."""
    try:
        relative = os.path.relpath(folder, report)
    except ValueError:  # another drive of Windows
        return Path(folder).as_uri() + "/"
    # "./": the first part of a relative address must hold no colon.
    return "./" + quote(relative.replace(os.sep, "/"), safe="/") + "/"


def remote_reader(url: str) -> Callable[[str], bytes]:
    """Reads a picture of a remote store, by its path. Raises `InputError`, and `JobError` where the
    store's file system is not installed.
    """
    opened: list[StoreShelf] = []

    def read(path: str) -> bytes:
        try:
            if not opened:
                opened.append(open_shelf(Path(), url))
            data = opened[0].read(path)
        except StoreError as error:
            raise InputError(f"{path}: cannot be read from {url} ({error})") from error
        if data is None:
            raise InputError(f"{path}: it is not in {url} (was it removed there?)")
        return data

    return read
