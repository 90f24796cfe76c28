"""What `status` says: the run that goes on, as it shows itself; else what the ledger holds."""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import api
from pipeline.cli.each import each_model
from pipeline.cli.history import print_runs
from pipeline.cli.words import merged, near, print_json
from pipeline.errors import ConfigError
from pipeline.job.design import with_model
from pipeline.ledger import RunRow
from pipeline.locking import is_alive
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
NEVER = "This job has not run yet. (For its rehearsal: --rehearse)"
CLOSING_S = 15.0
LOOK_EVERY_S = 0.1


def show_status(job: Path, *, rehearse: bool, as_json: bool) -> None:
    """Once."""
    _show(job, _asked(job, rehearse), as_json)


def watch_status(job: Path, *, rehearse: bool, as_json: bool) -> None:
    """Until the run ends, of several models the last of them; then once more, from the ledger.
    Ctrl-C ends the watching only.
    """
    found = _asked(job, rehearse)
    try:
        while going := next((one for one in found if one.live is not None), None):
            try:
                if as_json:
                    _watch_as_json(going)
                else:
                    _watch(going)
            except ConfigError as error:  # it went away, or answers no more: the ledger is left
                print(f"{clean(str(error))}; from the ledger:", file=sys.stderr)
                found = _at_its_end(job, rehearse, going)
                break
            found = _at_its_end(job, rehearse, going)
    except KeyboardInterrupt:
        return
    _show(job, found, as_json)


def _asked(job: Path, rehearse: bool) -> list[JobStatus]:
    """Of each of its models, where it has several."""
    return [api.status(each, rehearse=rehearse) for each in each_model(job)]


def _show(job: Path, found: Sequence[JobStatus], as_json: bool) -> None:
    if as_json:
        for one in found:
            print_json(one)
    elif len(found) == 1:
        print_status(found[0])
    else:
        print_models(job, found)


def _at_its_end(job: Path, rehearse: bool, watched: JobStatus) -> list[JobStatus]:
    """A run that answers no more is closing its books: that takes a moment. And its process may go
    on to the next model, once it has made renditions and exports of this one.
    """
    until, said = time.monotonic() + CLOSING_S, False
    while True:
        found = _asked(job, rehearse)
        one = _latest_of_process(found, watched)
        if one is None or one.run is None or is_cut_off(one):
            return found
        if any(each.live is not None for each in found):
            return found
        if one.run.ended is None:
            if time.monotonic() > until:
                return found
        elif one is found[-1] or not _goes_on(one.run):
            return found
        elif not said:
            said = True
            print(
                f"{one.model}: {one.run.ended}; process {one.run.pid} makes what follows, and goes"
                " on to the next model",
                file=sys.stderr,
            )
        time.sleep(LOOK_EVERY_S)


def _latest_of_process(found: Sequence[JobStatus], watched: JobStatus) -> JobStatus | None:
    """The run that was watched, or the one of a later model that its process has begun since."""
    first = watched.run
    own = [
        one
        for one in found
        if first is not None
        and one.run is not None
        and (one.run.pid, one.run.host) == (first.pid, first.host)
        and one.run.started_at >= first.started_at
    ]
    return own[-1] if own else None


def _goes_on(run: RunRow) -> bool:
    """Whether its process may ask another model now: after another exit code it does not."""
    return run.exit_code in (0, 3) and is_alive(run.pid, run.host) is True


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
        console.print(NEVER)
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


def print_models(job: Path, found: Sequence[JobStatus]) -> None:
    """For a person: a line for each model, and the sum; above, the runs that go on."""
    console = Console(highlight=False)
    if all(one.run is None for one in found):
        console.print(NEVER)
        return
    console.print()
    for one in found:
        if one.live is not None:
            _print_live(console, one.live)
            console.print()
    statuses = list(dict.fromkeys([total.status for one in found for total in one.edits]))
    counts = [
        [sum([total.count for total in one.edits if total.status == status]) for status in statuses]
        for one in found
    ]
    spent = [one.spent_usd for one in found]
    heads = [Text(status, style=STYLES.get(status, "")) for status in statuses]
    rows = [[Text(), *heads, Text("spent", style="dim"), Text()]]
    for one, numbers, usd in zip(found, counts, spent, strict=True):
        cells = [Text(f"{number:,}") for number in numbers]
        rows.append([Text(clean(one.model)), *cells, Text(dollars(usd)), _in_words(one)])
    sums = [f"{sum(numbers):,}" for numbers in zip(*counts, strict=True)]
    rows.append([Text(each, style="bold") for each in ("sum", *sums, dollars(sum(spent)), "")])
    widths = [max([len(row[place]) for row in rows]) for place in range(len(rows[0]))]
    for row in rows:
        line = Text("  ")
        for place, cell in enumerate(row):
            gap = " " * (widths[place] - len(cell))
            to_the_left = place in (0, len(row) - 1)
            line.append_text(cell + gap if to_the_left else Text(gap) + cell).append("  ")
        line.rstrip()
        console.print(line, soft_wrap=True)
    console.print()
    _say(console, "more", f"pipeline status {shlex.quote(str(with_model(job, found[0].model)))}")
    console.print()


def _in_words(found: JobStatus) -> Text:
    run = found.run
    if found.live is not None:
        return Text(found.live.state, style="bold")
    if run is None:
        return Text("not run yet", style="dim")
    if run.ended is not None:
        style = "green" if run.exit_code == 0 else "yellow"
        return Text(f"{run.ended} ({run.exit_code})", style=style)
    if is_cut_off(found):
        return Text("cut off", style="red")
    return Text(f"going on as process {run.pid} on {clean(run.host)}")


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
