"""The folder that is delivered to: a link, switched in one step, and the deliveries behind it.

``shop/amazon`` is a symbolic link to ``shop/.amazon.deliveries/0002``. A new delivery is written
beside it under a name that nobody looks at, renamed, and then a new link takes the place of the old
one (`os.replace`): POSIX lets nobody see anything in between.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import msgspec

from pipeline.delivery.values import Delivery
from pipeline.durable import replacing, sync_folder
from pipeline.errors import ConfigError, LockedError, StoreError

KEPT = 3
"""Deliveries: the present one and two to go back to."""

_MARK = "image-edit-pipeline.json"
_NUMBER = re.compile(r"[0-9]{4,}").fullmatch


class _Mark(msgspec.Struct, frozen=True):
    """Says whose folder it is: of the outputs folder of this name."""

    outputs: str


class DeliveryFolder:
    """``to``, and what lies behind it. Use it inside `held`."""

    def __init__(self, to: Path) -> None:
        self.to = to
        self.behind = to.with_name(f".{to.name}.deliveries")

    @property
    def current(self) -> str:
        """The name of the delivery that the folder shows; empty: none yet."""
        if not self.to.is_symlink():
            return ""
        return Path(os.readlink(self.to)).name  # noqa: PTH115 - the text of the link

    def check(self, outputs: str) -> None:
        """Raises `ConfigError` where it is not ours to replace. Changes nothing."""
        to, behind = self.to, self.behind
        other = "(choose another --to, or move it away)"
        if to.is_symlink():
            link = Path(os.readlink(to))  # noqa: PTH115
            if len(link.parts) != 2 or link.parts[0] != behind.name or not _NUMBER(link.name):
                raise ConfigError(f"{to}: is a link to {link}, not to a delivery {other}")
        elif to.is_dir():
            if any(to.iterdir()):
                raise ConfigError(
                    f"{to}: is a folder with something in it, which no delivery made {other}"
                )
        elif to.exists():
            raise ConfigError(f"{to}: is a file {other}")
        mark = behind / _MARK
        if behind.is_symlink() or (behind.exists() and not behind.is_dir()):
            raise ConfigError(f"{behind}: is in the way {other}")
        if not behind.exists():
            if to.is_symlink():
                raise ConfigError(f"{to}: its deliveries in {behind} are gone {other}")
            return
        try:
            owner = msgspec.json.decode(mark.read_bytes(), type=_Mark).outputs
        except FileNotFoundError:
            if any(path.name != "lock" for path in behind.iterdir()):
                raise ConfigError(
                    f"{behind}: has something in it that no delivery made {other}"
                ) from None
            return
        except msgspec.DecodeError:
            raise ConfigError(f"{mark}: cannot be understood {other}") from None
        if owner != outputs:
            raise ConfigError(
                f"{to}: holds deliveries of another job, whose outputs are called {owner!r}; this"
                f" one's are called {outputs!r} {other}"
            )

    @contextmanager
    def held(self, outputs: str) -> Iterator[None]:
        """Keeps other deliveries away, and makes what the disk says a `StoreError`. What earlier
        ones left when they were cut off is removed. Raises as `check`, and `LockedError`.
        """
        self.check(outputs)
        try:
            self.behind.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.behind / "lock", timeout=0):
                self.check(outputs)
                mark = self.behind / _MARK
                if not mark.exists():
                    put(mark, msgspec.json.encode(_Mark(outputs)))
                self._sweep()
                yield
        except filelock.Timeout:
            raise LockedError(
                f"{self.to}: another delivery to it is going on (wait until it is done)"
            ) from None
        except OSError as error:
            place = error.filename or self.to
            raise StoreError(
                f"{place}: {error.strerror or error} (the delivery that was there is whole; free"
                " some space, or make it writable, and deliver again)"
            ) from error

    def read(self, name: str) -> Delivery | None:
        """A delivery's files, as it was written; None where it is not there, or damaged."""
        if not name or not (self.behind / name).is_dir():
            return None
        try:
            return msgspec.json.decode((self.behind / f"{name}.json").read_bytes(), type=Delivery)
        except (OSError, msgspec.DecodeError):
            return None

    def next_name(self) -> str:
        """Of a new delivery."""
        numbers = [int(path.stem) for path in self.behind.iterdir() if _NUMBER(path.stem)]
        return f"{max(numbers, default=0) + 1:04}"

    def staging(self) -> Path:
        """An empty folder to write a delivery into."""
        folder = self.behind / f".staging-{secrets.token_hex(4)}"
        folder.mkdir()
        return folder

    def publish(self, staged: Path, delivery: Delivery) -> None:
        """Gives a staged folder its name, and switches to it."""
        put(self.behind / f"{delivery.name}.json", msgspec.json.encode(delivery))
        staged.rename(self.behind / delivery.name)
        sync_folder(self.behind)
        self.switch(delivery.name)
        self._prune(delivery)

    def switch(self, name: str) -> None:
        """From here on the folder shows this delivery; before, it showed the other, whole."""
        link = self.to.with_name(f".{self.to.name}.link-{secrets.token_hex(4)}")
        try:
            link.symlink_to(f"{self.behind.name}/{name}", target_is_directory=True)
        except OSError as error:
            if os.name == "nt":
                raise StoreError(
                    f"{self.to}: Windows allows no symbolic links here, and without them nothing"
                    " can be switched in one step (turn on the developer mode)"
                ) from error
            raise
        try:
            if self.to.is_dir() and not self.to.is_symlink():
                self.to.rmdir()  # empty, and of whoever made it for us
            link.replace(self.to)
        finally:
            with suppress(OSError):
                link.unlink(missing_ok=True)
        sync_folder(self.to.parent)

    def log(self, entry: dict[str, object]) -> None:
        """One line more in the log of deliveries."""
        with (self.behind / "log.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")

    def _sweep(self) -> None:
        for path in self.behind.glob(".staging-*"):
            shutil.rmtree(path, ignore_errors=True)
        drafts = (
            *self.to.parent.glob(f".{_plain(self.to.name)}.link-*"),
            *self.behind.glob(".*.part"),
        )
        for path in drafts:
            path.unlink(missing_ok=True)

    def _prune(self, newest: Delivery) -> None:
        """Removes deliveries that nobody can go back to any more."""
        kept = {newest.name}
        one: Delivery | None = newest
        while one is not None and len(kept) < KEPT and one.before:
            kept.add(one.before)
            one = self.read(one.before)
        for path in list(self.behind.iterdir()):
            if _NUMBER(path.stem) and path.stem not in kept:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)


def put(path: Path, data: bytes) -> None:
    """A small file, whole and on the disk."""
    with replacing(path) as file:
        file.write(data)


def _plain(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
