"""Group commit: what many coroutines want made durable is done by few threads, many at a time.

A hop to a thread costs more than most of the work here, and an fsync serves everybody who waits
for it. So items queue up while a thread is busy, it takes all of them at once, and one callback
wakes everybody who waited.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Hands items to ``process`` in threads of its own, in order of arrival, in batches.

    ``process`` gets 1 to ``largest`` items and returns as many outcomes, in order; an exception
    among them goes to that item alone, an exception raised goes to all of the batch. With one
    thread the order of submission is the order of processing.
    """

    def __init__(
        self,
        process: Callable[[Sequence[T]], Sequence[R | BaseException]],
        *,
        name: str,
        threads: int = 1,
        largest: int = 1000,
    ) -> None:
        self._process = process
        self._largest = largest
        # Not `threading.Condition`: written in Python, it hands the interpreter's lock to and fro
        # several times an item, and that costs more than the item. `None` ends a thread.
        self._items: SimpleQueue[tuple[T, asyncio.Future[R] | None] | None] = SimpleQueue()
        self._closing = False
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, item: T) -> asyncio.Future[R]:
        """Queues an item; the future gets its outcome."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._put(item, future)
        return future

    def post(self, item: T) -> None:
        """Queues an item nobody waits for. If it fails, `close` raises what it failed with."""
        self._put(item, None)

    def close(self) -> None:
        """Processes what is queued, ends the threads; blocks until then."""
        self._closing = True
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _put(self, item: T, future: asyncio.Future[R] | None) -> None:
        if self._closing:
            raise RuntimeError("submitted to a closed batcher")
        self._items.put((item, future))

    def _work(self) -> None:
        while (first := self._items.get()) is not None:
            batch = self._with_more(first)
            self._deliver(batch, self._outcomes([item for item, _ in batch]))
            del first, batch  # while this thread waits, nothing of it stays in memory

    def _with_more(
        self, first: tuple[T, asyncio.Future[R] | None]
    ) -> list[tuple[T, asyncio.Future[R] | None]]:
        """What else is queued; several threads share it, so that none waits for one slow flush."""
        batch = [first]
        share = -(-self._items.qsize() // len(self._threads))
        with suppress(Empty):
            for _ in range(min(share, self._largest - 1)):
                item = self._items.get_nowait()
                if item is None:
                    self._items.put(None)  # it is the last thing there: for this thread's next turn
                    break
                batch.append(item)
        return batch

    def _outcomes(self, items: Sequence[T]) -> Sequence[R | BaseException]:
        try:
            outcomes = self._process(items)
            if len(outcomes) != len(items):
                raise RuntimeError(f"{len(outcomes)} outcomes for {len(items)} items")
        except BaseException as error:
            return [error] * len(items)
        return outcomes

    def _deliver(
        self,
        batch: Sequence[tuple[T, asyncio.Future[R] | None]],
        outcomes: Sequence[R | BaseException],
    ) -> None:
        waiting: dict[
            asyncio.AbstractEventLoop, list[tuple[asyncio.Future[R], R | BaseException]]
        ] = {}
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if future is not None:
                waiting.setdefault(future.get_loop(), []).append((future, outcome))
            elif isinstance(outcome, BaseException) and self._failure is None:
                self._failure = outcome
        for loop, settled in waiting.items():
            try:
                loop.call_soon_threadsafe(_settle, settled)
            except RuntimeError:  # the loop is closed: nobody waits any more
                continue


def _settle(settled: list[tuple[asyncio.Future[R], R | BaseException]]) -> None:
    for future, outcome in settled:
        if future.done():  # cancelled while it waited
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
