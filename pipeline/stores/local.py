"""Pictures in a folder of this machine."""

import asyncio
import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from pipeline.batching import Batcher
from pipeline.durable import sync_folder
from pipeline.errors import PipelineError, StoreError
from pipeline.models import Draft, PictureFacts, StoredImage
from pipeline.stores.drafts import (
    FileDraft,
    Put,
    ReadBuffer,
    checked,
    put_through,
    store_errors,
    stored_image,
)
from pipeline.stores.labels import Label

THREADS = 8
"""Each waits for the disk on behalf of a batch: several flushes at once share its work."""


def open_local(directory: Path, url: str | None) -> "LocalStore":
    """For the table of stores; ``url`` is not used. Raises `StoreError`."""
    return LocalStore(directory)


class LocalStore:
    """Keeps pictures in ``directory/images``. Implements `OutputStore`.

    A picture is written beside its place, flushed to the disk, renamed, and its folder flushed:
    after a power cut it is there whole or not at all, and it is there once `put` has returned.

    Whoever opens it must hold the lock of the outputs folder: drafts that are lying there belong
    to a process that died, and are removed.
    """

    def __init__(self, directory: Path, *, threads: int = THREADS) -> None:
        self._directory = directory
        self._drafts = directory / ".drafts"
        self._numbers = count(1)
        self._prefix = secrets.token_hex(4)
        self._known: set[str] = set()  # folders that are there, and durably so
        self._making = threading.Lock()
        self._flushes: dict[str, _Flushes] = {}
        self._buffer = ReadBuffer()
        with store_errors(f"cannot use {directory}"):
            shutil.rmtree(self._drafts, ignore_errors=True)
            self._drafts.mkdir(parents=True, exist_ok=True)
        self._batches: Batcher[Put, StoredImage] = Batcher(
            self._put_all, name="store", threads=threads, largest=64
        )

    def draft(self) -> FileDraft:
        return FileDraft(f"{self._drafts}/{self._prefix}-{next(self._numbers)}")

    async def put(
        self,
        draft: Draft,
        name: str,
        *,
        inspect: Callable[[memoryview], PictureFacts],
        label: Label | None = None,
    ) -> StoredImage:
        return await put_through(self._batches, draft, name, inspect, label)

    async def remove(self, path: str) -> None:
        target = self._directory / checked(path)
        with store_errors(f"cannot remove {target}"):
            await asyncio.to_thread(target.unlink, missing_ok=True)

    async def keep_unparsed(self, attempt_id: str, body: bytes) -> None:
        target = self._directory / "unparsed" / f"{checked(attempt_id)}.txt"
        with store_errors(f"cannot write {target}"):
            await asyncio.to_thread(_write, target, body)

    async def close(self) -> None:
        await asyncio.to_thread(self._batches.close)
        await asyncio.to_thread(shutil.rmtree, self._drafts, ignore_errors=True)

    def _put_all(self, puts: Sequence[Put]) -> list[StoredImage | BaseException]:
        """One batch, in a thread: every file is flushed and named, then every folder flushed."""
        outcomes: list[StoredImage | BaseException] = []
        named: dict[str, int] = {}
        for put in puts:
            try:
                outcomes.append(self._put_one(put, named))
            except Exception as error:  # goes to the one who waits for this picture
                with contextlib.suppress(PipelineError, OSError):
                    put.draft.discard()
                    put.draft.path.unlink(missing_ok=True)
                outcomes.append(error)
        try:
            for folder, ticket in named.items():
                self._flushes[folder].up_to(ticket)
        except StoreError as error:
            return [error if isinstance(one, StoredImage) else one for one in outcomes]
        return outcomes

    def _put_one(self, put: Put, named: dict[str, int]) -> StoredImage:
        stored = stored_image(put, self._buffer)
        target = f"{self._directory}/{stored.path}"
        folder = target.rpartition("/")[0]
        with store_errors(f"cannot store {target}"):
            put.draft.sync()
            put.draft.close()
            self._make(folder)
            os.replace(put.draft.place, target)  # noqa: PTH105 - half the price of Path.replace
        named[folder] = self._flushes.setdefault(folder, _Flushes(folder)).ticket()
        return stored

    def _make(self, folder: str) -> None:
        if folder in self._known:
            return
        with self._making:  # nobody may see a folder that another thread has not flushed yet
            _make_folder(Path(folder))
            self._known.add(folder)


class LocalShelf:
    """Pictures in ``directory``. Implements `Shelf`; ``url`` is not used."""

    def __init__(self, directory: Path, url: str | None = None) -> None:
        self._directory = directory

    def holds(self, path: str) -> bool:
        picture = self._directory / checked(path)
        with store_errors(f"cannot look at {picture}"):
            return picture.is_file()

    def copy(self, path: str, target: str) -> bool:
        source = self._directory / checked(path)
        goal = self._directory / checked(target)
        part = goal.with_name(f".{goal.name}.{secrets.token_hex(4)}.part")
        with store_errors(f"cannot copy {source} to {goal}"):
            if not source.is_file():
                return False
            if goal.exists() and goal.samefile(source):
                return True  # copied before, by somebody who was cut off
            _make_folder(goal.parent)
            try:
                _duplicate(source, part)
                part.replace(goal)
            finally:
                part.unlink(missing_ok=True)
        _flush(goal.parent)
        return True

    def read(self, path: str) -> bytes | None:
        picture = self._directory / checked(path)
        with store_errors(f"cannot read {picture}"):
            return picture.read_bytes() if picture.is_file() else None

    def remove(self, path: str) -> None:
        target = self._directory / checked(path)
        with store_errors(f"cannot remove {target}"):
            target.unlink(missing_ok=True)


def _duplicate(source: Path, target: Path) -> None:
    """A second name for the same bytes, or, where the file system knows none, a second file."""
    try:
        os.link(source, target)
        return
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _make_folder(path: Path) -> None:
    """Creates a folder and flushes every new name on the way down to it."""
    missing = [one for one in (path, *path.parents) if not one.is_dir()]
    path.mkdir(parents=True, exist_ok=True)
    for new in reversed(missing):
        _flush(new.parent)


class _Flushes:
    """Flushes of one folder, shared: one that begins after several names were made serves all."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._flushing = threading.Lock()
        self._tickets = count(1)
        self._last = 0
        self._flushed = 0

    def ticket(self) -> int:
        """Call after a name was made in the folder."""
        # Two threads may set it in the wrong order: then one flush too many is made, never too few.
        self._last = ticket = next(self._tickets)
        return ticket

    def up_to(self, ticket: int) -> None:
        """Returns when the names of this ticket, and of all before, are on the disk."""
        with self._flushing:
            if self._flushed < ticket:
                covered = max(self._last, ticket)
                _flush(self._folder)
                self._flushed = covered


def _flush(folder: Path | str) -> None:
    with store_errors(f"cannot flush {folder}"):
        sync_folder(folder)


def _write(target: Path, body: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(body)
