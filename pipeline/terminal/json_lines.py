"""A run for programs: a line of JSON for each event, and a snapshot each interval.

Names of events and their values are stable; docs/commands.md lists them.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Self, TextIO

import msgspec

from pipeline.canary import CanaryReport
from pipeline.engine import DrainOver, Finished, Scanned, Stopping
from pipeline.events import Event, MetricsAt, Notified, Paused, Resumed, Started, Tuned, Unsteerable
from pipeline.guard_rails import GuardReport
from pipeline.models import Record
from pipeline.preflight import Preflight
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.setbacks import AttemptEnded, CoolingDown, Retrying, Unlabelled
from pipeline.snapshot import Snapshot
from pipeline.terminal.pen import Pen
from pipeline.terminal.plain import INTERVAL_S
from pipeline.watchdog import Stalled

NAMES: dict[type, str] = {
    Preflight: "preflight",
    GuardReport: "guards",
    Notified: "notified",
    MetricsAt: "metrics_at",
    Started: "run_started",
    Scanned: "planned",
    AttemptEnded: "attempt_ended",
    Unlabelled: "unlabelled",
    Retrying: "retrying",
    Finished: "edit_finished",
    CoolingDown: "cooling_down",
    EndpointDown: "endpoint_down",
    EndpointUp: "endpoint_up",
    Stalled: "stalled",
    CanaryReport: "canary",
    Paused: "paused",
    Resumed: "resumed",
    Tuned: "tuned",
    Unsteerable: "unsteerable",
    Stopping: "stopping",
    DrainOver: "drain_over",
}
"""Beside them: ``snapshot``, ``run_ended``, ``error`` and ``lines_missing``."""


class JsonLines:
    """Writes one JSON object a line: ``ts`` (RFC 3339, UTC), ``event``, and the event's values."""

    def __init__(self, stream: TextIO, *, interval_s: float = INTERVAL_S) -> None:
        self._pen = Pen(stream, missing=lambda count: _line("lines_missing", {"count": count}))
        self._interval_s = interval_s
        self._snapshot: Callable[[], Snapshot] | None = None
        self._next: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._next is not None:
            self._next.cancel()
        if self._snapshot is not None:
            self._tell_snapshot()
        self._pen.close()

    def close(self) -> None:
        """After what is told once the run is over."""
        self._pen.close()

    def __call__(self, event: Event) -> None:
        self.tell(NAMES[type(event)], values_of(event))
        if isinstance(event, Started) and self._snapshot is None:
            self._snapshot = event.snapshot
            self._wait()

    def tell(self, name: str, values: dict[str, Any]) -> None:
        """Writes one line."""
        self._pen.write(_line(name, values))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Nobody is asked anything here."""
        yield

    def _wait(self) -> None:
        self._next = asyncio.get_running_loop().call_later(self._interval_s, self._tick)

    def _tick(self) -> None:
        self._tell_snapshot()
        self._wait()

    def _tell_snapshot(self) -> None:
        if self._snapshot is not None:
            self.tell("snapshot", msgspec.to_builtins(self._snapshot()))


def _line(name: str, values: dict[str, Any]) -> str:
    ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = msgspec.json.encode({"ts": ts, "event": name, **values}, enc_hook=str)
    return line.decode() + "\n"


def values_of(event: Event) -> dict[str, Any]:
    """What an event says, without the functions that some carry."""
    match event:
        case Started():
            return {
                "run_id": event.run_id,
                "endpoint": event.endpoint,
                "model": event.model,
                "outputs": str(event.outputs),
                "interrupted_attempts": event.interrupted_attempts,
            }
        case Finished(record=record, asked=asked):
            return _values_of_record(record) | {"asked": asked}
    values: dict[str, Any] = msgspec.to_builtins(event, enc_hook=str)
    return values


def _values_of_record(record: Record) -> dict[str, Any]:
    return {
        "edit_id": record.edit.id,
        "place": record.edit.place,
        "status": record.status,
        "attempts": record.attempts,
        "seconds": round(record.finished_at - record.started_at, 3),
        "cost_usd": record.cost_usd,
        "images": [image.path for image in record.images],
        "error_code": record.error_code,
        "error_message": record.error_message,
        "fingerprint": record.fingerprint,
    }
