"""`recheck`, and what it says."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pipeline.cli.options import AsJson, JobFile, OfRehearsal

if TYPE_CHECKING:
    from pipeline.rechecking import RecheckReport

app = typer.Typer()


@app.command()
def recheck(job: JobFile, rehearse: OfRehearsal = False, as_json: AsJson = False) -> None:
    """Run the job's checks over the stored pictures: free, after limits were moved."""
    import asyncio

    from pipeline.cli.each import do_each
    from pipeline.cli.words import print_json
    from pipeline.rechecking import recheck as again

    def one(job: Path) -> int:
        report = asyncio.run(again(job, rehearse=rehearse))
        if as_json:
            print_json(report)
        else:
            print_recheck(report)
        return 0

    raise typer.Exit(do_each(job, one, quiet=as_json))


def print_recheck(report: "RecheckReport") -> None:
    """For a person."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.terminal.words import clean, counted

    console = Console(highlight=False)
    pictures = counted(report.pictures, "picture")
    console.print(f"\n{counted(report.edits, 'edit')} with {pictures} looked at; nothing was sent.")
    changes = [
        (report.turned_down, "turned down now", "red"),
        (report.right_now, "right now, and were not before", "green"),
    ]
    if not report.turned_down and not report.right_now:
        console.print("No edit changes its status.")
    for count, words, style in changes:
        if count:
            console.print(Text(f"{count:>8,}  {words}", style=style))
    if report.checks:
        console.print("\n  turned down by checks", style="dim")
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", min_width=8, no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for one in report.checks:
            example = Text(clean(f"{one.edit_id}: {one.example}"))
            table.add_row(f"{one.edits:,} ×", Text(clean(one.name)), example)
        console.print(table)
    for count, words in (
        (report.decided, "decided by a person: that word stands"),
        (report.skipped, "not what the manifest asks for today: left as they are"),
        (report.missing, "without a picture on disk (pipeline fsck)"),
    ):
        if count:
            console.print(Text(f"{count:>8,}  {words}", style="dim"))
    console.print()
