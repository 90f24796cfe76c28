"""Cron expressions: five fields, with Debian cron's meaning and its rules for clock changes.

Whoever adds a job at 02:30 wants it once a night. So a time that does not exist because clocks go
forward is taken at the first moment after the gap, and one that comes twice because they go back is
taken the first time. A minute or an hour that begins with ``*`` means "every so often" instead and
follows elapsed time: no turn more, none less.
"""

import difflib
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
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


class Cron:
    """A cron expression. Raises `ValueError`, in words that name the field, if it is none."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(NAMED.get(text.strip().lower(), text).split())
        """As five fields with one space between them."""
        if problem := _problem(text, self.text):
            raise ValueError(problem)

    def times(self, after: float, zone: tzinfo) -> Iterator[float]:
        """The times after ``after``, ascending, in seconds since the epoch, as ``zone`` has it."""
        last = after
        for found in CronSim(self.text, datetime.fromtimestamp(after, zone)):
            # After the second of two equal hours the first one would be found again.
            if (when := found.timestamp()) > last:
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
