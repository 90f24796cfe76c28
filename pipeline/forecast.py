"""When a run will probably end: a range. Pure: times and counts come in.

The method. It looks back as far as it looks ahead, but not less than `LOOK_BACK_S`: the rate at
which edits ended over that time, retries, cooldowns and short outages included, is the best guess
for a time as long. How far the truth may be off is seen from how unevenly they ended: the window is
cut into blocks, and the variance of the blocks' counts over their mean, at least 1 (a Poisson
process), says by how much both the counted past and the future to come may stray. Where the latest
blocks went faster or slower than the whole, the range reaches in that direction. Its slow end gets
the time by which the slowest edits are slower than most (`tail_s`), as they are what a run waits
for at its end, and is not earlier than the rate in force would have it. Neither end is better than
the stated rates allow.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

LOOK_BACK_S = 90.0
BLOCKS = 10
FEWEST = 8
"""Ended edits, below which nothing is said."""

Z = 1.282
"""Two-sided 80 % of the normal distribution."""

DRIFT = 0.1
"""Relative: the next hour is never quite like the last one."""

LATELY = 3
"""Blocks, the latest ones, that show where the rate is going."""
TREND = 0.7
"""How much of a trend (in logarithms) is believed to last."""
TREND_PRIOR = 10.0
"""Edits on both sides of that comparison: a few are no trend."""

TAIL_AMONG = 32
"""Edits that are still under way when nothing waits any more: more are seldom."""

STEADY_S = 10.0
"""How slowly a shown range follows."""

BINS = 256


class History:
    """How many edits ended when, in memory that does not grow: at most `BINS` bins, which become
    twice as wide when they are full. Times are seconds, and never go back.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._width = 1.0
        self._bins: list[int] = []

    def add(self, at: float) -> None:
        """An edit ended."""
        if self._first is None:
            # The first one only starts the clock: before it the run was warming up.
            self._first = at
            return
        while (number := int((at - self._first) / self._width)) >= BINS:
            bins = [*self._bins, 0] if len(self._bins) % 2 else self._bins
            self._bins = [a + b for a, b in zip(bins[::2], bins[1::2], strict=True)]
            self._width *= 2
        if number >= len(self._bins):
            self._bins += [0] * (number + 1 - len(self._bins))
        self._bins[number] += 1

    @property
    def total(self) -> int:
        """How many have ended since the first, which is not counted."""
        return sum(self._bins)

    def before(self, at: float) -> float:
        """Seconds that it goes back from ``at``."""
        return 0.0 if self._first is None else at - self._first

    def counts(self, at: float, *, blocks: int, seconds: float) -> list[float]:
        """Of so many equal blocks that make up the last ``seconds`` before ``at``, the oldest
        first. A bin that lies across two blocks is shared out.
        """
        if self._first is None:
            return [0.0] * blocks
        found = [0.0] * blocks
        block = seconds / blocks
        since = at - seconds - self._first
        for number in range(max(0, int(since / self._width)), len(self._bins)):
            start = number * self._width - since
            end = min(start + self._width, seconds)
            length = end - start
            if length <= 0 or not self._bins[number]:
                continue
            for index in range(max(0, int(start / block)), min(blocks, int(end / block) + 1)):
                share = min(end, (index + 1) * block) - max(start, index * block)
                if share > 0:
                    found[index] += self._bins[number] * share / length
        return found


def time_left(
    left: int,
    history: History,
    *,
    at: float,
    tail_s: float = 0.0,
    least_s: float = 0.0,
    paced_s: float = 0.0,
) -> tuple[float, float] | None:
    """From, to, in seconds, for ``left`` more edits; ``None`` while too little is known.

    ``tail_s``: by how much the slowest edits are slower than most; ``least_s``: what the stated
    rates make of it at best; ``paced_s``: what the rate in force does, which may be a learned one.
    """
    if left <= 0:
        return 0.0, 0.0
    behind = history.before(at)
    ended = history.total
    if ended < FEWEST or behind <= 0:
        return None
    ahead = left * behind / ended
    seconds = min(behind, max(ahead, LOOK_BACK_S))
    counts = history.counts(at, blocks=BLOCKS, seconds=seconds)
    low, high = _interval(left, counts, seconds=seconds)
    return max(low, least_s), max(high + tail_s, least_s, paced_s)


def tail_s(durations: Sequence[float], left: int) -> float:
    """By how much the slowest of the last edits will be slower than most, 19 times in 20.

    The slowest that was seen says too little: those that are slowest have not ended yet. So the
    durations (seconds) are taken for lognormal, by their median and their upper sixth.
    """
    if not durations:
        return 0.0
    ordered = sorted(durations)
    middle = max(ordered[len(ordered) // 2], 0.01)
    upper = max(ordered[min(int(0.84 * len(ordered)), len(ordered) - 1)], middle)
    slowest = NormalDist().inv_cdf(0.95 ** (1 / min(max(left, 1), TAIL_AMONG)))
    modelled = middle * math.exp(math.log(upper / middle) * slowest)
    return max(ordered[int(0.99 * len(ordered))], modelled) - middle


def _interval(left: int, counts: Sequence[float], *, seconds: float) -> tuple[float, float]:
    ended = max(sum(counts), 1.0)
    mean = ended / len(counts)
    variance = sum([(count - mean) ** 2 for count in counts]) / (len(counts) - 1)
    dispersion = max(1.0, variance / mean)
    off = math.hypot(Z * math.sqrt(dispersion * (1 / ended + 1 / left)), DRIFT)
    likely = left * seconds / ended
    lately = sum(counts[-LATELY:]) * len(counts) / LATELY
    trend = math.log((ended + TREND_PRIOR) / (lately + TREND_PRIOR)) * TREND
    return likely * math.exp(min(trend, 0.0) - off), likely * math.exp(max(trend, 0.0) + off)


class Steady:
    """A range that a person can read: its ends move towards the newest forecast little by little.
    Times are seconds.
    """

    def __init__(self) -> None:
        self._at = 0.0
        self._ends: tuple[float, float] | None = None

    def shown(self, found: tuple[float, float] | None, *, at: float) -> tuple[float, float] | None:
        """What to show of a forecast made at this time."""
        if found is None:
            self._ends = None
            return None
        low, high = at + found[0], at + found[1]
        if self._ends is not None:
            # Near its end a run's forecast has to be quick.
            keep = math.exp(-(at - self._at) / max(min(STEADY_S, found[1] / 4), 0.1))
            low += (self._ends[0] - low) * keep
            high += (self._ends[1] - high) * keep
        self._at, self._ends = at, (low, high)
        return max(low - at, 0.0), max(high - at, 0.0)
