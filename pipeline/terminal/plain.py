"""A run where nobody looks on: one line an interval, and what a person must know at once."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self, TextIO

from pipeline.canary import CanaryReport
from pipeline.engine import DrainOver, Stopping
from pipeline.events import Event, MetricsAt, Notified, Paused, Resumed, Started, Tuned, Unsteerable
from pipeline.guard_rails import GuardReport
from pipeline.preflight import Preflight
from pipeline.pulse.lines import describe
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.snapshot import Snapshot
from pipeline.terminal.block import one_line
from pipeline.terminal.pen import Pen
from pipeline.terminal.words import clean
from pipeline.watchdog import Stalled

INTERVAL_S = 30.0

AT_ONCE = (
    Preflight,
    GuardReport,
    CanaryReport,
    MetricsAt,
    Started,
    EndpointDown,
    EndpointUp,
    Stalled,
    Stopping,
    DrainOver,
    Paused,
    Resumed,
    Tuned,
    Unsteerable,
)
"""Events that a person must know of."""


class PlainLines:
    """Lines with the time, for logs, pipes and schedulers. ``verbose``: one for each event."""

    def __init__(
        self, stream: TextIO, *, interval_s: float = INTERVAL_S, verbose: bool = False
    ) -> None:
        self._pen = Pen(stream)
        self._interval_s = interval_s
        self._verbose = verbose
        self._snapshot: Callable[[], Snapshot] | None = None
        self._told_at = 0.0
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._next is not None:
            self._next.cancel()
        if self._snapshot is not None:
            self._sum_up()
        self._pen.close()

    def __call__(self, event: Event) -> None:
        at_once = isinstance(event, AT_ONCE) or (isinstance(event, Notified) and event.trouble)
        if (self._verbose or at_once) and (line := describe(event)):
            self._say(line)
        if isinstance(event, Started) and self._snapshot is None:
            self._snapshot = event.snapshot
            self._wait()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Nobody is asked anything here."""
        yield

    def _wait(self) -> None:
        self._next = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        self._sum_up()
        self._wait()

    def _sum_up(self) -> None:
        if self._snapshot is None:
            return
        shown = self._snapshot()
        line = one_line(shown)
        if shown.troubles and shown.troubles[-1].at > self._told_at:
            self._told_at = shown.troubles[-1].at
            line += f"; lately {shown.troubles[-1].text}"
        self._say(line)

    def _say(self, line: str) -> None:
        self._pen.write(f"{time.strftime('%H:%M:%S')} {clean(line)}\n")


class Silence:
    """For ``--quiet``: errors come another way."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, event: Event) -> None:
        pass

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Nothing shows."""
        yield
