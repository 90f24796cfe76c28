"""Pictures on any file system that fsspec speaks: S3, Google Cloud Storage, SFTP, …"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.batching import Batcher
from pipeline.errors import ConfigError, JobError, StoreError
from pipeline.models import Draft, PictureFacts, StoredImage
from pipeline.stores.drafts import FileDraft, Put, ReadBuffer, checked, put_through, stored_image
from pipeline.stores.labels import Label
from pipeline.stores.urls import open_url, url_errors

THREADS = 8
"""Uploads at once: each waits for the network."""

_WRITES_IN_PLACE = frozenset({"file", "local", "sftp", "ssh", "ftp", "smb", "hdfs", "arrow_hdfs"})
"""Protocols that show a half-written file under its name, and that can rename. Object stores show
an object once it is complete, and would copy it to rename it."""


def open_fsspec(directory: Path, url: str | None) -> "FsspecStore":
    """For the table of stores; ``directory`` is not used. Raises `JobError`, `StoreError`."""
    return FsspecStore(url or "")


class FsspecStore:
    """Keeps pictures below ``url``. Implements `OutputStore`.

    Drafts are local temporary files. A picture is uploaded whole, under a temporary name where a
    reader could see half of it, and its size is compared. As durable as the storage says it is.
    """

    def __init__(self, url: str, *, threads: int = THREADS) -> None:
        self._files, self._root = _open(url)
        self._url = url
        self._in_place = _writes_in_place(self._files)
        self._temporary = tempfile.TemporaryDirectory(prefix="pipeline-drafts-")
        self._numbers = count(1)
        self._buffer = ReadBuffer()
        # One at a time: nothing is shared between uploads, and another thread may be free.
        self._uploads: Batcher[Put, StoredImage] = Batcher(
            self._put_all, name="upload", threads=threads, largest=1
        )

    def draft(self) -> FileDraft:
        return FileDraft(f"{self._temporary.name}/{next(self._numbers)}")

    async def put(
        self,
        draft: Draft,
        name: str,
        *,
        inspect: Callable[[memoryview], PictureFacts],
        label: Label | None = None,
    ) -> StoredImage:
        return await put_through(self._uploads, draft, name, inspect, label)

    async def remove(self, path: str) -> None:
        key = self._key(checked(path))
        await asyncio.to_thread(self._remote, f"cannot remove {path}", _remove, self._files, key)

    async def keep_unparsed(self, attempt_id: str, body: bytes) -> None:
        key = self._key(f"unparsed/{checked(attempt_id)}.txt")
        await asyncio.to_thread(self._remote, f"cannot write {key}", self._write, key, body)

    async def close(self) -> None:
        await asyncio.to_thread(self._uploads.close)
        await asyncio.to_thread(self._temporary.cleanup)

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _put_all(self, puts: Sequence[Put]) -> list[StoredImage | BaseException]:
        return [self._put_one(put) for put in puts]

    def _put_one(self, put: Put) -> StoredImage:
        try:
            stored = stored_image(put, self._buffer)
            put.draft.sync()
            self._remote(f"cannot store {stored.path}", self._upload, put.draft, stored)
            return stored
        finally:
            put.draft.discard()

    def _upload(self, draft: FileDraft, stored: StoredImage) -> None:
        key = self._key(stored.path)
        folder, _, name = key.rpartition("/")
        self._files.makedirs(folder, exist_ok=True)
        target = f"{folder}/.{name}.part" if self._in_place else key
        self._files.put_file(str(draft.path), target)
        size = self._files.info(target)["size"]
        if size != stored.size:
            raise StoreError(
                f"{self._url}: {stored.path} arrived with {size} bytes instead of {stored.size}"
                " (run again; if it persists, check the storage)"
            )
        if target != key:
            self._files.mv(target, key)

    def _write(self, key: str, body: bytes) -> None:
        self._files.makedirs(key.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(key, body)

    def _remote(self, what: str, call: Callable[..., None], *arguments: Any) -> None:
        with url_errors(self._url, what):
            call(*arguments)


class FsspecShelf:
    """Pictures below ``url``. Implements `Shelf`; ``directory`` is not used."""

    def __init__(self, directory: Path, url: str | None) -> None:
        self._url = url or ""
        self._files, self._root = _open(self._url)
        self._in_place = _writes_in_place(self._files)

    def holds(self, path: str) -> bool:
        with url_errors(self._url, f"cannot look at {path}"):
            return bool(self._files.isfile(f"{self._root}/{checked(path)}"))

    def copy(self, path: str, target: str) -> bool:
        source = f"{self._root}/{checked(path)}"
        goal = f"{self._root}/{checked(target)}"
        with url_errors(self._url, f"cannot copy {path} to {target}"):
            try:
                size = self._files.info(source)["size"]
            except FileNotFoundError:
                return False
            folder, _, name = goal.rpartition("/")
            self._files.makedirs(folder, exist_ok=True)
            part = f"{folder}/.{name}.part" if self._in_place else goal
            try:
                self._files.cp_file(source, part)
            except NotImplementedError:  # as SFTP: there and back
                self._files.pipe_file(part, self._files.cat_file(source))
            copied = self._files.info(part)["size"]
            if copied != size:
                raise StoreError(
                    f"{self._url}: {target} arrived with {copied} bytes instead of {size}"
                    " (decide again; if it persists, check the storage)"
                )
            if part != goal:
                self._files.mv(part, goal)
        return True

    def read(self, path: str) -> bytes | None:
        with url_errors(self._url, f"cannot fetch {path}"):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{checked(path)}"))
            except FileNotFoundError:
                return None

    def remove(self, path: str) -> None:
        with url_errors(self._url, f"cannot remove {path}"):
            _remove(self._files, f"{self._root}/{checked(path)}")


def _remove(files: Any, key: str) -> None:
    try:
        files.rm_file(key)
    except FileNotFoundError:
        return


def _writes_in_place(files: Any) -> bool:
    protocol = files.protocol
    protocols = {protocol} if isinstance(protocol, str) else set(protocol)
    return bool(protocols & _WRITES_IN_PLACE)


def _open(url: str) -> tuple[Any, str]:
    try:
        return open_url(url)
    except ConfigError as error:
        raise JobError(f"outputs: {error}") from error
