"""What a throttle is told and what it says: stated limits, those in force, those learned."""

from typing import Literal, Protocol

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """As the job states them; ``None``: unlimited. ``concurrency`` is never exceeded; with
    ``adaptive`` it is the ceiling of what is learned."""

    concurrency: int = 16
    requests_per_minute: float | None = None
    images_per_minute: float | None = None
    adaptive: bool = True


InForce = Literal[
    "nothing",
    "stated concurrency",
    "stated rate",
    "learned concurrency",
    "learned rate",
    "cooldown",
    "pause",
]


class ThrottleState(msgspec.Struct, frozen=True, kw_only=True):
    """A throttle at this moment, for status and logs.

    ``in_force``: the limit that holds requests back now; ``why`` says it in words.
    ``stated``: the limits as they are stated now. ``requests_per_minute``: the learned rate,
    ``None`` without one. ``resumes_in_s``: until anything may leave, pauses aside.
    """

    in_force: InForce
    why: str
    in_flight: int
    paused: bool
    stated: Limits
    concurrency: int
    requests_per_minute: float | None
    resumes_in_s: float


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found out, for the next one. ``concurrency``: at work at once without a refusal.
    ``limited``: one more was refused; else more was never tried. ``requests_per_minute``: the rate
    that passed; ``None``: no limit found. ``learned_at``: seconds since the epoch.
    """

    concurrency: int
    limited: bool
    requests_per_minute: float | None
    learned_at: float


class Sent(Protocol):
    """A request that has left: when, and how many others were at work then."""

    entered_at: float
    others: int
