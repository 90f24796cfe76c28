"""`export`: data sets for training and tables, as a command."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson, JobFile, OfRehearsal, Only

if TYPE_CHECKING:
    from pipeline.exporting.writing import ExportResult, Progress

app = typer.Typer()

LISTED = 10
"""Missing pictures on the screen; ``--json`` names up to 1,000."""


@app.command()
def export(
    job: JobFile,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="csv, jsonl, parquet: the table. folder, parquet-images, webdataset,"
            " instruct-pix2pix, preferences: to train on.",
        ),
    ],
    output: Annotated[
        str,
        typer.Option(metavar="DIR|FILE|URL", help="A folder; of a table the file."),
    ],
    split: Annotated[
        str | None, typer.Option(metavar="SHARES", help="As in train=0.9,validation=0.05,test=0.05")
    ] = None,
    split_by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="What stays together: the source picture, or a column."
        ),
    ] = "source",
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only such edits, as in 'decision=approved' or 'check:ratio<0.02'; repeatable.",
        ),
    ] = None,
    only: Only = None,
    shard_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="At most so much in a shard; default 1GB.")
    ] = None,
    source: Annotated[
        bool, typer.Option("--source", help="The input pictures as well, as further columns.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Make a data set or a table of the results. Again: adds what is new. Also during a run."""
    from pipeline import api
    from pipeline.cli import words

    with _progress() as observe:
        result = api.export(
            job,
            format=format_,
            output=output,
            split=split,
            split_by=split_by,
            where=where or (),
            only=only or (),
            shard_size=shard_size,
            source=source,
            rehearse=rehearse,
            observe=observe,
        )
    if as_json:
        words.print_json(words.merged(result, exit_code=result.exit_code))
    else:
        print_export(result)
    raise typer.Exit(result.exit_code)


def print_export(result: "ExportResult") -> None:
    """What an export came to, and how it is read."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.cli.asking import counted, say
    from pipeline.cli.words import near

    console = Console(highlight=False)
    output = result.output if "://" in result.output else near(Path(result.output).absolute())
    if "rows" in result.samples:
        say(console, Text(f"{output}: {counted(result.edits, 'row')}"))
        return
    say(console, Text(output, style="bold"))
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=9)
    table.add_column()
    for name, count in result.samples.items():
        table.add_row(f"{count:,}", Text(name))
    if result.straddling:
        table.add_row(
            Text(f"{result.straddling:,}", style="yellow"),
            Text("edits left out: their source looks like pictures of two splits", style="yellow"),
        )
    if result.without_source:
        table.add_row(f"{result.without_source:,}", "edits left out: they have no input picture")
    if result.missing_count:
        table.add_row(
            Text(f"{result.missing_count:,}", style="bold red"),
            Text("left out: a picture is not there, or not what it was", style="red"),
        )
    console.print(table)
    say(console, Text(f"  {_what_changed(result)}", style="dim"))
    for one in result.missing[:LISTED]:
        say(console, Text(f"  {one.place}: ") + Text(one.id, style="bold") + Text(f": {one.why}"))
    if result.missing_count > LISTED:
        console.print(f"  … and {result.missing_count - LISTED:,} more (--json names them)")
    if result.changed:
        say(console, Text(f"  read it: {_reading(result, str(output))}", style="dim"))
    for note in result.notes:
        say(console, Text(f"  note  {note}", style="yellow"))


def _reading(result: "ExportResult", output: str) -> str:
    if result.format == "webdataset":
        return f'webdataset.WebDataset(glob.glob("{output}/data/{next(iter(result.samples))}-*"))'
    return f'datasets.load_dataset("{output}")'


def _what_changed(result: "ExportResult") -> str:
    if not result.changed:
        return "nothing new: it is as it was"
    kind = "picture" if result.format == "folder" else "shard"
    parts = [
        f"{count:,} {kind}{'' if count == 1 else 's'} {word}"
        for count, word in (
            (result.written, "written"),
            (result.rewritten, "rewritten"),
            (result.removed, "removed"),
            (result.kept, "kept as they were" if result.kept != 1 else "kept as it was"),
        )
        if count
    ]
    return ", ".join(parts) + f"; {_bytes(result.bytes_written)} new"


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.1f} {unit}"


@contextmanager
def _progress() -> Iterator[Callable[["Progress"], None]]:
    """A bar on a terminal; silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def observe(progress: "Progress") -> None:
            total = progress.total or None
            if progress.stage not in tasks:
                tasks[progress.stage] = bar.add_task(progress.stage, total=total)
            if progress.done % 100 == 0 or progress.done == total:
                bar.update(tasks[progress.stage], completed=progress.done, total=total)

        yield observe
