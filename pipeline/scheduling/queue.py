"""Runs that are due and have not started, and which of them may start next. No clock of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pipeline.job import Job
from pipeline.scheduling.times import Due


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """A job with a schedule. ``name``: how its file is called; ``key``: see `sharing.key_of`."""

    name: str
    path: Path
    job: Job
    key: str

    @property
    def outputs(self) -> Path:
        return self.job.outputs.directory


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is due. ``order``: who was first. ``more_than_usd``: it stopped at its share of
    the day's money, and goes on only with more than this; and not after ``day_ends``.
    """

    name: str
    due: Due
    order: float
    more_than_usd: float | None = None
    day_ends: float | None = None


class Queue:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    def __iter__(self) -> Iterator[Waiting]:
        return iter(sorted(self._waiting, key=lambda one: one.order))

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, one: Waiting) -> None:
        """Adds it."""
        self._waiting.append(one)

    def replace(self, old: Waiting, new: Waiting) -> None:
        """Puts ``new`` in the place of ``old``."""
        self._waiting[self._waiting.index(old)] = new

    def remove(self, one: Waiting) -> None:
        """Takes it out."""
        self._waiting.remove(one)

    def of(self, name: str) -> list[Waiting]:
        """Those of a job, the first first."""
        return [one for one in self if one.name == name]

    def next_start(self, now: float) -> float | None:
        """When the next one may start that may not yet."""
        later = [one.due.start_at for one in self._waiting if one.due.start_at > now]
        return min(later, default=None)

    def startable(self, now: float, free: Callable[[Waiting], bool]) -> list[Waiting]:
        """Whose time has come, in order, one of each job, as far as they are ``free``."""
        found: dict[str, Waiting] = {}
        for one in self:
            if one.due.start_at <= now and one.name not in found and free(one):
                found[one.name] = one
        return list(found.values())
