import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from pipeline.batching import Batcher


class Gate:
    """A process that works on a batch only when it is let, and notes what it got."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.threads: set[str] = set()
        self.busy = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self, items: Sequence[Any]) -> Sequence[Any]:
        self.threads.add(threading.current_thread().name)
        self.busy.release()
        assert self.open.wait(60)
        self.batches.append(list(items))
        for item in items:
            if item == "all":
                raise OSError("all of them")
        return [ValueError(item) if item == "bad" else f"{item} done" for item in items]

    def wait_until_busy(self, threads: int = 1) -> None:
        for _ in range(threads):
            assert self.busy.acquire(timeout=60)


def flat(batches: list[list[Any]]) -> list[Any]:
    return [item for batch in batches for item in batch]


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


@pytest.fixture
def batcher(gate: Gate) -> Iterator[Batcher[Any, Any]]:
    batcher: Batcher[Any, Any] = Batcher(gate, name="test", largest=100)
    yield batcher
    gate.open.set()
    batcher.close()


async def test_what_arrives_while_the_thread_is_busy_is_one_batch(
    gate: Gate, batcher: Batcher[Any, Any]
) -> None:
    first = batcher.submit(0)
    gate.wait_until_busy()
    rest = [batcher.submit(n) for n in range(1, 100)]
    gate.open.set()
    assert await asyncio.gather(first, *rest) == [f"{n} done" for n in range(100)]
    assert gate.batches == [[0], list(range(1, 100))]


async def test_a_batch_has_a_largest_size_and_one_thread_keeps_the_order(
    gate: Gate, batcher: Batcher[Any, Any]
) -> None:
    first = batcher.submit("first")
    gate.wait_until_busy()
    waiting = []
    for n in range(250):
        if n % 2:
            batcher.post(n)
        else:
            waiting.append(batcher.submit(n))
    gate.open.set()
    await asyncio.gather(first, *waiting)
    assert [len(batch) for batch in gate.batches] == [1, 100, 100, 50]
    assert flat(gate.batches[1:]) == list(range(250))


async def test_an_exception_among_the_outcomes_is_for_that_one(
    gate: Gate, batcher: Batcher[Any, Any]
) -> None:
    first = batcher.submit("first")
    gate.wait_until_busy()
    waiting = [batcher.submit(item) for item in ("a", "bad", "b")]
    gate.open.set()
    await first
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["a done", "bad", "b done"]
    assert isinstance(outcomes[1], ValueError)


async def test_an_exception_raised_is_for_all_of_the_batch_and_the_thread_goes_on(
    gate: Gate, batcher: Batcher[Any, Any]
) -> None:
    first = batcher.submit("first")
    gate.wait_until_busy()
    waiting = [batcher.submit(item) for item in ("a", "all", "b")]
    gate.open.set()
    await first
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["all of them"] * 3
    assert await batcher.submit("next") == "next done"


async def test_a_wrong_number_of_outcomes_is_an_error_not_a_hang() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: [], name="test")
    with pytest.raises(RuntimeError, match="0 outcomes for 1 items"):
        await batcher.submit(1)
    batcher.close()


async def test_a_cancelled_waiter_harms_nobody_and_its_item_is_processed(
    gate: Gate, batcher: Batcher[Any, Any]
) -> None:
    first = batcher.submit("first")
    gate.wait_until_busy()
    waiting = [batcher.submit(item) for item in ("a", "b", "c")]
    waiting[1].cancel()
    gate.open.set()
    assert await first == "first done"
    assert [await waiting[0], await waiting[2]] == ["a done", "c done"]
    assert waiting[1].cancelled()
    assert gate.batches[1] == ["a", "b", "c"]


async def test_several_threads_share_what_is_there(gate: Gate) -> None:
    batcher: Batcher[Any, Any] = Batcher(gate, name="test", threads=4)
    waiting = [batcher.submit(n) for n in range(4)]
    gate.wait_until_busy(threads=2)  # however they share, more than one is at it
    gate.open.set()
    assert await asyncio.gather(*waiting) == [f"{n} done" for n in range(4)]
    assert sorted(flat(gate.batches)) == [0, 1, 2, 3]
    batcher.close()


async def test_closing_processes_what_is_queued(gate: Gate) -> None:
    batcher: Batcher[Any, Any] = Batcher(gate, name="test")
    waiting = [batcher.submit(n) for n in range(5)]
    batcher.post("posted")
    gate.open.set()
    await asyncio.to_thread(batcher.close)
    assert flat(gate.batches) == [0, 1, 2, 3, 4, "posted"]
    assert await asyncio.gather(*waiting) == [f"{n} done" for n in range(5)]
    for put in (batcher.submit, batcher.post):
        with pytest.raises(RuntimeError, match="closed"):
            put("late")


@pytest.mark.parametrize(("item", "error"), [("bad", ValueError), ("all", OSError)])
def test_what_nobody_waited_for_fails_at_close(
    gate: Gate, item: str, error: type[Exception]
) -> None:
    batcher: Batcher[Any, Any] = Batcher(gate, name="test")
    gate.open.set()
    batcher.post(item)
    batcher.post("fine")
    with pytest.raises(error):
        batcher.close()


def test_every_event_loop_gets_its_own_outcomes(gate: Gate, batcher: Batcher[Any, Any]) -> None:
    results: list[str] = []
    ready = threading.Barrier(4)

    async def ask(n: int) -> None:
        future = batcher.submit(n)
        ready.wait()  # all four wait in one batcher, each in a loop of its own
        results.append(await future)

    threads = [threading.Thread(target=asyncio.run, args=(ask(n),)) for n in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    gate.open.set()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["0 done", "1 done", "2 done"]


def test_a_loop_that_is_gone_harms_nobody(gate: Gate, batcher: Batcher[Any, Any]) -> None:
    async def leave() -> None:
        batcher.submit("gone")
        gate.wait_until_busy()

    asyncio.run(leave())
    gate.open.set()

    async def stay() -> str:
        result: str = await batcher.submit("here")
        return result

    assert asyncio.run(stay()) == "here done"
