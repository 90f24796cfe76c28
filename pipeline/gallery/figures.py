"""The attempts of one run folded into what charts draw, in one pass and small memory."""

from array import array
from collections.abc import Iterable

from pipeline.gallery.scales import round_span
from pipeline.ledger.timeline import ChartRow

MOST_BINS = 96
"""About one for each 6 pixels of a chart."""

ATTEMPTS_A_BIN = 4
"""On average at least: with fewer, a rate is noise."""


class Figures:
    """What the attempts of a run come to, by bins of ``bin_s`` seconds from ``start`` on.

    ``pictures``: that arrived; ``busy``: seconds that requests were under way; ``limited``: answers
    of 429; ``spent``: USD; ``unsure``: USD set aside for attempts of unknown outcome.
    ``latencies``: seconds of the successful, sorted.
    """

    def __init__(self, start: float, end: float, attempts: int) -> None:
        self.start = start
        self.end = max(end, start + 1e-3)
        bins = max(8, min(MOST_BINS, attempts // ATTEMPTS_A_BIN))
        self.bin_s = round_span((self.end - start) / bins)
        count = max(1, -int(-(self.end - start) // self.bin_s))
        self.pictures = [0] * count
        self.busy = [0.0] * count
        self.limited = [0] * count
        self.spent = [0.0] * count
        self.unsure = [0.0] * count
        self.latencies: list[float] = []
        self.attempts = 0
        self.succeeded = 0

    def fold(self, rows: Iterable[ChartRow]) -> "Figures":
        """Takes in attempts; those under way last until the end."""
        latencies = array("d")
        for row in rows:
            self.attempts += 1
            end = self.end if row.finished_at is None else row.finished_at
            self._occupy(row.started_at, end)
            at = self._bin(end)
            if row.status == "succeeded":
                self.succeeded += 1
                self.pictures[at] += row.images
                latencies.append(max(0.0, end - row.started_at))
            if row.http_status == 429 or row.error_code == "rate_limited":
                self.limited[at] += 1
            self.spent[at] += row.cost_usd or 0.0
            if row.cost_usd is None and row.status in ("started", "unknown"):
                self.unsure[at] += row.reserved_usd or 0.0
        self.latencies = sorted(latencies)
        return self

    def width_of(self, at: int) -> float:
        """Seconds that a bin covers: the last one may be cut short by the end."""
        return min(self.bin_s, self.end - self.start - at * self.bin_s) or self.bin_s

    def per_minute(self) -> list[float]:
        """Pictures a minute, by bin."""
        return [60 * n / self._span(at) for at, n in enumerate(self.pictures)]

    def in_flight(self) -> list[float]:
        """Requests under way, on average over each bin."""
        return [busy / self.width_of(at) for at, busy in enumerate(self.busy)]

    def _span(self, at: int) -> float:
        # A sliver of a bin would make a tower of one picture: it counts as half a bin at least.
        return max(self.width_of(at), self.bin_s / 2)

    def _bin(self, when: float) -> int:
        return min(len(self.pictures) - 1, max(0, int((when - self.start) / self.bin_s)))

    def _occupy(self, start: float, end: float) -> None:
        first, last = self._bin(start), self._bin(end)
        for at in range(first, last + 1):
            left = self.start + at * self.bin_s
            self.busy[at] += max(0.0, min(end, left + self.bin_s) - max(start, left))
