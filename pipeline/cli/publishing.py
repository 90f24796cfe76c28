"""Finished pictures, made ready for others: `render` and `deliver`, and what they say."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.bars import bar
from pipeline.cli.options import AsJson, JobFile, OfRehearsal, Only

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pipeline.delivery import DeliveryResult
    from pipeline.rendering.result import FinishedResult, RenderResult

app = typer.Typer()

LISTED = 12
"""Kinds of problems on the screen; ``--json`` names each."""

_NUMBERS = re.compile(r"[0-9][0-9.,]*")


@app.command()
def render(
    job: JobFile,
    preset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="This preset, also if the job does not have it."),
    ] = None,
    rendition: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this one of the job's; may be repeated."),
    ] = None,
    only: Only = None,
    force: Annotated[bool, typer.Option("--force", help="Make also what has not changed.")] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Make renditions and finished pictures from stored ones: what is new or changed. Free."""
    import asyncio

    from rich.console import Console

    from pipeline import publishing
    from pipeline.cli import words
    from pipeline.cli.each import do_each

    def one(job: Path) -> int:
        with bar("renditions") as observe:
            result = asyncio.run(
                publishing.render(
                    job,
                    renditions=rendition or (),
                    presets=preset or (),
                    only=only or (),
                    force=force,
                    rehearse=rehearse,
                    observe=observe,
                )
            )
        if as_json:
            words.print_json(words.merged(result, exit_code=result.exit_code))
        else:
            print_rendered(Console(highlight=False), result)
        return result.exit_code

    raise typer.Exit(do_each(job, one, quiet=as_json))


