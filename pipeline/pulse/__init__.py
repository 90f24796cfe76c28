"""`Pulse`: the one fold of a run's events into a `Snapshot`, which everything that shows a run
renders: the live block, `status`, the control socket, the page, the metrics.
"""

import math
import os
import socket
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path

from pipeline.engine import Finished, Scanned, Stopping
from pipeline.events import Event, Gauges, Paused, Resumed, Started
from pipeline.pulse.lines import describe, trouble
from pipeline.pulse.outlook import Outlook
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.setbacks import AttemptEnded, Retrying
from pipeline.snapshot import RunState, Snapshot, Trouble
from pipeline.watchdog import Stalled

__all__ = ["LATENCY_BUCKETS_S", "Pulse", "describe"]

LATENCY_BUCKETS_S = (
    *(2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0),
    math.inf,
)
"""Upper ends, in seconds: an image model takes from a few seconds to its timeout of minutes."""

TROUBLES_KEPT = 8

_BEFORE = Gauges(
    in_flight=0,
    concurrency=0,
    stated_concurrency=0,
    requests_per_minute=None,
    images_per_minute=None,
    paused=False,
    in_force="nothing",
    why="",
    spent_usd=0.0,
    reserved_usd=0.0,
    unknown_usd=0.0,
)
"""Until a run has started."""


class Pulse:
    """Folds the events of one run. Belongs to the run's event loop, like all that it asks.

    ``clock``: seconds, monotonic; ``now``: seconds since the epoch; ``cap_usd``: what the run may
    spend at most.
    """

    def __init__(
        self,
        *,
        job: str,
        outputs: Path,
        run_id: str,
        cap_usd: float | None,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._job = job
        self._outputs = str(outputs)
        self._run_id = run_id
        self._cap_usd = cap_usd
        self._clock = clock
        self._now = now
        self._pid = os.getpid()
        self._host = socket.gethostname()
        self._started_at = now()
        self._endpoint = ""
        self._model = ""
        self._gauges: Callable[[], Gauges] = lambda: _BEFORE
        self._counts = dict.fromkeys(("succeeded", "failed", "refused", "rejected", "unknown"), 0)
        self._left_out = {"unchanged": 0, "kept": 0}
        self._planned = 0
        self._all_planned = False
        self._expected: int | None = None
        self._done = 0
        self._pictures = 0
        self._outlook = Outlook(clock())
        self._due: list[float] = []
        self._retries = 0
        self._rate_limited = 0
        self._attempts: Counter[str] = Counter()
        self._latency = [0] * len(LATENCY_BUCKETS_S)
        self._latency_sum_s = 0.0
        self._troubles: dict[str, tuple[int, Trouble]] = {}
        self._stopping = ""
        self._down = ""
        self._stalled = ""

    def expect(self, edits: int | None) -> None:
        """How many edits this run will ask for, where the plan has counted them all."""
        self._expected = edits

    def __call__(self, event: Event) -> None:
        """Takes note of it."""
        match event:
            case AttemptEnded():
                self._stalled = ""
                self._attempts[event.outcome] += 1
                self._rate_limited += event.outcome == "rate_limited"
                self._latency[bisect_left(LATENCY_BUCKETS_S, event.seconds)] += 1
                self._latency_sum_s += event.seconds
                return
            case Finished(record=record):
                self._stalled = ""
                self._counts[record.status] = self._counts.get(record.status, 0) + 1
                self._done += 1
                self._pictures += len(record.images)
                self._outlook.add(record, asked=event.asked, at=self._clock())
                if record.status == "succeeded":
                    return
            case Scanned():
                for state, count in event.counts.items():
                    if state in self._left_out:
                        self._left_out[state] += count
                    else:
                        self._planned += count
                self._all_planned = event.complete
                return
            case Retrying():
                self._retries += 1
                heappush(self._due, self._clock() + event.wait_s)
            case Started():
                self._endpoint, self._model, self._gauges = (
                    event.endpoint,
                    event.model,
                    event.gauges,
                )
                self._started_at = self._now()
                self._outlook.begin(self._clock())
            case Paused():
                self._outlook.pause(self._clock())
            case Resumed():
                self._outlook.resume(self._clock())
            case EndpointDown():
                self._down = f"{event.code}: {event.message}"
            case EndpointUp():
                self._down = ""
            case Stalled():
                self._stalled = describe(event) or ""
            case Stopping():
                self._stopping = event.reason
            case _:
                pass
        self._note(event)

    def snapshot(self) -> Snapshot:
        """The run now. To be asked in the loop's thread."""
        at = self._clock()
        gauges = self._gauges()
        state, why = self._state(gauges)
        while self._due and self._due[0] <= at:
            heappop(self._due)
        expected = self._expect()
        left_s = None
        if expected is not None and state in ("running", "cooling down"):
            left_s = self._outlook.left_s(expected - self._done, gauges, at)
        return Snapshot(
            job=self._job,
            run_id=self._run_id,
            endpoint=self._endpoint,
            model=self._model,
            outputs=self._outputs,
            pid=self._pid,
            host=self._host,
            started_at=self._started_at,
            at=self._now(),
            state=state,
            why=why,
            counts=self._counts | self._left_out,
            expected=expected,
            done=self._done,
            waiting=len(self._due),
            pictures=self._pictures,
            pictures_per_minute=self._outlook.pictures_per_minute(at),
            in_flight=gauges.in_flight,
            concurrency=gauges.concurrency,
            stated_concurrency=gauges.stated_concurrency,
            in_force=gauges.in_force,
            requests_per_minute=gauges.requests_per_minute,
            spent_usd=gauges.spent_usd,
            reserved_usd=gauges.reserved_usd,
            unknown_usd=gauges.unknown_usd,
            cap_usd=self._cap_usd,
            left_s=left_s,
            retries=self._retries,
            rate_limited=self._rate_limited,
            attempts=dict(self._attempts),
            latency_s=tuple(self._latency),
            latency_sum_s=self._latency_sum_s,
            troubles=self._latest_troubles(),
        )

    def _expect(self) -> int | None:
        if self._expected is not None:
            return max(self._expected, self._planned)
        return self._planned if self._all_planned else None

    def _state(self, gauges: Gauges) -> tuple[RunState, str]:
        if self._stopping:
            return "stopping", self._stopping
        if gauges.paused:
            return "paused", "nothing new leaves until it is resumed"
        if self._down:
            return "endpoint down", self._down
        if self._stalled:
            return "stalled", self._stalled
        if gauges.in_force == "cooldown":
            return "cooling down", gauges.why
        return "running", gauges.why

    def _note(self, event: Event) -> None:
        found = trouble(event)
        if found is None:
            return
        kind, text = found
        count, _ = self._troubles.pop(kind, (0, None))  # the latest is always the last
        self._troubles[kind] = count + 1, Trouble(self._now(), text)
        # Kinds are few, but error codes come from outside.
        if len(self._troubles) > 4 * TROUBLES_KEPT:
            del self._troubles[next(iter(self._troubles))]

    def _latest_troubles(self) -> tuple[Trouble, ...]:
        latest = list(self._troubles.values())[-TROUBLES_KEPT:]
        return tuple(
            [
                one if count == 1 else Trouble(one.at, f"{count:,} × {one.text}")
                for count, one in latest
            ]
        )
