"""`Throttle`: how many requests are at work at once, and how fast they may leave.

Stated limits (at once, requests a minute, pictures a minute) hold exactly. What is not stated is
learned with ``adaptive`` (see `adaptive.py`), and a 429 makes everybody cool down, once per burst.
A person may change what is stated, or hold everything, while requests are under way.
"""

import asyncio
from collections import deque
from random import Random
from types import TracebackType

import msgspec

from pipeline.limits.adaptive import COOLDOWN_MAX_S, Learner
from pipeline.limits.state import InForce, Learned, Limits, ThrottleState
from pipeline.limits.stated_rates import StatedRates

__all__ = ["InForce", "Limits", "Slot", "Throttle", "ThrottleState"]

COOLDOWN_FIRST_S = 1.0
"""Where nothing is learned and no header says how long."""

CATCH_UP_S = 0.02
"""How late a departure may be without any of a learned rate being lost."""

RAMP = 0.25
RAMP_MAX_S = 10.0
"""After a cooldown the first requests leave spread over this share of it, not at one instant."""

JITTER = 0.1
"""Up to this share on top of what a Retry-After says: others were told the same."""

HOLD_MAX_S = 900.0
"""A provider that asks for more is asked again all the same: its clock may be wrong."""


class Slot:
    """One request's place. ``entered_at``: loop time at which it left; ``others``: how many were
    at work then. Not awaited twice.
    """

    __slots__ = ("_images", "_throttle", "entered_at", "others")

    def __init__(self, throttle: "Throttle", images: int) -> None:
        self._throttle = throttle
        self._images = images
        self.entered_at = 0.0
        self.others = 0

    async def __aenter__(self) -> "Slot":
        throttle = self._throttle
        now = asyncio.get_running_loop().time()
        if (
            throttle._waiters
            or throttle._held >= throttle._limit
            or now < throttle._opens_at
            or throttle._paused_at is not None
            or throttle._rates.stated
        ):
            await throttle._turn(self._images, now)
            now = asyncio.get_running_loop().time()
        else:
            throttle._held += 1
            throttle._rates.left(now, self._images)
            if throttle._spaced:
                throttle._space(now)
        out = throttle._out
        self.others = len(out)
        self.entered_at = now
        out.add(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        throttle = self._throttle
        throttle._out.discard(self)
        throttle._held -= 1
        throttle._returned += 1
        if throttle._pacing and throttle._held >= throttle._limit:
            throttle._rates.reconsider()  # the limit was lowered while they waited to leave
        if throttle._waiters:
            if error is None:
                throttle._wake()
            else:
                # After whoever catches the error has told us what it means: a 429 must not hand
                # its place to the next one just before it cuts the limit.
                asyncio.get_running_loop().call_soon(throttle._wake)


class Throttle:
    """The one gate that every attempt passes. Made and used on one event loop, whose clock is
    its own. ``start``: what an earlier run learned. ``limits`` can be changed on the way (`tune`),
    and everything can be held (`pause`).

    >>> async with throttle.slot(images=2) as slot: ...   # doctest: +SKIP
    >>> throttle.succeeded(slot)                          # doctest: +SKIP
    """

    def __init__(self, limits: Limits, *, rng: Random, start: Learned | None = None) -> None:
        self.limits = limits
        self._rng = rng
        self._learner = Learner(limits.concurrency, start) if limits.adaptive else None
        self._rates = StatedRates(limits.requests_per_minute, limits.images_per_minute)
        self._limit = self._learner.limit if self._learner else limits.concurrency
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._held = 0
        self._pacing = 0
        self._out: set[Slot] = set()
        self._returned = 0
        self._timer: asyncio.TimerHandle | None = None
        # Departures: none before `_opens_at`; `_spaced`: each one moves it.
        self._opens_at = float("-inf")
        self._spaced = bool(self._learner and self._learner.gap)
        self._ramp_left = 0
        self._ramp_gap = 0.0
        # Cooldowns.
        self._resume_at = float("-inf")
        self._cut_at = float("-inf")
        self._cooldown = COOLDOWN_FIRST_S
        self._asked_to_wait = False
        # A pause: since when, and for how long all the earlier ones were.
        self._paused_at: float | None = None
        self._paused_s = 0.0

    @property
    def in_flight(self) -> int:
        """Requests that have left and are not back."""
        return self._held - self._pacing

    @property
    def concurrency(self) -> int:
        """How many may be in flight now."""
        return self._limit

    @property
    def paused(self) -> bool:
        """Whether nothing leaves until somebody resumes."""
        return self._paused_at is not None

    @property
    def paused_s(self) -> float:
        """Seconds of all pauses so far. They make nobody older who waited through them."""
        if self._paused_at is None:
            return self._paused_s
        return self._paused_s + asyncio.get_running_loop().time() - self._paused_at

    def pause(self) -> None:
        """Nothing leaves from now on; what is in flight is not touched. Twice is once."""
        if self._paused_at is None:
            self._paused_at = asyncio.get_running_loop().time()

    def resume(self) -> float:
        """Lets go on, in a ramp as after a cooldown. Returns for how many seconds it was paused."""
        if self._paused_at is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        paused_s, self._paused_at = now - self._paused_at, None
        self._paused_s += paused_s
        if self._learner is not None:
            self._learner.was_away()
        self._opens_at = max(self._opens_at, now)
        self._ramp(paused_s)
        self._go_on()
        return paused_s

    def tune(self, limits: Limits) -> None:
        """Other stated limits, from the next departure on. What is in flight stays so; learning
        goes on within them. ``adaptive`` stays what it was.
        """
        self.limits = msgspec.structs.replace(limits, adaptive=self._learner is not None)
        if self._learner is None:
            self._limit = limits.concurrency
        else:
            self._learner.within(limits.concurrency)
            self._limit = self._learner.limit
        self._rates.tune(limits.requests_per_minute, limits.images_per_minute)
        self._go_on()

    def slot(self, *, images: int) -> Slot:
        """A context manager: waits for a place, the cooldown and the rates; gives the `Slot`. A 429
        leaves it as an exception, so that nobody takes its place before `rate_limited`."""
        return Slot(self, images)

    def succeeded(self, slot: Slot) -> None:
        """An answer came: the cooldown starts small again, and the limits may grow."""
        learner = self._learner
        if learner is None:
            if slot.entered_at > self._cut_at:
                self._cooldown = COOLDOWN_FIRST_S
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        learner.succeeded(
            now,
            slot,
            in_use=self._held - self._pacing + 1,
            held_back=bool(self._waiters)
            and (self._held < self._limit or self._pacing > 0)
            and not self.paused,
        )
        if learner.smooth:
            self._spaced = True
        if learner.limit > self._limit:
            # Between two departures, not together with one: what lets in one more at once need
            # not let in two at one instant.
            loop.call_later((now - slot.entered_at) / (2 * learner.limit), self._grow)

    def troubled(self, slot: Slot) -> None:
        """A timeout, a broken connection or a 5xx: growth waits until this has passed."""
        if self._learner is not None:
            self._learner.troubled()

    def rate_limited(self, slot: Slot, *, retry_after: float | None) -> float:
        """A 429 came. Everybody cools down, once per burst: answers to requests that left before
        the last cut say nothing new, except when they ask to wait longer.

        Returns the seconds until anything may leave again.
        """
        now = asyncio.get_running_loop().time()
        hold = self._cut(now, slot)
        asked = None if retry_after is None else min(max(retry_after, 0.0), HOLD_MAX_S)
        if asked is not None and (hold is not None or now + asked > self._resume_at):
            hold = asked + self._rng.uniform(0, JITTER * asked)
            self._asked_to_wait = True
        elif hold is not None:
            self._asked_to_wait = False
        if hold is not None:
            self._hold(now, hold)
        return max(0.0, self._resume_at - now)

    def learned(self, *, now: float) -> Learned | None:
        """For the next run's ``start``; ``now``: seconds since the epoch. ``None``: nothing is
        being learned."""
        return self._learner.learned(now) if self._learner is not None else None

    def state(self) -> ThrottleState:
        """Which limit holds requests back now, and why."""
        now = asyncio.get_running_loop().time()
        in_force, why = self._in_force(now)
        gap = self._learner.gap if self._learner is not None else 0.0
        return ThrottleState(
            in_force=in_force,
            why=why,
            in_flight=self.in_flight,
            paused=self.paused,
            stated=self.limits,
            concurrency=self._limit,
            requests_per_minute=60 / gap if gap else None,
            resumes_in_s=max(0.0, self._resume_at - now),
        )

    def _in_force(self, now: float) -> tuple[InForce, str]:
        learner = self._learner
        if self._paused_at is not None:
            return "pause", f"nothing leaves: paused for {now - self._paused_at:,.0f} s"
        if now < self._resume_at:
            asked = "as its Retry-After asked" if self._asked_to_wait else "it said not how long"
            return "cooldown", f"nothing leaves for {self._resume_at - now:.1f} s: 429, {asked}"
        paced = learner is not None and learner.gap > 0 and now < self._opens_at
        if self._pacing and self._rates.stated and not paced:
            return "stated rate", f"{self._rates.words}, as stated"
        if not self._waiters and not self._pacing:
            return "nothing", f"{self.in_flight} of {self._limit} places are taken"
        if learner is not None and paced:
            return "learned rate", learner.rate_in_words()
        if learner is not None and self._limit < self.limits.concurrency:
            return "learned concurrency", learner.concurrency_in_words()
        return "stated concurrency", f"at most {self._limit} at once, as stated"

    def _cut(self, now: float, slot: Slot) -> float | None:
        """Seconds to hold everyone; ``None``: this 429 belongs to a burst that is dealt with."""
        if self._learner is not None:
            hold = self._learner.refused(now, slot, returned=self._returned, out=self._out)
            self._limit = self._learner.limit
            self._spaced = self._spaced or self._learner.gap > 0
            return hold
        if slot.entered_at <= self._cut_at:
            return None
        self._cut_at = now
        hold, self._cooldown = self._cooldown, min(self._cooldown * 2, COOLDOWN_MAX_S)
        return hold

    def _hold(self, now: float, seconds: float) -> None:
        self._resume_at = max(self._resume_at, now + seconds)
        self._opens_at = max(self._opens_at, self._resume_at)
        self._ramp(seconds)

    def _ramp(self, seconds: float) -> None:
        """After so long without a departure, as many as may be at work leave one by one."""
        self._ramp_left = self._limit
        self._ramp_gap = min(seconds * RAMP, RAMP_MAX_S) / self._limit
        self._spaced = True

    def _space(self, now: float) -> None:
        """One has left: when may the next?"""
        learner = self._learner
        gap = max(learner.gap, learner.smooth) if learner is not None else 0.0
        late = min(now - self._opens_at, CATCH_UP_S, gap)
        if self._ramp_left:
            self._ramp_left -= 1
            gap = max(gap, self._ramp_gap * self._rng.uniform(0.5, 1.5))
        elif not gap:
            self._spaced = False
            return
        self._opens_at = now - late + gap

    async def _turn(self, images: int, now: float) -> None:
        """Takes a place, in order of arrival, and, where rates are stated, waits for them."""
        rates = self._rates
        closed = self.paused or (not rates.stated and now < self._opens_at)
        if self._waiters or self._held >= self._limit or closed:
            await self._queue()
        else:
            self._held += 1
        if not rates.stated:
            rates.left(asyncio.get_running_loop().time(), images)
            return
        self._pacing += 1
        try:
            await rates.leave(images, self._may_open_at)
        except BaseException:
            self._held -= 1
            self._wake()
            raise
        finally:
            self._pacing -= 1
        if self._spaced:
            self._space(asyncio.get_running_loop().time())

    async def _queue(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        if len(self._waiters) == 1:
            self._wake()  # sets the timer that nobody needed so far
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._held -= 1  # the place was given just as the wait was cancelled
                self._wake()
            elif turn in self._waiters:  # else it was passed over already, being cancelled
                self._waiters.remove(turn)
            raise

    def _wake(self) -> None:
        """Gives places to those that wait, as far as the limit and the spacing allow."""
        if self.paused:
            return
        timed = not self._rates.stated
        while self._waiters and self._held < self._limit:
            if self._spaced and timed:
                loop = asyncio.get_running_loop()
                now = loop.time()
                if now < self._opens_at:
                    if self._timer is None:
                        self._timer = loop.call_at(self._opens_at, self._ring)
                    return
                turn = self._waiters.popleft()
                if turn.done():
                    continue
                self._space(now)
            else:
                turn = self._waiters.popleft()
                if turn.done():
                    continue
            self._held += 1
            turn.set_result(None)

    def _grow(self) -> None:
        if self._learner is not None and self._learner.limit > self._limit:
            self._limit = self._learner.limit
            self._wake()

    def _go_on(self) -> None:
        self._rates.reconsider()
        self._wake()

    def _may_open_at(self) -> float:
        """For those that have a place already and wait for the stated rates."""
        if self.paused or self.in_flight >= self._limit:
            return float("inf")
        return self._opens_at

    def _ring(self) -> None:
        self._timer = None
        self._wake()
