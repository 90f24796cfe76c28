"""Rates that the job states, kept exactly: requests a minute, and pictures a minute."""

import asyncio
from collections import deque
from collections.abc import Callable

from aiolimiter import AsyncLimiter

CATCH_UP_S = 0.02
"""How late a timer may be without any of a stated rate being lost."""

WINDOW_S = 60.0
WIRE_S = 0.1
"""A minute is kept a little longer than it is: the provider counts arrivals, not departures."""


class StatedRates:
    """The stated rates, exactly: evenly spaced, and never more than stated in any minute.

    One request at a time decides when it leaves, so that nothing that was allowed to leave can
    be overtaken by a cooldown and leave later, together with others.
    """

    def __init__(self, requests_per_minute: float | None, images_per_minute: float | None) -> None:
        self._turn = asyncio.Lock()
        self._requests = _Window(requests_per_minute) if requests_per_minute else None
        self._images = _Window(images_per_minute) if images_per_minute else None
        stated = {"requests": requests_per_minute, "pictures": images_per_minute}
        self.words = " and ".join(f"{n:g} {what} a minute" for what, n in stated.items() if n)

    async def leave(self, images: int, opens_at: Callable[[], float]) -> None:
        """Waits until a request for ``images`` pictures may leave, not before ``opens_at()``."""
        loop = asyncio.get_running_loop()
        wanted = [(self._requests, 1), (self._images, images)]
        windows = [(window, count) for window, count in wanted if window is not None]
        async with self._turn:
            for window, _ in windows:
                await window.evenly()
            while True:
                now = loop.time()
                at = max([opens_at(), *(window.room_at(now, count) for window, count in windows)])
                if at <= now:
                    break
                await asyncio.sleep(at - now)
            for window, count in windows:
                window.left(now, count)


class _Window:
    """So many a minute. Evenly: nothing is saved up, so nothing leaves in a burst. Exactly: what
    left in the last minute is known, whatever it weighed.
    """

    def __init__(self, per_minute: float) -> None:
        self._per_minute = per_minute
        # `AsyncLimiter(n, 60)` would let n leave at once, because its rate is also its burst, and
        # the server's allowance may be smaller.
        self._late = CATCH_UP_S * per_minute / 60
        self._bucket = AsyncLimiter(1 + self._late, (1 + self._late) * 60 / per_minute)
        self._owed = 0
        self._started = False
        self._log: deque[tuple[float, int]] = deque()
        self._sum = 0

    async def evenly(self) -> None:
        """Pays for the last request's further pictures and for the first of this one."""
        if not self._started:
            await self._bucket.acquire(self._late)  # nothing was late yet
            self._started = True
        for _ in range(self._owed + 1):
            await self._bucket.acquire()
        self._owed = 0

    def room_at(self, now: float, count: int) -> float:
        """When ``count`` more fit into a minute. More than the whole allowance pass alone."""
        log = self._log
        while log and log[0][0] + WINDOW_S + WIRE_S <= now:
            self._sum -= log.popleft()[1]
        too_many = self._sum + count - self._per_minute
        at = now
        for left_at, weight in log:
            if too_many <= 0:
                break
            too_many -= weight
            at = left_at + WINDOW_S + WIRE_S
        return at

    def left(self, now: float, count: int) -> None:
        self._log.append((now, count))
        self._sum += count
        self._owed = count - 1
