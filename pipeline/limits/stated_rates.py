"""Rates that are stated, kept exactly: requests a minute, and pictures a minute."""

import asyncio
from collections import deque
from collections.abc import Callable
from math import ceil

from aiolimiter import AsyncLimiter

CATCH_UP_S = 0.02
"""How late a timer may be without any of a stated rate being lost."""

WINDOW_S = 60.0
WIRE_S = 0.1
"""A minute is kept a little longer than it is: the provider counts arrivals, not departures."""

COARSE_S = 0.1
"""While no rate is stated, departures are remembered in steps of this, rounded up: a rate that is
stated later counts them, and they need no more memory however many they are."""


PAUSE_LOOK_S = 3600.0
"""A pause has no end that is known: timers get a number all the same."""


class StatedRates:
    """The stated rates, exactly: evenly spaced, and never more than stated in any minute.

    One request at a time decides when it leaves, so that nothing that was allowed to leave can
    be overtaken by a cooldown and leave later, together with others.
    """

    def __init__(self, requests_per_minute: float | None, images_per_minute: float | None) -> None:
        self._turn = asyncio.Lock()
        self._patience: asyncio.Timeout | None = None
        self._requests = _Window(requests_per_minute)
        self._images = _Window(images_per_minute)

    @property
    def stated(self) -> bool:
        """Whether there is any: without one, nobody needs to ask to leave."""
        return self._requests.per_minute is not None or self._images.per_minute is not None

    @property
    def words(self) -> str:
        """What is stated, in words."""
        stated = {"requests": self._requests.per_minute, "pictures": self._images.per_minute}
        return " and ".join(f"{n:g} {what} a minute" for what, n in stated.items() if n)

    def tune(self, requests_per_minute: float | None, images_per_minute: float | None) -> None:
        """Other rates from now on. What left in the last minute counts: nothing leaves that would
        make any minute's sum larger than the rate in force when it leaves.
        """
        self._requests.tune(requests_per_minute)
        self._images.tune(images_per_minute)
        self.reconsider()

    def reconsider(self) -> None:
        """Whoever waits looks again at when it may leave: something has changed."""
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())
            self._patience = None

    def left(self, now: float, images: int) -> None:
        """A request for so many pictures leaves at ``now``, without having asked."""
        self._requests.left(now, 1)
        self._images.left(now, images)

    async def leave(self, images: int, opens_at: Callable[[], float]) -> None:
        """Waits until a request for ``images`` pictures may leave, not before ``opens_at()``."""
        async with self._turn:
            while True:
                try:
                    async with asyncio.timeout(None) as self._patience:
                        self.left(await self._may_leave(images, opens_at), images)
                        return
                except TimeoutError:
                    continue  # `reconsider`: nothing in here has a deadline of its own
                finally:
                    self._patience = None

    async def _may_leave(self, images: int, opens_at: Callable[[], float]) -> float:
        loop = asyncio.get_running_loop()
        await self._requests.evenly()
        await self._images.evenly()
        while True:
            now = loop.time()
            at = max(opens_at(), self._requests.room_at(now, 1), self._images.room_at(now, images))
            if at <= now:
                return now
            await asyncio.sleep(min(at - now, PAUSE_LOOK_S))


class _Window:
    """So many a minute. Evenly: nothing is saved up, so nothing leaves in a burst. Exactly: what
    left in the last minute is known, whatever it weighed. ``per_minute`` ``None``: not limited.
    """

    def __init__(self, per_minute: float | None) -> None:
        self._log: deque[tuple[float, int]] = deque()
        self._sum = 0
        self._last: tuple[float, int] | None = None
        self._set(per_minute)

    def tune(self, per_minute: float | None) -> None:
        if per_minute != self.per_minute:
            self._set(per_minute)

    def _set(self, per_minute: float | None) -> None:
        self.per_minute = per_minute
        self._owed = 1
        self._bucket: AsyncLimiter | None = None
        if per_minute is not None:
            # `AsyncLimiter(n, 60)` would let n leave at once, because its rate is also its burst,
            # and the server's allowance may be smaller.
            self._late = CATCH_UP_S * per_minute / 60
            self._bucket = AsyncLimiter(1 + self._late, (1 + self._late) * 60 / per_minute)
        self._started = False

    async def evenly(self) -> None:
        """Pays for the last request's further pictures and for the first of this one."""
        if self._bucket is None:
            return
        if not self._started:
            await self._bucket.acquire(self._late)  # nothing was late yet
            self._started = True
        while self._owed:
            await self._bucket.acquire()
            self._owed -= 1

    def room_at(self, now: float, count: int) -> float:
        """When ``count`` more fit into a minute. More than the whole allowance pass alone."""
        if self.per_minute is None:
            return now
        self._forget(now)
        at = now
        if self._last is not None:
            # The bucket fills up while a pause or a cooldown holds whoever has paid: that alone
            # would let the next one leave together with it.
            last_at, weight = self._last
            at = max(now, last_at + weight * 60 / self.per_minute - CATCH_UP_S)
        too_many = self._sum + count - self.per_minute
        for left_at, weight in self._log:
            if too_many <= 0:
                break
            too_many -= weight
            at = max(at, left_at + WINDOW_S + WIRE_S)
        return at

    def left(self, now: float, count: int) -> None:
        self._sum += count
        self._owed = count
        self._last = (now, count)
        if self.per_minute is not None:
            self._log.append((now, count))
            return
        at = ceil(now / COARSE_S) * COARSE_S
        if self._log and self._log[-1][0] >= at:
            self._log[-1] = (self._log[-1][0], self._log[-1][1] + count)
        else:
            self._log.append((at, count))
            self._forget(now)

    def _forget(self, now: float) -> None:
        log = self._log
        while log and log[0][0] + WINDOW_S + WIRE_S <= now:
            self._sum -= log.popleft()[1]
