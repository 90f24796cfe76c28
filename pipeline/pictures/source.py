"""A picture's bytes, wherever they lie: read here and there, never loaded whole.

Files are read, not memory-mapped: a mapped file that somebody shortens kills the process.
"""

import bisect
import io
import itertools
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from pipeline.errors import InputError
from pipeline.models import FileSlice

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Headers are walked in steps of a few bytes; one read serves many of them.
_WINDOW = 1024


class Damaged(Exception):  # noqa: N818 - a state of the picture; the caller makes it its own error
    """The bytes do not hold together as the format they begin as. The text says where."""


class Source(Protocol):
    """Random access to the bytes of one picture."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; fewer at the end of the picture."""
        ...

    def part(self, offset: int, length: int) -> bytes | FileSlice:
        """The same bytes as something that can be sent."""
        ...

    def stream(self) -> BinaryIO:
        """All of it, to be read by a decoder. Closing it is harmless."""
        ...


class BytesSource:
    """Bytes in memory: a data URI, a fetched URL, a received picture. A view is copied only where
    it is looked at.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._data[offset : offset + length])

    def part(self, offset: int, length: int) -> bytes | FileSlice:
        return self.read(offset, length)

    def stream(self) -> BinaryIO:
        return io.BytesIO(self._data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class FileSource:
    """A regular file. Raises `InputError` when it is none, or cannot be read."""

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name
        try:
            # Looked at before it is opened: opening a FIFO waits for ever, a device may act.
            mode = Path(path).stat().st_mode
            if not stat.S_ISREG(mode):
                raise InputError(f"{name}: is {_kind_of(mode)}, not a file; name a picture file")
            self._file = io.FileIO(path)
            self.size = self._file.seek(0, io.SEEK_END)
        except OSError as error:
            raise _unreadable(name, error) from error
        except ValueError as error:  # a NUL in the path
            raise InputError(f"{name!r}: is no path that can exist; correct it") from error
        self._window = b""
        self._window_at = 0

    def read(self, offset: int, length: int) -> bytes:
        at = offset - self._window_at
        if at < 0 or at + length > len(self._window):
            self._window = self._fetch(offset, max(length, _WINDOW))
            self._window_at, at = offset, 0
        return self._window[at : at + length]

    def _fetch(self, offset: int, length: int) -> bytes:
        wanted = max(0, min(length, self.size - offset))
        try:
            self._file.seek(offset)
            data = self._file.read(wanted)
        except OSError as error:
            raise _unreadable(self._name, error) from error
        if data is None or len(data) < wanted:
            raise InputError(f"{self._name}: changed while it was read; run again when it is whole")
        return data

    def part(self, offset: int, length: int) -> bytes | FileSlice:
        return FileSlice(path=self._path, offset=offset, length=length)

    def stream(self) -> BinaryIO:
        return open_file(self._path, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def open_source(source: str | Path | bytes, name: str) -> FileSource | BytesSource:
    """A `Source` to be used in a ``with``. Raises `InputError` for what is no regular file."""
    return BytesSource(source) if isinstance(source, bytes) else FileSource(str(source), name)


def open_file(path: str, name: str) -> BinaryIO:
    """Opens a file for reading, its errors translated to `InputError`."""
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise _unreadable(name, error) from error


def read_parts(parts: Sequence[bytes | FileSlice], name: str) -> bytes:
    """The parts joined, in memory. Raises `InputError`."""
    whole = []
    for part in parts:
        if isinstance(part, bytes):
            whole.append(part)
            continue
        with FileSource(part.path, name) as source:
            data = source.read(part.offset, part.length)
        if len(data) < part.length:
            raise InputError(f"{name}: changed while it was read; run again when it is whole")
        whole.append(data)
    return whole[0] if len(whole) == 1 else b"".join(whole)


class PartsReader(io.RawIOBase):
    """Parts of one source as one seekable stream, for a decoder."""

    def __init__(self, source: Source, parts: Sequence[bytes | FileSlice]) -> None:
        self._source = source
        self._parts = parts
        self._ends = list(itertools.accumulate(map(part_length, parts)))
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = (0, self._at, self._ends[-1])[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        index = bisect.bisect_right(self._ends, self._at)
        if index == len(self._parts):
            return 0
        part = self._parts[index]
        inside = self._at - (self._ends[index - 1] if index else 0)
        length = min(len(view), part_length(part) - inside)
        if isinstance(part, bytes):
            data = part[inside : inside + length]
        else:
            data = self._source.read(part.offset + inside, length)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def part_length(part: bytes | FileSlice) -> int:
    return len(part) if isinstance(part, bytes) else part.length


def _kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe or a socket" if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else "a device"


def _unreadable(name: str, error: OSError) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: is not there (any more); restore it or correct the manifest")
    if isinstance(error, PermissionError):
        return InputError(f"{name}: may not be read; give this user the right to read it")
    return InputError(f"{name}: cannot be read ({error.strerror or error}); check the disk or copy")
