"""An export on any file system that fsspec speaks: S3, Google Cloud Storage, SFTP, …

Folders cannot change places there. New shards are uploaded first, then the card and the sums, and
what is not needed any more goes last. A shard that had to be rewritten is replaced under its name.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, PipelineError, StoreError
from pipeline.exporting.publishing import STATE, SUMS

LAST = ("README.md", SUMS, STATE)
"""What says that the rest is there."""


def is_url(output: str) -> bool:
    """A URL of fsspec's, rather than a path."""
    return "://" in output


class RemoteFolder:
    """Implements `Target` below a URL. The new files wait in a temporary folder of this machine."""

    def __init__(self, url: str) -> None:
        """Raises `ConfigError` for a place that holds something else, `StoreError`."""
        self._url = url
        self._files, self._root = opened(url)
        self._stage = Path(tempfile.mkdtemp(prefix="pipeline-export-"))
        try:
            with remote_errors(url):
                strange = self._files.exists(self._root) and bool(self._files.ls(self._root))
                if strange and not self._files.exists(f"{self._root}/{STATE}"):
                    raise ConfigError(
                        f"--output {url}: holds something that is no export (name another place)"
                    )
        except BaseException:
            self.discard()
            raise

    def old(self, name: str) -> bytes | None:
        with remote_errors(self._url):
            try:
                return bytes(self._files.cat_file(f"{self._root}/{name}"))
            except FileNotFoundError:
                return None

    def old_lines(self, name: str) -> Iterator[str]:
        yield from (self.old(name) or b"").decode("utf-8").splitlines()

    def has(self, name: str, size: int) -> bool:
        with remote_errors(self._url):
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
        with remote_errors(self._url):
            for name in names:
                upload(self._files, self._stage / name, f"{self._root}/{name}")
            for name in gone:
                self._files.rm_file(f"{self._root}/{name}")

    def discard(self) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)


def upload(files: Any, path: Path, key: str) -> None:
    """Puts one file, whole."""
    files.makedirs(key.rpartition("/")[0], exist_ok=True)
    files.put_file(str(path), key)
    size = files.info(key)["size"]
    if size != path.stat().st_size:
        raise StoreError(f"{key}: arrived with {size} bytes instead of {path.stat().st_size}")


def opened(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it. Raises `ConfigError`."""
    import fsspec

    try:
        files, root = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"--output {url}: {error}") from error
    return files, str(root).rstrip("/")


@contextmanager
def remote_errors(url: str) -> Iterator[None]:
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:  # each file system has its own kinds
        raise StoreError(
            f"{url}: {str(error) or type(error).__name__} (check the credentials, the permission to"
            " write, and the connection)"
        ) from error
