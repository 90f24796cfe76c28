"""What a run is asked to do, beside its job."""

from collections.abc import Callable, Sequence

import msgspec

from pipeline.again import Again
from pipeline.canary import CanaryReport
from pipeline.events import Event
from pipeline.guard_rails import GuardReport
from pipeline.preview import Plan


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``only``: ids or globs. ``limit``: edits to ask for. ``confirm``: is shown the plan, and
    nothing is sent unless it agrees. ``preflight``: key, balance, model and price are looked at
    first. ``guards``: the job's guard rails are held; ``allow`` is shown what they found and may
    let the run pass; without it they end it. ``canary``: so many edits go first, over the job's own
    number; ``approve`` is shown what they came to, and without it the job's thresholds decide.
    ``signals``: Ctrl-C and SIGTERM stop the run. ``again``: only edits that it chooses, and those
    whatever became of them.
    """

    only: Sequence[str] = ()
    limit: int | None = None
    accept_origin: bool = False
    confirm: Callable[[Plan], bool] | None = None
    preflight: bool = True
    guards: bool = True
    allow: Callable[[GuardReport], bool] | None = None
    canary: int | None = None
    approve: Callable[[CanaryReport], bool] | None = None
    observe: Callable[[Event], None] = lambda event: None
    signals: bool = False
    again: Again | None = None
