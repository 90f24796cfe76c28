"""`pipeline quick`: pictures and a prompt, without a job file of one's own."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import (
    AsJson,
    BaseUrl,
    Interval,
    Limit,
    LogJson,
    NoPreflight,
    Quiet,
    RehearsalProfile,
    Rehearse,
    Showing,
    Verbose,
    Yes,
)

app = typer.Typer()


@app.command()
def quick(
    prompt: Annotated[
        str, typer.Option("--prompt", "-p", metavar="TEXT", help="What to do with each picture.")
    ],
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PICTURE", help="More pictures, as a shell makes them of --images *.jpg."
        ),
    ] = None,
    images: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="A file, folder, pattern or URL; may be repeated. ** descends."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="For job, manifest, results; default: named by the prompt."
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="A model of the catalog.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the model; may be repeated."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="At most so many dollars a run.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Requests in flight at once.")
    ] = None,
    limit: Limit = None,
    canary: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="First N pictures; then ask, or judge."),
    ] = None,
    rehearse: Rehearse = False,
    profile: RehearsalProfile = "calm",
    base_url: BaseUrl = None,
    no_preflight: NoPreflight = False,
    yes: Yes = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    log_json: LogJson = False,
    interval: Interval = 30.0,
    as_json: AsJson = False,
) -> None:
    """Edit pictures in one line: writes a job for them, and does it. Again: goes on."""
    from pipeline import api
    from pipeline.cli.driving import drive
    from pipeline.cli.summary import conclude
    from pipeline.cli.words import near
    from pipeline.quick import quick_job

    made = quick_job(
        [*(images or ()), *(pictures or ())],
        prompt=prompt,
        out=out,
        model=model,
        parameters=_parameters(parameter or ()),
        max_cost_usd=max_cost,
        concurrency=concurrency,
    )
    job = near(made.job)
    if not (quiet or log_json):
        print(_said(made.pictures, made.added, str(job)), file=sys.stderr)
    showing = Showing(quiet=quiet, verbose=verbose, log_json=log_json, interval_s=interval)
    result = drive(
        Path(job),
        api.run,
        showing=showing,
        rehearse=rehearse,
        yes=yes,
        limit=limit,
        base_url=base_url,
        profile=profile,
        preflight=not no_preflight,
        canary=canary,
    )
    conclude(result, job=Path(job), rehearsal=rehearse, showing=showing, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _said(pictures: int, added: int | None, job: str) -> str:
    count = f"{pictures:,} picture{'' if pictures == 1 else 's'}"
    if added is None:
        return f"Wrote {job}, with {count}."
    return f"Going on with {job}: {count}, {f'{added:,} of them new' if added else 'none new'}."


def _parameters(given: list[str] | tuple[()]) -> dict[str, str]:
    from pipeline.errors import ConfigError

    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--parameter {text!r}: it is no NAME=VALUE (as in aspect_ratio=1:1)")
        found[name.strip()] = value.strip()
    return found
