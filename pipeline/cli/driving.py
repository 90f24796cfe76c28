"""A run as a command drives it: what is shown meanwhile, the questions, the end."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.options import Showing
from pipeline.errors import ConfigError, PipelineError

if TYPE_CHECKING:
    from pipeline.canary import CanaryReport
    from pipeline.cli.watching import Onlooker
    from pipeline.guard_rails import GuardReport
    from pipeline.preview import Plan
    from pipeline.running import RunResult


def drive(
    job: Path,
    begin: Callable[..., Awaitable["RunResult"]],
    *,
    showing: Showing,
    rehearse: bool,
    yes: bool,
    **options: Any,
) -> "RunResult":
    """Runs ``begin`` (`api.run` or `api.retry`) on the job file with its options.

    On a terminal it shows the plan and asks about money; ``yes``, and no terminal, never ask.
    """
    from pipeline.cli.watching import onlooker

    if showing.quiet and (showing.verbose or showing.log_json):
        other = "--verbose" if showing.verbose else "--log-json"
        raise ConfigError(f"--quiet and {other} contradict each other (leave one of them out)")
    watcher = onlooker(showing)
    try:
        result = asyncio.run(
            _go(job, begin, watcher, showing=showing, rehearse=rehearse, yes=yes, **options)
        )
    except PipelineError as error:
        if not showing.log_json:
            raise
        watcher.fail(error)
        raise typer.Exit(error.exit_code) from error
    watcher.end(result)
    return result


async def _go(
    job: Path,
    begin: Callable[..., Awaitable["RunResult"]],
    watcher: "Onlooker",
    *,
    showing: Showing,
    rehearse: bool,
    yes: bool,
    **options: Any,
) -> "RunResult":
    from pipeline import api
    from pipeline.cli import asking

    loaded = api.load_job(job)
    asks = sys.stderr.isatty() and not yes and not showing.log_json

    def confirm(found: "Plan") -> bool:
        return asking.agree(
            found,
            above_usd=loaded.confirm_above_usd,
            ask=not rehearse and found.requests > 0,
            quiet=showing.quiet,
        )

    def approve(report: "CanaryReport") -> bool:
        with watcher.aside():
            return asking.approve(report)

    def allow(report: "GuardReport") -> bool:
        with watcher.aside():
            return asking.allow(report)

    with watcher:
        result = await begin(
            loaded,
            rehearse=rehearse,
            allow=allow if asks else None,
            approve=approve if asks else None,
            confirm=confirm if asks else None,
            observe=watcher,
            signals=True,
            render=False,
            **options,
        )
    if not loaded.renditions:
        return result
    from pipeline.cli.publishing import progress
    from pipeline.publishing import rendered_after

    with progress("renditions", shown=not (showing.quiet or showing.log_json)) as observe:
        job_run = loaded.for_rehearsal() if rehearse else loaded
        return await rendered_after(job_run, result, observe, keep_if_cancelled=True)
