"""How a job stands: what its run says, while one goes on, and what its ledger holds."""

from collections import Counter
from pathlib import Path

import msgspec

from pipeline.errors import ConfigError
from pipeline.job import Job
from pipeline.job.design import split_model
from pipeline.ledger import AttemptTotal, EditTotal, LedgerReader, RunRow, open_reader
from pipeline.locking import is_alive
from pipeline.pacing import LAST
from pipeline.past_runs import PastRun, read_history
from pipeline.preview import ledger_path, shown_orphaned_redos
from pipeline.snapshot import Snapshot
from pipeline.steering.client import ask
from pipeline.steering.messages import State

RUNS_KEPT = 5
ANSWER_S = 3.0
CUT_OFF = "it was cut off"


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger in sums: what everything that shows a job asks first. ``run``: the latest;
    ``edits``: by status; ``attempts``: by how they ended, the most frequent first; ``pace``: as in
    `JobStatus`.
    """

    run: RunRow | None = None
    edits: tuple[EditTotal, ...] = ()
    attempts: tuple[AttemptTotal, ...] = ()
    pace: str | None = None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a job stands, also while a run goes on. ``run``: the latest; ``None``: never.

    ``live``: the run that goes on, as it says itself; ``not_live``: why there is none although the
    ledger has a run without an end, in words. The rest is the ledger's: ``runs``: the last few, the
    latest first; ``history``: the same, each with what was different from the one before;
    ``in_flight``: attempts under way, or left open by a process that died;
    ``decisions``: people's, by what they say; ``orphaned_redos``: edits that wait for a redo, and
    whose row left the manifest; ``pace``: what the latest 429 taught, in words; ``None``: none
    came yet. ``model``: of a job of several, its name.
    """

    run: RunRow | None
    edits: tuple[EditTotal, ...]
    attempts: tuple[AttemptTotal, ...]
    in_flight: int
    pace: str | None
    outputs: Path
    runs: tuple[RunRow, ...] = ()
    decisions: dict[str, int] = {}
    orphaned_redos: tuple[str, ...] = ()
    live: Snapshot | None = None
    not_live: str = ""
    history: tuple[PastRun, ...] = ()
    model: str = ""

    @property
    def spent_usd(self) -> float:
        """By all attempts: also by those that came to nothing."""
        return sum([each.cost_usd for each in self.attempts])


def totals_of(reader: LedgerReader) -> Totals:
    """Raises `LedgerError`."""
    return Totals(
        run=reader.last_run(),
        edits=reader.edit_totals(),
        attempts=reader.attempt_totals(),
        pace=reader.note(LAST),
    )


def job_status(job: Job) -> JobStatus:
    """Asks the run, if one goes on, and reads the ledger. Raises `LedgerError`."""
    outputs, model = job.outputs.directory, split_model(job.path)[1]
    reader = open_reader(ledger_path(job))
    if reader is None:
        return JobStatus(
            run=None, edits=(), attempts=(), in_flight=0, pace=None, outputs=outputs, model=model
        )
    with reader, reader.snapshot():
        totals = totals_of(reader)
        live, not_live = _asked(outputs, totals.run)
        return JobStatus(
            run=totals.run,
            edits=totals.edits,
            attempts=totals.attempts,
            in_flight=len(reader.open_attempts()),
            pace=totals.pace,
            outputs=outputs,
            runs=reader.runs(RUNS_KEPT),
            decisions=_decisions(reader),
            orphaned_redos=shown_orphaned_redos(job, reader),
            live=live,
            not_live=not_live,
            history=read_history(reader, outputs, limit=RUNS_KEPT),
            model=model,
        )


def is_cut_off(found: JobStatus) -> bool:
    """Whether the run has no end because its process died."""
    return found.not_live.startswith(CUT_OFF)


def _asked(outputs: Path, run: RunRow | None) -> tuple[Snapshot | None, str]:
    if run is None or run.ended is not None:
        return None, ""
    if is_alive(run.pid, run.host) is False:
        return None, f"{CUT_OFF}: process {run.pid} is gone"
    try:
        return ask(outputs, State(), timeout_s=ANSWER_S), ""
    except ConfigError as error:  # it does not run, or does not answer: both are said in words
        return None, str(error)


def _decisions(reader: LedgerReader) -> dict[str, int]:
    return dict(Counter([one.decision for one in reader.decisions()]))
