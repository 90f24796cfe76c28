"""`report`: the review gallery, as a command."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.bars import bar
from pipeline.cli.options import AsJson, JobFile, OfRehearsal, Only

if TYPE_CHECKING:
    from pipeline.gallery import ReportResult

app = typer.Typer()


@app.command()
def report(
    job: JobFile,
    only: Only = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also draw a sheet to mail around: a .jpg or a .pdf."),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help="On the sheet: only these, as in succeeded,rejected."),
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser when it is done.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Make the review gallery: before and after, to look through and decide. Also while it runs."""
    from pipeline import api
    from pipeline.cli import words
    from pipeline.cli.each import do_each
    from pipeline.errors import ConfigError
    from pipeline.preview import refuse_several

    if status and contact_sheet is None:
        raise ConfigError("--status is about the contact sheet: give --contact-sheet as well")
    if contact_sheet is not None:
        refuse_several(api.load_job(job))

    def one(job: Path) -> int:
        with bar("previews") as observe:
            found = api.report(
                job,
                only=only or (),
                rehearse=rehearse,
                contact_sheet=contact_sheet,
                statuses=status or (),
                observe=observe,
            )
        if as_json:
            words.print_json(found)
        else:
            _print(found, job, rehearse)
        if open_ and not _opened(found.index):
            print(f"No browser could be opened: open {found.index} yourself.", file=sys.stderr)
        return 0

    raise typer.Exit(do_each(job, one, quiet=as_json))


def _print(found: "ReportResult", job: Path, rehearse: bool) -> None:
    from pipeline.cli.words import near
    from pipeline.manifest.problems import listed
    from pipeline.preview.orphans import WAY_OUT
    from pipeline.terminal.words import clean, counted

    edits = counted(found.edits, "edit")
    previews = f"{counted(found.made, 'preview')} made" if found.made else "no preview to make"
    if found.kept:
        previews += f", {found.kept:,} there already"
    print(f"{near(found.index)}\n  {edits}; {previews}")
    if found.unreadable:
        one = found.unreadable == 1
        print(
            f"  {found.unreadable:,} picture{' has' if one else 's have'} no preview:"
            " away, damaged, or of a kind that cannot be read"
        )
    if found.orphaned_redos:
        count = counted(len(found.orphaned_redos), "redo")
        print(f"  no run asks for {count}, {clean(listed(found.orphaned_redos))}: {WAY_OUT}")
    if found.sheet is not None:
        print(f"  contact sheet: {found.sheet}")
    if found.edits:
        option = " --rehearse" if rehearse else ""
        print(
            f"  next: look through it, export your decisions, and give them back:\n"
            f"        pipeline review {job} decisions.csv{option}"
        )


def _opened(index: Path) -> bool:
    import webbrowser

    try:
        return webbrowser.open(index.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False
