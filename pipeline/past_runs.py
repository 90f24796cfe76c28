"""The runs of a job, each with what is different from the one before.

A run counts for itself, while it goes, what is new, what newly fails and what works again: see
`Changes`. It leaves that in the ledger beside its totals, so that reading the history of a million
edits costs as little as that of ten.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.engine import Finished
from pipeline.errors import ConfigError
from pipeline.job import Job, job_of
from pipeline.job.design import single_jobs, split_model
from pipeline.ledger import LedgerReader, RunRow, open_reader
from pipeline.ledger.past import Asked, asked_by
from pipeline.models import Status
from pipeline.preview import ledger_path

LOOK_BACK = 50
"""Runs before the oldest one shown, to find the one that it is compared with."""

AWAY = "inputs away"
"""The note of the edits of which nothing could be asked in the last run."""

MOST_AWAY = 5_000

FAILING: tuple[Status, ...] = ("failed", "refused", "rejected", "unknown")
STATUSES: tuple[Status, ...] = ("succeeded", *FAILING)


class RunChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is different from the run ``since``, the one before that asked for anything.

    ``new``: edits that the ledger did not know; ``changed``: asked for in another way than before;
    ``newly_failing``: did not succeed, and were not failing before; ``recovered``: were failing
    and succeeded; ``None``: a run of an older version, which did not count them. ``cost_usd``:
    the difference. ``price_ratio``: what a picture cost, in relation to then (1.0: as much);
    ``seconds_ratio``: how long an edit took, by the medians; ``None``: not known of both.
    """

    since: str | None
    new: int | None
    changed: int | None
    newly_failing: int | None
    recovered: int | None
    cost_usd: float | None
    price_ratio: float | None
    seconds_ratio: float | None


class PastRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the ledger has it. Times in seconds, money in USD.

    ``ended``: ``finished``, ``interrupted``, ``fatal``, ``budget``, ``guarded``, ``declined``, or
    ``process_ended`` (it was killed); ``None``: it goes on, or was killed and nobody has run since.
    ``partial``: of chosen edits only (``--only``, ``--limit``, ``retry``). ``counts``: its edits by
    status, and what it left out (``unchanged``, ``kept``). ``price_usd``: what a picture cost.
    ``seconds_p50``: how long an edit took, the median. ``error``: what stopped it. ``made``: what
    was made of its pictures then, in words, a line each. ``model``: of a job of several, its name.
    """

    id: str
    started_at: float
    duration_s: float | None
    ended: str | None
    exit_code: int | None
    partial: bool
    counts: dict[str, int]
    images: int
    cost_usd: float
    price_usd: float | None
    seconds_p50: float | None
    error: str | None
    change: RunChange | None = None
    made: tuple[str, ...] = ()
    model: str = ""

    @property
    def finished(self) -> int:
        """Edits that it asked for and brought to an end."""
        return sum([self.counts.get(status, 0) for status in STATUSES])


class Changes:
    """Counts, while a run goes, what is different from before. ``reader``: of the ledger as it is
    when the run begins. Raises `LedgerError`.
    """

    def __init__(self, reader: LedgerReader, *, partial: bool) -> None:
        # An input that is away for a night does not replace a picture that was paid for: that it
        # was away before, too, the records do not say.
        self._away = frozenset(_away(reader.note(AWAY)))
        self._failing = reader.edits_with_status(FAILING) | self._away
        self._away_now: list[str] = []
        self._partial = partial
        self._counts = {"new": 0, "changed": 0, "newly_failing": 0, "recovered": 0}

    def add(self, event: Finished) -> None:
        """Takes note of an edit that came to its end."""
        counts = self._counts
        edit_id = event.record.edit.id
        if event.state is None:
            if len(self._away_now) < MOST_AWAY:
                self._away_now.append(edit_id)
        elif edit_id in self._away:  # planned as changed, and asked for the first time
            counts["new"] += 1
        elif event.state in ("new", "changed"):
            counts[event.state] += 1
        if event.record.status == "succeeded":
            counts["recovered"] += edit_id in self._failing
        else:
            counts["newly_failing"] += edit_id not in self._failing

    def note(self) -> tuple[str, str]:
        """For `Ledger.keep_note`, at the run's end: what the next run's changes start from."""
        return AWAY, msgspec.json.encode(self._away_now).decode()

    def beside(self, totals: dict[str, Any]) -> dict[str, Any]:
        """The totals as the ledger keeps them."""
        return {**totals, **self._counts, "partial": self._partial}


def _away(note: str | None) -> list[str]:
    try:
        return [] if note is None else msgspec.json.decode(note, type=list[str])
    except msgspec.DecodeError:
        return []


def history(
    job: Job | Path | str, *, limit: int | None = 20, rehearse: bool = False
) -> tuple[PastRun, ...]:
    """The last runs of a job, of all its models, the latest first; ``limit`` ``None``: all. Also
    while one goes on.

    Raises `JobError`, `LedgerError`; `ConfigError` for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError("--limit: at least 1 run")
    loaded = job_of(job)
    found: list[PastRun] = []
    for job in single_jobs(loaded):
        one = job.for_rehearsal() if rehearse else job
        reader = open_reader(ledger_path(one))
        if reader is None:
            continue
        model = split_model(one.path)[1] if loaded.models else ""
        with reader, reader.snapshot():
            found += read_history(reader, one.outputs.directory, limit=limit, model=model)
    # In the order of their starts; those of one ledger are in order already.
    return tuple(sorted(found, key=lambda run: -run.started_at)[:limit])


