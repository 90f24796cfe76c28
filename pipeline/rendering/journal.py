"""What renditions are there, and what each was made from: a file of lines beside them.

A line is added when a file is there, and one when it is gone; whoever reads takes the last of each
path. So a crash loses at most the lines that had not reached the disk: those renditions are made
once more. What is torn or foreign in the file counts as not there.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from pipeline.errors import StoreError

NAME = "made.jsonl"

_TOO_MANY = 2  # lines for each that counts: then it is written anew


class Made(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rendition that lies at ``path``, from the renditions' folder.

    ``key``: of `rendition_key`. ``size``: bytes. ``source``: the original's SHA-256. ``asked``: it
    was asked for by name, and is not among the job's renditions. ``gone``: it was removed.
    """

    path: str
    edit_id: str = ""
    position: int = 1
    rendition: str = ""
    key: str = ""
    size: int = 0
    source: str = ""
    width: int = 0
    height: int = 0
    quality: int | None = None
    notes: tuple[str, ...] = ()
    asked: bool = False
    gone: bool = False


class Journal:
    """The lines of one folder, open to add some. Whoever has it holds the folder's lock."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self.made: dict[str, Made] = {}
        self._lines = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        with _store_errors(self._path):
            for made in _lines(self._path):
                self._lines += 1
                if made.gone:
                    self.made.pop(made.path, None)
                else:
                    self.made[made.path] = made
            self._file = self._path.open("ab")
            # A torn last line would swallow the next one.
            self._file.write(b"\n")
            self._file.flush()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if kind is None and self._lines > _TOO_MANY * len(self.made) + 100:
            with _store_errors(self._path):
                self._rewrite()

    def add(self, made: Made) -> None:
        self.made[made.path] = made
        self._write(made)

    def remove(self, path: str) -> None:
        self.made.pop(path, None)
        self._write(Made(path=path, gone=True))

    def _write(self, made: Made) -> None:
        assert self._file is not None  # noqa: S101 - inside the context
        with _store_errors(self._path):
            # Given to the system at once: a killed process loses nothing of it.
            self._file.write(msgspec.json.encode(made) + b"\n")
            self._file.flush()
        self._lines += 1

    def _rewrite(self) -> None:
        draft = self._path.with_name(f".{NAME}.{secrets.token_hex(4)}")
        with draft.open("wb") as file:
            for made in self.made.values():
                file.write(msgspec.json.encode(made) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


def read_journal(directory: Path) -> dict[str, Made]:
    """What is there according to the journal, by path. Raises `StoreError`."""
    found: dict[str, Made] = {}
    with _store_errors(directory / NAME):
        for made in _lines(directory / NAME):
            if made.gone:
                found.pop(made.path, None)
            else:
                found[made.path] = made
    return found


def _lines(path: Path) -> Iterator[Made]:
    decoder = msgspec.json.Decoder(Made)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        for line in file:
            if line.strip():
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    yield decoder.decode(line)


@contextlib.contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror or error} (free some space, or make it writable)"
        ) from error
