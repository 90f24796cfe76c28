"""What a few observations say about the rest: values with intervals of 95 %. Pure arithmetic."""

import math
from collections.abc import Sequence

import msgspec

Z95 = 1.959964
"""Two-sided 95 % of the normal distribution."""

_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t for 1 to 30 degrees of freedom; more are as good as normal."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A measured value and the interval in which the true one lies, 19 times in 20."""

    value: float
    low: float
    high: float


def share(count: int, of: int) -> Estimate:
    """A share, with Wilson's score interval.

    It is honest for few observations too: none of ten leaves up to 28 % possible. Nothing observed
    leaves everything possible.
    """
    if not of:
        return Estimate(value=0.0, low=0.0, high=1.0)
    value, z2 = count / of, Z95 * Z95
    centre = (value + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 * math.sqrt(value * (1 - value) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Estimate(
        value=value,
        low=0.0 if count == 0 else max(0.0, centre - half),
        high=1.0 if count == of else min(1.0, centre + half),
    )


def ratio(amounts: Sequence[float], sizes: Sequence[int]) -> Estimate | None:
    """Amount per unit of size (dollars per picture), over observations of different sizes.

    The ratio of the sums; its interval is the wider of two. Student's t over the residuals sees how
    amounts differ; Wilson's interval over the share that amounts to anything sees what so few
    observations could have missed where they do not differ at all. ``None`` when nothing amounted
    to anything: then nothing is known about what it will be.
    """
    positive = [(a, s) for a, s in zip(amounts, sizes, strict=True) if a > 0]
    if not positive:
        return None
    n, total = len(amounts), sum(sizes)
    value = math.fsum(amounts) / total
    some = math.fsum([a for a, _ in positive]) / sum([s for _, s in positive])
    charged = share(len(positive), n)
    low, high = charged.low * some, charged.high * some
    if n > 1:
        squares = math.fsum([(a - value * s) ** 2 for a, s in zip(amounts, sizes, strict=True)])
        error = math.sqrt(squares / (n * (n - 1))) / (total / n)
        half = error * (_T95[n - 2] if n - 2 < len(_T95) else Z95)
        low, high = min(low, value - half), max(high, value + half)
    return Estimate(value=value, low=max(0.0, min(low, value)), high=max(high, value))


def median(values: Sequence[float]) -> Estimate | None:
    """The median, with the interval that order statistics give: no shape is assumed."""
    if not values:
        return None
    ordered, n = sorted(values), len(values)
    half = Z95 * math.sqrt(n) / 2
    low = max(0, math.floor(n / 2 - half) - 1)
    high = min(n - 1, math.ceil(n / 2 + half))
    return Estimate(value=quantile(ordered, 0.5), low=ordered[low], high=ordered[high])


def quantile(ordered: Sequence[float], part: float) -> float:
    """Of ascending values, the one below which ``part`` of them lie."""
    return ordered[min(int(part * len(ordered)), len(ordered) - 1)]
