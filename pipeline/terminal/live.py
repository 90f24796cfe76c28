"""A run on a terminal: one block that stays in place, and above it what is to stay."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.text import Text

from pipeline.canary import CanaryReport
from pipeline.engine import DrainOver, Stopping
from pipeline.events import Event, Paused, Resumed, Started, Tuned
from pipeline.preflight import Preflight
from pipeline.pulse.lines import describe
from pipeline.retries.outage import EndpointDown
from pipeline.snapshot import Snapshot
from pipeline.terminal.block import ASCII, UNICODE, block
from pipeline.terminal.painter import Painter
from pipeline.terminal.pen import Pen
from pipeline.terminal.words import clean

REFRESH_S = 0.25


class LiveBlock:
    """Shows a run from its `Started` on. Everything happens in the run's event loop, where its
    snapshot may be asked.

    ``verbose``: each event stays above the block, as a line.
    """

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._pen = Pen(console.file)
        self._painter = Painter(console, self._pen)
        self._snapshot: Callable[[], Snapshot] | None = None
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._snapshot = None  # the run is over: nobody is there to ask
        self._stop()
        self._pen.close()

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                # Not before: what is asked before a run starts needs the terminal to itself.
                self._snapshot = event.snapshot
                self._tick()
            case Preflight() | CanaryReport():
                return
            case Stopping() | DrainOver() | Paused() | Resumed() | Tuned() | EndpointDown():
                self._tick()  # somebody waits for it, or will want to know why nothing moves
        if self._verbose and (line := describe(event)):
            with self.aside():
                self._console.print(Text(clean(line)), soft_wrap=True)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Meanwhile the terminal belongs to somebody else."""
        self._stop()
        yield
        if self._snapshot is not None:
            self._tick()

    def _stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._painter.clear()

    def _tick(self) -> None:
        if self._snapshot is None:
            return
        if self._next is not None:
            self._next.cancel()
        show(self._snapshot(), self._console, self._painter)
        self._next = asyncio.get_running_loop().call_later(REFRESH_S, self._tick)


def show(snapshot: Snapshot, console: Console, painter: Painter) -> None:
    """Paints a snapshot as wide and as high as there is room."""
    size = console.size
    glyphs = ASCII if console.options.ascii_only else UNICODE
    lines = block(snapshot, width=size.width - 1, height=size.height - 2, glyphs=glyphs)
    painter.paint([Text(), *lines])
