"""Events in words: without time or colour, a line each."""

from pipeline.canary import CanaryReport
from pipeline.engine import DrainOver, Finished, Scanned, Stopping
from pipeline.events import Event, MetricsAt, Notified, Paused, Resumed, Started, Tuned, Unsteerable
from pipeline.guard_rails import GuardReport
from pipeline.models import Record
from pipeline.preflight import Preflight
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.setbacks import AttemptEnded, CoolingDown, Retrying, Unlabelled
from pipeline.watchdog import PHASES, Stalled

LONGEST = 300
"""Characters of a trouble: a server's answer may be a whole page."""


def describe(event: Event) -> str | None:
    """One line for an event; ``None`` where there is nothing to say."""
    match event:
        case Started():
            return (
                f"run {event.run_id}: {event.model} at {event.endpoint},"
                f" into {event.outputs}{_cut_off(event)}"
            )
        case Finished(record=record):
            return describe_record(record)
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
        case Scanned() | AttemptEnded():
            return None
        case Preflight() | CanaryReport() | Paused() | Resumed() | Tuned() | Unsteerable():
            return event.line
        case MetricsAt() | Unlabelled() | GuardReport() | Notified():
            return event.line


def trouble(event: Event) -> tuple[str, str] | None:
    """What kind of trouble an event is, and a line for it; ``None`` if it is none.

    Troubles of one kind are shown as one, with their number and the latest of them.
    """
    match event:
        case Retrying():
            if event.code == "rate_limited":
                return None  # that everybody cools down says it
            text = f"{event.code}: {event.edit_id}: {event.message}, again in {event.wait_s:.1f} s"
            return f"retry {event.code}", text[:LONGEST]
        case Finished(record=record):
            if record.status == "succeeded":
                return None
            code = record.error_code or record.status
            name = record.status if code == record.status else f"{record.status} ({code})"
            text = f"{name}: {record.edit.id}: {record.error_message or ''}"
            return f"{record.status} {code}", text[:LONGEST]
        case Started():
            found = _cut_off(event).removeprefix("; ")
            return (found, found) if found else None
        case Notified(trouble=""):
            return None
        case Scanned() | AttemptEnded() | Preflight() | CanaryReport() | MetricsAt():
            return None
        case _:
            text = (describe(event) or "")[:LONGEST]
            return type(event).__name__, text


def describe_record(record: Record) -> str:
    """What became of an edit."""
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


def _cut_off(event: Started) -> str:
    number = event.interrupted_attempts
    if not number:
        return ""
    what = "attempt" if number == 1 else "attempts"
    return f"; {number} {what} of a run that was cut off are unknown"
