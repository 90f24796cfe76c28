"""Texts and figures, fit to be shown."""

import re
import time

_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)


def clean(text: str) -> str:
    """On one line, and without what steers a terminal or turns its letters around: texts of
    manifests and servers are shown, not obeyed.
    """
    return _UNSHOWABLE.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    return " " if found.group() in "\t\n\r\x0b\x0c\x85\u2028\u2029" else "�"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 edit``, ``2 edits``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def in_bytes(size: int) -> str:
    """A size as people write it: ``812 bytes``, ``48 kB``, ``1.3 MB``."""
    if size < 1000:
        return counted(size, "byte")
    for name, unit, most in (("kB", 10**3, 999_500), ("MB", 10**6, 999_950_000)):
        if size < most:
            return f"{size / unit:.0f} {name}" if name == "kB" else f"{size / unit:.1f} {name}"
    return f"{size / 10**9:,.1f} GB"


def duration(seconds: float) -> str:
    """For a sentence."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def clock(seconds: float) -> str:
    """For a place where it ticks: ``0:12:41``."""
    minutes, seconds = divmod(int(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def span(low: float, high: float) -> str:
    """A range of seconds, as coarse as it is sure: ``11 to 16 min``."""
    if high < 1:
        return "less than a second"
    unit, name, step = next(scale[1:] for scale in _SCALES if high < scale[0])
    first, last = [_rounded(seconds / unit, step) for seconds in (low, high)]
    if first == last:
        return f"about {last} {name}"
    if float(first) == 0:
        return f"up to {last} {name}"
    return f"{first} to {last} {name}"


_SCALES: tuple[tuple[float, float, str, float], ...] = (
    (20.0, 1.0, "s", 1.0),
    (100.0, 1.0, "s", 5.0),
    (100 * 60.0, 60.0, "min", 1.0),
    (48 * 3600.0, 3600.0, "h", 0.1),
    (float("inf"), 86400.0, "days", 0.1),
)
"""Up to so many seconds: the unit, its name, and the steps of what is shown."""


def _rounded(value: float, step: float) -> str:
    number = step * round(max(value, 0.0) / step)
    return f"{number:.1f}" if step < 1 else f"{number:.0f}"


def time_of_day(at: float, *, now: float) -> str:
    """Local time, with the day where it is another one."""
    there, here = time.localtime(at), time.localtime(now)
    same_day = there[:3] == here[:3]
    return time.strftime("%H:%M" if same_day else "%a %H:%M", there)


def dollars(usd: float) -> str:
    """Cents; tenths of a cent where they are something."""
    return f"${usd:,.3f}".removesuffix("0")
