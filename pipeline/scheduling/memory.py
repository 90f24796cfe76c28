"""What is remembered of a schedule, ``schedule.json`` beside the ledger, and who follows it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock
import msgspec

from pipeline.durable import replacing
from pipeline.errors import StoreError
from pipeline.job.schedule import Schedule

NAME = "schedule.json"
LOCK = "schedule.lock"

FRESH_S = 60.0
"""A scheduler shows that it is alive at least so often."""

AHEAD_S = 86_400.0
"""A memory from farther ahead than this is a clock's mistake."""


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was started. ``log``: what it says; its process holds it. ``due``: for which time;
    ``None``: for none. ``cap_usd``: its share of the day's money, if it was given one.
    """

    pid: int
    started_at: float
    log: str
    due: float | None = None
    cap_usd: float | None = None


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """How the latest run, or the latest time without one, came out. ``words``: as it was said."""

    due: float | None
    ended_at: float
    outcome: str
    exit_code: int | None = None
    run_id: str | None = None
    words: str = ""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """``cron``, ``timezone``: the schedule that this is about. ``until``: times up to here were
    dealt with, in seconds since the epoch. ``unfinished``: a run for this time was cut short by the
    end of the scheduler, or of the machine.
    """

    cron: str
    timezone: str
    until: float
    going: Going | None = None
    unfinished: float | None = None
    last: Past | None = None

    def but(self, **changes: Any) -> "Memory":
        """The same with changes."""
        return msgspec.structs.replace(self, **changes)


def recall(outputs: Path, schedule: Schedule, now: float) -> Memory:
    """What is remembered; a new memory from ``now`` on where there is none, or of another schedule:
    what was due by an old one is not caught up with by a new one.
    """
    memory = peek(outputs)
    cron, zone = schedule.cron or "", schedule.timezone
    if memory is None:
        return Memory(cron=cron, timezone=zone, until=now)
    if (memory.cron, memory.timezone) != (cron, zone):
        return memory.but(cron=cron, timezone=zone, until=now, unfinished=None)
    # A clock that is set back a little gives no time twice; one that was far ahead must not keep
    # the job from running until then.
    return memory.but(until=now) if memory.until > now + AHEAD_S else memory


def peek(outputs: Path) -> Memory | None:
    """What is remembered, if anything readable is."""
    try:
        return msgspec.json.decode((outputs / NAME).read_bytes(), type=Memory)
    except (OSError, msgspec.DecodeError):
        return None


def remember(outputs: Path, memory: Memory) -> None:
    """Writes it, whole or not at all. Raises `StoreError`."""
    path = outputs / NAME
    try:
        outputs.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(memory), indent=2) + b"\n")
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror or error} (free some space, or make the job's outputs"
            " writable)"
        ) from error


class Following:
    """Jobs that this process follows: no other scheduler does. The system lets go when it dies."""

    def __init__(self) -> None:
        self._locks: dict[Path, filelock.BaseFileLock] = {}

    def take(self, outputs: Path) -> bool:
        """False: another scheduler follows it. Raises `StoreError`."""
        if outputs in self._locks:
            return True
        try:
            outputs.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(outputs / LOCK)
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        except OSError as error:
            raise StoreError(
                f"{outputs / LOCK}: {error.strerror or error} (free some space, or make the job's"
                " outputs writable)"
            ) from error
        self._locks[outputs] = lock
        return True

    def show_life(self) -> None:
        """For `is_followed`."""
        for outputs, lock in [*self._locks.items()]:
            try:
                os.utime(outputs / LOCK)
            except FileNotFoundError:
                # Somebody cleared the outputs away, and with them a lock that nobody else can see.
                lock.release(force=True)
                del self._locks[outputs]
                with suppress(StoreError):
                    self.take(outputs)
            except OSError:
                continue  # a disk that is away may come back

    def drop(self, outputs: Path) -> None:
        """Another may follow it."""
        if lock := self._locks.pop(outputs, None):
            lock.release()

    def close(self) -> None:
        """Lets go of all."""
        for outputs in [*self._locks]:
            self.drop(outputs)


def is_followed(outputs: Path, now: float) -> bool:
    """Whether a scheduler follows the job and showed life lately."""
    path = outputs / LOCK
    try:
        if now - path.stat().st_mtime > FRESH_S:
            return False
        with filelock.FileLock(path).acquire(blocking=False):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return False
