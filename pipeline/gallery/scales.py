"""Axes: round ticks, and the words for values on them."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

STEPS_S = (
    *(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600),
    *(2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 28 * 86_400),
)
"""Round spans of time, in seconds."""

ELAPSED_S = 900.0
"""Up to this long a span is read as time since its start, beyond it as time of day."""


def ticks(top: float, *, most: int = 5, whole: bool = False) -> tuple[float, ...]:
    """Round values from 0 to the first at or above ``top``; ``most`` of them, 0 not counted."""
    if not top > 0:
        return (0.0, 1.0)
    step = nice(top / most)
    if whole:
        step = max(1.0, step)
    # A thousandth of a step is rounding, not a reason for one more tick.
    return tuple(step * n for n in range(math.ceil(top / step - 1e-3) + 1))


def nice(value: float) -> float:
    """The first of 1, 2, 2.5, 5 × 10^n at or above a value."""
    magnitude = 10.0 ** math.floor(math.log10(value))
    for digit in (1, 2, 2.5, 5):
        if digit * magnitude >= value * (1 - 1e-9):
            return float(digit * magnitude)
    return 10 * magnitude


def round_span(seconds: float) -> float:
    """The first of `STEPS_S` at or above a span."""
    return float(STEPS_S[min(bisect_left(STEPS_S, seconds), len(STEPS_S) - 1)])


def time_ticks(
    start: float, end: float, zone: tzinfo | None, *, most: int = 7
) -> tuple[tuple[float, str], ...]:
    """Moments between two, in epoch seconds, and what to call them in ``zone`` (None: here).

    Short spans count from their start; longer ones show the time of day, and the date where a new
    day begins.
    """
    span = max(end - start, 1e-3)
    step = round_span(span / most)
    if span <= ELAPSED_S:
        count = math.floor(span / step + 1e-6)
        return tuple((start + n * step, duration(n * step)) for n in range(count + 1))
    begin = _local(start, zone)
    offset = (begin.utcoffset() or timedelta()).total_seconds()
    first = math.ceil((start + offset) / step) * step - offset
    found = []
    moment = first
    while moment <= end:
        found.append((moment, _clock(moment, zone, days=step >= 86_400)))
        moment += step
    return tuple(found)


def moment(when: float, zone: tzinfo | None) -> str:
    """``14 Nov 2026, 02:00``, as the clock on the wall says."""
    local = _local(when, zone)
    return f"{local.day} {local:%b %Y, %H:%M}"


def since(start: float, end: float, zone: tzinfo | None) -> str:
    """A span in words: ``14 Nov 2026, 02:00 to 06:12``."""
    first, last = _local(start, zone), _local(end, zone)
    if first.date() != last.date():
        return f"{moment(start, zone)} to {moment(end, zone)}"
    if f"{first:%H:%M}" == f"{last:%H:%M}":
        return f"{moment(start, zone)}, for {duration(end - start)}"
    return f"{moment(start, zone)} to {last:%H:%M}"


def clock(when: float, start: float, end: float, zone: tzinfo | None) -> str:
    """A moment inside a span, as its axis would say it, but exactly."""
    if end - start <= ELAPSED_S:
        return duration(when - start)
    local = _local(when, zone)
    return f"{local:%H:%M:%S}" if end - start < 86_400 else f"{local.day} {local:%b %H:%M}"


def duration(seconds: float) -> str:
    """``0.3 s``, ``12 s``, ``1 min 30 s``, ``6 h 12 min``, ``2 d 3 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return _two(whole, 60, "min", 1, "s")
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return _two(minutes, 60, "h", 1, "min")
    return _two(round(seconds / 3600), 24, "d", 1, "h")


def number(value: float) -> str:
    """``1,250``, ``12.5``, ``0.25``."""
    if value >= 100 or value == int(value):
        return f"{round(value):,}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}".rstrip("0").rstrip(".")


def dollars(value: float, *, like: float | None = None) -> str:
    """``$0``, ``$0.042``, ``$12.50``, ``$1,250``; with as many digits as ``like`` would need."""
    scale = value if like is None else like
    if value == 0 or scale >= 1000 or scale == int(scale):
        return f"${value:,.0f}"
    return f"${value:.2f}" if scale >= 0.1 else f"${value:.4f}".rstrip("0")


def several(count: int, one: str) -> str:
    """``1 picture``, ``1,250 pictures``."""
    return f"{count:,} {one if count == 1 else f'{one}s'}"


def share(part: float, whole: float) -> str:
    """``97 %``; ``99.9 %`` and ``< 0.1 %`` where rounding would tell a lie."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1\u00a0%"
    if percent < 10 or 99 < percent < 100:
        return f"{min(percent, 99.9):.1f}".removesuffix(".0") + "\u00a0%"
    return f"{percent:.0f}\u00a0%"


def percentile(values: Sequence[float], of: float) -> float:
    """The value that ``of`` (0 to 1) of the sorted values are at or below."""
    return values[min(len(values) - 1, max(0, math.ceil(of * len(values)) - 1))]


def _two(value: int, per: int, large: str, unit: int, small: str) -> str:
    whole, rest = divmod(value, per)
    return f"{whole} {large} {rest * unit} {small}" if rest else f"{whole} {large}"


def _clock(when: float, zone: tzinfo | None, *, days: bool) -> str:
    local = _local(when, zone)
    new_day = days or (local.hour == 0 and local.minute == 0)
    return f"{local.day} {local:%b}" if new_day else f"{local:%H:%M}"


def _local(when: float, zone: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(when, UTC).astimezone(zone)
