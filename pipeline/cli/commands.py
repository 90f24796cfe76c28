"""The commands: each a few lines around a function of `pipeline.api`.

Exit codes: 0 all done or nothing to do, 1 a bug, 2 configuration, 3 some edits did not succeed,
4 stopped by a fatal error, 5 stopped by a money cap, 6 another run holds the lock, 130 interrupted.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline import __version__
from pipeline.cli import upkeep

if TYPE_CHECKING:
    from pipeline.canary import CanaryReport
    from pipeline.preview import Plan
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

JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="The job file, as in jobs/shop.yaml.")]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Only this edit; may be a glob, may be repeated."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask for at most so many edits.")]
BaseUrl = Annotated[
    str | None, typer.Option(metavar="URL", help="Another endpoint of the same kind.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One line of JSON on standard output.")]
Rehearse = Annotated[
    bool,
    typer.Option(
        "--rehearse", help="Against the endpoint played on this machine: no key, no cost."
    ),
]

app.add_typer(upkeep.app)


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

    loaded = api.load_job(job)
    report = api.check(loaded)
    found = None
    if online and not report.problem_count:
        found = asyncio.run(api.check_online(loaded, base_url=base_url))
    if as_json:
        words.print_json(report if found is None else words.merged(report, online=found))
    else:
        words.print_check(report, found)
    if report.problem_count:
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

    found = api.plan(job, only=only or (), limit=limit, rehearse=rehearse)
    if as_json:
        words.print_json(found)
    else:
        words.print_plan(found)


@app.command()
def run(
    job: JobFile,
    only: Only = None,
    limit: Limit = None,
    rehearse: Rehearse = False,
    profile: Annotated[
        str, typer.Option(metavar="FILE|NAME", help="How the rehearsal's endpoint behaves.")
    ] = "calm",
    base_url: BaseUrl = None,
    max_cost: Annotated[
        float | None,
        typer.Option(metavar="USD", help="At most so many dollars, if the job allows them."),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="First N edits, spread over the manifest; then ask, or judge."
        ),
    ] = None,
    no_preflight: Annotated[
        bool,
        typer.Option("--no-preflight", help="Do not look at key, balance, model and price first."),
    ] = False,
    accept_origin: Annotated[
        bool,
        typer.Option("--accept-origin", help="Go on in a ledger that belongs to another endpoint."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask anything.")] = False,
    as_json: AsJson = False,
) -> None:
    """Do the job: ask for every edit that is not done yet, and keep what comes back."""
    import asyncio

    from pipeline import api
    from pipeline.cli import asking, words

    loaded = api.load_job(job)
    terminal = sys.stderr.isatty()
    counted: list[Plan] = []

    def confirm(found: "Plan") -> bool:
        counted.append(found)
        free = rehearse or not found.requests
        return asking.agree(found, above_usd=loaded.confirm_above_usd, ask=not (yes or free))

    async def go() -> "RunResult":
        total = lambda: counted[0].requests if counted else None  # noqa: E731
        with words.progress(terminal, total) as observe:

            def approve(report: "CanaryReport") -> bool:
                with observe.aside():
                    return asking.approve(report)

            return await api.run(
                loaded,
                only=only or (),
                limit=limit,
                base_url=base_url,
                rehearse=rehearse,
                profile=profile,
                accept_origin=accept_origin,
                max_cost_usd=max_cost,
                preflight=not no_preflight,
                canary=canary,
                approve=approve if terminal and not yes else None,
                confirm=confirm if terminal and not yes else None,
                observe=observe,
                signals=True,
            )

    result = asyncio.run(go())
    if as_json:
        words.print_json(result)
    else:
        words.print_result(result, job=job, rehearsal=rehearse)
    raise typer.Exit(result.exit_code)


@app.command()
def status(job: JobFile, rehearse: Rehearse = False, as_json: AsJson = False) -> None:
    """Say how a job stands, also while it runs."""
    from pipeline import api
    from pipeline.cli import words

    found = api.status(job, rehearse=rehearse)
    if as_json:
        words.print_json(found)
    else:
        words.print_status(found)


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
