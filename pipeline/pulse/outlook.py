"""How fast a run is, and when it will probably end."""

from collections import deque

from pipeline.events import Gauges
from pipeline.forecast import History, Steady, tail_s, time_left
from pipeline.models import Record

RATE_WINDOW_S = 60.0
LONG_WINDOW_S = 300.0
ENOUGH = 12
"""Pictures; where the window saw fewer, the longer one is asked: half a picture more or less should
not look like news."""

DURATIONS_KEPT = 200
FORECAST_S = 1.0
"""How long a forecast serves: it takes a millisecond, and many may ask."""


class Outlook:
    """Follows the edits as they end. Times are seconds of one clock that never goes back; what a
    pause took is left out of all rates.
    """

    def __init__(self, at: float) -> None:
        self._began = at
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self._history = History()
        self._steady = Steady()
        self._durations: deque[float] = deque(maxlen=DURATIONS_KEPT)
        self._kept: deque[tuple[int, int]] = deque()
        self._left: tuple[float, float] | None = None
        self._left_at = 0.0
        self._ended = 0
        self._attempts = 0
        self._asked = 0

    def begin(self, at: float) -> None:
        """The first request may leave."""
        self._began = at

    def pause(self, at: float) -> None:
        """Nothing new leaves from now on."""
        if self._paused_at is None:
            self._paused_at = at

    def resume(self, at: float) -> None:
        """It goes on."""
        if self._paused_at is not None:
            self._paused_s += at - self._paused_at
            self._paused_at = None

    def add(self, record: Record, *, asked: int, at: float) -> None:
        """An edit has its record."""
        active = self._active(at)
        self._history.add(active)
        self._ended += 1
        self._asked += asked
        self._attempts += record.attempts
        if record.attempts:
            self._durations.append(record.finished_at - record.started_at)
        if record.images:
            second, count = int(active), len(record.images)
            if self._kept and self._kept[-1][0] == second:
                count += self._kept.pop()[1]
            self._kept.append((second, count))

    def pictures_per_minute(self, at: float) -> float:
        """Over the last minute, or, where that saw few, the last five."""
        active = self._active(at)
        while self._kept and self._kept[0][0] < active - LONG_WINDOW_S:
            self._kept.popleft()
        found = 0.0
        for window in (RATE_WINDOW_S, LONG_WINDOW_S):
            window = min(window, max(active - self._began, 1.0))
            seen = sum([count for second, count in self._kept if second >= active - window])
            found = seen / window * 60
            if seen >= ENOUGH:
                break
        return found

    def left_s(self, left: int, gauges: Gauges, at: float) -> tuple[float, float] | None:
        """From, to, in seconds, until ``left`` more edits have ended."""
        active = self._active(at)
        if left <= 0:
            return 0.0, 0.0
        if self._left is not None and active - self._left_at < FORECAST_S:
            low, high = [max(end - (active - self._left_at), 0.0) for end in self._left]
            return low, high
        found = time_left(
            left,
            self._history,
            at=active,
            tail_s=tail_s(self._durations, left),
            **self._by_rates(left - gauges.in_flight, gauges),
        )
        self._left_at, self._left = active, self._steady.shown(found, at=active)
        return self._left

    def _active(self, at: float) -> float:
        """The clock without the pauses."""
        return (at if self._paused_at is None else self._paused_at) - self._paused_s

    def _by_rates(self, to_leave: int, gauges: Gauges) -> dict[str, float]:
        """What the rates make of it, if requests and pictures are as many as they were so far."""
        least = paced = 0.0
        if to_leave > 0 and self._ended:
            if gauges.images_per_minute is not None:
                pictures = to_leave * self._asked / self._ended
                least = paced = pictures * 60 / gauges.images_per_minute
            if gauges.requests_per_minute is not None:
                requests = to_leave * max(1.0, self._attempts / self._ended)
                # A learned rate may grow: it bounds what is likely, and not what is best.
                paced = max(paced, requests * 60 / gauges.requests_per_minute)
                if gauges.stated_requests_per_minute is not None:
                    least = max(least, requests * 60 / gauges.stated_requests_per_minute)
        return {"least_s": least, "paced_s": paced}
