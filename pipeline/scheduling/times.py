"""Which times of a schedule call for a run now: a function of the clock and of what was done."""

import hashlib
from collections.abc import Iterator
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import msgspec

from pipeline.cron import Cron
from pipeline.job.schedule import Schedule

HERE_S = 120.0
"""A time that went by no longer ago than this was not missed: somebody only looked a bit later."""

LOOK_BACK = 20_000
"""Times that are looked at after a long absence. Where there are more, only the last day's are."""
DAY_S = 86_400.0


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is due. ``at``: the schedule's time; ``start_at``: that and its jitter; both in
    seconds since the epoch. ``late``: it was missed, and is caught up with.
    """

    at: float
    start_at: float
    late: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """What became of the times that went by: those to run for, and those left out, each with why.
    ``until``: all times up to here are in this verdict.
    """

    due: tuple[Due, ...]
    left_out: tuple[tuple[Due, str], ...]
    until: float


def upcoming(schedule: Schedule, after: float) -> Iterator[float]:
    """The times after ``after``, without jitter. Nothing for a job without a schedule."""
    if schedule.cron is None:
        return iter(())
    return Cron(schedule.cron).times(after, ZoneInfo(schedule.timezone))


def jitter_of(schedule: Schedule, name: str, at: float) -> float:
    """How much later than ``at`` it starts, in seconds.

    The same for the same job and time, so that a restart draws no second lot; different for other
    jobs and other nights, so that not everybody comes at once.
    """
    if not schedule.jitter:
        return 0.0
    lot = hashlib.sha256(f"{name}\0{at:.0f}".encode()).digest()
    return int.from_bytes(lot[:8]) / 2**64 * schedule.jitter


def verdict(schedule: Schedule, name: str, *, after: float, now: float) -> Verdict:
    """What the times after ``after`` and up to ``now`` call for."""
    found = [
        Due(at=at, start_at=at + jitter_of(schedule, name, at))
        for at in _between(schedule, after, now)
    ]
    due, left_out = [], []
    for one in found:
        missed = one.start_at < now - HERE_S
        one = msgspec.structs.replace(one, late=missed)
        if too_late(schedule, one, now):
            left_out.append((one, too_late_words(schedule, one, now)))
        elif missed and schedule.catch_up == "none":
            left_out.append((one, "nobody was there, and catch_up is none"))
        else:
            due.append(one)
    if schedule.catch_up != "all" and len(due) > 1:
        left_out += [(one, "a later one makes up for it") for one in due[:-1]]
        due = due[-1:]
    return Verdict(tuple(due), tuple(left_out), found[-1].at if found else after)


def too_late(schedule: Schedule, due: Due, now: float) -> bool:
    """Whether the deadline is over."""
    return schedule.deadline is not None and now > due.start_at + schedule.deadline


def too_late_words(schedule: Schedule, due: Due, now: float) -> str:
    """Why it does not start any more."""
    deadline = in_words(schedule.deadline or 0)
    return f"{in_words(now - due.start_at)} late, and the deadline is {deadline}"


def in_words(seconds: float) -> str:
    """A duration, to two units: ``45 s``, ``12 min``, ``2 h 30 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    if whole >= 60:
        rest = whole % 60
        return f"{whole // 60} min" + (f" {rest} s" if rest and whole < 600 else "")
    return f"{whole} s"


def _between(schedule: Schedule, after: float, now: float) -> list[float]:
    def up_to_now(since: float) -> Iterator[float]:
        return takewhile(lambda at: at <= now, upcoming(schedule, since))

    found = list(islice(up_to_now(after), LOOK_BACK))
    if len(found) == LOOK_BACK:
        found = list(up_to_now(max(after, now - DAY_S)))
    return found
