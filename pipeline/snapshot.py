"""A run at one moment: what the live block, `status`, the control socket, the page and the metrics
show.

Everything in it can be encoded as JSON. Times are seconds since the epoch, durations are seconds,
money is USD.
"""

from typing import Literal

import msgspec

RunState = Literal["running", "paused", "cooling down", "endpoint down", "stalled", "stopping"]


class Trouble(msgspec.Struct, frozen=True):
    """Something that went wrong, in words. ``at``: seconds since the epoch."""

    at: float
    text: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run at the moment ``at``.

    ``why``: in words, what holds requests back, or what the state means. ``counts``: edits by
    status (``succeeded``, ``failed``, ``refused``, ``rejected``, ``unknown``) and those left out
    (``unchanged``, ``kept``: refused or rejected before). ``expected``: edits that this run will
    ask for, ``None`` while nobody has counted them; ``done``: those with a record; ``waiting``:
    those between two attempts.

    ``pictures``: kept by this run; ``pictures_per_minute``: over a rolling window.
    ``concurrency``: the limit in force, which ``stated_concurrency`` bounds; ``in_force``: which
    limit holds requests back; ``requests_per_minute``: the rate in force, stated or learned,
    whichever is stricter.

    ``left_s``: from, to: in how many seconds the run will probably end; ``None``: not known yet.
    ``attempts``: ended ones by outcome, ``succeeded`` or an error's code. ``latency_s``: how many
    of them took how long: one count for each of `pipeline.pulse.LATENCY_BUCKETS_S` (up to and
    including that many seconds, and more than in the bucket before); ``latency_sum_s``: all of them
    together. ``troubles``: the last few, the newest last.
    """

    job: str
    run_id: str
    endpoint: str
    model: str
    outputs: str
    pid: int
    host: str
    started_at: float
    at: float
    state: RunState
    why: str
    counts: dict[str, int]
    expected: int | None
    done: int
    waiting: int
    pictures: int
    pictures_per_minute: float
    in_flight: int
    concurrency: int
    stated_concurrency: int
    in_force: str
    requests_per_minute: float | None
    spent_usd: float
    reserved_usd: float
    unknown_usd: float
    cap_usd: float | None
    left_s: tuple[float, float] | None
    retries: int
    rate_limited: int
    attempts: dict[str, int]
    latency_s: tuple[int, ...]
    latency_sum_s: float
    troubles: tuple[Trouble, ...]
