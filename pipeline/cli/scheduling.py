"""`pipeline schedule`: jobs that run by themselves, and units for other schedulers."""

import errno
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import AsJson
from pipeline.errors import ConfigError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.scheduling import Listed, Notice

app = typer.Typer()

NARROW = 84
"""Columns, below which a job of the list gets two lines."""


@app.command()
def schedule(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[JOBS_FOLDER] | export JOB",
            help="The folder with the job files, 'jobs' if none is named; or a job to export.",
            show_default=False,
        ),
    ] = None,
    max_runs: Annotated[
        int | None, typer.Option(min=1, max=64, metavar="N", help="At most N runs at once; 2.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="Show when each job runs next; start nothing.")
    ] = False,
    once: Annotated[
        str | None, typer.Option(metavar="NAME", help="Run this job now, then end.")
    ] = None,
    jitter: Annotated[
        bool, typer.Option("--jitter", help="With --once: first wait as the job's jitter says.")
    ] = False,
    health: Annotated[
        bool, typer.Option("--health", help="Ask whether a scheduler follows all the jobs.")
    ] = False,
    format: Annotated[  # noqa: A002 - the option's name
        str | None,
        typer.Option(
            metavar="FORMAT", help="Export as systemd, crontab, kubernetes or github-actions."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Export: write the files there instead of showing them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the scheduled jobs of a folder when they are due, until Ctrl-C or SIGTERM."""
    words = words or []
    if words[:1] == ["export"]:
        if len(words) != 2 or format is None:
            raise ConfigError(
                "schedule export takes a job and a format, as in"
                " pipeline schedule export jobs/catalog.yaml --format systemd"
            )
        _export(Path(words[1]), format, output)
        return
    if len(words) > 1:
        raise ConfigError(f"schedule takes one folder, not {len(words)}: {', '.join(words)}")
    if format is not None or output is not None:
        raise ConfigError("--format and --output go with `pipeline schedule export JOB`")
    if sum([show, health, once is not None]) > 1:
        raise ConfigError("--list, --health and --once do not go together (give one of them)")
    if jitter and once is None:
        raise ConfigError("--jitter goes with --once: the daemon does it by itself")
    folder = Path(words[0]) if words else Path("jobs")
    if show or health:
        _look(folder, health=health, as_json=as_json)
    elif once is not None:
        _once(folder, once, jitter=jitter, as_json=as_json)
    else:
        _daemon(folder, max_runs, as_json=as_json)


def _daemon(folder: Path, max_runs: int | None, *, as_json: bool) -> None:
    import asyncio

    from pipeline import scheduling

    asyncio.run(
        scheduling.schedule(
            folder,
            max_runs=max_runs or scheduling.MAX_RUNS,
            observe=_teller(as_json),
            signals=True,
        )
    )


def _once(folder: Path, name: str, *, jitter: bool, as_json: bool) -> None:
    import asyncio

    from pipeline import scheduling

    tell = _teller(as_json)
    try:
        ending = asyncio.run(scheduling.once(folder, name, jitter=jitter, tell=tell, signals=True))
    except PipelineError as error:
        if as_json:  # whoever reads the lines alone is to be told, too
            values = {"exit_code": error.exit_code, "error": str(error)}
            tell(scheduling.Notice(event="error", job=name, text=str(error), values=values))
        raise
    raise typer.Exit(1 if ending.exit_code is None else ending.exit_code % 256)


def _look(folder: Path, *, health: bool, as_json: bool) -> None:
    from pipeline import scheduling
    from pipeline.cli.words import print_json

    jobs = scheduling.listed(folder)
    if health:
        count = scheduling.check_life(jobs)
        if as_json:
            print_json({"followed": count})
        else:
            print(f"{count} scheduled job{'' if count == 1 else 's'}, followed and alive")
    elif as_json:
        print_json({"jobs": jobs})
    else:
        _print_list(folder, jobs)


def _export(job: Path, format: str, output: Path | None) -> None:  # noqa: A002
    import shlex
    import shutil

    from pipeline.errors import StoreError
    from pipeline.scheduling.units import export

    found = shutil.which("pipeline", path=str(Path(sys.executable).parent))
    command = shlex.quote(found) if found else f"{shlex.quote(sys.executable)} -m pipeline"
    files = export(job, format, command=command)
    if output is None:
        # A lone file goes to a pipe or a file as it is; several are told apart.
        for name, text in files.items():
            head = f"# --- {name}\n" if len(files) > 1 else ""
            sys.stdout.write(head + text)
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (output / name).write_text(text, encoding="utf-8")
            print(output / name)
    except OSError as error:
        raise StoreError(f"{output}: {error.strerror or error} (make it writable)") from error


def _teller(as_json: bool) -> "Callable[[Notice], None]":
    from pipeline.scheduling import notices
    from pipeline.terminal.words import clean

    def tell(notice: "Notice") -> None:
        now = time.time()
        if as_json:
            line = notices.line_of(notice, now)
        else:
            who = "scheduler" if notice.job is None else clean(notice.job)
            first, *rest = notice.text.splitlines() or [""]
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            line = "\n".join([f"{stamp}  {who}  {clean(first)}", *("  " + clean(r) for r in rest)])
        try:
            print(line, flush=True)
        except OSError as error:
            # A log that is full for a while is no reason to leave the jobs alone: what became of
            # them is beside their ledgers as well.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    return tell


def _print_list(folder: Path, jobs: "Sequence[Listed]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pipeline.scheduling.times import in_words

    console = Console(highlight=False)
    scheduled = [job for job in jobs if job.cron is not None]
    if not scheduled:
        print(
            f"No job in {folder} has a schedule (add one: schedule: {{cron: '0 3 * * *', timezone:"
            " Europe/Berlin})"
        )
    now, narrow = time.time(), console.width < NARROW
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("job", "next", "in") if narrow else ("job", "next", "UTC", "in", "last"):
        table.add_column(title, no_wrap=title not in ("job", "last"), overflow="fold")
    for job in scheduled:
        last = Text(_last(job, now), style="" if _well(job) else "yellow")
        if job.running_since is not None:
            last = Text(f"running for {in_words(now - job.running_since)}", style="green")
        local, utc, left = "never", "", ""
        if job.next:
            first = job.next[0]
            jitter = f" + {in_words(first.jitter_s)}" if first.jitter_s >= 1 else ""
            local, utc, left = first.local + jitter, first.utc[11:16], in_words(first.at - now)
        table.add_row(*((job.job, local, left) if narrow else (job.job, local, utc, left, last)))
        if narrow:
            table.add_row("", last)
    if scheduled:
        console.print(table)
        alone = [job.job for job in scheduled if not job.followed]
        if alone:
            all_of_them = len(alone) == len(scheduled)
            who = f"No scheduler follows {'them' if all_of_them else ', '.join(alone)}"
            console.print(Text(f"{who}: start one with pipeline schedule {folder}", "yellow"))
    without = [job.job for job in jobs if job.cron is None and job.problem is None]
    if without and scheduled:
        console.print(Text(f"Without a schedule: {', '.join(without)}", "dim"))
    for job in jobs:
        if job.problem is not None:
            console.print(Text(f"Does not load: {job.problem}", "red"))


def _last(job: "Listed", now: float) -> str:
    from pipeline.scheduling.notices import meaning_of
    from pipeline.scheduling.times import in_words

    last = job.last
    if last is None:
        return "-"
    if last.outcome == "skipped":
        return last.words
    ago = now - last.ended_at
    return f"{meaning_of(last.exit_code)}, {in_words(ago - ago % 60 if ago > 60 else ago)} ago"


def _well(job: "Listed") -> bool:
    return job.last is None or job.last.exit_code == 0
