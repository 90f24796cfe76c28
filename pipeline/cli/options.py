"""Options that several commands share, word for word."""

from pathlib import Path
from typing import Annotated

import typer

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
OfRehearsal = Annotated[bool, typer.Option("--rehearse", help="Of the rehearsal's outputs.")]
RehearsalProfile = Annotated[
    str, typer.Option(metavar="FILE|NAME", help="How the rehearsal's endpoint behaves.")
]
MaxCost = Annotated[
    float | None,
    typer.Option(metavar="USD", help="At most so many dollars, if the job allows them."),
]
NoPreflight = Annotated[
    bool,
    typer.Option("--no-preflight", help="Do not look at key, balance, model and price first."),
]
AcceptOrigin = Annotated[
    bool,
    typer.Option("--accept-origin", help="Go on in a ledger that belongs to another endpoint."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask anything.")]
