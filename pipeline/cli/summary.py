"""The end of a run: what happened, why, what it cost, where things are, what to do next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.cli.options import Showing
from pipeline.cli.publishing import print_rendered
from pipeline.cli.sending import Sending
from pipeline.cli.words import complain, near, print_json
from pipeline.errors import PipelineError
from pipeline.follow_up import exports_in_words
from pipeline.running import RunResult
from pipeline.summary import FailedCheck, Reason
from pipeline.terminal.block import ASCII, STYLES, UNICODE
from pipeline.terminal.words import clean, counted, dollars, duration

ENDINGS = {
    "finished": "finished in",
    "interrupted": "interrupted after",
    "fatal": "stopped by an error after",
    "budget": "stopped at a money cap after",
    "guarded": "stopped by a guard rail after",
    "declined": "declined after",
}
MARKS = {"succeeded": "✓", "failed": "✗", "refused": "⊘", "rejected": "⊘", "unknown": "?"}
ASCII_MARKS = {"succeeded": "+", "failed": "x", "refused": "/", "rejected": "/", "unknown": "?"}

REASONS_SHOWN = 12
EXAMPLE_LONGEST = 400

CHECKED = "check_failed"

WRONG_AS_ASKED = frozenset({"input", "request_rejected"})
"""Codes of failures that come again unless somebody changes something."""


def conclude(result: RunResult, job: Path, sending: Sending, showing: Showing) -> None:
    """The last thing that ``run``, ``retry`` and ``quick`` say."""
    if showing.as_json:
        print_json(result)
    elif showing.quiet:
        if result.error is not None:
            complain(result.error)
    else:
        print_result(
            result,
            job=job,
            rehearsal=sending.rehearse,
            cap_usd=cap_of(job, sending.asked().get("max_cost_usd")),
            told=showing.log_json,
        )


def cap_of(job: Path, max_cost: float | None) -> float | None:
    """What the run might spend at most."""
    from pipeline import api

    try:
        loaded = api.load_job(job)
    except PipelineError:
        return max_cost  # somebody is editing it: the summary does not depend on that
    return (loaded if max_cost is None else loaded.capped(max_cost)).budget.run_usd


def print_result(
    result: RunResult, *, job: Path, rehearsal: bool, cap_usd: float | None, told: bool = False
) -> None:
    """``told``: standard error has heard what stopped the run."""
    console = Console(highlight=False)
    totals = result.totals
    if result.ended == "declined" and not totals.finished:
        console.print("Nothing was sent.")
        return
    if not totals.finished and result.error is None and result.ended == "finished":
        _print_nothing_to_do(console, result, job, rehearsal)
        return
    console.print()
    console.print(_head(result))
    console.print()
    console.print(_outcomes(console, result))
    # What checks turned down is said below, check by check.
    reasons = [one for one in totals.reasons if one.code != CHECKED or not totals.checks]
    if reasons:
        console.print()
        _print_reasons(console, reasons)
    if totals.checks:
        console.print()
        console.print("  turned down by checks", style="dim")
        _print_reasons(console, [_as_reason(check) for check in totals.checks])
    console.print()
    _print_figures(console, result, rehearsal=rehearsal, cap_usd=cap_usd)
    if result.renditions is not None:
        console.print()
        print_rendered(console, result.renditions)
    _print_exports(console, result)
    if result.error is not None and not told:
        console.print()
        complain(result.error)
    if step := next_step(result, job, rehearsal):
        command, why = step
        console.print()
        _say(console, "next", Text(command, style="bold"))
        _say(console, "", Text(why, style="dim"))
    console.print()


def next_step(result: RunResult, job: Path, rehearsal: bool) -> tuple[str, str] | None:
    """The one command that makes sense now, and why."""
    name = shlex.quote(str(job))
    again = f"pipeline run {name}" + (" --rehearse" if rehearsal else "")
    totals = result.totals
    if result.ended == "guarded":
        return f"pipeline plan {name}", "shows what it would ask for, and what that costs"
    if result.ended == "budget":
        if "budget.day_usd" in (result.error or ""):
            return again, "goes on where this run stopped: tomorrow, or with a higher day_usd"
        return again, "goes on where this run stopped: a new run has the whole cap again"
    if result.ended in ("interrupted", "fatal", "declined"):
        return again, "goes on where this run stopped"
    if totals.unknown and not rehearsal:
        return f"pipeline reconcile {name}", "asks the provider what became of the unknown ones"
    if totals.failed or totals.unknown:
        failures = {reason.code for reason in totals.reasons} - {"refused"}
        if failures and failures <= WRONG_AS_ASKED:
            return f"pipeline check {name}", "names what is wrong; then run again for these alone"
        return again, "asks again for what failed, and for nothing else"
    if rehearsal:
        return f"pipeline run {name}", "in earnest, with your key"
    if totals.images:
        return f"pipeline report {name}", "the pictures beside their inputs, to look through"
    return None


def _head(result: RunResult) -> Text:
    head = Text(f" {clean(result.outputs.name)} ", style="bold reverse")
    took = duration(result.totals.duration_s)
    head.append(f"  {ENDINGS[result.ended]} {took}", style="not reverse")
    return head


def _outcomes(console: Console, result: RunResult) -> Table:
    totals = result.totals
    marks = ASCII_MARKS if console.options.ascii_only else MARKS
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", min_width=2)
    table.add_column(justify="right", min_width=5)
    for status, style in STYLES.items():
        count = getattr(totals, status)
        if count or status == "succeeded":
            note = counted(totals.images, "picture") if status == "succeeded" else ""
            table.add_row(
                Text(marks[status], style=style),
                Text(f"{count:,}", style="bold " + style),
                status,
                Text(note, style="dim"),
            )
    if totals.unchanged or totals.kept:
        note = f"and {totals.kept:,} refused or rejected before" if totals.kept else ""
        cells = ("=", f"{totals.unchanged:,}", "unchanged", note)
        table.add_row(*[Text(cell, style="dim") for cell in cells])
    return table


def _as_reason(check: FailedCheck) -> Reason:
    return Reason(code=check.name, count=check.edits, example=check.example, edit_id=check.edit_id)


def _print_reasons(console: Console, reasons: Sequence[Reason]) -> None:
    """Grouped; the message is broken under itself, and only words are what a server says."""
    glyphs = ASCII if console.options.ascii_only else UNICODE
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=8, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for reason in reasons[:REASONS_SHOWN]:
        example = clean(f"{reason.edit_id}: {reason.example}")
        if len(example) > EXAMPLE_LONGEST:
            example = example[: EXAMPLE_LONGEST - 1] + glyphs.cut
        times = "x" if glyphs is ASCII else "×"
        table.add_row(f"{reason.count:,} {times}", Text(clean(reason.code)), Text(example))
    console.print(table)
    if len(reasons) > REASONS_SHOWN:
        console.print(f"  and {len(reasons) - REASONS_SHOWN} more kinds (results.csv has them all)")


def _print_figures(
    console: Console, result: RunResult, *, rehearsal: bool, cap_usd: float | None
) -> None:
    totals = result.totals
    if result.target is not None:
        _say(console, "target", Text(result.target.line))
    money = Text(dollars(totals.cost_usd))
    if cap_usd is not None:
        money.append(f" of the cap of {dollars(cap_usd)}")
    if totals.unknown_usd:
        money.append(f", and up to {dollars(totals.unknown_usd)} of unknown outcome", "magenta")
    if totals.uncosted:
        money.append(f", cost unknown for {counted(totals.uncosted, 'attempt')}")
    if rehearsal:
        money.append(" (a rehearsal: nobody was charged)", "dim")
    _say(console, "spent", money)
    if totals.edit_s_p50 is not None and totals.edit_s_p95 is not None:
        words = Text(f"{totals.edit_s_p50:.1f} s median, 95 % within {totals.edit_s_p95:.1f} s")
        if totals.retries:
            words.append(f" · {counted(totals.retries, 'retry', 'retries')}", "dim")
            if totals.rerolls:
                words.append(f", {totals.rerolls:,} of them re-rolls", "dim")
        _say(console, "an edit", words)
    if totals.short:
        short = f"{counted(totals.short, 'edit')} got fewer pictures than asked for"
        _say(console, "short", Text(short))
    outputs = near(result.outputs)
    for name, where in (
        ("pictures", f"{outputs}/images/"),
        ("table", f"{outputs}/results.csv"),
        ("ledger", f"{outputs}/ledger.db"),
    ):
        _say(console, name, Text(clean(where)))


def _print_exports(console: Console, result: RunResult) -> None:
    lines = exports_in_words(result.exports)
    if lines:
        console.print()
    for line in lines:
        _say(console, "export", Text(clean(line.removeprefix("export "))))


def _say(console: Console, label: str, words: Text) -> None:
    line = Text("  ")
    line.append(f"{label:<9} ", "dim")
    console.print(line.append_text(words), soft_wrap=True)


def _print_nothing_to_do(console: Console, result: RunResult, job: Path, rehearsal: bool) -> None:
    totals = result.totals
    if result.target is not None and result.target.accepted:
        words = Text("\nNothing to do: ", style="green").append(result.target.line, "default")
        console.print(words, soft_wrap=not console.is_terminal)
        return
    if not totals.unchanged and not totals.kept:
        console.print("The manifest has no edits.")
        return
    parts = [f"{totals.unchanged:,} succeeded before"]
    if totals.kept:
        parts.append(f"{totals.kept:,} refused or rejected (an answer, not a fault)")
    head = Text("\nNothing to do: ", style="green")
    head.append(
        f"{' and '.join(parts)}, and neither prompts, pictures nor parameters have changed since.",
        "default",
    )
    console.print(head)
    outputs = clean(near(result.outputs))
    _say(console, "pictures", Text(f"{outputs}/images/"))
    _say(
        console,
        "again",
        Text(
            f"change a row, or remove {outputs}/ to"
            f" {'rehearse' if rehearsal else 'pay for'} everything again"
        ),
    )
    if result.renditions is not None:
        console.print()
        print_rendered(console, result.renditions)
    _print_exports(console, result)
    if totals.unchanged and not rehearsal:
        name = shlex.quote(str(job))
        _say(console, "next", Text(f"pipeline report {name}", style="bold"))
    console.print()
