"""The previews that lie in a folder. Their names say it all: nothing else has to be kept in step.

``<ab>/<key>-<width>x<height>.webp``: a preview, named by the digest of the picture's bytes, and the
pixels of the whole picture. ``<ab>/<key>.none``: no preview can be made of it, and in it why.
"""

import os
import re
import secrets
import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from pipeline.pictures.thumbnails import Preview

KEY_LENGTH = 32
"""Of a digest's hex digits: 128 bits are as good as all."""

IN_THE_MAKING_S = 3600.0
"""After so long a temporary file is what a process left that died."""

_PREVIEW = re.compile(r"([0-9a-f]{32})(?:-(\d{1,6})x(\d{1,6})\.webp|\.none)").fullmatch


class Kept(msgspec.Struct, frozen=True):
    """A preview on the shelf: its path below it, "" for none; pixels of the whole, 0: not known."""

    path: str
    width: int = 0
    height: int = 0


class Shelf:
    """One folder of previews. Not to be used by two threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, Kept] = {}
        self._strays: list[str] = []
        if folder.is_dir():
            self._look()

    def __contains__(self, key: str) -> bool:
        return key in self._kept

    def get(self, key: str) -> Kept | None:
        """What is known of a key; ``None``: nothing was tried yet."""
        return self._kept.get(key)

    def put(self, key: str, preview: Preview) -> None:
        """Keeps a preview, whole or not at all. Raises `OSError`."""
        path = f"{key[:2]}/{key}-{preview.width}x{preview.height}.webp"
        self._write(path, preview.data)
        self._kept[key] = Kept(path, preview.width, preview.height)

    def put_none(self, key: str, problem: str) -> None:
        """Notes that these bytes have no preview, so that nobody tries again. Raises `OSError`."""
        self._write(f"{key[:2]}/{key}.none", problem.encode("utf-8", "replace"))
        self._kept[key] = Kept("")

    def sweep(self, keys: Collection[str]) -> int:
        """Removes what belongs to none of these keys; how many previews that were."""
        gone = [key for key in self._kept if key not in keys]
        for key in gone:
            kept = self._kept.pop(key)
            (self.folder / (kept.path or f"{key[:2]}/{key}.none")).unlink(missing_ok=True)
        for stray in self._strays:
            (self.folder / stray).unlink(missing_ok=True)
        self._strays.clear()
        return len(gone)

    def _look(self) -> None:
        with os.scandir(self.folder) as shards:
            folders = [entry.name for entry in shards if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            with os.scandir(self.folder / folder) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False):
                        self._note(folder, entry)

    def _note(self, folder: str, entry: "os.DirEntry[str]") -> None:
        path = f"{folder}/{entry.name}"
        if entry.name.startswith("."):  # another process may be writing it at this moment
            if time.time() - entry.stat().st_mtime > IN_THE_MAKING_S:
                self._strays.append(path)
            return
        found = _PREVIEW(entry.name)
        # A power cut can leave a file that has its name and nothing in it.
        if found is None or folder != found[1][:2] or not entry.stat().st_size:
            self._strays.append(path)
        elif found[2] is None:
            self._kept.setdefault(found[1], Kept(""))
        else:
            self._kept[found[1]] = Kept(path, int(found[2]), int(found[3]))

    def _write(self, path: str, data: bytes) -> None:
        target = self.folder / path
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        # Not flushed, unlike `durable.replacing`: a report may make 100,000, and what a power cut
        # takes is made again.
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        temporary.replace(target)
