"""How long answers take: whether the provider slows down, and how far apart requests should leave.

Pure: durations come in as arguments, in seconds.
"""

from math import exp, log

SMOOTH, SMOOTH_FEW, SMOOTH_MIN_S = 4, 2, 0.01
"""Departures are apart by a quarter (few at once: half) of what they would be if evenly spread:
answers that come together must not send the next off together. Below 10 ms timers cost more."""

SLOW, SLOW_AT_LEAST_S = 2.0, 0.5
"""Answers that take so many times as long as at best, and so many seconds more, stop growth. By
Little's law that gains nothing; less than half a second may be this machine's own doing."""
WINDOW_MIN = 10
"""Answers to a latency, at least: a geometric mean, which one slow answer does not move."""
BEST_DRIFT = 1.0005
"""The best latency fades by so much a window: a provider may have become slower for good."""
FIRST_WINDOW, FEW = 4, 4


class Latency:
    """``apart``: the least seconds between two departures. ``slowed_down``: more at once would
    only make every answer take longer. ``recent``, ``best``: seconds.
    """

    def __init__(self) -> None:
        self.apart = 0.0
        self.slowed_down = False
        self.recent = 0.0
        self.best = float("inf")
        self._count = 0
        self._sum = 0.0
        self._size = FIRST_WINDOW

    def add(self, seconds: float, at_once: int) -> None:
        """An answer took so long, while so many might be at work at once."""
        self._count += 1
        self._sum += log(seconds) if seconds > 1e-6 else -13.8
        if self._count < self._size:
            return
        self.recent = exp(self._sum / self._count)
        if self._count >= WINDOW_MIN:
            self.best = min(self.best * BEST_DRIFT, self.recent)
        self.slowed_down = self.recent > max(SLOW * self.best, self.best + SLOW_AT_LEAST_S)
        apart = self.recent / at_once / (SMOOTH if at_once >= FEW else SMOOTH_FEW)
        self.apart = apart if apart > SMOOTH_MIN_S else 0.0
        self._count, self._sum = 0, 0.0
        # A quarter of a round at most: slow start would be over before a whole one was measured.
        self._size = max(WINDOW_MIN, at_once // 4)
