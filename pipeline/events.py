"""What a run tells whoever watches it: events, and gauges that can be asked at any time."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.canary import CanaryReport
from pipeline.engine import Ending, Finished, Scanned
from pipeline.guards import Alarm
from pipeline.limits.throttle import InForce
from pipeline.preflight import Preflight
from pipeline.setbacks import Setback

__all__ = ["Event", "Gauges", "Started"]


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """A run at this moment. ``in_force``: what holds requests back, ``why`` in words."""

    in_flight: int
    concurrency: int
    in_force: InForce
    why: str
    spent_usd: float
    reserved_usd: float
    unknown_usd: float


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a run begins. ``gauges`` can be asked at any time until it ends."""

    run_id: str
    endpoint: str
    model: str
    outputs: Path
    interrupted_attempts: int
    gauges: Callable[[], Gauges]


Event = Preflight | Started | Scanned | Finished | Setback | Alarm | CanaryReport | Ending
