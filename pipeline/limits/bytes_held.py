"""`ByteGate`: how many bytes of input pictures may be in memory at once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
