"""Who is let in: token buckets for requests and pictures, a count of those at work.

Pure: the time comes in as an argument, in seconds of any steady clock.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from pipeline.emulator.problems import ProviderError
from pipeline.emulator.profile import Limits

_LARGEST_COUNT = 9
"""Most pictures that one request can ask for; a smaller bucket would never let it in."""


class TokenBucket:
    """Holds up to `capacity` tokens and gains `per_minute` of them a minute; starts full."""

    def __init__(self, per_minute: float, capacity: float, *, now: float) -> None:
        self.per_second = per_minute / 60.0
        self.capacity = capacity
        self._tokens = capacity
        self._at = now

    def take(self, amount: float, *, now: float) -> float:
        """Take `amount` and return 0, or take nothing and return the seconds until it is there."""
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        # A hair of tolerance, because a refilled token is a sum of floats.
        if self._tokens + 1e-9 >= amount:
            self._tokens -= amount
            return 0.0
        return (amount - self._tokens) / self.per_second


class Gate:
    """The limits of one profile, with their state."""

    def __init__(self, limits: Limits, *, now: float) -> None:
        self.at_work = 0
        self.change(limits, now=now)

    def change(self, limits: Limits, *, now: float) -> None:
        """Go on with other limits and full buckets; those at work stay counted."""
        self.limits = limits
        self._requests = _bucket(limits.requests_per_minute, limits.burst, now=now)
        self._images = _bucket(limits.images_per_minute, max(limits.burst, _LARGEST_COUNT), now=now)
        self._logs = TokenBucket(limits.logs_per_minute, limits.logs_per_minute, now=now)

    @contextmanager
    def place(self, *, now: float) -> Iterator[None]:
        """Let one request in for as long as it is at work, or raise a 429 `ProviderError`."""
        most = self.limits.concurrency
        if most is not None and self.at_work >= most:
            raise self.refusal(f"Too many concurrent requests: at most {most} at a time", 1.0)
        self._take(self._requests, 1, "requests", now=now)
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1

    def admit_images(self, count: int, *, now: float) -> None:
        """Let a request for `count` pictures in, or raise a 429 `ProviderError`."""
        self._take(self._images, count, "images", now=now)

    def admit_log_call(self, *, now: float) -> None:
        """Let one call of the usage logs in, or raise a 429 `ProviderError`."""
        self._take(self._logs, 1, "requests", now=now)

    def refusal(self, message: str, wait: float) -> ProviderError:
        """A 429 that announces `wait` seconds in the form that the profile wants, if any."""
        seconds = wait if self.limits.retry_after_s is None else self.limits.retry_after_s
        headers: dict[str, str] = {}
        if self.limits.retry_after == "seconds":
            headers["Retry-After"] = str(math.ceil(seconds))
        elif self.limits.retry_after == "date":
            headers["Retry-After"] = _http_date(seconds)
        return ProviderError(429, message, name="ThrottlerException", headers=headers)

    def _take(self, bucket: TokenBucket | None, amount: int, what: str, *, now: float) -> None:
        if bucket is None:
            return
        wait = bucket.take(amount, now=now)
        if wait > 0:
            rate = bucket.per_second * 60
            raise self.refusal(f"Too Many Requests: at most {rate:g} {what} a minute", wait)


def _bucket(per_minute: float | None, capacity: float, *, now: float) -> TokenBucket | None:
    return None if per_minute is None else TokenBucket(per_minute, capacity, now=now)


def _http_date(seconds: float) -> str:
    # Dates have whole seconds; rounded up, or the moment would lie before the wait is over.
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    if moment.microsecond:
        moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    return format_datetime(moment, usegmt=True)
