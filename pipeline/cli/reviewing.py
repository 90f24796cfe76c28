"""What people decided about pictures: `review`, and what it says."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, JobFile, OfRehearsal

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.decisions.deciding import ReviewResult

app = typer.Typer()

LISTED = 20
"""Decisions that were left out, on the screen; ``--json`` names all."""


@app.command()
def review(
    job: JobFile,
    decisions: Annotated[
        Path,
        typer.Argument(
            metavar="DECISIONS", help="decisions.csv, as the gallery exports it; - reads it here."
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Take decisions: approve, reject, redo in the next run, restore. Works during a run."""
    import asyncio

    from pipeline import api
    from pipeline.cli import words

    source = sys.stdin.buffer if str(decisions) == "-" else decisions
    result = asyncio.run(api.review(job, source, dry_run=dry_run, rehearse=rehearse))
    if as_json:
        words.print_json(words.merged(result, stale=result.stale, exit_code=result.exit_code))
    else:
        print_review(result, job=job, decisions=decisions, rehearsal=rehearse)
    raise typer.Exit(result.exit_code)


def print_review(
    result: "ReviewResult", *, job: Path, decisions: Path, rehearsal: bool = False
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.cli.asking import say

    console = Console(highlight=False)
    would = "would be " if result.dry_run else ""
    in_its_place = "would be the edit's again" if result.dry_run else "is the edit's again"
    rows = (
        (result.approved, "green", "approved", ""),
        (result.rejected, "red", "rejected", ""),
        (result.redo, "cyan", "to be redone", f"their pictures {would or 'are '}kept in takes/"),
        (result.undecided, "yellow", "undecided again", ""),
        (result.restored, "cyan", "taken back", f"an earlier picture {in_its_place}"),
        (result.unchanged, "dim", "unchanged", "the ledger had them already"),
        (len(result.left), "yellow", "left out", ""),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=7)
    for count, style, name, meaning in rows:
        if count:
            table.add_row(
                Text(f"{count:,}", style=style if style == "dim" else f"bold {style}"),
                Text(name, style=style),
                Text(meaning, style="dim"),
            )
    console.print()
    if any(row[0] for row in rows):
        console.print(table)
    else:
        console.print("No decision is in there: the column 'decision' is empty in every row.")
    _print_left(console, result)
    for note in result.notes:
        console.print()
        say(console, Text(f"  note  {note}", style="dim"))
    _print_next(console, result, job=job, decisions=decisions, rehearsal=rehearsal)
    console.print()


def _print_left(console: "Console", result: "ReviewResult") -> None:
    from rich.text import Text

    from pipeline.cli.asking import say

    if result.left:
        console.print()
    for one in result.left[:LISTED]:
        place = f"{one.place}: " if one.place else ""
        say(console, Text(f"  {place}") + Text(one.id, style="bold") + Text(f": {one.message}"))
    if len(result.left) > LISTED:
        console.print(f"  … and {len(result.left) - LISTED:,} more (--json names all)")


def _print_next(
    console: "Console", result: "ReviewResult", *, job: Path, decisions: Path, rehearsal: bool
) -> None:
    from rich.text import Text

    from pipeline.terminal.words import counted, dollars

    option = " --rehearse" if rehearsal else ""
    if result.dry_run:
        line, meaning = f"pipeline review {job} {decisions}{option}", "nothing was changed yet"
    elif result.waiting:
        price = "price unknown"
        if rehearsal:
            price = "no cost"
        elif result.waiting_usd is not None:
            price = dollars(result.waiting_usd)
        count = counted(result.waiting, "edit")
        line, meaning = f"pipeline run {job}{option}", f"asks again for {count}, {price}"
    else:
        return
    console.print()
    line = f"{line}   ({meaning})"
    # A command is copied: it is broken before its meaning, or by the terminal, and never by us.
    if console.is_terminal and len(line) + 8 > console.width:
        line = line.replace("   (", "\n        (")
    console.print(Text("  next  ", style="dim") + Text(line), soft_wrap=True)
