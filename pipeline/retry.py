"""When to try again: pure functions over a policy."""

from random import Random
from typing import Literal

import msgspec

from pipeline.errors import EditError, NoImageError, RateLimitError, TransientError

OnUnknown = Literal["retry", "hold"]

RETRY_AFTER_MAX_S = 900.0
"""A provider that asks for more than this is asked again all the same: its clock may be wrong."""

RATE_LIMITED_PER_ATTEMPT = 10
"""429s allowed for each attempt of the policy: turned away at the door, they cost nothing."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """``attempts`` counts the first one. Waits are seconds.

    Six attempts from 1 s on ride out about half a minute of trouble; what lasts longer is an
    outage, which the next run picks up. ``no_image_attempts`` is lower because an answer without
    a picture may have been paid for.
    """

    attempts: int = 6
    wait_initial_s: float = 1.0
    wait_max_s: float = 60.0
    wait_jitter_s: float = 1.0
    no_image_attempts: int = 2
    on_unknown: OnUnknown = "retry"


class Tries(msgspec.Struct):
    """What one edit has met so far, by kind."""

    total: int = 0
    rate_limited: int = 0
    no_image: int = 0

    def count(self, error: EditError) -> None:
        self.total += 1
        if isinstance(error, RateLimitError):
            self.rate_limited += 1
        elif isinstance(error, NoImageError):
            self.no_image += 1


def wait_before_retry(
    policy: RetryPolicy, tries: Tries, error: EditError, rng: Random
) -> float | None:
    """Seconds to wait before the next attempt, or ``None``: no more attempts.

    ``tries`` already counts ``error``. Exponential with full jitter, so that edits that failed
    together do not come back together; a Retry-After is a floor, with ``wait_jitter_s`` on top.
    """
    if not isinstance(error, TransientError):
        return None
    if error.sent and policy.on_unknown == "hold":
        return None
    if isinstance(error, NoImageError) and tries.no_image >= policy.no_image_attempts:
        return None
    if tries.rate_limited >= policy.attempts * RATE_LIMITED_PER_ATTEMPT:
        return None
    counted = tries.total - tries.rate_limited
    if counted >= policy.attempts:
        return None
    if error.retry_after is not None:
        floor = min(max(error.retry_after, 0.0), RETRY_AFTER_MAX_S)
        return floor + rng.uniform(0, policy.wait_jitter_s)
    step = max(counted, 1) - 1
    # 2.0 ** 1024 overflows; no policy needs a thirtieth doubling.
    ceiling = min(policy.wait_max_s, policy.wait_initial_s * 2.0 ** min(step, 30))
    return rng.uniform(0, ceiling)
