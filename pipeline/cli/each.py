"""A command over a job, or over each of its models."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.running import RunResult


def each_model(job: Path) -> list[Path]:
    """The job itself, or each of its models by its address: ``shop.yaml@flash``."""
    from pipeline import api
    from pipeline.job.design import with_model

    uses = api.load_job(job).models
    return [with_model(job, use.alias) for use in uses] or [job]


def do_each(job: Path, one: Callable[[Path], int], *, quiet: bool = False) -> int:
    """``one`` for the job, or for each of its models, also where one of them fails. ``quiet``: no
    titles. Returns the exit code, of several the highest.
    """
    from rich.console import Console
    from rich.text import Text

    from pipeline.cli.words import complain
    from pipeline.errors import PipelineError

    jobs = each_model(job)
    if jobs == [job]:
        return one(job)
    worst = 0
    for each in jobs:
        if not quiet:
            Console(highlight=False).print(Text(f"\n {each.name} ", style="bold reverse"))
        try:
            worst = max(worst, one(each))
        except PipelineError as error:
            of = "" if each.name in str(error) else f"{each.name}: "
            complain(f"{of}{error}")
            worst = max(worst, error.exit_code)
    return worst


def run_each(
    job: Path, one: Callable[[Path, float | None], "RunResult"], max_cost: float | None
) -> int:
    """``one`` for each model, all within one cap; ends with the first that could not go on.

    Returns the exit code: of that one, else 3 if any left edits behind.
    """
    from pipeline import api
    from pipeline.errors import ConfigError

    try:
        jobs = each_model(job)
    except ConfigError:
        jobs = [job]  # the run says it, as it says all that it ends with
    cap = api.load_job(jobs[0]).budget.run_usd if len(jobs) > 1 else None
    cap = min([each for each in (cap, max_cost) if each is not None], default=None)
    spent, worst = 0.0, 0
    for each in jobs:
        left = cap if cap is None or len(jobs) == 1 else max(0.0, cap - spent)
        result = one(each, max_cost if len(jobs) == 1 else left)
        spent += result.totals.cost_usd + result.totals.unknown_usd
        worst = max(worst, result.exit_code)
        if result.exit_code not in (0, 3):
            return result.exit_code
    return worst
