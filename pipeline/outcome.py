"""How a run ended: in a word, in an exit code, in its files."""

from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.canary import CanaryReport
from pipeline.durable import replacing
from pipeline.engine import Interrupted
from pipeline.errors import BudgetReachedError, GuardError, PipelineError
from pipeline.exports.results_csv import write_results_csv
from pipeline.ledger import LedgerReader
from pipeline.rendering.result import RenderResult
from pipeline.summary import Totals
from pipeline.targets.places import TargetReport

Ended = Literal["finished", "interrupted", "fatal", "budget", "guarded", "declined"]


INTERRUPTED = 130
"""Exit code."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the job's exports. ``results``: as ``pipeline export JOB --json`` says them, but
    for long lists; ``error``: why that ended before its time; ``stopped``: it was interrupted.
    """

    exit_code: int
    results: tuple[dict[str, Any], ...] = ()
    error: str | None = None
    stopped: bool = False


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. ``error``: what stopped it, in words; ``error_type``: its class in
    `pipeline.errors`, which stays the same whatever the words; `exit_code` as the command's.
    ``renditions``: what came of the job's renditions, made at the end; ``None``: it has none, or
    the run was cut short. ``exports``: of its exports, where they were asked for, too. ``made``:
    both in words, a line each. ``target``: what became of the job's `target_accepted`, if it has
    one.
    """

    run_id: str
    ended: Ended
    exit_code: int
    error: str | None
    totals: Totals
    outputs: Path
    canary: CanaryReport | None = None
    error_type: str | None = None
    renditions: RenderResult | None = None
    exports: Exported | None = None
    made: tuple[str, ...] = ()
    target: TargetReport | None = None


class Declined(Interrupted):
    """A person looked at the plan, or at the canary, and said no."""


def run_result(
    error: BaseException | None,
    *,
    run_id: str,
    totals: Totals,
    outputs: Path,
    canary: CanaryReport | None = None,
    target: TargetReport | None = None,
) -> RunResult:
    """``error``: what stopped the run, if anything did. A target that is reached is what was asked
    for, whatever did not pass on the way.
    """
    if isinstance(error, PipelineError):
        exit_code = error.exit_code
    elif error is not None:
        exit_code = INTERRUPTED
    elif target is not None:
        exit_code = 0 if target.ended == "reached" else 3
    else:
        exit_code = 0 if totals.all_done else 3
    return RunResult(
        run_id=run_id,
        ended=_ended(error),
        exit_code=exit_code,
        error=str(error) if isinstance(error, PipelineError) else None,
        totals=totals,
        outputs=outputs,
        canary=canary,
        error_type=type(error).__name__ if isinstance(error, PipelineError) else None,
        target=target,
    )


def write_run_files(result: RunResult, reader: LedgerReader) -> None:
    """``results.csv``, if there is anything new, and the run's own file. Raises `StoreError`,
    `LedgerError`, `OSError`.
    """
    table = result.outputs / "results.csv"
    if result.totals.finished or not table.exists():
        write_results_csv(reader.columns(), reader.results(), table)
    write_run_file(result)


def write_run_file(result: RunResult) -> None:
    """The run's own file, whole or as it was. Raises `OSError`."""
    file = result.outputs / "runs" / f"{result.run_id}.json"
    file.parent.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result, enc_hook=str), indent=2)
    with replacing(file) as draft:
        draft.write(text + b"\n")


def _ended(error: BaseException | None) -> Ended:
    if error is None:
        return "finished"
    if isinstance(error, Interrupted):
        return "declined" if isinstance(error, Declined) else "interrupted"
    if isinstance(error, GuardError):
        return "guarded"
    return "budget" if isinstance(error, BudgetReachedError) else "fatal"
