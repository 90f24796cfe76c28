"""What a message says: the variables of its templates, and the words where the job has none."""

import shlex
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from pipeline.job import Job
from pipeline.job.notify import Occasion, Recipient
from pipeline.manifest.problems import RowError
from pipeline.manifest.templates import Templates
from pipeline.notifying.matters import Matter
from pipeline.outcome import RunResult
from pipeline.past_runs import PastRun, change_in_words
from pipeline.summary import Reason

TITLE = "{{ job }}: {{ headline }}"
REASONS_SHOWN = 8
LONGEST_TITLE = 200
LONGEST_REASON = 300

_COUNTS = ("succeeded", "failed", "refused", "rejected", "unknown")
_LEFT_OUT = ("unchanged", "kept")


def rendered(recipient: Recipient, values: dict[str, Any]) -> tuple[str, str]:
    """Title and body for one of those who are told. A template that fails for this run, whatever
    was checked before, is left out for the usual words.
    """
    templates = Templates()
    try:
        title = templates.render(recipient.title or TITLE, values)
    except RowError:
        title = templates.render(TITLE, values)
    body = values["text"]
    if recipient.body is not None:
        try:
            body = templates.render(recipient.body, values)
        except RowError as error:
            body = f"{body}\n\nnote: the job's own body could not be used: {error}"
    # A title becomes a mail's header: one line.
    return " ".join(title.split())[:LONGEST_TITLE], body


def values_of(
    job: Job,
    matter: Matter,
    *,
    result: RunResult | None = None,
    run: PastRun | None = None,
    before: PastRun | None = None,
    counts: dict[str, int] | None = None,
    error: str = "",
    run_id: str = "",
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """All that a template can name. ``result`` and ``run``: of a run that has ended; ``counts``:
    of one that goes on; ``before``: what ``run`` is compared with.
    """
    totals = {} if result is None else msgspec.to_builtins(result.totals)
    known = totals or counts or {}
    change = run.change if run is not None else None
    reasons = result.totals.reasons if result is not None else ()
    values: dict[str, Any] = {
        "job": job.name,
        "on": matter.on,
        "headline": matter.headline,
        "error": (result.error or "") if result is not None else error,
        "notes": list(notes),
        "run_id": result.run_id if result is not None else run_id,
        "ended": result.ended if result is not None else "",
        "exit_code": result.exit_code if result is not None else None,
        **{name: int(known.get(name, 0)) for name in (*_COUNTS, *_LEFT_OUT)},
        "images": totals.get("images", 0),
        "new": (change.new or 0) if change else 0,
        "changed": (change.changed or 0) if change else 0,
        "newly_failing": (change.newly_failing or 0) if change else 0,
        "recovered": (change.recovered or 0) if change else 0,
        "reasons": [msgspec.to_builtins(reason) for reason in reasons],
        "made": list(result.made) if result is not None else [],
        "cost_usd": totals.get("cost_usd", 0.0),
        "unknown_usd": totals.get("unknown_usd", 0.0),
        "duration": took(totals.get("duration_s", 0.0)),
        "duration_s": totals.get("duration_s", 0.0),
        "started_at": _moment(run.started_at) if run is not None else "",
        "outputs": str(job.outputs.directory),
        "host": socket.gethostname(),
        "next": _next(job, matter),
    }
    return values | {"text": _text(values, run, before)}


def test_values(job: Job, recipient: Recipient) -> dict[str, Any]:
    """For a message that tries whether it arrives."""
    on: Occasion = recipient.on[0]
    told = ", ".join(recipient.on)
    values = values_of(job, Matter(on=on, headline="a test"))
    return values | {"text": f"This is a test. You will be told of: {told}."}


def took(seconds: float) -> str:
    """``4 min 10 s``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _text(values: dict[str, Any], run: PastRun | None, before: PastRun | None) -> str:
    parts = [values["error"], _done(values), _since(run, before), _why(values["reasons"])]
    parts.append("\n".join(values["made"]))
    parts.append("\n".join([f"note: {note}" for note in values["notes"]]))
    who = f"run {values['run_id']} on " if values["run_id"] else ""
    parts.append(f"{who}{values['host']}, outputs in {values['outputs']}\nnext: {values['next']}")
    return "\n\n".join([part for part in parts if part]) + "\n"


def _done(values: dict[str, Any]) -> str:
    names = [name for name in (*_COUNTS, *_LEFT_OUT) if values[name]]
    if not names:
        return ""
    line = ", ".join([f"{values[name]:,} {name}" for name in names])
    if values["duration_s"]:
        pictures = f"{values['images']:,} picture{'' if values['images'] == 1 else 's'}"
        line += f"\n{pictures}, {_usd(values['cost_usd'])} in {values['duration']}"
    if values["unknown_usd"]:
        line += f", and up to {_usd(values['unknown_usd'])} of unknown outcome"
    return line


def _since(run: PastRun | None, before: PastRun | None) -> str:
    if run is None or run.change is None:
        return ""
    words = change_in_words(run.change)
    if not words:
        return ""
    when = "" if before is None else f" since {_moment(before.started_at)}"
    return f"different{when}: {', '.join(words)}"


def _why(reasons: Sequence[dict[str, Any]]) -> str:
    if not reasons:
        return ""
    lines = [
        f"  {one.count:,} × {one.code}, as in {one.edit_id}: {one.example}"[:LONGEST_REASON]
        for one in [msgspec.convert(reason, Reason) for reason in reasons[:REASONS_SHOWN]]
    ]
    if len(reasons) > REASONS_SHOWN:
        lines.append(f"  and {len(reasons) - REASONS_SHOWN} more kinds")
    return "\n".join(["what did not succeed:", *lines])


def _next(job: Job, matter: Matter) -> str:
    path = shlex.quote(str(job.path))
    if matter.key.startswith(("start ", "job ")):
        return f"pipeline check {path}"
    if matter.on == "finish":
        return f"pipeline report {path}"
    if matter.key in ("renditions", "exports"):
        return f"pipeline {'render' if matter.key == 'renditions' else 'export'} {path}"
    if matter.key.startswith("guard "):
        return f"pipeline plan {path}"
    if matter.on in ("stall", "nothing_new"):
        return f"pipeline status {path}"
    return f"pipeline run {path}"


def _moment(at: float) -> str:
    """UTC, to the minute: whoever reads it may be anywhere."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _usd(amount: float) -> str:
    return f"${amount:,.3f}".removesuffix("0")


def now() -> float:
    return time.time()
