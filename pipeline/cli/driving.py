"""A run as a command drives it: questions and a live block on a terminal, plain lines elsewhere."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.canary import CanaryReport
    from pipeline.preview import Plan
    from pipeline.running import RunResult


def drive(
    job: Path,
    begin: Callable[..., Awaitable["RunResult"]],
    *,
    rehearse: bool,
    yes: bool,
    **options: Any,
) -> "RunResult":
    """Runs ``begin`` (`api.run` or `api.retry`) on the job file with its options.

    On a terminal it shows the plan and asks about money; ``yes``, and no terminal, never ask.
    """
    from pipeline import api
    from pipeline.cli import asking, words

    loaded = api.load_job(job)
    terminal = sys.stderr.isatty()
    counted: list[Plan] = []

    def total() -> int | None:
        return counted[0].requests if counted else None

    def confirm(found: "Plan") -> bool:
        counted.append(found)
        costs_something = not rehearse and found.requests > 0
        return asking.agree(found, above_usd=loaded.confirm_above_usd, ask=costs_something)

    async def go() -> "RunResult":
        with words.progress(terminal, total) as observe:

            def approve(report: "CanaryReport") -> bool:
                with observe.aside():
                    return asking.approve(report)

            return await begin(
                loaded,
                rehearse=rehearse,
                approve=approve if terminal and not yes else None,
                confirm=confirm if terminal and not yes else None,
                observe=observe,
                signals=True,
                **options,
            )

    return asyncio.run(go())
