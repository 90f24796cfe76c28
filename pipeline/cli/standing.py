"""What `status` says: the run that goes on, as it shows itself; else what the ledger holds."""

import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import api
from pipeline.cli.history import print_runs
from pipeline.cli.words import merged, near, print_json
from pipeline.errors import ConfigError
from pipeline.ledger import RunRow
from pipeline.manifest.problems import listed
from pipeline.past_runs import PastRun
from pipeline.preview.orphans import WAY_OUT
from pipeline.snapshot import Snapshot
from pipeline.standing import JobStatus, is_cut_off
from pipeline.steering.client import watch
from pipeline.terminal.block import ASCII, STYLES, UNICODE, block, one_line
from pipeline.terminal.live import show
from pipeline.terminal.painter import Painter
from pipeline.terminal.pen import Pen
from pipeline.terminal.words import clean, counted, dollars

DECISIONS = ("approved", "rejected", "redo")
CLOSING_S = 15.0


def show_status(job: Path, *, rehearse: bool, as_json: bool) -> None:
    """Once."""
    found = api.status(job, rehearse=rehearse)
    if as_json:
        print_json(found)
    else:
        print_status(found)


def watch_status(job: Path, *, rehearse: bool, as_json: bool) -> None:
    """Until the run ends; then once more, from the ledger. Ctrl-C ends the watching only."""
    found = api.status(job, rehearse=rehearse)
    if found.live is not None:
        try:
            if as_json:
                _watch_as_json(found)
            else:
                _watch(found)
        except KeyboardInterrupt:
            return
        except ConfigError as error:  # it went away, or answers no more: the ledger is left
            print(f"{clean(str(error))}; from the ledger:", file=sys.stderr)
        found = _at_its_end(job, rehearse)
    if as_json:
        print_json(found)
    else:
        print_status(found)


def _at_its_end(job: Path, rehearse: bool) -> JobStatus:
    """A run that answers no more is closing its books: that takes a moment."""
    until = time.monotonic() + CLOSING_S
    while True:
        found = api.status(job, rehearse=rehearse)
        gone = found.run is None or found.run.ended is not None or is_cut_off(found)
        if gone or found.live is not None or time.monotonic() > until:
            return found
        time.sleep(0.1)


def _watch(found: JobStatus) -> None:
    console = Console(highlight=False)
    if not console.is_terminal or console.is_dumb_terminal or console.legacy_windows:
        for snapshot in watch(found.outputs):
            print(f"{time.strftime('%H:%M:%S')} {one_line(snapshot)}", flush=True)
        return
    pen = Pen(console.file)
    painter = Painter(console, pen)
    try:
        for snapshot in watch(found.outputs):
            show(snapshot, console, painter)
    finally:
        painter.clear()
        pen.close()


def _watch_as_json(found: JobStatus) -> None:
    for snapshot in watch(found.outputs):
        print_json(merged(found, live=msgspec.to_builtins(snapshot)))
        sys.stdout.flush()


def print_status(found: JobStatus) -> None:
    """For a person."""
    console = Console(highlight=False)
    run = found.run
    if run is None:
        console.print("This job has not run yet. (For its rehearsal: --rehearse)")
        return
    console.print()
    if found.live is not None:
        _print_live(console, found.live)
        console.print()
    else:
        _print_run(console, found, run)
    _print_edits(console, found)
    _print_problems(console, found)
    _print_history(console, found.history)
    if found.orphaned_redos:
        count = counted(len(found.orphaned_redos), "redo")
        names = clean(listed(found.orphaned_redos))
        _say(console, "note", f"no run asks for {count}, {names}: {WAY_OUT}")
    if found.pace is not None:
        _say(console, "pace", clean(found.pace))
    _say(console, "in", f"{clean(near(found.outputs))}/")
    console.print()


def _print_live(console: Console, live: Snapshot) -> None:
    glyphs = ASCII if console.options.ascii_only else UNICODE
    for line in block(live, width=console.width - 1, glyphs=glyphs):
        console.print(line, soft_wrap=True)
    where = f"run {live.run_id}, process {live.pid} on {clean(live.host)}"
    console.print(
        Text(f"  {where}, {live.model} at {clean(live.endpoint)}", style="dim"), soft_wrap=True
    )


def _print_run(console: Console, found: JobStatus, run: RunRow) -> None:
    head = Text(f"run {run.id}: ", style="bold")
    if run.ended is not None:
        style = "green" if run.exit_code == 0 else "yellow"
        head.append(f"{run.ended}, exit code {run.exit_code}", f"not bold {style}")
    elif is_cut_off(found):
        head.append(f"{found.not_live} (the next run goes on where it was)", "not bold red")
    else:
        head.append(f"going on as process {run.pid} on {run.host}", "not bold")
    console.print(head, soft_wrap=True)
    if run.ended is None and not is_cut_off(found):
        note = f"It cannot be asked: {clean(found.not_live)}. From the ledger:"
        console.print(Text(note, style="yellow"), soft_wrap=True)
    console.print()


def _print_edits(console: Console, found: JobStatus) -> None:
    """All edits of the ledger, of all runs."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=8)
    table.add_column()
    table.add_column(justify="right")
    for total in found.edits:
        table.add_row(
            f"{total.count:,}",
            Text(total.status, style=STYLES.get(total.status, "")),
            dollars(total.cost_usd),
        )
    if found.in_flight:
        table.add_row(f"{found.in_flight:,}", "in flight", "")
    for decision in DECISIONS:
        if count := found.decisions.get(decision):
            table.add_row(f"{count:,}", Text(f"{decision} by a person", style="dim"), "")
    console.print(table)


def _print_problems(console: Console, found: JobStatus) -> None:
    problems = [attempt for attempt in found.attempts if attempt.error_code]
    if not problems:
        return
    console.print("\n  attempts that did not succeed", style="dim")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", min_width=8, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in problems:
        table.add_row(f"{one.count:,}", Text(one.error_code or ""), Text(clean(one.example or "")))
    console.print(table)


def _print_history(console: Console, runs: tuple[PastRun, ...]) -> None:
    ended = [run for run in runs if run.ended is not None]
    console.print()
    if not ended:
        return
    console.print("  the last runs", style="dim")
    print_runs(console, ended, now=time.time())
    console.print()


def _say(console: Console, label: str, words: str) -> None:
    console.print(Text.assemble((f"  {label:<9} ", "dim"), words), soft_wrap=True)
