"""`Throttle`: how many requests are in flight, and how fast they may leave.

Three stated limits (requests in flight, requests a minute, pictures a minute) and one that is
learned: a 429 makes everybody cool down, once per burst, and, with ``adaptive``, lowers the number
in flight; it grows back one by one while it is really used.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import msgspec
from aiolimiter import AsyncLimiter

CUT = 0.8
"""What remains of the limit after a 429."""

USED_ENOUGH = 0.8
"""Growth only while this share of the limit was in flight: an unused limit teaches nothing."""

COOLDOWN_FIRST_S = 1.0
COOLDOWN_MAX_S = 60.0
RAMP = 0.25
"""After a cooldown requests resume spread over this share of it, not at one instant."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """As the job states them; ``None``: unlimited."""

    concurrency: int = 16
    requests_per_minute: float | None = None
    images_per_minute: float | None = None
    adaptive: bool = True


class Throttle:
    """The one gate that every attempt passes. Belongs to one event loop; its clock is the loop's.

    >>> async with throttle.slot(images=2) as entered_at: ...   # doctest: +SKIP
    """

    def __init__(self, limits: Limits, *, rng: Random) -> None:
        self._limits = limits
        self._rng = rng
        self._requests = _pace(limits.requests_per_minute)
        self._images = _pace(limits.images_per_minute)
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._in_flight = 0
        self._limit = float(limits.concurrency)
        self._cut_at = float("-inf")
        self._resume_at = float("-inf")
        self._ramp = 0.0
        self._cooldown = COOLDOWN_FIRST_S

    @property
    def in_flight(self) -> int:
        return self._in_flight

    @property
    def concurrency(self) -> int:
        """How many may be in flight now."""
        return max(1, int(self._limit))

    @asynccontextmanager
    async def slot(self, *, images: int) -> AsyncIterator[float]:
        """Waits for a place, the cooldown and the rates; gives the loop time of entry."""
        await self._enter()
        try:
            await self._cooled_down()
            if self._requests is not None:
                await self._requests.take(1)
            if self._images is not None:
                await self._images.take(images)
            yield asyncio.get_running_loop().time()
        finally:
            self._leave()

    def succeeded(self) -> None:
        """An answer came: the cooldown starts small again, and the limit may grow."""
        self._cooldown = COOLDOWN_FIRST_S
        if self._limits.adaptive and self._in_flight >= USED_ENOUGH * self.concurrency:
            grown = self._limit + 1 / self.concurrency
            self._limit = min(grown, float(self._limits.concurrency))
            self._wake()

    def rate_limited(self, *, entered_at: float, retry_after: float | None) -> float:
        """A 429 came to a request that left at ``entered_at``. Everybody cools down.

        Once per burst: answers to requests that left before the last cut say nothing new.
        Returns the seconds until anything may leave again.
        """
        now = asyncio.get_running_loop().time()
        if entered_at > self._cut_at:
            self._cut_at = now
            if self._limits.adaptive:
                self._limit = max(1.0, self._limit * CUT)
            wait = self._cooldown if retry_after is None else retry_after
            self._cooldown = min(self._cooldown * 2, COOLDOWN_MAX_S)
            self._ramp = wait * RAMP
            self._resume_at = max(self._resume_at, now + wait)
        elif retry_after is not None:
            self._resume_at = max(self._resume_at, now + retry_after)
        return max(0.0, self._resume_at - now)

    async def _cooled_down(self) -> None:
        loop = asyncio.get_running_loop()
        ramped = False
        while (wait := self._resume_at - loop.time()) > 0:
            await asyncio.sleep(wait)
            ramped = True
        if ramped:
            await asyncio.sleep(self._rng.uniform(0, self._ramp))

    async def _enter(self) -> None:
        if self._in_flight < self.concurrency and not self._waiters:
            self._in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # the place was given just as the wait was cancelled
            else:
                self._waiters.remove(turn)
            raise

    def _leave(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._in_flight < self.concurrency:
            turn = self._waiters.popleft()
            if not turn.done():
                self._in_flight += 1
                turn.set_result(None)


class ByteGate:
    """Bounds the bytes of input pictures that are held in memory at once.

    One picture larger than the whole allowance passes alone.
    """

    def __init__(self, allowance: int) -> None:
        self._allowance = allowance
        self._held = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Waits, in order of arrival, until ``size`` bytes may be held."""
        size = min(size, self._allowance)
        if self._waiters or self._held + size > self._allowance:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release(size)
                else:
                    self._waiters.remove((size, turn))
                raise
        else:
            self._held += size
        try:
            yield
        finally:
            self._release(size)

    def _release(self, size: int) -> None:
        self._held -= size
        while self._waiters and self._held + self._waiters[0][0] <= self._allowance:
            wanted, turn = self._waiters.popleft()
            if not turn.done():
                self._held += wanted
                turn.set_result(None)


class _Pace:
    """So many a minute, evenly: nothing is saved up, so nothing leaves in a burst."""

    def __init__(self, per_minute: float) -> None:
        # Capacity one, refilled at the stated rate: `AsyncLimiter(n, 60)` would let n leave at
        # once, because its rate is also its burst, and the server's allowance may be smaller.
        self._bucket = AsyncLimiter(1, 60 / per_minute)
        # One at a time and in order: the bucket wakes all that wait to let one through.
        self._turn = asyncio.Lock()

    async def take(self, count: int) -> None:
        async with self._turn:
            for _ in range(count):
                await self._bucket.acquire()


def _pace(per_minute: float | None) -> _Pace | None:
    return _Pace(per_minute) if per_minute else None
