"""After a crash, after a bad night: `reconcile`, `retry`, `fsck`, and what they say."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pipeline.cli.options import AsJson, BaseUrl, JobFile, OfRehearsal, Only, Showing
from pipeline.cli.sending import Running, unfolded
from pipeline.terminal.words import counted, in_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.books.matching import Share
    from pipeline.books.reconciling import Reconciliation
    from pipeline.repair.findings import FsckReport
    from pipeline.running import RunResult

app = typer.Typer()

LISTED = 10
"""Examples of each class on the screen; ``--json`` has more."""


@app.command()
def reconcile(
    job: JobFile,
    wait: Annotated[
        float, typer.Option(metavar="S", min=0, help="Wait up to S seconds for what is undecided.")
    ] = 0.0,
    delay: Annotated[
        float, typer.Option(metavar="S", min=0, help="After S seconds the books show a request.")
    ] = 600.0,
    base_url: BaseUrl = None,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Settle requests of unknown outcome with the provider's own log and bill."""
    import asyncio

    from pipeline import api
    from pipeline.cli import words
    from pipeline.cli.each import do_each

    def one(job: Path) -> int:
        found = asyncio.run(
            api.reconcile(
                job,
                wait_s=wait,
                delay_s=delay,
                base_url=base_url,
                rehearse=rehearse,
                observe=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
        if as_json:
            words.print_json(words.merged(found, exit_code=found.exit_code))
        else:
            print_reconciliation(found, job=job, delay_s=delay)
        return found.exit_code

    raise typer.Exit(do_each(job, one, quiet=as_json))


@app.command()
@unfolded
def retry(
    job: JobFile,
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help="Of failed,refused,rejected,unknown; default: all four."),
    ] = None,
    reason: Annotated[
        str | None, typer.Option(metavar="CODE", help="Only with this error code.")
    ] = None,
    only: Only = None,
    running: Running,
    showing: Showing,
) -> None:
    """Ask again for edits that have an outcome; the old one stays until a new one succeeds."""
    from pipeline import api
    from pipeline.cli.driving import drive
    from pipeline.cli.each import run_each
    from pipeline.cli.summary import conclude

    def one(job: Path, max_cost: float | None) -> "RunResult":
        capped = msgspec.structs.replace(running, max_cost=max_cost)
        result = drive(
            job,
            api.retry,
            capped,
            showing,
            status=status or (),
            reason=reason,
            only=only or (),
        )
        nothing = result.ended == "finished" and not result.totals.finished
        if nothing and not (showing.as_json or showing.quiet):
            chosen = [f"status {', '.join(status)}"] if status else []
            chosen += [f"error code {reason}"] if reason else []
            none = " and ".join(chosen) or "such an outcome"
            print(f"Nothing to ask again: no edit with {none}.")
        else:
            conclude(result, job, capped, showing)
        return result

    raise typer.Exit(run_each(job, one, running.max_cost))


