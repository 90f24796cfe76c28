"""What a person is shown, and asked, before money is spent."""

import os
import select
import signal
import socket
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.canary import CanaryReport, in_dollars, in_percent
from pipeline.guard_rails import GuardReport
from pipeline.preflight import Preflight
from pipeline.preview import Plan
from pipeline.terminal.words import counted, dollars


def plan_line(plan: Plan) -> str:
    parts = [
        f"{count:,} {name}"
        for count, name in (
            (plan.new, "new"),
            (plan.changed, "changed"),
            (plan.again, "failed before"),
            (plan.redo, "to be redone"),
            (plan.unchanged, "unchanged"),
            (plan.kept, "refused or rejected before"),
            (plan.unreadable, "unreadable"),
            (plan.orphaned, "orphaned"),
            (len(plan.orphaned_redos), "of these to be redone, and without a row"),
        )
        if count
    ]
    cost = "price unknown" if plan.cost_usd is None else dollars(plan.cost_usd)
    todo = f"{counted(plan.requests, 'request')}, {counted(plan.pictures, 'picture')}, {cost}"
    if plan.target is not None and plan.target.missing:
        most = plan.target.most_usd
        todo = f"at least {todo}; at most {counted(plan.target.most_requests, 'request')}"
        todo += "" if most is None else f", {dollars(most)}"
    return f"{', '.join(parts) or 'no edits'} → {todo}, {about_minutes(plan.minutes)}"


def agree(plan: Plan, *, above_usd: float, ask: bool, quiet: bool = False) -> bool:
    """Shows the plan in a line, and asks if it may cost more than ``above_usd``. ``quiet``: it
    shows nothing unless it asks.
    """
    console = Console(stderr=True, highlight=False)
    most = plan.cost_usd if plan.target is None else plan.target.most_usd
    costly = plan.requests > 0 and (most is None or most > above_usd)
    asks = ask and costly
    if asks or not quiet:
        say(console, plan_line(plan))
    return yes(console, "Go on?") if asks else True


def approve(report: CanaryReport) -> bool:
    """Asks whether the rest may follow. What the canary came to was shown before."""
    console = Console(stderr=True, highlight=False)
    return yes(console, f"Go on with {counted(report.remaining, 'more edit')}?")


def allow(report: GuardReport) -> bool:
    """Asks whether a guard rail may be passed, this once. What it says was shown before."""
    console = Console(stderr=True, highlight=False)
    which = "guard rail" if len(report.stops) == 1 else f"{len(report.stops)} guard rails"
    return yes(console, f"Go past the {which}, this once?")


def yes(console: Console, question: str) -> bool:
    """The answer; Ctrl-C, SIGTERM and the end of input are a no.

    A run's own handlers only take note of a signal for its event loop, which waits for this
    answer: meanwhile a signal has to end the question itself.
    """

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, end) for number in signals]
    try:
        console.print(f"{question} \\[y/N] ", end="")
        answer = _line()
    except (KeyboardInterrupt, EOFError):
        console.print()
        return False
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
    return answer.strip().lower() in ("y", "yes")


def _line() -> str:
    """A line of standard input. `input` would sleep through a signal that comes just before it
    begins to read; here a signal wakes whoever waits, whenever it came.
    """
    if os.name == "nt":
        return input()
    woken, wake = socket.socketpair()
    with woken, wake:
        wake.setblocking(False)
        before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        try:
            ready, _, _ = select.select([sys.stdin, woken], [], [])
        finally:
            signal.set_wakeup_fd(before)
    line = "" if woken in ready else sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def say(console: Console, what: str | Text) -> None:
    """A long line: broken between words on a terminal, and nowhere else."""
    console.print(what, soft_wrap=not console.is_terminal)


def print_preflight(found: Preflight, console: Console) -> None:
    say(console, Text(found.findings, style="dim"))
    for warning in found.warnings:
        say(console, Text(f"warning: {warning}", style="yellow"))


def print_guards(found: GuardReport, console: Console) -> None:
    for stop in found.stops:
        say(console, Text(f"guard rail: {stop.message}", style="red"))
    for warning in found.warnings:
        say(console, Text(f"warning: {warning}", style="yellow"))


def print_canary(report: CanaryReport, console: Console) -> None:
    """What the first edits came to, with the interval in which the truth lies 19 times in 20."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=9)
    table.add_column()
    whole = report.edits + report.remaining
    table.add_row("canary", f"{report.edits:,} of {counted(whole, 'edit')}")
    table.add_row("succeeded", f"{report.succeeded:,}")
    table.add_row("refused", f"{report.refused:,}  ({in_percent(report.refused_share)})")
    table.add_row("failed", f"{report.failed:,}  ({in_percent(report.failed_share)})")
    cost, median = report.cost_usd_per_edit, report.seconds_p50
    if cost is not None:
        table.add_row("an edit", f"${cost.value:.4f}  (${cost.low:.4f} to ${cost.high:.4f})")
    if median is not None and report.seconds_p95 is not None:
        table.add_row(
            "",
            f"{median.value:.1f} s median  ({median.low:.1f} to {median.high:.1f} s),"
            f" 95 % within {report.seconds_p95:.1f} s",
        )
    if report.uncosted:
        table.add_row("", f"cost unknown for {counted(report.uncosted, 'edit')}")
    spent = f"${report.cost_usd:,.2f} of it spent"
    if report.unknown_usd:
        spent += f", up to ${report.unknown_usd:,.2f} of unknown outcome"
    total = "not known" if report.total_usd is None else in_dollars(report.total_usd)
    table.add_row("in all", f"{total}, {spent}")
    for reason in report.reasons:
        table.add_row("", Text(reason))
    console.print(table)
    for failure in report.failures:
        say(console, Text(f"not kept: {failure}", style="red"))


def about_minutes(minutes: float) -> str:
    if minutes == 0:
        return "nothing to do"
    if minutes < 1:
        return "less than a minute"
    if minutes < 120:
        return f"about {counted(round(minutes), 'minute')}"
    return f"about {minutes / 60:,.1f} hours"
