"""Cron expressions: five fields, with Debian cron's meaning and its rules for clock changes.

Whoever adds a job at 02:30 wants it once a night. So a time that does not exist because clocks go
forward is taken at the first moment after the gap, and one that comes twice because they go back is
taken the first time. A minute or an hour that begins with ``*`` means "every so often" instead: it
is taken whenever a clock shows it, so that every hour stays every hour.
"""

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from heapq import heappop, heappush
from typing import Any

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_FIELDS = (
    (Field.MINUTE, "minute", "0 to 59"),
    (Field.HOUR, "hour", "0 to 23"),
    (Field.DAY, "day of month", "1 to 31, L for the last day, LW for the last weekday"),
    (Field.MONTH, "month", "1 to 12, or JAN to DEC"),
    (Field.DOW, "day of week", "0 to 7, 0 and 7 are Sunday, or SUN to SAT; MON#1: the first"),
)
_STARTS = datetime(2024, 1, 1, tzinfo=UTC)

_FARTHEST_BACK = timedelta(hours=3)
"""More than clocks go back anywhere: Troll station, by two hours."""


class Cron:
    """A cron expression. Raises `ValueError`, in words that name the field, if it is none."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(NAMED.get(text.strip().lower(), text).split())
        """As five fields with one space between them."""
        if problem := _problem(text, self.text):
            raise ValueError(problem)

    def times(self, after: float, zone: tzinfo) -> Iterator[float]:
        """The times after ``after``, ascending, in seconds since the epoch, as ``zone`` has it."""
        minute, hour, *_ = self.text.split()
        if minute.startswith("*") or hour.startswith("*"):
            found = _whenever_shown(self.text, after, zone)
        else:
            nights = CronSim(self.text, datetime.fromtimestamp(after, zone))
            found = (night.timestamp() for night in nights)
        last = after
        for when in found:
            # After the second of two equal hours the first one would be found again.
            if when > last:
                last = when
                yield when

    def values(self) -> dict[str, set[Any]]:
        """Each field's values: ``minute``, ``hour``, ``day``, ``month``, ``weekday``.

        Numbers; beside them ``CronSim.LAST`` and ``CronSim.LAST_WEEKDAY`` as days, and pairs
        ``(weekday, n-th or CronSim.LAST)`` as weekdays, where Sunday is 0 or 7.
        """
        found = CronSim(self.text, _STARTS)
        return {
            "minute": set(found.minutes),
            "hour": set(found.hours),
            "day": set(found.days),
            "month": set(found.months),
            "weekday": set(found.weekdays),
        }

    @property
    def days_and_weekdays(self) -> bool:
        """Whether both have to match. Else, as cron has it, either is enough."""
        return CronSim(self.text, _STARTS).day_and


def _whenever_shown(text: str, after: float, zone: tzinfo) -> Iterator[float]:
    """Each moment at which a clock shows one of the times, ascending; some are before ``after``.

    CronSim is asked for times on the clock only. It would count in whole hours from a moment of
    the zone, and lose a turn where clocks change by half an hour (Lord Howe).
    """
    shown, later = (_clock(at, zone) for at in (after, after + _FARTHEST_BACK.total_seconds()))
    waiting: list[float] = []
    for time in CronSim(text, min(shown, later - _FARTHEST_BACK)):
        moments = {time.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)}
        real = sorted([moment for moment in moments if _clock(moment, zone) == time])
        for moment in real:
            heappush(waiting, moment)
        # The first moment of each time is later than that of the time before it; the second is not.
        while real and waiting and waiting[0] <= real[0]:
            yield heappop(waiting)


def _clock(at: float, zone: tzinfo) -> datetime:
    """What a clock of the zone shows, to the second."""
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None, microsecond=0, fold=0)


def _problem(given: str, text: str) -> str | None:
    if given.strip().startswith("@") and text == " ".join(given.split()):
        near = difflib.get_close_matches(given.strip().lower(), NAMED, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMED)}"
        return f"{_cut(given)} is no time ({hint})"
    fields = text.split(" ") if text else []
    if len(fields) != len(_FIELDS):
        return (
            f"{_cut(given)} has {len(fields)} fields, and cron has 5: minute, hour, day of month,"
            " month, day of week (every night at three: '0 3 * * *')"
        )
    for value, (field, name, known) in zip(fields, _FIELDS, strict=True):
        try:
            field.parse(value.upper())
        except (CronSimError, AssertionError, ValueError):
            return f"the {name} {_cut(value)} is none ({known}; lists 1,2, ranges 1-5, steps */2)"
    try:
        next(CronSim(text, _STARTS))
    except (CronSimError, StopIteration):
        return f"{_cut(given)} never comes: no such month has such a day"
    return None


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
