"""`export`: data sets for training and tables, as a command."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.bars import bar
from pipeline.cli.options import AsJson, JobFile, OfRehearsal, Only
from pipeline.errors import ConfigError
from pipeline.terminal.words import counted, in_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.exporting.result import ExportResult

app = typer.Typer()

LISTED = 10
"""Missing pictures on the screen; ``--json`` names up to 1,000."""


@app.command()
def export(
    job: JobFile,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="csv, jsonl, parquet: the table. folder, parquet-images, webdataset,"
            " instruct-pix2pix, preferences: to train on. Without it: all that the job names.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="DIR|FILE|URL", help="A folder; of a table the file."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="SHARES", help="As in train=0.9,validation=0.05,test=0.05")
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="What stays together: the source picture, or a column."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Only such edits, as in 'decision=approved' or 'check:ratio<0.02'; repeatable.",
        ),
    ] = None,
    only: Only = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this column; repeatable.")
    ] = None,
    shard_size: Annotated[
        str | None, typer.Option(metavar="SIZE", help="At most so much in a shard; default 1GB.")
    ] = None,
    source: Annotated[
        bool, typer.Option("--source", help="The input pictures as well, as further columns.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Make data sets or tables of the results. Again: adds what is new. Also during a run."""
    from pipeline import api
    from pipeline.cli import words

    options = (format_, output, split, split_by, where, only, column, shard_size, source or None)
    of_job = all(given is None for given in options)
    with _stopping(), bar(lambda step: step.stage) as observe:
        if of_job:
            made = api.export_named(job, rehearse=rehearse, observe=observe)
            exit_code = made.exit_code
        else:
            if format_ is None or output is None:
                raise ConfigError(
                    "one export by hand needs both --format and --output (without any option: all"
                    " that the job names under 'exports')"
                )
            result = api.export(
                job,
                format=format_,
                output=output,
                split=split,
                split_by=split_by,
                where=where or (),
                only=only or (),
                columns=column or (),
                shard_size=shard_size,
                source=source,
                rehearse=rehearse,
                observe=observe,
            )
            exit_code = result.exit_code
    if as_json:
        words.print_json(words.merged(made, exit_code=exit_code) if of_job else result)
    else:
        print_exports(made.exports if of_job else (result,))
    raise typer.Exit(exit_code)


def print_exports(results: "Sequence[ExportResult]") -> None:
    """What exports came to, and how they are read."""
    from rich.console import Console

    console = Console(highlight=False)
    for number, result in enumerate(results):
        if number:
            console.print()
        _print_export(result, console)


def _print_export(result: "ExportResult", console: "Console") -> None:
    from rich.table import Table
    from rich.text import Text

    from pipeline.cli.asking import say
    from pipeline.cli.words import near

    output = result.output if "://" in result.output else near(Path(result.output).absolute())
    if result.error:
        say(console, Text(output, style="bold"))
        say(console, Text(f"  {result.format}: not made: {result.error}", style="red"))
        return
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
        f"{counted(count, kind)} {word}"
        for count, word in (
            (result.written, "written"),
            (result.rewritten, "rewritten"),
            (result.removed, "removed"),
            (result.kept, "kept as they were" if result.kept != 1 else "kept as it was"),
        )
        if count
    ]
    return ", ".join(parts) + f"; {in_bytes(result.bytes_written)} new"


@contextmanager
def _stopping() -> Iterator[None]:
    """SIGTERM as Ctrl-C: what was begun is removed, and the exit code is 130."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
