"""What the commands say."""

import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.asking import about_minutes, print_guards, print_preflight
from pipeline.cli.designing import print_made, print_target
from pipeline.guard_rails import GuardReport
from pipeline.preflight import Preflight
from pipeline.preview import CheckReport, Plan, problem_list
from pipeline.preview.orphans import WAY_OUT
from pipeline.terminal.words import counted, dollars


def complain(message: str) -> None:
    """One red line, and what follows it plainly, on standard error."""
    first, _, rest = message.partition("\n")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("error: ", style="bold red") + Text(first, style="red"))
    if rest:
        console.print(Text(rest))


def print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")


def merged(value: Any, **more: Any) -> dict[str, Any]:
    """One JSON object of both."""
    return {**msgspec.to_builtins(value, enc_hook=str), **more}


def print_check(report: CheckReport, online: Preflight | None = None, *, of: str = "") -> None:
    """``of``: the job's model, where it has several."""
    if of:
        print(f"{of}: ", end="", flush=True)
    if report.problem_count:
        complain(
            f"{counted(report.problem_count, 'problem')}\n"
            + problem_list(report.problems, report.problem_count)
        )
        return
    print(f"{counted(report.edits, 'edit')}, {counted(report.images, 'picture')}: all is well")
    if online is not None:
        print_preflight(online, Console(highlight=False))


def print_plan(plan: Plan, *, of: str = "") -> None:
    """``of``: the job's model, where it has several."""
    console = Console(highlight=False)
    if of:
        console.print(Text(f"\n {of} ", style="bold reverse"))
    for problem in plan.problems:
        console.print(Text(problem, style="yellow"), soft_wrap=True)
    rows = (
        ("new", plan.new, ""),
        ("changed", plan.changed, "prompt, picture or parameters differ from what was asked"),
        ("failed before", plan.again, "asked again"),
        ("redo", plan.redo, "a person wants another picture"),
        ("unchanged", plan.unchanged, "done, not asked again"),
        ("refused or rejected before", plan.kept, "an answer, not asked again"),
        ("unreadable", plan.unreadable, "will fail; the others go on"),
        ("orphaned", plan.orphaned, "in the ledger, no longer in the manifest"),
        ("orphaned redos", len(plan.orphaned_redos), WAY_OUT),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for name, count, meaning in rows:
        if count or name in ("new", "unchanged"):
            table.add_row(f"{count:,}", name, Text(meaning, style="dim"))
    console.print(table)
    print_made(plan, console)
    cost = "price unknown" if plan.cost_usd is None else dollars(plan.cost_usd)
    how = "measured" if plan.measured else "assumed"
    request_s = f"{plan.request_s:.0f}" if plan.request_s >= 9.5 else f"{plan.request_s:.1f}"
    console.print(
        f"\n{counted(plan.requests, 'request')} for {counted(plan.pictures, 'picture')}, {cost},"
        f" {about_minutes(plan.minutes)} at the job's limits ({request_s} s a request,"
        f" {how})"
    )
    if plan.checks:
        worst = ""
        if plan.with_rerolls_usd is not None and plan.with_rerolls_usd != plan.cost_usd:
            worst = f"; with all re-rolls at most {dollars(plan.with_rerolls_usd)}"
        console.print(f"checked: {', '.join(plan.checks)}{worst}", soft_wrap=True)
    if plan.target is not None:
        print_target(plan.target, console)


def print_foreseen(found: GuardReport) -> None:
    """What of its guard rails a run would meet, after its plan."""
    if found:
        print()
        print_guards(found, Console(highlight=False))


def near(path: Path) -> str:
    """As short as it can be from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
