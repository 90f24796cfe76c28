"""What the commands say."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.api import JobStatus
from pipeline.canary import CanaryReport
from pipeline.cli.asking import about_minutes, counted, print_canary, print_preflight
from pipeline.events import Event, Started
from pipeline.preflight import Preflight
from pipeline.preview import CheckReport, Plan, problem_list
from pipeline.progress import STYLES, LiveProgress, PlainProgress
from pipeline.running import RunResult

ENDINGS = {
    "finished": "finished in",
    "interrupted": "interrupted after",
    "fatal": "stopped by an error after",
    "budget": "stopped at a money cap after",
    "declined": "declined after",
}
MARKS = {"succeeded": "✓", "failed": "✗", "refused": "⊘", "rejected": "⊘", "unknown": "?"}


def complain(message: str) -> None:
    """One red line, and what follows it plainly, on standard error."""
    first, _, rest = message.partition("\n")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("error: ", style="bold red") + Text(first, style="red"))
    if rest:
        console.print(Text(rest))


def print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.encode(value, enc_hook=str).decode() + "\n")


@contextmanager
def progress(terminal: bool, total: Callable[[], int | None]) -> Iterator["Lines | Screen"]:
    """A live block on a terminal, started when the run is; plain lines elsewhere."""
    if not terminal:
        with PlainProgress(sys.stderr) as plain:
            yield Lines(plain)
        return
    console = Console(stderr=True, highlight=False)
    live = LiveProgress(console, total, clock=time.monotonic)
    try:
        yield Screen(live, console)
    finally:
        live.stop()


class Lines:
    """Progress where nobody looks on and nothing is asked."""

    def __init__(self, plain: PlainProgress) -> None:
        self._plain = plain

    def __call__(self, event: Event) -> None:
        self._plain(event)

    @contextmanager
    def aside(self) -> Iterator[None]:
        yield


class Screen:
    """The live block, and above it what stays: preflight and canary."""

    def __init__(self, live: LiveProgress, console: Console) -> None:
        self._live = live
        self._console = console
        self._started: Started | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Preflight):
            print_preflight(event, self._console)
        elif isinstance(event, CanaryReport):
            with self.aside():
                print_canary(event, self._console)
        else:
            if isinstance(event, Started):
                self._started = event
            self._live(event)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Meanwhile the terminal belongs to somebody else."""
        self._live.stop()
        yield
        if self._started is not None:
            self._live(self._started)


def merged(value: Any, **more: Any) -> dict[str, Any]:
    """One JSON object of both."""
    return {**msgspec.to_builtins(value, enc_hook=str), **more}


def print_check(report: CheckReport, online: Preflight | None = None) -> None:
    if report.problem_count:
        complain(
            f"{counted(report.problem_count, 'problem')}\n"
            + problem_list(report.problems, report.problem_count)
        )
        return
    print(f"{counted(report.edits, 'edit')}, {counted(report.images, 'picture')}: all is well")
    if online is not None:
        print_preflight(online, Console(highlight=False))


