"""How a job stands: its ledger, its latest run, and the run that goes on, folded into one value."""

import time
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.budget import midnight_before
from pipeline.dashboard.folder import Entry, Side
from pipeline.dashboard.starting import Process
from pipeline.errors import LedgerError
from pipeline.ledger import AttemptTotal, RunRow, open_reader
from pipeline.locking import is_alive
from pipeline.past_runs import change_in_words, read_history
from pipeline.scheduling.listing import Coming, coming
from pipeline.scheduling.processes import log_of
from pipeline.snapshot import Snapshot
from pipeline.standing import Totals, totals_of

Tone = Literal["idle", "good", "busy", "warn", "bad"]
"""What a glance should say: nothing to see, well, at work, look at it, it needs you."""

HISTORY = 200
"""Runs on a job's page; the ledger has them all."""

_LIVE_TONES: dict[str, Tone] = {
    "running": "busy",
    "stopping": "busy",
    "paused": "warn",
    "cooling down": "warn",
}


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the ledger has it. ``ended`` ``None``: no end is recorded. ``error``: what stopped
    it, in words. ``has_log``: a log of it is kept (of those that the page or a scheduler started).
    ``different``: from the run before, in words.
    """

    id: str
    started_at: float
    finished_at: float | None
    ended: str | None
    exit_code: int | None
    totals: dict[str, Any]
    error: str | None
    has_log: bool
    different: tuple[str, ...] = ()


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """USD. ``spent``: by all runs; ``today``: since midnight, what is reserved or unknown
    included, as the daily cap counts it; ``unknown``: what requests of unknown outcome may have
    cost. Caps: ``None`` where the job states none.
    """

    spent: float = 0.0
    today: float = 0.0
    unknown: float = 0.0
    run_cap: float | None = None
    day_cap: float | None = None


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says. ``today``: USD, as in `Money`; ``unreadable``: why it says nothing."""

    totals: Totals = Totals()
    today: float = 0.0
    unreadable: str | None = None


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A job, or its rehearsal, at this moment: what its pages show.

    ``state`` and ``words``: in a word and in a sentence. ``problem``: why the file does not load;
    then there is nothing else. ``live``: the run that goes on, if it answers. ``process``: the run
    that was last started from here. ``coming``: when its schedule starts it next.
    """

    key: str
    kind: str
    file: str
    name: str
    state: str
    tone: Tone
    words: str
    problem: str | None = None
    model: str = ""
    endpoint: str = ""
    edits: dict[str, int] = {}
    problems: tuple[AttemptTotal, ...] = ()
    money: Money = Money()
    pace: str | None = None
    last_run: PastRun | None = None
    live: Snapshot | None = None
    process: Process | None = None
    coming: Coming | None = None


def broken(entry: Entry) -> Standing:
    """Of a job file that does not load."""
    return Standing(
        key=entry.key,
        kind="jobs",
        file=entry.path.name,
        name=entry.key,
        state="does not load",
        tone="bad",
        words="The job file has to be mended before it can run.",
        problem=entry.problem,
    )


def read_books(side: Side) -> Books:
    """Reads the ledger. Blocks; a ledger that cannot be read is a value, too."""
    try:
        reader = open_reader(side.ledger)
        if reader is None:
            return Books()
        with reader, reader.snapshot():
            today = round(reader.spent_since(midnight_before(time.time())), 6)
            return Books(totals=totals_of(reader), today=today)
    except LedgerError as error:
        return Books(unreadable=str(error))


def standing(
    side: Side, books: Books, *, live: Snapshot | None = None, process: Process | None = None
) -> Standing:
    """Folds what is known into what is shown."""
    job, totals = side.job, books.totals
    attempts = totals.attempts
    last = None if totals.run is None else past_run(side, totals.run)
    state, tone, words = judged(books, last, live=live, process=process)
    return Standing(
        key=side.key,
        kind=side.kind,
        file=side.path.name,
        name=job.name,
        state=state,
        tone=tone,
        words=words,
        model=job.endpoint.model,
        endpoint=job.endpoint.base_url,
        edits={total.status: total.count for total in totals.edits},
        problems=tuple([one for one in attempts if one.status not in ("succeeded", "started")]),
        money=Money(
            spent=round(sum(one.cost_usd for one in attempts), 6),
            today=books.today,
            unknown=round(sum(one.reserved_usd for one in attempts if one.status == "unknown"), 6),
            run_cap=job.budget.run_usd,
            day_cap=job.budget.day_usd,
        ),
        pace=totals.pace,
        last_run=last,
        live=live,
        process=process,
        coming=None if side.rehearsal else coming(job, side.key, now=time.time()),
    )


def history(side: Side) -> tuple[PastRun, ...]:
    """The runs of a job, the latest first. Blocks. Raises `LedgerError`."""
    reader = open_reader(side.ledger)
    if reader is None:
        return ()
    with reader, reader.snapshot():
        told = read_history(reader, side.outputs, limit=HISTORY)
        different = {run.id: change_in_words(run.change) for run in told if run.change is not None}
        return tuple(
            msgspec.structs.replace(past_run(side, run), different=tuple(different.get(run.id, ())))
            for run in reader.runs(HISTORY)
        )


def run_of(side: Side, run_id: str) -> RunRow | None:
    """Blocks. Raises `LedgerError`."""
    reader = open_reader(side.ledger)
    if reader is None:
        return None
    with reader:
        return next((run for run in reader.runs() if run.id == run_id), None)


def may_write(run_id: str, run: RunRow | None, process: Process | None) -> bool:
    """Whether a run's process may still write to its log, as it does for a while after the run has
    its end in the ledger. ``process``: the one that was last started from here.
    """
    if process is not None and process.run_id == run_id and process.exit_code is None:
        return True
    if run is None:
        return False
    alive = is_alive(run.pid, run.host)
    return run.ended is None if alive is None else alive


def logs_of(side: Side, run_id: str, run: RunRow | None) -> list[Path]:
    """Where a run's log may be: the first that is there when it is opened. Until a scheduled run
    has ended, it is under another name, which may change in between. Blocks.
    """
    own = side.outputs / "runs" / f"{run_id}.log"
    scheduled = None if run is None or own.is_file() else log_of(side.job, run)
    return [own] if scheduled is None else [scheduled, own]


def past_run(side: Side, run: RunRow) -> PastRun:
    told = run.ended in ("fatal", "budget", "guarded")
    return PastRun(
        id=run.id,
        started_at=run.started_at,
        finished_at=run.finished_at,
        ended=run.ended,
        exit_code=run.exit_code,
        totals=run.totals,
        error=_error_of(side.outputs / "runs" / f"{run.id}.json") if told else None,
        has_log=any(log.is_file() for log in logs_of(side, run.id, run)),
    )


def judged(
    books: Books, run: PastRun | None, *, live: Snapshot | None, process: Process | None
) -> tuple[str, Tone, str]:
    """State, tone and words."""
    if live is not None:
        return live.state, _LIVE_TONES.get(live.state, "bad"), live.why
    if process is not None and process.exit_code is None:
        return "starting", "busy", "A process was started; it reads the manifest first."
    if books.unreadable is not None:
        return "unreadable", "bad", books.unreadable
    if process is not None and process.run_id is None and process.exit_code:
        # It ended before there was a run: the lock, the key, the manifest.
        return "not started", "bad", process.last_words or f"It ended with {process.exit_code}."
    if run is None:
        return "never run", "idle", "No run yet."
    if run.ended is None:
        return _open_end(books.totals.run)
    return _ending(run)


def _open_end(run: RunRow | None) -> tuple[str, Tone, str]:
    alive = None if run is None else is_alive(run.pid, run.host)
    if run is None or alive:
        return "running", "busy", "A run is going on; it does not answer, so these are its books."
    if alive is None:
        where = f"process {run.pid} on {run.host}"
        return "running", "busy", f"No end is recorded. It may be going on: {where}."
    return "died", "bad", "The latest run ended without a word. Start it again: it goes on."


def _ending(run: PastRun) -> tuple[str, Tone, str]:
    asked = ("succeeded", "failed", "refused", "rejected", "unknown")
    counts = {status: int(run.totals.get(status, 0)) for status in asked}
    asked_for = sum(counts.values())
    if run.ended == "fatal":
        return "stopped", "bad", run.error or "A fatal error stopped it."
    if run.ended == "budget":
        return "stopped at its cap", "warn", run.error or "A money cap stopped it."
    if run.ended == "guarded":
        return "stopped by a guard rail", "warn", run.error or "A guard rail stopped it."
    if run.ended in ("interrupted", "declined"):
        return "interrupted", "warn", f"Stopped after {_edits(asked_for)}. Start it: it goes on."
    if run.exit_code == 0:
        nothing = "Nothing was left to do."
        return "done", "good", f"{_edits(asked_for)} succeeded." if asked_for else nothing
    parts = [f"{counts[status]:,} {status}" for status in asked if counts[status]]
    return "done, not all", "warn", f"{', '.join(parts) or 'Some edits did not succeed'}."


def _edits(count: int) -> str:
    return f"{count:,} edit{'' if count == 1 else 's'}"


def _error_of(path: Path) -> str | None:
    class Told(msgspec.Struct):
        error: str | None = None

    try:
        return msgspec.json.decode(path.read_bytes(), type=Told).error
    except (OSError, msgspec.DecodeError):
        return None
