"""The commands: each a few lines around a function of `pipeline.api`.

Exit codes: 0 all done or nothing to do, 1 a bug, 2 configuration, 3 some edits did not succeed,
4 stopped by a fatal error, 5 stopped by a money cap or a guard rail, 6 another run holds the lock,
130 interrupted.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from typer.models import CommandInfo

from pipeline import __version__
from pipeline.cli import (
    comparing,
    exporting,
    history,
    inspecting,
    notifying,
    publishing,
    quickly,
    rechecking,
    reporting,
    reviewing,
    scheduling,
    serving,
    steering,
    upkeep,
)
from pipeline.cli.options import (
    AsJson,
    BaseUrl,
    JobFile,
    Limit,
    OfRehearsal,
    Only,
    Rehearse,
    Showing,
)
from pipeline.cli.sending import Running, unfolded

if TYPE_CHECKING:
    from pipeline.running import RunResult

app = typer.Typer(
    name="pipeline",
    help="Bulk image editing: a manifest in, pictures and a results ledger out.",
    epilog=(
        "Exit codes: 0 all done, 1 a bug, 2 configuration, 3 some edits did not succeed,"
        " 4 fatal error, 5 money cap or guard rail, 6 locked, 130 interrupted."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ROOMS = (
    comparing,
    exporting,
    history,
    inspecting,
    notifying,
    publishing,
    quickly,
    rechecking,
    reporting,
    reviewing,
    scheduling,
    serving,
    steering,
    upkeep,
)
"""Where the other commands are."""

PANELS = {
    "Begin": ("init", "quick", "check", "plan"),
    "Run": ("run", "retry", "status", "pause", "resume", "tune", "stop"),
    "By itself, and by browser": ("schedule", "history", "notify", "serve"),
    "Look and decide": ("report", "review", "compare", "recheck", "inspect"),
    "Publish": ("render", "deliver", "export"),
    "Put right": ("reconcile", "fsck"),
    "Try out": ("emulator",),
}
"""Every command, as the help lists them."""


def _version(asked: bool) -> None:
    if asked:
        print(f"pipeline {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to start in.")],
) -> None:
    """Start: write a job, a manifest and a picture, with comments, into DIR."""
    from pipeline.cli.start import write_start

    job = write_start(directory)
    print(
        f"Wrote a job, a manifest and a sample picture into {directory}/.\n"
        f"  look:      {job}\n"
        f"  check:     pipeline check {job}\n"
        f"  rehearse:  pipeline run {job} --rehearse"
    )


@app.command()
def check(
    job: JobFile,
    online: Annotated[
        bool,
        typer.Option("--online", help="Ask the endpoint about key, balance, model and price, too."),
    ] = False,
    base_url: BaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Read everything: the job, every row, every input's presence. Offline, unless asked to ask."""
    import asyncio

    from pipeline import api
    from pipeline.cli import words
    from pipeline.cli.each import each_model

    wrong = False
    for each in each_model(job):
        loaded = api.load_job(each)
        report = api.check(loaded)
        found = None
        if online and not report.problem_count:
            found = asyncio.run(api.check_online(loaded, base_url=base_url))
        if as_json:
            words.print_json(report if found is None else words.merged(report, online=found))
        else:
            words.print_check(report, found, of="" if each == job else each.name)
        wrong = wrong or report.problem_count > 0
    if wrong:
        raise typer.Exit(2)


@app.command()
def plan(
    job: JobFile,
    only: Only = None,
    limit: Limit = None,
    rehearse: Rehearse = False,
    as_json: AsJson = False,
) -> None:
    """Say what a run would do and cost; sends nothing."""
    from pipeline import api
    from pipeline.cli import words
    from pipeline.cli.designing import print_sum
    from pipeline.cli.each import each_model
    from pipeline.guard_rails import foresee

    plans = []
    for each in each_model(job):
        found = api.plan(each, only=only or (), limit=limit, rehearse=rehearse)
        plans.append(found)
        if as_json:
            words.print_json(found)
        else:
            words.print_plan(found, of="" if each == job else each.name)
            words.print_foreseen(foresee(each, found, rehearse=rehearse))
    if len(plans) > 1 and not as_json:
        print_sum(plans)


@app.command()
@unfolded
def run(
    job: JobFile,
    *,
    only: Only = None,
    canary: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="First N edits, spread over the manifest; then ask, or judge."
        ),
    ] = None,
    export: Annotated[
        bool, typer.Option("--export", help="At the end, make the job's exports, too.")
    ] = False,
    running: Running,
    showing: Showing,
) -> None:
    """Do the job: ask for every edit that is not done yet, and keep what comes back."""
    from pipeline import api
    from pipeline.cli.driving import drive
    from pipeline.cli.each import run_each
    from pipeline.cli.summary import conclude

    def one(job: Path, max_cost: float | None) -> "RunResult":
        capped = msgspec.structs.replace(running, max_cost=max_cost)
        result = drive(job, api.run, capped, showing, export=export, only=only or (), canary=canary)
        conclude(result, job, capped, showing)
        return result

    raise typer.Exit(run_each(job, one, running.max_cost))


@app.command()
def status(
    job: JobFile,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep it in view until the run ends, or Ctrl-C.")
    ] = False,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Say how a job stands: live while it runs, and what its ledger holds."""
    from pipeline.cli.standing import show_status, watch_status

    if watch:
        watch_status(job, rehearse=rehearse, as_json=as_json)
    else:
        show_status(job, rehearse=rehearse, as_json=as_json)


@app.command()
def emulator(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="0 takes a free one.")
    ] = 0,
    profile: Annotated[
        str, typer.Option(metavar="FILE|NAME", help="calm, realistic, storm, demo, or a file.")
    ] = "calm",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed, the same faults.")] = 0,
) -> None:
    """Play the endpoint on this machine, until Ctrl-C."""
    from pipeline.emulator import ProfileError, load_profile, serve
    from pipeline.errors import ConfigError

    def announce(url: str) -> None:
        print(f"The endpoint is played at {url} ({chosen.name}). Ctrl-C ends it.", flush=True)

    try:
        chosen = load_profile(profile)
        serve(host=host, port=port, profile=chosen, seed=seed, announce=announce)
    except (ProfileError, OSError) as error:
        raise ConfigError(f"emulator: {error}") from error


def _in_panels() -> list[CommandInfo]:
    found = {
        command.callback.__name__: command
        for typed in (app, *[room.app for room in ROOMS])
        for command in typed.registered_commands
        if command.callback is not None
    }
    for panel, names in PANELS.items():
        for name in names:
            found[name].rich_help_panel = panel
    return [found[name] for names in PANELS.values() for name in names]


app.registered_commands = _in_panels()
