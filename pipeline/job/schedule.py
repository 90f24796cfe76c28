"""The part ``schedule`` of a job: when it runs by itself, and how far it may go then."""

import difflib
import re
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from pipeline.cron import Cron
from pipeline.job.values import Part

CatchUp = Literal["one", "none", "all"]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PARTS = re.compile(r"(?:\s*[0-9]+(?:\.[0-9]+)?\s*[smhd])+\s*").fullmatch
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd])")
_NUMBER = re.compile(r"\s*[0-9]+(?:\.[0-9]+)?\s*").fullmatch
_MEANT = {"local": "UTC", "gmt": "UTC", "z": "UTC", "cest": "Europe/Berlin"}
YEAR_S = 366 * 86_400


def _seconds(value: Any) -> Any:
    if not isinstance(value, str) or _NUMBER(value):
        return value
    if _PARTS(value) is None:
        raise ValueError(f"{value[:40]!r} is no duration (90s, 15m, 4h, 1h30m, 2d, or seconds)")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def _cron(value: str) -> str:
    return Cron(value).text


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no timezone {value[:60]!r}{_hint(value)}") from None
    return value


@cache
def _zones() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones()}


def _hint(value: str) -> str:
    asked = value[:60].strip().casefold().replace(" ", "_")
    zones = _zones()
    cities = {name.rpartition("/")[2]: full for name, full in zones.items() if "/" in name}
    if asked in _MEANT:
        return f" (did you mean {_MEANT[asked]!r}?)"
    for known in (zones, cities):
        near = difflib.get_close_matches(asked, known, n=1, cutoff=0.75)
        if near:
            return f" (did you mean {known[near[0]]!r}?)"
    last = asked.rpartition("/")[2]
    near = difflib.get_close_matches(last, cities, n=1, cutoff=0.75)
    if near:
        return f" (did you mean {cities[near[0]]!r}?)"
    return " (a name such as Europe/Berlin, America/New_York, or UTC)"


Duration = Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=YEAR_S, allow_inf_nan=False)]
PositiveDuration = Annotated[
    float, BeforeValidator(_seconds), Field(gt=0, le=YEAR_S, allow_inf_nan=False)
]


class Schedule(Part):
    """When a job runs by itself. Durations in seconds, ``None``: no limit; money in USD.

    ``cron`` ``None``: never. ``jitter``: it starts up to so much later. ``deadline``: a start that
    would come later than this after its time is left out. ``catch_up``: what becomes of times that
    went by while nobody was there. ``max_runtime``: after so long it is asked to stop.
    ``day_usd``: all jobs of one key together, on a day in UTC.
    """

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    jitter: Duration = 0.0
    deadline: PositiveDuration | None = None
    catch_up: CatchUp = "one"
    max_runtime: PositiveDuration | None = None
    day_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.cron is None and self.model_fields_set:
            raise ValueError("it does not say when (add cron, as in cron: '0 3 * * *')")
        return self
