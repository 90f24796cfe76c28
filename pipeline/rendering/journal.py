"""What renditions are there, and what each was made from: a file of lines beside them.

A line is added when a file is there, and one when it is gone; whoever reads takes the last of each
path. So a crash loses at most the lines that had not reached the disk: those renditions are made
once more. What is torn or foreign in the file counts as not there.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from pipeline.durable import replacing
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
            self.made, self._lines = _read(self._path)
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
        with replacing(self._path) as file:
            for made in self.made.values():
                file.write(msgspec.json.encode(made) + b"\n")


def read_journal(directory: Path) -> dict[str, Made]:
    """What is there according to the journal, by path. Raises `StoreError`."""
    with _store_errors(directory / NAME):
        return _read(directory / NAME)[0]


def _read(path: Path) -> tuple[dict[str, Made], int]:
    """What counts, by path, and how many lines there are in all."""
    found: dict[str, Made] = {}
    lines = 0
    decoder = msgspec.json.Decoder(Made)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return found, lines
    with file:
        for line in file:
            lines += 1
            try:
                made = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue  # torn, foreign, or empty
            if made.gone:
                found.pop(made.path, None)
            else:
                found[made.path] = made
    return found, lines


@contextlib.contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror or error} (free some space, or make it writable)"
        ) from error
