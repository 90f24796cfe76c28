"""Drafts as files, and what both stores do with a finished one."""

import contextlib
import errno
import hashlib
import mmap
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.batching import Batcher
from pipeline.errors import StoreError
from pipeline.models import Draft, PictureFacts, StoredImage
from pipeline.stores.labels import Label

HELD = 128 * 1024
"""Bytes that a draft gathers before it becomes a file, and before each further write: what arrives
in network-sized pieces would cost several times as much. Small pictures cost the event loop
nothing. Holding whole pictures was tried: the fresh memory that takes costs more than it saves.
"""

LARGEST_BUFFER = 4 << 20
"""Larger pictures are mapped for their inspection instead of being read into memory."""

_MOST_PIECES = 500  # of one writev; systems allow 1024

_FLAGS = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)
_WAYS_OUT = {
    errno.ENOSPC: "free some space, or move outputs.directory",
    errno.EDQUOT: "the quota is used up: free some space, or move outputs.directory",
    errno.EROFS: "the file system is read-only: move outputs.directory",
    errno.EACCES: "check who may write there",
    errno.EPERM: "check who may write there",
    errno.ENAMETOOLONG: "shorten outputs.image or the ids",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower limits.concurrency",
}


class FileDraft:
    """A draft in memory while it is small, then in a file of its own."""

    __slots__ = ("_descriptor", "_done", "_held", "_pieces", "place", "size")

    def __init__(self, place: str) -> None:
        # Text: a `Path` for each picture would cost as much as the rest of its draft.
        self.place = place
        self.size = 0
        self._pieces: list[bytes] = []
        self._held = 0
        self._descriptor = -1
        self._done = False

    @property
    def path(self) -> Path:
        return Path(self.place)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._pieces.append(bytes(data))
        self._held += len(data)
        self.size += len(data)
        if self._held > HELD:
            self._spill()

    def discard(self) -> None:
        if self._done:
            return
        opened = self._descriptor >= 0
        self.close()
        if opened:
            with store_errors(f"cannot remove {self.path}"):
                self.path.unlink(missing_ok=True)

    @contextmanager
    def contents(self, buffer: "ReadBuffer") -> Iterator[memoryview]:
        """All that was written, until the context ends. In a thread."""
        if self._done:
            raise StoreError(f"{self.path}: this draft was put or discarded already")
        if self._descriptor < 0:
            yield memoryview(b"".join(self._pieces))
            return
        self._spill()
        if self.size > LARGEST_BUFFER:
            with (
                store_errors(f"cannot read {self.path}"),
                mmap.mmap(self._descriptor, self.size, access=mmap.ACCESS_READ) as mapped,
                memoryview(mapped) as view,
            ):
                yield view
            return
        with store_errors(f"cannot read {self.path}"):
            view = buffer.of(self.size)
            read = _read_into(self._descriptor, view)
        if read != self.size:
            raise StoreError(f"{self.path}: {read} bytes of {self.size} came back from the disk")
        yield view

    def become(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Holds these from now on, which may be slices of its own `contents`. Inside those.

        A file is written anew, once: something is put in near the beginning, so no file system
        could share the rest of its blocks, and the pages are in memory already.
        """
        self.size = sum(map(len, pieces))
        if self._descriptor < 0:
            self._pieces = [b"".join(pieces)]
            self._held = self.size
            return
        before, old = self._descriptor, self.place
        place = f"{old}-labelled"
        with store_errors(f"cannot write {place}"):
            self._descriptor = os.open(place, _FLAGS, 0o666)
            self.place = place
            os.close(before)
            for piece in pieces:
                self._write(memoryview(piece))
            with contextlib.suppress(OSError):  # goes with its folder, where a reader keeps it
                os.unlink(old)  # noqa: PTH108 - a text, as everywhere here

    def sync(self) -> None:
        """Writes what is still in memory, and flushes the file to the disk."""
        if self._pieces or self._descriptor < 0:
            self._spill()
        with store_errors(f"cannot flush {self.path}"):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Nothing more will be written; the file, if there is one, stays."""
        self._done = True
        self._pieces.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _spill(self) -> None:
        """Moves what is in memory to the file."""
        if self._descriptor < 0:
            with store_errors(f"cannot create {self.path}"):
                self._descriptor = os.open(self.place, _FLAGS, 0o666)
        with store_errors(f"cannot write {self.path}"):
            if hasattr(os, "writev") and 1 < len(self._pieces) <= _MOST_PIECES:
                written = os.writev(self._descriptor, self._pieces)
                if written < sum(map(len, self._pieces)):
                    self._write(memoryview(b"".join(self._pieces))[written:])
            elif self._pieces:
                self._write(memoryview(b"".join(self._pieces)))
        self._pieces.clear()
        self._held = 0

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]


