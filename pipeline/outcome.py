"""How a run ended: in a word, in an exit code, in its files."""

from pathlib import Path
from typing import Literal

import msgspec

from pipeline.canary import CanaryReport
from pipeline.engine import Interrupted
from pipeline.errors import BudgetReachedError, PipelineError
from pipeline.exports.results_csv import write_results_csv
from pipeline.ledger import LedgerReader
from pipeline.summary import Totals

Ended = Literal["finished", "interrupted", "fatal", "budget", "declined"]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. ``error``: what stopped it, in words; `exit_code` as the command's."""

    run_id: str
    ended: Ended
    exit_code: int
    error: str | None
    totals: Totals
    outputs: Path
    canary: CanaryReport | None = None


class Declined(Interrupted):
    """A person looked at the plan, or at the canary, and said no."""


def run_result(
    error: BaseException | None,
    *,
    run_id: str,
    totals: Totals,
    outputs: Path,
    canary: CanaryReport | None = None,
) -> RunResult:
    """``error``: what stopped the run, if anything did."""
    if isinstance(error, PipelineError):
        exit_code = error.exit_code
    elif error is not None:
        exit_code = 130
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
    )


def write_run_files(result: RunResult, reader: LedgerReader) -> None:
    """``results.csv``, if there is anything new, and the run's own file. Raises `StoreError`,
    `LedgerError`, `OSError`.
    """
    table = result.outputs / "results.csv"
    if result.totals.finished or not table.exists():
        write_results_csv(reader.columns(), reader.results(), table)
    folder = result.outputs / "runs"
    folder.mkdir(exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result, enc_hook=str), indent=2)
    (folder / f"{result.run_id}.json").write_bytes(text + b"\n")


def _ended(error: BaseException | None) -> Ended:
    if error is None:
        return "finished"
    if isinstance(error, Interrupted):
        return "declined" if isinstance(error, Declined) else "interrupted"
    return "budget" if isinstance(error, BudgetReachedError) else "fatal"
