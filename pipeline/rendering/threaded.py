"""Long work beside an event loop, with a way to stop it."""

import asyncio
import threading
from typing import Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Stoppable(Protocol[T_co]):
    """Blocks, until it is done or ``stop`` is set."""

    def __call__(self, *, stop: threading.Event) -> T_co: ...


async def in_thread(work: Stoppable[T_co]) -> T_co:
    """Does it in a thread; cancelled, it tells it to stop, and waits until it has."""
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(lambda: work(stop=stop)))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
        raise
