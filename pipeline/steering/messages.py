"""What is said over the control socket: a request and its reply, a line of JSON each."""

from math import isfinite

import msgspec
from msgspec import UNSET, UnsetType

from pipeline.snapshot import Snapshot

LINE_MAX_BYTES = 4096
"""A request's; a reply may be longer."""

CONCURRENCY_MAX = 4096
"""As for ``limits.concurrency`` in a job."""


class _Request(msgspec.Struct, frozen=True, tag_field="request", forbid_unknown_fields=True):
    pass


class State(_Request, frozen=True, tag="state"):
    """How is it?"""


class Pause(_Request, frozen=True, tag="pause"):
    """Nothing new leaves from now on."""


class Resume(_Request, frozen=True, tag="resume"):
    """It goes on."""


class Stop(_Request, frozen=True, tag="stop"):
    """What is in flight is finished and kept, then the run ends: as its first Ctrl-C."""


class Watch(_Request, frozen=True, tag="watch"):
    """A reply now and one a second, until the run ends or the client goes away."""


class Tune(_Request, frozen=True, tag="tune", kw_only=True):
    """Other limits, for this run. What is left out stays; ``None`` (``null``) removes a rate."""

    concurrency: int | UnsetType = UNSET
    requests_per_minute: float | UnsetType | None = UNSET
    images_per_minute: float | UnsetType | None = UNSET


Request = State | Pause | Resume | Stop | Watch | Tune


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Either the run as it is after the request, or ``error``: why nothing was done, in words."""

    snapshot: Snapshot | None = None
    error: str | None = None


def problem_with(tune: Tune) -> str | None:
    """Why these limits cannot be; ``None``: they can."""
    changes = (tune.concurrency, tune.requests_per_minute, tune.images_per_minute)
    if all(change is UNSET for change in changes):
        return (
            "nothing to tune: say concurrency, requests_per_minute or images_per_minute"
            " (--concurrency, --requests-per-minute, --images-per-minute)"
        )
    if tune.concurrency is not UNSET and not 1 <= tune.concurrency <= CONCURRENCY_MAX:
        return (
            f"concurrency: {tune.concurrency} is not between 1 and {CONCURRENCY_MAX}"
            " (to hold everything, pause the run)"
        )
    for name in ("requests_per_minute", "images_per_minute"):
        rate = getattr(tune, name)
        if isinstance(rate, int | float) and not (isfinite(rate) and rate > 0):
            return f"{name}: {rate:g} is not more than 0 (null, or none, removes the limit)"
    return None


def read_request(line: bytes) -> Request | str:
    """The request, or what is wrong with it, in words."""
    try:
        request: Request = msgspec.json.decode(line, type=Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return (
            f"not a request: {error} (one line of JSON, as"
            ' {"request": "state"}; also pause, resume, tune, stop, watch)'
        )
    if isinstance(request, Tune) and (problem := problem_with(request)):
        return problem
    return request


def line_of(message: Request | Reply) -> bytes:
    """A message as it is sent."""
    return msgspec.json.encode(message) + b"\n"
