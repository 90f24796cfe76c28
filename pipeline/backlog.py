"""What the crew does next: what is due again first, then what is new."""

import asyncio
import heapq
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any

import msgspec

from pipeline.planning import Item, Planned


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """An edit that waits for its next attempt, outside the crew and without its pictures.

    ``due``: loop time. ``progress``: the worker's own, untouched.
    """

    planned: Planned
    due: float
    progress: Any


class Backlog:
    """A bounded queue of fresh items and a heap of waiting edits. Belongs to one event loop.

    Neither starves the other: a waiting edit goes as soon as it is due, and until then fresh items
    do. When ``waiting`` edits wait, nothing fresh is given out, so that memory stays flat.
    """

    def __init__(self, *, fresh: int, waiting: int) -> None:
        self._most_fresh = fresh
        self._most_waiting = waiting
        self._fresh: deque[Item] = deque()
        self._heap: list[tuple[float, int, Later]] = []
        self._order = count()  # edits due at the same time go in the order in which they came
        self._closed = False
        self._takers: deque[asyncio.Future[None]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    @property
    def waiting(self) -> int:
        """How many edits wait for their next attempt."""
        return len(self._heap)

    def resize(self, *, fresh: int, waiting: int) -> None:
        """Other bounds. What is in it stays in it."""
        self._most_fresh, self._most_waiting = fresh, waiting
        if len(self._fresh) < fresh:
            self._make_room()
        self._rouse()

    async def put(self, item: Item) -> None:
        """Adds a fresh item; waits while there are enough. For one producer."""
        while len(self._fresh) >= self._most_fresh:
            self._room = asyncio.get_running_loop().create_future()
            await self._room
        self._fresh.append(item)
        self._rouse()

    def close(self) -> None:
        """Nothing fresh will come."""
        self._closed = True
        self._rouse()

    def postpone(self, later: Later) -> None:
        """Adds an edit that waits."""
        heapq.heappush(self._heap, (later.due, next(self._order), later))
        self._rouse()

    async def take(self) -> Item | Later | None:
        """The next thing to do; ``None`` when there is nothing left for the caller.

        Edits that others have in hand may still be postponed: their takers come back for them.
        """
        while True:
            now = asyncio.get_running_loop().time()
            if self._heap and self._heap[0][0] <= now:
                later = heapq.heappop(self._heap)[2]
                self._rouse()
                return later
            if self._fresh and len(self._heap) < self._most_waiting:
                item = self._fresh.popleft()
                self._make_room()
                if self._takers:
                    self._rouse()
                return item
            if self._closed and not self._fresh and not self._heap:
                self._rouse()
                return None
            await self._change()

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def _change(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._takers.append(turn)
        self._set_timer()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # whoever roused the next one may have passed it over
                    self._takers.remove(turn)
            else:
                self._rouse()  # it was woken just as it was cancelled: the next one's turn
            raise

    def _rouse(self) -> None:
        """Wakes one taker if there is something for it; it wakes the next one when it took it."""
        if not self._takers:
            return
        due = self._heap and self._heap[0][0] <= asyncio.get_running_loop().time()
        fresh = self._fresh and len(self._heap) < self._most_waiting
        over = self._closed and not self._fresh and not self._heap
        if not (due or fresh or over):
            self._set_timer()
            return
        while self._takers:
            turn = self._takers.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _set_timer(self) -> None:
        """One timer, for the edit that is due first, while somebody waits for it."""
        if not self._heap or not self._takers:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._rouse()
