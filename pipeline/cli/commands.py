"""The commands: each a few lines around a function of `pipeline.api`.

Exit codes: 0 all done or nothing to do, 1 a bug, 2 configuration, 3 some edits did not succeed,
4 stopped by a fatal error, 5 stopped by a money cap, 6 another run holds the lock, 130 interrupted.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    AcceptOrigin,
    AsJson,
    BaseUrl,
    Interval,
    JobFile,
    Limit,
    LogJson,
    MaxCost,
    MetricsPort,
    NoGuards,
    NoPreflight,
    OfRehearsal,
    Only,
    Quiet,
    RehearsalProfile,
    Rehearse,
    Showing,
    Verbose,
    Yes,
)

if TYPE_CHECKING:
    from pipeline.running import RunResult

app = typer.Typer(
    name="pipeline",
    help="Bulk image editing: a manifest in, pictures and a results ledger out.",
    epilog=(
        "Exit codes: 0 all done, 2 configuration, 3 some edits did not succeed, 4 fatal error,"
        " 5 money cap, 6 locked, 130 interrupted."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(quickly.app)
app.add_typer(history.app)
app.add_typer(notifying.app)
app.add_typer(reporting.app)
app.add_typer(comparing.app)
app.add_typer(upkeep.app)
app.add_typer(exporting.app)
app.add_typer(inspecting.app)
app.add_typer(rechecking.app)
app.add_typer(reviewing.app)
app.add_typer(publishing.app)
app.add_typer(steering.app)
app.add_typer(serving.app)
app.add_typer(scheduling.app)


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
    from pipeline.cli.designing import each_model

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
    from pipeline.cli.designing import each_model, print_sum
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
def run(
    job: JobFile,
    only: Only = None,
    limit: Limit = None,
    rehearse: Rehearse = False,
    profile: RehearsalProfile = "calm",
    base_url: BaseUrl = None,
    max_cost: MaxCost = None,
    canary: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="First N edits, spread over the manifest; then ask, or judge."
        ),
    ] = None,
    no_preflight: NoPreflight = False,
    no_guards: NoGuards = False,
    accept_origin: AcceptOrigin = False,
    yes: Yes = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_json: LogJson = False,
    interval: Interval = 30.0,
    metrics_port: MetricsPort = None,
    as_json: AsJson = False,
) -> None:
    """Do the job: ask for every edit that is not done yet, and keep what comes back."""
    from pipeline import api
    from pipeline.cli.designing import run_each
    from pipeline.cli.driving import drive
    from pipeline.cli.summary import conclude

    showing = Showing(quiet=quiet, verbose=verbose, log_json=log_json, interval_s=interval)

    def one(job: Path, max_cost: float | None) -> "RunResult":
        result = drive(
            job,
            api.run,
            showing=showing,
            rehearse=rehearse,
            yes=yes,
            only=only or (),
            limit=limit,
            base_url=base_url,
            profile=profile,
            accept_origin=accept_origin,
            max_cost_usd=max_cost,
            metrics_port=metrics_port,
            preflight=not no_preflight,
            guards=not no_guards,
            canary=canary,
        )
        conclude(
            result,
            job=job,
            rehearsal=rehearse,
            showing=showing,
            as_json=as_json,
            max_cost=max_cost,
        )
        return result

    raise typer.Exit(run_each(job, one, max_cost))


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
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
    profile: Annotated[
        str, typer.Option(metavar="FILE|NAME", help="calm, realistic, storm, demo, or a file.")
    ] = "calm",
    seed: Annotated[int, typer.Option(help="The same seed, the same faults.")] = 0,
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