def print_plan(plan: Plan) -> None:
    console = Console(highlight=False)
    for problem in plan.problems:
        console.print(Text(problem, style="yellow"), soft_wrap=True)
    rows = (
        ("new", plan.new, ""),
        ("changed", plan.changed, "prompt, picture or parameters differ from what was asked"),
        ("failed before", plan.again, "asked again"),
        ("unchanged", plan.unchanged, "done, not asked again"),
        ("refused before", plan.kept, "an answer, not asked again"),
        ("unreadable", plan.unreadable, "will fail; the others go on"),
        ("orphaned", plan.orphaned, "in the ledger, no longer in the manifest"),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for name, count, meaning in rows:
        if count or name in ("new", "unchanged"):
            table.add_row(f"{count:,}", name, Text(meaning, style="dim"))
    console.print(table)
    cost = "price unknown" if plan.cost_usd is None else f"${plan.cost_usd:,.2f}"
    how = "measured" if plan.measured else "assumed"
    console.print(
        f"\n{counted(plan.requests, 'request')} for {counted(plan.pictures, 'picture')}, {cost},"
        f" {about_minutes(plan.minutes)} at the job's limits ({plan.request_s:.0f} s a request,"
        f" {how})"
    )


def print_result(result: RunResult, *, job: Path, rehearsal: bool) -> None:
    """The end of a run: what happened, why, what it cost, where things are, what to do next."""
    console = Console(highlight=False)
    totals = result.totals
    if result.ended == "declined" and not totals.finished:
        console.print("Nothing was sent.")
        return
    if not totals.finished and result.error is None and result.ended == "finished":
        _print_nothing_to_do(console, result, rehearsal)
        return
    console.print()
    head = Text(f" {result.outputs.name} ", style="bold reverse")
    head.append(f"  {ENDINGS[result.ended]} {duration(totals.duration_s)}", style="not reverse")
    console.print(head)
    console.print()
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", min_width=2)
    table.add_column(justify="right", min_width=5)
    for status, style in STYLES.items():
        count = getattr(totals, status)
        if count or status == "succeeded":
            note = counted(totals.images, "picture") if status == "succeeded" else ""
            table.add_row(
                Text(MARKS[status], style=style),
                Text(f"{count:,}", style="bold " + style),
                status,
                Text(note, style="dim"),
            )
    if totals.unchanged or totals.kept:
        note = f"and {totals.kept:,} refused before" if totals.kept else ""
        table.add_row(
            Text("=", style="dim"),
            Text(f"{totals.unchanged:,}", style="dim"),
            Text("unchanged", style="dim"),
            Text(note, style="dim"),
        )
    console.print(table)
    if totals.reasons:
        console.print()
        reasons = Table.grid(padding=(0, 2))
        reasons.add_column(justify="right", min_width=8)
        for reason in totals.reasons:
            reasons.add_row(
                # As text: a server's brackets are no markup.
                f"{reason.count:,} ×",
                reason.code,
                Text(f"{reason.edit_id}: {reason.example}"),
            )
        console.print(reasons)
    console.print()
    _print_figures(console, result, rehearsal)
    if result.error is not None:
        complain(result.error)
    if next_step := _next_step(result, job, rehearsal):
        console.print(f"\n  [dim]next[/]      {escape(next_step)}", soft_wrap=True)
    console.print()


def _print_figures(console: Console, result: RunResult, rehearsal: bool) -> None:
    totals = result.totals
    money = f"${totals.cost_usd:,.3f}".removesuffix("0")
    if totals.unknown_usd:
        money += f", and up to ${totals.unknown_usd:,.2f} of unknown outcome"
    if totals.uncosted:
        money += f", cost unknown for {counted(totals.uncosted, 'attempt')}"
    if rehearsal:
        money += " [dim](a rehearsal: nobody was charged)[/]"
    rows = [("spent", money)]
    if totals.edit_s_p50 is not None and totals.edit_s_p95 is not None:
        time_text = f"{totals.edit_s_p50:.1f} s median, 95 % within {totals.edit_s_p95:.1f} s"
        if totals.retries:
            time_text += f" [dim]· {counted(totals.retries, 'retry', 'retries')}[/]"
        rows.append(("an edit", time_text))
    if totals.short:
        rows.append(("short", f"{counted(totals.short, 'edit')} got fewer pictures than asked for"))
    outputs = _near(result.outputs)
    rows += [
        ("pictures", escape(f"{outputs}/images/")),
        ("table", escape(f"{outputs}/results.csv")),
        ("ledger", escape(f"{outputs}/ledger.db")),
    ]
    for name, text in rows:
        console.print(f"  [dim]{name:<9}[/] {text}", soft_wrap=True)


def _print_nothing_to_do(console: Console, result: RunResult, rehearsal: bool) -> None:
    totals = result.totals
    outputs = _near(result.outputs)
    if not totals.unchanged and not totals.kept:
        console.print("The manifest has no edits.")
        return
    parts = [f"{totals.unchanged:,} succeeded before"]
    if totals.kept:
        parts.append(f"{totals.kept:,} refused (an answer, not a fault)")
    console.print(
        f"\n[green]Nothing to do:[/] {' and '.join(parts)}, and neither prompts, pictures nor"
        " parameters have changed since."
    )
    console.print(f"  [dim]pictures[/]  {escape(outputs)}/images/", soft_wrap=True)
    console.print(
        f"  [dim]again[/]     change a row, or remove {escape(outputs)}/ to"
        f" {'rehearse' if rehearsal else 'pay for'} everything again\n",
        soft_wrap=True,
    )


def _next_step(result: RunResult, job: Path, rehearsal: bool) -> str | None:
    again = f"pipeline run {job}" + (" --rehearse" if rehearsal else "")
    if result.ended in ("interrupted", "fatal", "budget", "declined"):
        return f"{again}   (goes on where this run stopped)"
    if result.totals.unknown and not rehearsal:
        return f"pipeline reconcile {job}   (asks the provider what became of the unknown ones)"
    if result.totals.failed or result.totals.unknown:
        return f"{again}   (asks again for what failed)"
    if rehearsal:
        return f"pipeline run {job}   (in earnest, with your key)"
    return None


def print_status(status: JobStatus) -> None:
    console = Console(highlight=False)
    run = status.run
    if run is None:
        console.print("This job has not run yet. (For its rehearsal: --rehearse)")
        return
    if run.ended is None:
        console.print(f"run {run.id}: going on as process {run.pid} on {run.host}")
    else:
        console.print(f"run {run.id}: {run.ended}, exit code {run.exit_code}")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=6)
    for total in status.edits:
        table.add_row(
            f"{total.count:,}",
            Text(total.status, style=STYLES.get(total.status, "")),
            f"${total.cost_usd:,.2f}",
        )
    if status.in_flight:
        table.add_row(f"{status.in_flight:,}", "in flight")
    console.print(table)
    if status.pace is not None:
        console.print(f"\n[dim]pace[/] {escape(status.pace)}")
    problems = [attempt for attempt in status.attempts if attempt.error_code]
    if problems:
        console.print("\nattempts that did not succeed", style="dim")
        reasons = Table.grid(padding=(0, 2))
        reasons.add_column(justify="right", min_width=6)
        for problem in problems:
            reasons.add_row(f"{problem.count:,}", problem.error_code, Text(problem.example or ""))
        console.print(reasons)
    console.print(f"\n[dim]in[/] {escape(_near(status.outputs))}/", soft_wrap=True)


def _near(path: Path) -> str:
    """As short as it can be from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
