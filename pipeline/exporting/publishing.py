"""A folder of files that is replaced as a whole, and keeps what did not change.

The new folder is made beside the old one: what is new is written there, what stays is linked, not
copied. Then the two change places in one step. Whatever cuts it off, who reads the folder finds the
old export or the new one. What others have put into the folder moves along.
"""

import ctypes
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from pipeline.durable import sync_folder
from pipeline.errors import ConfigError, StoreError

SUMS = "SHA256SUMS"
STATE = ".export/state.json"

FLUSHED_ONE_BY_ONE = 1_000
"""New files, after which the whole file system is flushed at once instead."""

_PIECE = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class Target(Protocol):
    """Where an export goes. Names are relative, with forward slashes."""

    def old(self, name: str) -> bytes | None:
        """A small file of the present export; ``None`` if there is none."""
        ...

    def old_lines(self, name: str) -> Iterator[str]:
        """A text of the present export, without line ends; nothing if there is none."""
        ...

    def has(self, name: str, size: int) -> bool:
        """Whether the present export has a file, of this size."""
        ...

    def new(self, name: str) -> Path:
        """Where to write a file of the new export."""
        ...

    def keep(self, name: str) -> None:
        """Takes a file of the present export over as it is."""
        ...

    def publish(
        self, new: Iterator[str], gone: Iterator[str], known: Callable[[str], bool]
    ) -> None:
        """Makes the new export the present one. ``new``: files that were written, by name;
        ``gone``: files that it has no more; ``known``: whether the present export wrote a file.
        """
        ...

    def discard(self) -> None:
        """Forgets the new export. Harmless after `publish`."""
        ...


class LocalFolder:
    """Implements `Target` for a folder of this machine. Only one at a time may be open for one."""

    def __init__(self, path: Path) -> None:
        """Ends what a process that died had begun. Raises `ConfigError` for a folder that holds
        something else, `StoreError` where it cannot be written.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed
        if not path.name:
            raise ConfigError(f"{path}: is no folder that could be replaced")
        self.path = path
        self._previous = path.with_name(f".{path.name}.previous")
        self._stage = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
        self._made: set[str] = set()
        with store_errors(path):
            if path.is_symlink():
                raise ConfigError(f"{path}: is a link: name the folder itself")
            if path.exists() and not path.is_dir():
                raise ConfigError(f"{path}: is a file, and this format makes a folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._recover()
            if path.is_dir() and any(path.iterdir()) and not (path / STATE).is_file():
                raise ConfigError(
                    f"{path}: holds something that is no export (name a new or an empty folder)"
                )
            self._stage.mkdir()
            if path.is_dir():
                shutil.copymode(path, self._stage)

    def _recover(self) -> None:
        if self._previous.is_dir():
            if not self.path.exists():
                self._previous.rename(self.path)
            else:
                self._clear(self._previous)
        for left in self.path.parent.glob(f".{_escaped(self.path.name)}.*.partial"):
            self._clear(left)

    def _clear(self, folder: Path) -> None:
        """Removes a folder that is not needed any more, but nothing that others put there."""
        if (folder / SUMS).is_file() and self.path.is_dir():
            own = owned(folder)
            for entry in sorted(folder.iterdir()):
                target = self.path / entry.name
                if entry.name not in own and not target.exists():
                    entry.rename(target)
        shutil.rmtree(folder)

    def old(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def old_lines(self, name: str) -> Iterator[str]:
        with suppress(FileNotFoundError), (self.path / name).open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n")

    def has(self, name: str, size: int) -> bool:
        try:
            return os.stat(f"{self.path}/{name}").st_size == size  # noqa: PTH116 - once a picture
        except (FileNotFoundError, NotADirectoryError):
            return False

    def new(self, name: str) -> Path:
        self._make(name)
        return self._stage / name

    def _make(self, name: str) -> None:
        folder = name.rpartition("/")[0]
        if folder not in self._made:
            (self._stage / folder).mkdir(parents=True, exist_ok=True)
            self._made.add(folder)

    def keep(self, name: str) -> None:
        self._make(name)
        source, target = f"{self.path}/{name}", f"{self._stage}/{name}"  # a million times
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # a file system without links
            shutil.copy2(source, target)

    def publish(
        self, new: Iterator[str], gone: Iterator[str], known: Callable[[str], bool]
    ) -> None:
        self._flush(new)
        stranger = self._stranger(known)
        if stranger:
            raise ConfigError(
                f"{stranger}: was put into an export's own folder, and would be lost (move it away,"
                " then export again)"
            )
        if not self.path.exists():
            self._stage.rename(self.path)
        elif any(self.path.iterdir()):
            if not _exchanged(self._stage, self.path):
                self.path.rename(self._previous)
                self._stage.rename(self.path)
                self._stage = self._previous
            self._clear(self._stage)
        else:
            self.path.rmdir()
            self._stage.rename(self.path)
        sync_folder(self.path.parent)

    def _stranger(self, known: Callable[[str], bool]) -> Path | None:
        """A file in a folder of ours that is not ours."""
        for top in sorted(owned(self.path)) if (self.path / SUMS).is_file() else ():
            for folder, _, names in os.walk(self.path / top):
                for path in (Path(folder) / name for name in names):
                    if not known(path.relative_to(self.path).as_posix()):
                        return path
        return None

    def _flush(self, new: Iterator[str]) -> None:
        for number, name in enumerate(new):
            if number == FLUSHED_ONE_BY_ONE and hasattr(os, "sync"):
                os.sync()
                return
            with (self._stage / name).open("rb+") as file:
                os.fsync(file.fileno())
        for folder, _, _ in os.walk(self._stage):
            sync_folder(Path(folder))

    def discard(self) -> None:
        shutil.rmtree(self._stage, ignore_errors=True)


def owned(folder: Path) -> frozenset[str]:
    """The top-level names of an export's own files."""
    return frozenset({path.partition("/")[0] for path in _paths(folder / SUMS)} | {SUMS})


def _paths(sums: Path) -> Iterator[str]:
    with sums.open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")[66:]


def sha256_of(path: Path) -> str:
    """Of a file, in hex. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


@contextmanager
def store_errors(path: Path | str) -> Iterator[None]:
    """What the system says of files, as `StoreError`."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path}: the export cannot be written ({error.strerror or error}): check that its"
            " folder is writable and the disk not full, and export again; what was there before is"
            " untouched"
        ) from error


def _exchanged(one: Path, other: Path) -> bool:
    """Two folders change places in one step, where the system can do that."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    done: int = rename(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE)
    )
    return done == 0


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "[*?" else letter for letter in name)
