"""`pipeline quick`: pictures and a prompt, without a job file of one's own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Showing
from pipeline.cli.sending import Sending, unfolded

app = typer.Typer()


@app.command()
@unfolded
def quick(
    *,
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
    model: Annotated[str | None, typer.Option(metavar="ID", help="A model of the catalog.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the model; may be repeated."),
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="USD", min=0, help="At most so many dollars a run.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=4096, metavar="N", help="At most so many requests at once."),
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="First N pictures; then ask, or judge."),
    ] = None,
    sending: Sending,
    showing: Showing,
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
    if not (showing.quiet or showing.log_json):
        print(_said(made.pictures, made.added, str(job)), file=sys.stderr)
    result = drive(Path(job), api.run, sending, showing, canary=canary)
    conclude(result, Path(job), sending, showing)
    raise typer.Exit(result.exit_code)


def _said(pictures: int, added: int | None, job: str) -> str:
    count = f"{pictures:,} picture{'' if pictures == 1 else 's'}"
    if added is None:
        return f"Wrote {job}, with {count}."
    return f"Going on with {job}: {count}, {f'{added:,} of them new' if added else 'none new'}."


def _parameters(given: Sequence[str]) -> dict[str, str]:
    from pipeline.errors import ConfigError

    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--parameter {text!r}: it is no NAME=VALUE (as in aspect_ratio=1:1)")
        found[name.strip()] = value.strip()
    return found
