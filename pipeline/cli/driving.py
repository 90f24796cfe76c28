"""A run as a command drives it: what is shown meanwhile, the questions, the end."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from pipeline.cli.options import Showing
from pipeline.cli.sending import Sending
from pipeline.errors import ConfigError, PipelineError

if TYPE_CHECKING:
    from pipeline.canary import CanaryReport
    from pipeline.cli.watching import Onlooker
    from pipeline.guard_rails import GuardReport
    from pipeline.job import Job
    from pipeline.preview import Plan
    from pipeline.running import RunResult


def drive(
    job: Path,
    begin: Callable[..., Awaitable["RunResult"]],
    sending: Sending,
    showing: Showing,
    *,
    export: bool = False,
    **own: Any,
) -> "RunResult":
    """Runs ``begin`` (`api.run` or `api.retry`) on the job file. ``export``: and then its exports.
    ``own``: what only this command takes.

    On a terminal it shows the plan and asks about money; ``yes``, and no terminal, never ask.
    """
    from pipeline.cli.watching import onlooker

    if showing.quiet and (showing.verbose or showing.log_json):
        other = "--verbose" if showing.verbose else "--log-json"
        raise ConfigError(f"--quiet and {other} contradict each other (leave one of them out)")
    watcher = onlooker(showing)
    try:
        result = asyncio.run(_go(job, begin, watcher, sending, showing, export, **own))
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
    sending: Sending,
    showing: Showing,
    export: bool,
    **own: Any,
) -> "RunResult":
    from pipeline import api
    from pipeline.cli import asking
    from pipeline.cli.bars import bar
    from pipeline.follow_up import followed_up

    loaded = api.load_job(job)
    asks = sys.stderr.isatty() and not showing.yes and not showing.log_json

    def confirm(found: "Plan") -> bool:
        return asking.agree(
            found,
            above_usd=loaded.confirm_above_usd,
            ask=not sending.rehearse and found.requests > 0,
            quiet=showing.quiet,
        )

    def approve(report: "CanaryReport") -> bool:
        with watcher.aside():
            return asking.approve(report)

    def allow(report: "GuardReport") -> bool:
        with watcher.aside():
            return asking.allow(report)

    async def follow_up(done: "Job", result: "RunResult") -> "RunResult":
        shown = not (showing.quiet or showing.log_json)
        with watcher.aside(), bar("renditions", shown=shown) as observe:
            return await followed_up(
                done,
                result,
                export=export,
                rehearsal=sending.rehearse,
                observe=observe,
                signals=True,
            )

    with watcher:
        return await begin(
            loaded,
            allow=allow if asks else None,
            approve=approve if asks else None,
            confirm=confirm if asks else None,
            observe=watcher,
            signals=True,
            follow_up=follow_up,
            **sending.asked(),
            **own,
        )
