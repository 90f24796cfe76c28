"""An export on any file system that fsspec speaks: S3, Google Cloud Storage, SFTP, …

Folders cannot change places there. New shards are uploaded first, then the card and the sums, and
what is not needed any more goes last. A shard that had to be rewritten is replaced under its name.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, StoreError
from pipeline.exporting.publishing import STATE, SUMS
from pipeline.stores.urls import open_url, url_errors

_SHARD = re.compile(r"data/[A-Za-z]\w*-[0-9]{5,}\.(tar|parquet)", re.ASCII).fullmatch

LAST = ("README.md", SUMS, STATE)
"""What says that the rest is there."""


def is_url(output: str) -> bool:
    """A URL of fsspec's, rather than a path."""
    return "://" in output


class RemoteFolder:
    """Implements `Target` below a URL. The new files wait in a folder of this machine."""

    def __init__(self, url: str, stage: Path) -> None:
        """``stage``: that folder. Raises `ConfigError` for a place that holds something else,
        `StoreError`.
        """
        self._url = url
        self._stage = stage
        self._files, self._root = open_url(url)
        with url_errors(url):
            strange = self._files.exists(self._root) and bool(self._files.ls(self._root))
            if strange and not self._files.exists(f"{self._root}/{STATE}"):
                raise ConfigError(f"{url}: holds something that is no export (name another place)")

    def old(self, name: str) -> bytes | None:
        with url_errors(self._url):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def old_lines(self, name: str) -> Iterator[str]:
        yield from (self.old(name) or b"").decode("utf-8").splitlines()

    def has(self, name: str, size: int) -> bool:
        with url_errors(self._url):
            try:
                return bool(self._files.info(f"{self._root}/{name}")["size"] == size)
            except FileNotFoundError:
                return False

    def new(self, name: str) -> Path:
        path = self._stage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, name: str) -> None:
        """It stays where it is."""

    def publish(
        self, new: Iterator[str], gone: Iterator[str], known: Callable[[str], bool]
    ) -> None:
        names = sorted(new, key=lambda name: (name in LAST, name == STATE, name))
        with url_errors(self._url):
            for name in names:
                _upload(self._files, self._stage / name, f"{self._root}/{name}")
            for name in [*gone, *self._strays(set(names), known)]:
                self._files.rm_file(f"{self._root}/{name}")

    def _strays(self, new: Set[str], known: Callable[[str], bool]) -> Iterator[str]:
        """Shards that an upload left which was cut off: readers take all that is called so."""
        for path in self._files.find(f"{self._root}/data"):
            name = path[len(self._root) + 1 :]
            if _SHARD(name) and name not in new and not known(name):
                yield name

    def discard(self) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)


def put_table(url: str, path: Path) -> None:
    """Uploads one file, whole. Raises `ConfigError`, `StoreError`."""
    files, key = open_url(url)
    with url_errors(url):
        _upload(files, path, key)


def _upload(files: Any, path: Path, key: str) -> None:
    files.makedirs(key.rpartition("/")[0], exist_ok=True)
    files.put_file(str(path), key)
    size = files.info(key)["size"]
    if size != path.stat().st_size:
        raise StoreError(
            f"{key}: arrived with {size:,} bytes instead of {path.stat().st_size:,} (export again;"
            " if it persists, check the storage)"
        )