def read_history(
    reader: LedgerReader, outputs: Path, *, limit: int | None = None, model: str = ""
) -> tuple[PastRun, ...]:
    """The same of a ledger that is open, best inside a `LedgerReader.snapshot`."""
    rows = reader.runs(-1 if limit is None else limit + LOOK_BACK)
    shown = rows if limit is None else rows[:limit]
    asked = {row.id: asked_by(reader, row) for row in shown if not row.totals}
    runs = [
        *[_past(row, asked.get(row.id), _written(outputs, row.id)) for row in shown],
        *[_past(row, None, _Written()) for row in rows[len(shown) :]],
    ]
    return tuple(
        [
            msgspec.structs.replace(run, change=_change(row, run, runs[place + 1 :]), model=model)
            for place, (row, run) in enumerate(zip(shown, runs, strict=False))
        ]
    )


def change_in_words(change: RunChange) -> list[str]:
    """What is worth a word: counts that are not 0, prices by 1 %, speeds by 10 % or more."""
    counts = (
        (change.new, "new"),
        (change.changed, "changed"),
        (change.newly_failing, "newly failing"),
        (change.recovered, "recovered"),
    )
    words = [f"{count:,} {name}" for count, name in counts if count]
    for ratio, least, more, less in (
        (change.price_ratio, 0.01, "dearer a picture", "cheaper a picture"),
        (change.seconds_ratio, 0.10, "slower", "faster"),
    ):
        if ratio is not None and abs(ratio - 1) >= least:
            words.append(f"{abs(ratio - 1):.0%} {more if ratio > 1 else less}")
    return words


class _Written(msgspec.Struct, frozen=True):
    """What a run's own file says beside the ledger."""

    error: str | None = None
    made: tuple[str, ...] = ()


def _past(row: RunRow, asked: Asked | None, written: _Written) -> PastRun:
    totals = row.totals
    counts = {
        name: int(totals[name]) for name in (*STATUSES, "unchanged", "kept") if totals.get(name)
    }
    images, cost = int(totals.get("images", 0)), float(totals.get("cost_usd", 0.0))
    if asked is not None and asked.attempts:
        counts = {"succeeded": asked.succeeded} if asked.succeeded else {}
        images, cost = asked.images, round(asked.cost_usd, 6)
    over = row.finished_at
    if row.ended == "process_ended":
        over = None  # it was the next run that noted the end: when it really died nobody knows
    return PastRun(
        id=row.id,
        started_at=row.started_at,
        duration_s=None if over is None else max(0.0, over - row.started_at),
        ended=row.ended,
        exit_code=row.exit_code,
        partial=bool(totals.get("partial", False)),
        counts=counts,
        images=images,
        cost_usd=cost,
        price_usd=round(cost / images, 6) if images and cost else None,
        seconds_p50=totals.get("edit_s_p50"),
        error=written.error,
        made=written.made,
    )


def _change(row: RunRow, run: PastRun, older: Sequence[PastRun]) -> RunChange | None:
    """``None``: there is nothing to compare, or nothing to compare it with."""
    if not row.totals or not run.finished:
        return None
    before = next((one for one in older if one.finished), None)
    counted = [row.totals.get(name) for name in ("new", "changed", "newly_failing", "recovered")]
    if before is None and counted[0] is None:
        return None
    new, changed, newly_failing, recovered = counted
    return RunChange(
        since=None if before is None else before.id,
        new=new,
        changed=changed,
        newly_failing=newly_failing,
        recovered=recovered,
        cost_usd=None if before is None else round(run.cost_usd - before.cost_usd, 6),
        price_ratio=None if before is None else _ratio(run.price_usd, before.price_usd),
        seconds_ratio=None if before is None else _ratio(run.seconds_p50, before.seconds_p50),
    )


def _ratio(now: float | None, then: float | None) -> float | None:
    return round(now / then, 4) if now is not None and then else None


def _written(outputs: Path, run_id: str) -> _Written:
    """Nothing, where there is no file: the run goes on, or was cut off."""
    file = outputs / "runs" / f"{run_id}.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Written)
    except (OSError, msgspec.DecodeError):
        return _Written()