def _read_into(descriptor: int, view: memoryview) -> int:
    if hasattr(os, "preadv"):  # one call, where a file object makes four
        return os.preadv(descriptor, [view], 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return file.readinto(view) or 0


class ReadBuffer(threading.local):
    """Memory that a thread reads pictures into, one after another.

    A new buffer for each picture would be fresh memory, and touching that for the first time costs
    more than reading.
    """

    def __init__(self) -> None:
        self._data = bytearray()

    def of(self, size: int) -> memoryview:
        if len(self._data) < size:
            self._data = bytearray(size)
        return memoryview(self._data)[:size]


class store_errors:  # noqa: N801 - reads as a statement: with store_errors(...)
    """Turns `OSError` into `StoreError` with what to do. A class: it is on the hot path."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            way_out = _WAYS_OUT.get(error.errno or 0)
            hint = f" ({way_out})" if way_out else ""
            raise StoreError(f"{self._what}: {error.strerror or error}{hint}") from error


class Put(NamedTuple):
    """A draft on its way to its name."""

    draft: FileDraft
    name: str
    inspect: Callable[[memoryview], PictureFacts]
    label: Label | None = None


async def put_through(
    batcher: Batcher[Put, StoredImage],
    draft: Draft,
    name: str,
    inspect: Callable[[memoryview], PictureFacts],
    label: Label | None = None,
) -> StoredImage:
    """`OutputStore.put`, done by the store's own threads. Raises `StoreError`."""
    if not isinstance(draft, FileDraft):
        raise TypeError(f"not a draft of this store: {draft!r}")
    try:
        checked(name)
    except StoreError:
        draft.discard()
        raise
    return await batcher.submit(Put(draft, name, inspect, label))


def stored_image(put: Put, buffer: ReadBuffer) -> StoredImage:
    """Inspects, labels and hashes a draft, and says as what it is to be stored. In a thread."""
    draft = put.draft
    with draft.contents(buffer) as data:
        facts = put.inspect(data)
        sha256 = _labelled(put, data) or hashlib.sha256(data).hexdigest()
    return StoredImage(
        path=f"images/{put.name}{facts.extension}",
        sha256=sha256,
        size=draft.size,
        width=facts.width,
        height=facts.height,
        format=facts.format,
    )


def _labelled(put: Put, data: memoryview) -> str:
    """The digest of the draft with its label; empty where it stays as it is.

    A function of its own: slices of a mapped file have to be gone before the mapping is.
    """
    pieces = None if put.label is None else put.label(data)
    if pieces is None:
        return ""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    put.draft.become(pieces)
    return digest.hexdigest()


def checked(path: str) -> str:
    """A path below the store, as given. Raises `StoreError` for one that leads out of it.

    The rules are those of all systems together: what is stored on one is read on another.
    """
    parts = PurePosixPath(path).parts
    if (
        not parts
        or path.startswith("/")
        or ".." in parts
        or "\\" in path
        or re.match(r"[A-Za-z]:", path)
        or re.search(r"[\x00-\x1f\x7f]", path)
    ):
        raise StoreError(
            f"{path!r} would not be stored below the outputs folder"
            " (use plain relative names with forward slashes in outputs.image)"
        )
    return path
