"""A run that goes on in another terminal: `pause`, `resume`, `tune`, `stop`, and what they say."""

import shlex
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.options import AsJson, JobFile, OfRehearsal

if TYPE_CHECKING:
    from pipeline.snapshot import Snapshot

app = typer.Typer()


def _rate(option: str, text: str) -> float | None:
    if text.strip().lower() == "none":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not (isfinite(rate) and rate > 0):
        problem = f"{text!r} is not a number above 0, nor none."
        raise typer.BadParameter(problem, param_hint=option)
    return rate


Concurrency = Annotated[
    int | None,
    typer.Option(min=1, max=4096, metavar="N", help="At most so many requests at once."),
]
RequestsPerMinute = Annotated[
    str | None, typer.Option(metavar="N|none", help="Requests a minute; none: no limit.")
]
ImagesPerMinute = Annotated[
    str | None, typer.Option(metavar="N|none", help="Pictures a minute; none: no limit.")
]


@app.command()
def pause(job: JobFile, rehearse: OfRehearsal = False, as_json: AsJson = False) -> None:
    """Hold a run that is going on: nothing new leaves, what is in flight is finished."""
    from pipeline import api

    found = api.pause(job, rehearse=rehearse)
    _tell(
        found,
        as_json,
        f"is paused: nothing new leaves{_in_flight(found)}",
        f"go on with: pipeline resume {_again(job, rehearse)}",
    )


@app.command()
def resume(job: JobFile, rehearse: OfRehearsal = False, as_json: AsJson = False) -> None:
    """Let a paused run go on."""
    from pipeline import api

    found = api.resume(job, rehearse=rehearse)
    _tell(found, as_json, f"goes on, with at most {found.concurrency:,} at once")


@app.command()
def tune(
    job: JobFile,
    concurrency: Concurrency = None,
    requests_per_minute: RequestsPerMinute = None,
    images_per_minute: ImagesPerMinute = None,
    rehearse: OfRehearsal = False,
    as_json: AsJson = False,
) -> None:
    """Change the limits of a run that is going on, for that run only."""
    from pipeline import api

    changes: dict[str, Any] = {}
    if concurrency is not None:
        changes["concurrency"] = concurrency
    if requests_per_minute is not None:
        changes["requests_per_minute"] = _rate("--requests-per-minute", requests_per_minute)
    if images_per_minute is not None:
        changes["images_per_minute"] = _rate("--images-per-minute", images_per_minute)
    found = api.tune(job, **changes, rehearse=rehearse)
    _tell(
        found,
        as_json,
        f"is tuned, for this run only: {_limits(found, changes)}",
        f"to keep it, change `limits` in {job}",
    )


@app.command()
def stop(job: JobFile, rehearse: OfRehearsal = False, as_json: AsJson = False) -> None:
    """End a run that is going on, as its first Ctrl-C: what is in flight is finished and kept."""
    from pipeline import api

    found = api.stop(job, rehearse=rehearse)
    _tell(
        found,
        as_json,
        f"is stopping: nothing new starts{_in_flight(found)}",
        f"go on later with: pipeline run {_again(job, rehearse)}",
    )


def _tell(found: "Snapshot", as_json: bool, *lines: str) -> None:
    if as_json:
        from pipeline.cli.words import print_json

        print_json(found)
        return
    first, *others = lines
    if found.state == "stopping" and not first.startswith("is stopping"):
        first, others = "is stopping already: no change" + _in_flight(found), []
    of = f" of {found.job}" if "@" in found.job else ""  # of several models, which one
    print(f"run {found.run_id}{of} {first}")
    for line in others:
        print(f"  {line}")


def _in_flight(found: "Snapshot") -> str:
    if not found.in_flight:
        return "; nothing is in flight"
    verb = "is" if found.in_flight == 1 else "are"
    return f"; {found.in_flight:,} in flight {verb} finished and kept"


def _limits(found: "Snapshot", changes: dict[str, Any]) -> str:
    words = []
    if "concurrency" in changes:
        now = "" if found.concurrency == found.stated_concurrency else f" ({found.concurrency} now)"
        words.append(f"at most {found.stated_concurrency:,} at once{now}")
    for name, unit in (("requests_per_minute", "requests"), ("images_per_minute", "pictures")):
        if name in changes:
            rate = changes[name]
            most = "any number of" if rate is None else f"at most {rate:,g}"
            words.append(f"{most} {unit} a minute")
    return ", ".join(words)


def _again(job: Path, rehearse: bool) -> str:
    return shlex.quote(str(job)) + (" --rehearse" if rehearse else "")
