"""What `history` says: the runs of a job, each with what is different from the one before."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import JobFile, OfRehearsal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from pipeline.past_runs import PastRun

app = typer.Typer()


@app.command()
def history(
    job: JobFile,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="The last N runs.")] = 20,
    rehearse: OfRehearsal = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON for each run, the latest first.")
    ] = False,
) -> None:
    """Say what each run did, cost and took, and what was different from the one before."""
    from rich.console import Console

    from pipeline.cli.words import print_json
    from pipeline.past_runs import history as runs_of

    runs = runs_of(job, limit=limit, rehearse=rehearse)
    if as_json:
        for run in runs:
            print_json(run)
    elif not runs:
        print("This job has not run yet. (For its rehearsal: --rehearse)")
    else:
        console = Console(highlight=False)
        console.print()
        print_runs(console, runs, now=time.time(), errors=True)
        console.print()


def print_runs(
    console: "Console", runs: "Sequence[PastRun]", *, now: float, errors: bool = False
) -> None:
    """A line each; below it what was different, and with ``errors`` what was made of its pictures
    and what stopped it.
    """
    from rich.padding import Padding
    from rich.text import Text

    from pipeline.past_runs import change_in_words
    from pipeline.terminal.words import clean, dollars, duration

    rows = [
        (
            Text(_when(run.started_at, now)),
            Text(clean(run.model)),
            _ending(run),
            Text("" if run.duration_s is None else duration(run.duration_s), style="dim"),
            Text(dollars(run.cost_usd)),
        )
        for run in runs
    ]
    widths = [max([len(row[place]) for row in rows]) for place in range(5)]
    for run, row in zip(runs, rows, strict=True):
        line = Text("  ")
        for place, cell in enumerate(row):
            if widths[place]:
                gap = " " * (widths[place] - len(cell))
                line.append_text(Text(gap) + cell if place > 2 else cell + Text(gap)).append("  ")
        console.print(line.append_text(_edits(run)), soft_wrap=True)
        notes = []
        if run.change is not None and (different := change_in_words(run.change)):
            notes.append(Text(", ".join(different), style="dim"))
        if errors:
            notes += [Text(clean(line), style="dim") for line in run.made]
            notes += [Text(clean(run.error), style="yellow")] if run.error is not None else []
        for note in notes:
            console.print(Padding(note, (0, 2, 0, 4 + widths[0]), expand=False))


def _edits(run: "PastRun") -> "Text":
    from rich.text import Text

    from pipeline.past_runs import STATUSES
    from pipeline.terminal.block import STYLES

    words = Text()
    for status in STATUSES:
        if count := run.counts.get(status):
            words.append(", " if words else "")
            words.append(f"{count:,} {status}", STYLES.get(status, ""))
    if not words and run.ended is not None:
        words.append("nothing new" if run.exit_code == 0 else "nothing done", "dim")
    if run.partial:
        words.append(" (chosen edits)", "dim")
    return words


def _ending(run: "PastRun") -> "Text":
    from rich.text import Text

    if run.ended is None:
        return Text("no end yet", style="cyan")
    if run.ended == "process_ended":
        return Text("cut off", style="red")
    names = {"budget": "at a cap", "guarded": "guard rail", "fatal": "error"}
    styles = {0: "green", 4: "red"}
    style = styles.get(run.exit_code if run.exit_code is not None else 0, "yellow")
    return Text(f"{names.get(run.ended, run.ended)} ({run.exit_code})", style=style)


def _when(at: float, now: float) -> str:
    """Local time: a night is known by its weekday, an older one by its date."""
    there, here = time.localtime(at), time.localtime(now)
    if there[:3] == here[:3]:
        return time.strftime("%H:%M", there)
    if now - at < 6 * 86_400:
        return time.strftime("%a %H:%M", there)
    return time.strftime("%Y-%m-%d" if there[0] != here[0] else "%d %b %H:%M", there)