@app.command()
def fsck(
    job: JobFile,
    repair: Annotated[
        bool, typer.Option("--repair", help="Mend what can be mended; nothing is lost.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Hold the ledger against the files: missing, damaged, left over, or to be saved."""
    import asyncio

    from pipeline import api
    from pipeline.cli import words
    from pipeline.cli.each import do_each

    def one(job: Path) -> int:
        report = asyncio.run(api.fsck(job, repair=repair, rehearse=rehearse))
        if as_json:
            words.print_json(words.merged(report, exit_code=report.exit_code))
        else:
            print_fsck(report, job=job, repair=repair)
        return report.exit_code

    raise typer.Exit(do_each(job, one, quiet=as_json))


def print_reconciliation(found: "Reconciliation", *, job: Path, delay_s: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    rows: list[tuple[Share, str, str]] = [
        (found.billed_have, "green", "billed, and the picture is with us"),
        (found.billed_lost, "red", "billed, and no picture came"),
        (found.not_billed, "cyan", "not billed: what was set aside is free again"),
        (found.billed_unknown, "red", "billed, and no attempt of this job explains it"),
        (found.undecided, "yellow", "still undecided: the provider's books may lag"),
        (found.unconfirmed, "yellow", "in the ledger as paid, and not on the books: left as it is"),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=7)
    table.add_column(justify="right")
    for number, (share, style, meaning) in enumerate(rows):
        if share.count or number < 2:
            style = style if share.count else "dim"
            table.add_row(
                Text(f"{share.count:,}", style="bold " + style),
                Text(_dollars(share.usd), style=style),
                meaning,
            )
    console.print()
    console.print(table)
    for share, style, meaning in rows[1:]:
        if share.count:
            _print_items(console, share, Text(meaning.partition(":")[0], style=style))
    console.print()
    changed = f"{found.settled:,} settled now" if found.settled else "nothing new to settle"
    console.print(f"  [dim]ledger[/]  {_dollars(found.ledger_usd)}, {changed}")
    if found.unknown_usd:
        console.print(f"  [dim]unsure[/]  up to {_dollars(found.unknown_usd)}")
    for note in found.notes:
        console.print(Text(f"  note    {note}", style="yellow"), soft_wrap=True)
    if found.undecided.count:
        console.print(
            Text(f"  next    pipeline reconcile {job} --wait {delay_s:g}   (or later, without)"),
            soft_wrap=True,
        )
    elif found.settled:
        console.print(
            Text(f"  next    pipeline plan {job}   (what is not done yet, and what it costs)"),
            soft_wrap=True,
        )
    console.print()


def _print_items(console: "Console", share: "Share", title: object) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print()
    console.print(title)
    table = Table.grid(padding=(0, 2))
    for item in share.items[:LISTED]:
        cost = "" if item.usd is None else _dollars(item.usd)
        table.add_row(Text(f"  {item.edit_id or '?'}"), Text(item.id), Text(cost, style="dim"))
    console.print(table)
    if share.count > LISTED:
        console.print(f"  … and {share.count - LISTED:,} more (--json names {len(share.items)})")


MEANINGS = {
    "damaged_ledger": ("the ledger is damaged", ""),
    "open_attempt": ("left open by a process that died", "closed as unknown"),
    "unrecorded": ("paid for and stored, without a record", "adopted: not paid again"),
    "missing": ("the picture is gone", "asked for again by the next run"),
    "damaged": ("the picture is cut off or damaged", "asked for again by the next run"),
    "changed": ("the picture is not the one that came", ""),
    "unreadable": ("the picture cannot be read", ""),
    "orphaned": ("no record knows the picture", "moved to orphaned/"),
    "leftover": ("left behind by a process that died", "removed"),
    "rejected_missing": ("the picture of a rejected edit is gone or damaged", "forgotten"),
    "take_missing": ("the picture of an earlier take is gone", "forgotten"),
}


def print_fsck(report: "FsckReport", *, job: Path, repair: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    pictures = counted(report.pictures, "recorded picture")
    console.print(f"\n{pictures} read and compared, {in_bytes(report.bytes)}")
    if not report.counts:
        console.print("[green]All is well:[/] the ledger and the files agree.")
    for kind, count in report.counts.items():
        meaning, mended = MEANINGS[kind]
        done = report.repaired.get(kind, 0)
        state = Text(f"  → {mended}", style="green") if done == count else Text()
        console.print()
        console.print(Text(f"{count:>7,}  {meaning}", style="bold") + state)
        table = Table.grid(padding=(0, 2))
        shown = [one for one in report.findings if one.kind == kind]
        for one in shown[:LISTED]:
            names = [name for name in (one.edit_id, one.path) if name]
            table.add_row("        ", Text(": ".join(names)), Text(one.detail, style="dim"))
        console.print(table)
        if count > LISTED:
            console.print(f"         … and {count - LISTED:,} more (--json names {len(shown)})")
    _print_next(console, report, job=job, repair=repair)


def _print_next(console: "Console", report: "FsckReport", *, job: Path, repair: bool) -> None:
    from rich.text import Text

    lines = list(report.notes)
    if report.asked_again:
        cost = report.asked_again_usd
        price = "at an unknown price" if cost is None else f"for {_dollars(cost)}"
        whose = "the next run asks" if repair else "after a repair the next run would ask"
        lines.append(f"{whose} again for {counted(report.asked_again, 'edit')}, {price}")
    if report.counts.get("changed"):
        lines.append(
            "changed pictures are yours to judge: to have one anew, delete it and run this command"
            " with --repair"
        )
    mendable = report.left - sum(
        report.counts.get(kind, 0) for kind in ("changed", "unreadable", "damaged_ledger")
    )
    if mendable > 0 and not repair:
        lines.append(f"to mend: pipeline fsck {job} --repair")
    if report.unknown_attempts:
        lines.append(
            f"{counted(report.unknown_attempts, 'attempt')} of unknown outcome:"
            f" pipeline reconcile {job}"
        )
    if lines:
        console.print()
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()


def _dollars(usd: float) -> str:
    return f"${usd:,.3f}".removesuffix("0")