@app.command()
def deliver(
    job: JobFile,
    to: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder: a link that is switched in one step.")
    ],
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="What the pictures are to be.")
    ] = None,
    rendition: Annotated[
        str | None, typer.Option(metavar="NAME", help="Or one of the job's renditions.")
    ] = None,
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="shopify, google, amazon or csv; may be repeated."),
    ] = None,
    base_url: Annotated[
        str, typer.Option(metavar="URL", help="The public address where the pictures will lie.")
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="TEMPLATE", help="Of the files' names, without extension.")
    ] = "{{ sku|slug }}-{{ number }}",
    sku: Annotated[
        str, typer.Option(metavar="COLUMN", help="The manifest's column that names the product.")
    ] = "",
    title: Annotated[
        str, typer.Option(metavar="TEMPLATE", help="Of the products' titles in a feed.")
    ] = "",
    alt_text: Annotated[
        str, typer.Option(metavar="TEMPLATE", help="Of the pictures' alt text in a feed.")
    ] = "",
    approved_only: Annotated[
        bool, typer.Option("--approved-only", help="Only approved edits, even if none is yet.")
    ] = False,
    undecided_too: Annotated[
        bool, typer.Option("--undecided-too", help="Also edits that nobody has decided about.")
    ] = False,
    only: Only = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be delivered; write nothing.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Switch back to the delivery before.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Deliver approved pictures into a folder: named by SKU, with checksums and feeds."""
    import asyncio

    from rich.console import Console

    from pipeline import publishing
    from pipeline.cli import words
    from pipeline.delivery import DeliverySettings
    from pipeline.delivery.values import feed_name
    from pipeline.errors import ConfigError

    if rollback:
        if preset or rendition or feed or dry_run:
            raise ConfigError("--rollback stands alone: it makes nothing, and goes back")
        result = publishing.roll_back(job, to, rehearse=rehearse)
    else:
        settings = DeliverySettings(
            name=name,
            sku=sku,
            feeds=tuple(dict.fromkeys([feed_name(one) for one in feed or ()])),
            base_url=base_url,
            title=title,
            alt_text=alt_text,
            approved_only=approved_only,
            undecided_too=undecided_too,
            only=tuple(only or ()),
        )
        with bar("renditions") as observe:
            result = asyncio.run(
                publishing.deliver(
                    job,
                    to,
                    presets=[preset] if preset else (),
                    renditions=[rendition] if rendition else (),
                    settings=settings,
                    dry_run=dry_run,
                    rehearse=rehearse,
                    observe=observe,
                )
            )
    if as_json:
        words.print_json(result)
    else:
        print_delivered(Console(highlight=False), result, job, rehearsal=rehearse)


def print_rendered(console: "Console", result: "RenderResult") -> None:
    """What making renditions came to: counts, what to know, what went wrong."""
    from rich.table import Table
    from rich.text import Text

    from pipeline.cli.asking import say
    from pipeline.cli.words import near
    from pipeline.terminal.words import counted, in_bytes

    rows = (
        (result.made, "green", "made", f"{in_bytes(result.size)} in {result.seconds:,.1f} s"),
        (result.unchanged, "dim", "unchanged", ""),
        (result.removed, "yellow", "removed", "their pictures are gone, rejected or renamed"),
        (result.failed, "red", "failed", ""),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=7)
    for count, style, name, meaning in rows:
        if count:
            bold = style if style == "dim" else f"bold {style}"
            table.add_row(Text(f"{count:,}", bold), Text(name, style), Text(meaning, "dim"))
    if result.finished is not None and not (result.finished.idle and result.renditions):
        _say_finished(console, result.finished)
    if result.renditions:
        names = ", ".join(result.renditions)
        head = Text(f"  renditions of {counted(result.edits, 'edit')}: ").append(names, "bold")
        say(console, head)
    elif result.finished is None:
        say(console, Text("  nothing to make", "dim"))
    if any(row[0] for row in rows):
        console.print(table)
    if result.notes or result.problems or (result.finished and result.finished.problems):
        console.print(_details(result))
    if result.failed > len(result.problems):
        console.print(f"  … and {result.failed - len(result.problems):,} more that failed")
    if result.stopped:
        say(console, Text("  interrupted: what is made stays; do it again to go on", "yellow"))
    if result.error is not None:
        say(console, Text("  no renditions: ", "bold red").append(result.error))
    if result.renditions:
        say(console, Text(f"  in {near(result.directory)}/", "dim"))


def _say_finished(console: "Console", result: "FinishedResult") -> None:
    """What became of the pictures that renditions are made from, in a line."""
    from rich.text import Text

    from pipeline.cli.asking import say
    from pipeline.terminal.words import counted

    counts = (
        (result.made, "made again", "bold green"),
        (result.unchanged, "unchanged", "dim"),
        (result.removed, "removed: the job wants none", "yellow"),
        (result.failed, "failed", "bold red"),
    )
    line = Text("  finished pictures: ")
    said = [Text(f"{count:,} {words}", style) for count, words, style in counts if count]
    say(console, line.append_text(Text(", ").join(said or [Text("nothing to do", "dim")])))
    if result.left_to_run:
        edits = counted(result.left_to_run, "edit")
        words = f"  those of {edits} wait for the run that is going on: it makes them at its end"
        say(console, Text(words, "yellow"))


def _details(result: "RenderResult") -> "Table":
    """Notes and problems, those that differ in their numbers alone as one."""
    from rich.table import Table
    from rich.text import Text

    alike: dict[tuple[str, str], tuple[int, str, str]] = {}
    finished = result.finished.problems if result.finished is not None else ()
    for problem in (*finished, *result.problems):
        key = (problem.rendition, _NUMBERS.sub("…", problem.message.replace(problem.id, "…")))
        count, edit_id, first = alike.get(key, (0, problem.id, problem.message))
        alike[key] = (count + 1, edit_id, first)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=7, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for note in result.notes:
        cells = (f"{note.count:,} ×", note.rendition, f"{note.id}: {note.note}")
        table.add_row(*[Text(cell, "dim") for cell in cells])
    for (rendition, _), (count, edit_id, message) in list(alike.items())[:LISTED]:
        cells = (f"{count:,} ×", rendition or "?", f"{edit_id}: {message}")
        table.add_row(Text(cells[0], "bold red"), Text(cells[1]), Text(cells[2]))
    return table


def print_delivered(
    console: "Console", result: "DeliveryResult", job: Path, *, rehearsal: bool = False
) -> None:
    """What a delivery came to, and how to take it back."""
    import shlex

    from rich.text import Text

    from pipeline.cli.asking import say
    from pipeline.cli.words import near
    from pipeline.terminal.words import counted, in_bytes

    to = near(result.to)
    pictures = f"{counted(result.pictures, 'picture')} of {counted(result.products, 'product')}"
    if result.rolled_back:
        say(console, Text(f"{to} shows delivery {result.delivery} again", "bold"))
        say(console, Text(f"  {pictures}; delivery {result.previous} is left behind", "dim"))
        return
    if result.dry_run:
        say(console, Text(f"{pictures} would be delivered to {to}", "bold"))
    elif result.switched:
        head = Text(f"{to} shows delivery {result.delivery}", "bold green")
        say(console, head.append(f": {pictures}, {in_bytes(result.size)}", "default"))
    else:
        head = Text(f"{to} still shows delivery {result.delivery}", "bold")
        say(console, head.append(": nothing has changed", "default"))
    counts = [f"{result.new:,} new", f"{result.unchanged:,} unchanged"]
    if result.removed:
        counts.append(f"{result.removed:,} no longer there")
    what = "pictures" if result.dry_run else "files"
    say(console, Text(f"  {what:<9} {', '.join(counts)}"))
    if result.undecided:
        left = f"{counted(result.undecided, 'edit')} left out, not approved yet"
        say(console, Text(f"  review    {left} (--undecided-too takes them)", "yellow"))
    elif not result.approved_only:
        say(console, Text("  review    nobody has approved anything: all that succeeded", "dim"))
    if result.feeds and not result.dry_run:
        say(console, Text(f"  feeds     {', '.join(result.feeds)}"))
    for note in result.notes:
        say(console, Text(f"  note      {note}", "yellow"))
    if result.switched and result.previous:
        line = f"pipeline deliver {shlex.quote(str(job))} --to {shlex.quote(to)} --rollback"
        line += " --rehearse" if rehearsal else ""
        console.print(Text("  undo      ", "dim").append(line), soft_wrap=True)
