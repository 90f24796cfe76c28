"""What a scheduler says: each thing once, for people in words and for programs as values."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from pipeline.notifying.matters import Matter
from pipeline.scheduling.processes import Ending
from pipeline.scheduling.times import in_words

MEANINGS = {
    0: "all done",
    1: "a bug",
    2: "configuration",
    3: "some edits did not succeed",
    4: "a fatal error",
    5: "a money cap",
    6: "another run was going on",
    130: "interrupted",
}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. ``event``: stable, of `EVENTS`; ``job``: its name; ``text``: for a
    person; ``values``: beside them, for programs. ``matter``: what those hear of it whom the job
    names, since there is no run that would tell them.
    """

    event: str
    text: str
    job: str | None = None
    values: dict[str, Any] = {}
    matter: Matter | None = None


TOO_LATE = Matter(on="failure", key="skipped late", headline="a run was left out, it was too late")
NO_MONEY = Matter(
    on="cap", key="skipped money", headline="a run was left out, the day's money is spent"
)
NO_START = Matter(on="failure", key="skipped start", headline="a run could not be started")
BROKEN = Matter(on="failure", key="job broken", headline="its job file does not load")


EVENTS = (
    "scheduler_started",
    "job_followed",
    "job_changed",
    "job_dropped",
    "job_broken",
    "job_taken",
    "run_adopted",
    "run_started",
    "run_waits",
    "run_skipped",
    "run_stopping",
    "run_ended",
    "limits_shared",
    "not_told",
    "scheduler_stopping",
    "scheduler_ended",
)


def line_of(notice: Notice, now: float) -> str:
    """As one line of JSON: ``ts`` (RFC 3339, UTC), ``event``, ``job``, values, ``text``."""
    values = {"ts": utc(now), "event": notice.event}
    if notice.job is not None:
        values["job"] = notice.job
    encoded = msgspec.json.encode({**values, **notice.values, "text": notice.text}, enc_hook=str)
    return encoded.decode()


def utc(at: float) -> str:
    """RFC 3339, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(at: float, zone: str) -> str:
    """``Mon 2026-03-30 03:00 CEST``."""
    return datetime.fromtimestamp(at, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %Z")


def meaning_of(exit_code: int | None) -> str:
    """What the exit code of a run says, in a word or two."""
    return "its process is gone" if exit_code is None else MEANINGS.get(exit_code, "a crash")


def ended(
    name: str,
    ending: Ending,
    *,
    due: float | None,
    started_at: float,
    now: float,
    next_at: float | None,
) -> Notice:
    """The summary of a run, made for alerting: one line, its exit code, counts and money."""
    totals = ending.totals
    counts = {
        status: int(totals.get(status, 0))
        for status in ("succeeded", "failed", "refused", "rejected", "unknown")
    }
    cost = float(totals.get("cost_usd", 0.0))
    code = ending.exit_code
    shown = [f"{count:,} {status}" for status, count in counts.items() if count]
    meaning = meaning_of(code)
    if ending.ended == "guarded":
        meaning = "a guard rail"
    elif ending.canary_failed:
        meaning = "its canary"
    elif code == 3 and ending.made and sum(counts.values()) == counts["succeeded"]:
        meaning = "not all that was to be made of its pictures"
    head = f"ended: {meaning}" if code is None else f"ended with {code}, {meaning}"
    if not shown and code == 0:
        shown = ["nothing was left to do"]
    details = [*shown, f"${cost:,.2f}", in_words(now - started_at)]
    error = "" if not ending.error else f": {ending.error.splitlines()[0]}"
    made = "".join([f"\n{line}" for line in ending.made])
    return Notice(
        event="run_ended",
        job=name,
        text=f"{head}: {', '.join(details)}{error}{made}",
        values={
            "exit_code": code,
            "meaning": meaning,
            "run_id": ending.run_id,
            "ended": ending.ended,
            "due": None if due is None else utc(due),
            "started_at": utc(started_at),
            "duration_s": round(now - started_at, 1),
            **counts,
            "unchanged": int(totals.get("unchanged", 0)),
            "images": int(totals.get("images", 0)),
            "cost_usd": cost,
            "unknown_usd": float(totals.get("unknown_usd", 0.0)),
            "error": ending.error,
            "made": ending.made,
            "next": None if next_at is None else utc(next_at),
        },
    )
