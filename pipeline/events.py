"""What a run tells whoever watches it: events, and gauges that can be asked at any time."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.budget import Budget
from pipeline.canary import CanaryReport
from pipeline.engine import Ending, Finished, Scanned
from pipeline.guard_rails import GuardReport
from pipeline.guards import Alarm
from pipeline.limits.throttle import InForce, Limits, Throttle
from pipeline.preflight import Preflight
from pipeline.setbacks import Setback
from pipeline.snapshot import Snapshot

__all__ = [
    "Event",
    "Gauges",
    "MetricsAt",
    "Notified",
    "Paused",
    "Resumed",
    "Started",
    "Steering",
    "Tuned",
    "Unsteerable",
]


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """A run at this moment. ``in_force``: what holds requests back, ``why`` in words.

    ``concurrency``: how many may be in flight now, at most ``stated_concurrency``, which is the
    job's, or what it was tuned to. ``requests_per_minute``: the rate in force, stated or learned,
    whichever is stricter; ``stated_requests_per_minute`` and ``images_per_minute``: the stated
    ones; ``None``: none.
    """

    in_flight: int
    concurrency: int
    stated_concurrency: int
    requests_per_minute: float | None
    images_per_minute: float | None
    stated_requests_per_minute: float | None = None
    paused: bool
    in_force: InForce
    why: str
    spent_usd: float
    reserved_usd: float
    unknown_usd: float

    @classmethod
    def of(cls, throttle: Throttle, budget: Budget) -> "Gauges":
        """As they are now. In the loop's thread."""
        state = throttle.state()
        rates = (state.stated.requests_per_minute, state.requests_per_minute)
        return cls(
            in_flight=state.in_flight,
            concurrency=state.concurrency,
            stated_concurrency=state.stated.concurrency,
            requests_per_minute=min([rate for rate in rates if rate is not None], default=None),
            stated_requests_per_minute=state.stated.requests_per_minute,
            images_per_minute=state.stated.images_per_minute,
            paused=state.paused,
            in_force=state.in_force,
            why=state.why,
            spent_usd=budget.spent_usd,
            reserved_usd=budget.reserved_usd,
            unknown_usd=budget.unknown_usd,
        )


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a run begins. ``gauges`` and ``snapshot`` can be asked at any time until it ends, in
    the loop's thread.
    """

    run_id: str
    endpoint: str
    model: str
    outputs: Path
    interrupted_attempts: int
    gauges: Callable[[], Gauges]
    snapshot: Callable[[], Snapshot]


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """Event: somebody paused the run; nothing new leaves until somebody resumes it."""

    in_flight: int

    @property
    def line(self) -> str:
        """In words."""
        if not self.in_flight:
            return "paused: nothing new leaves, and nothing is in flight"
        verb = "is" if self.in_flight == 1 else "are"
        return f"paused: nothing new leaves; {self.in_flight} in flight {verb} finished and kept"


class Resumed(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a paused run goes on, after ``paused_s``."""

    paused_s: float

    @property
    def line(self) -> str:
        """In words."""
        return f"resumed after {self.paused_s:,.1f} s"


class Tuned(msgspec.Struct, frozen=True, kw_only=True):
    """Event: somebody changed the stated limits, for this run only."""

    before: Limits
    after: Limits

    @property
    def line(self) -> str:
        """In words: what changed, and what it was."""
        names = {
            "concurrency": "at once",
            "requests_per_minute": "requests a minute",
            "images_per_minute": "pictures a minute",
        }
        changes = []
        for field, unit in names.items():
            old, new = getattr(self.before, field), getattr(self.after, field)
            if old != new:
                most = "any number of" if new is None else f"at most {new:g}"
                was = "not limited" if old is None else f"{old:g}"
                changes.append(f"{most} {unit} (was {was})")
        return f"tuned, for this run only: {', '.join(changes) or 'as it was'}"


class Unsteerable(msgspec.Struct, frozen=True, kw_only=True):
    """Event: there is no control socket, so nobody outside can pause or tune this run."""

    reason: str

    @property
    def line(self) -> str:
        """In words."""
        return f"this run cannot be steered from other processes: {self.reason}"


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """Event: somebody was told of a run, or could not be, and then why (``trouble``). ``to``: as
    the job names them; ``on``: of what.
    """

    to: str
    on: str
    title: str
    trouble: str = ""

    @property
    def line(self) -> str:
        """In words."""
        if self.trouble:
            return f"could not notify {self.to}: {self.trouble}"
        return f"notified {self.to}: {self.title}"


class MetricsAt(msgspec.Struct, frozen=True, kw_only=True):
    """Event: the run's figures can be read at ``url``, in Prometheus' format."""

    url: str

    @property
    def line(self) -> str:
        """In words."""
        return f"metrics at {self.url}"


Steering = Paused | Resumed | Tuned | Unsteerable

Event = (
    Preflight
    | GuardReport
    | Notified
    | MetricsAt
    | Started
    | Scanned
    | Finished
    | Setback
    | Alarm
    | CanaryReport
    | Ending
    | Steering
)
