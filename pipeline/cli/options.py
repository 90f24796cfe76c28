"""Options that several commands share, word for word."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

JobFile = Annotated[Path, typer.Argument(metavar="JOB", help="The job file, as in jobs/shop.yaml.")]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Only this edit; may be a glob, may be repeated."),
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", help="Ask for at most N edits.")]
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
NoGuards = Annotated[
    bool, typer.Option("--no-guards", help="Go past the job's guard rails, this once.")
]
AcceptOrigin = Annotated[
    bool,
    typer.Option("--accept-origin", help="Go on in a ledger that belongs to another endpoint."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Say nothing; errors still go to standard error.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say each event, a line each.")]
LogJson = Annotated[
    bool,
    typer.Option("--log-json", help="Events as lines of JSON on standard error; asks nothing."),
]
Interval = Annotated[
    float,
    typer.Option(
        "--interval",
        metavar="S",
        min=0.1,
        help="Where nobody looks on: say how it stands every S seconds.",
    ),
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        metavar="PORT",
        help="Meanwhile, figures for Prometheus at this port of this machine; 0: a free one.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask anything.")]


class Showing(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a run is shown, and asked. The fields are options (`unfolded`)."""

    yes: Yes = False
    quiet: Quiet = False
    verbose: Verbose = False
    log_json: LogJson = False
    interval_s: Interval = 30.0
    as_json: AsJson = False
