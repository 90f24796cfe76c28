"""Events as a person reads them: a line each, or one live block on a terminal."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipeline.canary import CanaryReport
from pipeline.engine import DrainOver, Finished, Scanned, Stopping
from pipeline.events import Event, Gauges, Started
from pipeline.models import Record
from pipeline.preflight import Preflight
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.watchdog import PHASES, Stalled
from pipeline.worker import CoolingDown, Retrying

REFRESH_S = 0.125
RATE_WINDOW_S = 60.0
PROBLEMS_KEPT = 3

UNREMARKABLE = ("nothing", "stated concurrency")
"""What holds requests back when all is as the job says."""

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "refused": "yellow",
    "rejected": "yellow",
    "unknown": "magenta",
}


def describe(event: Event) -> str | None:
    """One line for an event, without time or colour; ``None`` where there is nothing to say."""
    match event:
        case Started():
            text = f"run {event.run_id}: {event.model} at {event.endpoint}, into {event.outputs}"
            if event.interrupted_attempts:
                text += (
                    f"; {event.interrupted_attempts} attempts of a run that was cut off are unknown"
                )
            return text
        case Finished(record=record):
            return _describe_record(record)
        case Retrying():
            return (
                f"{event.edit_id}: attempt {event.attempt} failed ({event.code}: {event.message});"
                f" again in {event.wait_s:.1f} s"
            )
        case CoolingDown():
            return f"rate limited: nothing leaves for {event.wait_s:.1f} s, then {event.pace}"
        case Stopping():
            return (
                f"stopping ({event.reason}): nothing new starts,"
                f" {event.in_flight} in flight are finished and kept"
            )
        case DrainOver():
            return (
                f"the drain took longer than {event.after_s:,.0f} s (limits.drain_s):"
                f" {event.in_flight} in flight are cut off and counted as unknown"
            )
        case EndpointDown():
            return (
                f"the endpoint keeps failing ({event.code}: {event.message}): nothing new leaves,"
                f" one request asks again in {event.probe_in_s:.1f} s"
            )
        case EndpointUp():
            return f"the endpoint answers again, after {event.down_s:,.1f} s: going on"
        case Stalled():
            where = ", ".join([f"{n} {PHASES[phase]}" for phase, n in event.phases.items()])
            longest = ", ".join([f"{s.edit_id} {s.seconds:,.0f} s" for s in event.longest])
            return f"nothing has ended for {event.seconds:,.0f} s: {where} (longest: {longest})"
        case Preflight() | CanaryReport():
            return event.line
        case Scanned():
            return None


def _describe_record(record: Record) -> str:
    seconds = record.finished_at - record.started_at
    parts = [f"{record.edit.id}: {record.status}"]
    if record.attempts:
        parts.append(f"{seconds:.1f} s")
    if record.attempts > 1:
        parts.append(f"{record.attempts} attempts")
    if record.cost_usd:
        parts.append(f"${record.cost_usd:.3f}")
    if record.images:
        parts.append(" ".join([image.path for image in record.images]))
    if record.error_code:
        parts.append(f"{record.error_code}: {record.error_message}")
    return "  ".join(parts)


class PlainProgress:
    """A line for each event, with the time: for logs, pipes and schedulers."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def __call__(self, event: Event) -> None:
        if line := describe(event):
            self._stream.write(f"{time.strftime('%H:%M:%S')} {line}\n")


class LiveProgress:
    """One compact block that stays in place: how far, how fast, how much, and what went wrong.

    ``total``: edits the run will ask for, where the plan has counted them. Everything happens in
    the run's event loop: what the block shows is asked of objects that belong to it.
    """

    def __init__(
        self, console: Console, total: Callable[[], int | None], *, clock: Callable[[], float]
    ) -> None:
        self._total = total
        self._clock = clock
        self._gauges: Callable[[], Gauges] | None = None
        self._started = clock()
        self._counts: Counter[str] = Counter()
        self._planned = 0
        self._waiting = 0
        self._complete = False
        self._pictures: deque[tuple[float, int]] = deque()
        self._problems: deque[str] = deque(maxlen=PROBLEMS_KEPT)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            expand=True,
            console=console,
        )
        self._task = self._bar.add_task("edits", total=None)
        self._live = Live(
            console=console, auto_refresh=False, get_renderable=self._render, transient=True
        )
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Shows the block, and keeps it up to date."""
        self._live.start()
        self._tick()

    def stop(self) -> None:
        """Clears the block away. Harmless when it never showed."""
        if self._next is not None:
            self._next.cancel()
        self._gauges = None  # the run may be over: nobody is there to ask
        self._live.stop()

    def _tick(self) -> None:
        self._live.refresh()
        self._next = asyncio.get_running_loop().call_later(REFRESH_S, self._tick)

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                # Not before: what is asked before a run starts needs the terminal to itself.
                self._gauges = event.gauges
                self._started = self._clock()
                self.start()
            case Scanned():
                self._planned += sum(
                    n for state, n in event.counts.items() if state not in ("unchanged", "kept")
                )
                self._counts["unchanged"] += event.counts.get("unchanged", 0)
                self._counts["unchanged"] += event.counts.get("kept", 0)
                self._complete = event.complete
            case Finished(record=record):
                self._counts[record.status] += 1
                self._pictures.append((self._clock(), len(record.images)))
                if record.status != "succeeded":
                    self._problems.append(_describe_record(record))
            case _:
                if line := describe(event):
                    self._problems.append(line)

    def _render(self) -> RenderableType:
        done = sum(self._counts[status] for status in STYLES)
        total = self._planned if self._complete else self._total()
        self._bar.update(self._task, completed=done, total=total)
        lines: list[RenderableType] = [self._bar, self._outcomes(), self._speed()]
        lines += [
            Text.from_markup(f"[dim]·[/] {escape(problem)}", overflow="ellipsis")
            for problem in self._problems
        ]
        for line in lines:
            if isinstance(line, Text):
                line.no_wrap = True
        return Group(*lines)

    def _outcomes(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        grid.add_row(
            *(
                Text(f"{self._counts[status]:,} {status}", style=style)
                for status, style in STYLES.items()
                if self._counts[status] or status == "succeeded"
            ),
            Text(f"{self._counts['unchanged']:,} unchanged", style="dim"),
        )
        return grid

    def _speed(self) -> Text:
        now = self._clock()
        while self._pictures and self._pictures[0][0] < now - RATE_WINDOW_S:
            self._pictures.popleft()
        window = min(RATE_WINDOW_S, max(now - self._started, 1.0))
        rate = sum(count for _, count in self._pictures) / window * 60
        parts = [f"{rate:,.0f} pictures/min"]
        if self._gauges is not None:
            gauges = self._gauges()
            held = "" if gauges.in_force in UNREMARKABLE else f" ({gauges.in_force})"
            parts.append(f"{gauges.in_flight} of {gauges.concurrency} in flight{held}")
            money = f"${gauges.spent_usd:,.2f} spent"
            if gauges.reserved_usd:
                money += f", ${gauges.reserved_usd:,.2f} reserved"
            if gauges.unknown_usd:
                money += f", ${gauges.unknown_usd:,.2f} unknown"
            parts.append(money)
        return Text("  ·  ".join(parts), style="dim")
