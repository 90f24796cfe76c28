import asyncio
from collections.abc import Callable, Iterator

import pytest

from pipeline.backlog import Later
from pipeline.engine import (
    WAITING_PER_MEMBER,
    DrainOver,
    Ending,
    Engine,
    Finished,
    Interrupted,
    Scanned,
    Stop,
    Stopping,
)
from pipeline.errors import AuthenticationError, EditError
from pipeline.models import Edit, Problem, Record
from pipeline.planning import Item, Planned, State, Unready


def edit(name: str) -> Edit:
    return Edit(
        id=name, images=(), prompt="p", parameters={}, variables={}, place="m.csv:2", output=name
    )


def planned(count: int, state: State = "new") -> Iterator[Item]:
    for number in range(count):
        yield Planned(edit=edit(f"e{number}"), fingerprint="f", digests=(), state=state)


def record(item: Planned, *, error: EditError | None = None) -> Record:
    return Record(
        edit=item.edit,
        model="m",
        fingerprint=item.fingerprint,
        run_id="r",
        status="failed" if error else "succeeded",
        attempts=1,
        started_at=0,
        finished_at=1,
        error_message=str(error) if error else None,
    )


class Crew:
    """A worker whose edits last until ``gate`` opens, committed or not."""

    def __init__(self, stop: Stop, *, committed: bool = True) -> None:
        self.stop = stop
        self.committed = committed
        self.gate = asyncio.Event()
        self.started: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, item: Planned | Later) -> Record | Later:
        assert isinstance(item, Planned)
        self.started.append(item.edit.id)
        try:
            if self.committed:
                with self.stop.committed():
                    await self.gate.wait()
            else:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(item.edit.id)
            raise
        return record(item)

    async def fail(self, item: Planned, error: EditError) -> Record:
        return record(item, error=error)


class Bench:
    """An engine with a crew of four, and everything it said."""

    def __init__(
        self, *, committed: bool = True, limit: int | None = None, drain_s: float | None = None
    ) -> None:
        self.said: list[Finished | Scanned | Ending] = []
        self.stop = Stop(self.said.append, drain_s=drain_s)
        self.worker = Crew(self.stop, committed=committed)
        self.engine = Engine(
            self.worker,
            crew=4,
            asked=lambda edit: 1,
            observe=self.said.append,
            stop=self.stop,
            limit=limit,
        )

    @property
    def finished(self) -> list[Record]:
        return [event.record for event in self.said if isinstance(event, Finished)]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the engine knows nothing of its watchers
                await asyncio.sleep(0)


async def test_every_edit_is_done_once() -> None:
    bench = Bench()
    bench.worker.gate.set()
    await bench.engine.run(planned(100))
    assert sorted(r.edit.id for r in bench.finished) == sorted(f"e{n}" for n in range(100))
    assert bench.stop.reason is None


async def test_what_is_done_already_is_counted_and_never_touched() -> None:
    bench = Bench()
    await bench.engine.run(planned(10_000, "unchanged"))
    assert bench.worker.started == []
    scans = [event for event in bench.said if isinstance(event, Scanned)]
    assert sum(scan.counts.get("unchanged", 0) for scan in scans) == 10_000
    assert scans[-1].complete


async def test_a_limit_counts_what_is_asked_for() -> None:
    bench = Bench(limit=3)
    bench.worker.gate.set()
    items = [*planned(5, "unchanged"), *planned(5)]
    await bench.engine.run(iter(items))
    assert len(bench.finished) == 3


async def test_a_row_that_is_no_edit_and_a_missing_input_end_in_records() -> None:
    bench = Bench()
    items: list[Item] = [
        Problem(place="m.csv:3", message="unknown column", id="m.csv:3"),
        Unready(edit=edit("shoe"), error="shoe.jpg: No such file"),
    ]
    await bench.engine.run(iter(items))
    assert {(r.edit.id, r.status, r.error_message) for r in bench.finished} == {
        ("m.csv:3", "failed", "unknown column"),
        ("shoe", "failed", "shoe.jpg: No such file"),
    }


async def test_a_drain_finishes_what_was_committed_and_starts_nothing_new() -> None:
    bench = Bench()
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.stop.request(Interrupted("SIGINT"))
    await asyncio.sleep(0.01)
    assert not run.done(), "paid for: waited for"
    bench.worker.gate.set()
    await run
    assert len(bench.finished) == 4
    assert bench.worker.cancelled == []


async def test_a_bug_during_a_drain_is_what_is_reported() -> None:
    bench = Bench()
    bug = ZeroDivisionError("a bug")
    for reason in (Interrupted("SIGINT"), AuthenticationError("401"), bug, Interrupted("again")):
        bench.stop.request(reason)
    assert bench.stop.reason is bug


async def test_a_drain_does_not_wait_for_an_edit_that_only_waits() -> None:
    bench = Bench(committed=False)
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.stop.request(Interrupted("SIGINT"))
    await run
    assert bench.finished == [], "no record: it stays pending"
    assert len(bench.worker.cancelled) == 4


async def test_a_second_interruption_cancels_what_is_in_flight() -> None:
    bench = Bench()
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.stop.request(Interrupted("SIGINT"))
    bench.stop.request(Interrupted("SIGINT"))
    await run
    assert bench.finished == []
    assert len(bench.worker.cancelled) == 4
    assert len([event for event in bench.said if isinstance(event, Stopping)]) == 1


@pytest.mark.parametrize("error", [AuthenticationError("401: wrong key"), KeyError("a bug")])
async def test_a_fatal_error_ends_the_run_and_keeps_what_is_in_flight(error: Exception) -> None:
    bench = Bench()

    class Refused(Crew):
        async def __call__(self, item: Planned | Later) -> Record | Later:
            if isinstance(item, Planned) and item.edit.id == "e3":
                raise error
            return await super().__call__(item)

    worker = Refused(bench.stop)
    engine = Engine(worker, crew=4, asked=lambda e: 1, observe=bench.said.append, stop=bench.stop)
    run = asyncio.create_task(engine.run(planned(100)))
    await bench.until(lambda: bench.stop.reason is not None)
    worker.gate.set()
    await run
    assert bench.stop.reason is error
    assert {r.edit.id for r in bench.finished} == {"e0", "e1", "e2"}


async def test_a_manifest_that_breaks_off_ends_the_run_but_not_what_was_read() -> None:
    bench = Bench()

    def broken() -> Iterator[Item]:
        yield from planned(3)
        raise AuthenticationError("manifest unreadable from here")

    run = asyncio.create_task(bench.engine.run(broken()))
    await bench.until(lambda: bench.stop.reason is not None)
    bench.worker.gate.set()
    await run
    assert len(bench.finished) == len(bench.worker.started)


async def test_a_drain_has_a_deadline_and_says_what_it_cut_off() -> None:
    bench = Bench(drain_s=0.02)
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.stop.request(Interrupted("SIGTERM"))
    await run
    assert bench.finished == []
    assert len(bench.worker.cancelled) == 4
    assert [e for e in bench.said if isinstance(e, DrainOver)] == [
        DrainOver(after_s=0.02, in_flight=4)
    ]


async def test_a_drain_that_ends_in_time_is_not_cut_off() -> None:
    bench = Bench(drain_s=60)
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.stop.request(AuthenticationError("401"))
    bench.worker.gate.set()
    await run
    assert len(bench.finished) == 4
    assert not [event for event in bench.said if isinstance(event, DrainOver)]


class Waiter(Crew):
    """A worker whose edits wait ``wait_s`` before their second attempt, with what they learned."""

    def __init__(self, stop: Stop, *, wait_s: float) -> None:
        super().__init__(stop)
        self.wait_s = wait_s
        self.again: list[str] = []

    async def __call__(self, item: Planned | Later) -> Record | Later:
        if isinstance(item, Later):
            assert item.progress == f"of {item.planned.edit.id}"
            self.again.append(item.planned.edit.id)
            return record(item.planned)
        self.started.append(item.edit.id)
        due = asyncio.get_running_loop().time() + self.wait_s
        return Later(planned=item, due=due, progress=f"of {item.edit.id}")


async def test_edits_that_wait_leave_the_crew_and_come_back() -> None:
    bench = Bench()
    worker = Waiter(bench.stop, wait_s=0.01)
    engine = Engine(worker, crew=2, asked=lambda e: 1, observe=bench.said.append, stop=bench.stop)
    await engine.run(planned(100))
    names = sorted(f"e{n}" for n in range(100))
    assert sorted(r.edit.id for r in bench.finished) == names
    assert sorted(worker.again) == names


async def test_so_many_may_wait_and_no_more() -> None:
    bench = Bench()
    worker = Waiter(bench.stop, wait_s=3600)
    engine = Engine(worker, crew=2, asked=lambda e: 1, observe=bench.said.append, stop=bench.stop)
    run = asyncio.create_task(engine.run(planned(1000)))
    await bench.until(lambda: len(worker.started) >= 2 * WAITING_PER_MEMBER)
    await asyncio.sleep(0.01)
    assert len(worker.started) <= 2 * WAITING_PER_MEMBER + 1, "one may have been in hand"
    bench.stop.request(Interrupted("SIGINT"))
    await run
    assert bench.finished == [], "what waits has no record: it stays pending"


# A crew of another size


async def test_a_larger_crew_is_there_at_once() -> None:
    bench = Bench()
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.engine.resize(30)
    await bench.until(lambda: len(bench.worker.started) == 30)
    bench.worker.gate.set()
    await run
    assert len(bench.finished) == 100


async def test_whoever_is_too_many_finishes_what_is_in_hand_and_leaves() -> None:
    bench = Bench()
    bench.engine.resize(12)
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 12)
    bench.engine.resize(2)
    assert bench.worker.cancelled == []
    held, bench.worker.gate = bench.worker.gate, asyncio.Event()
    held.set()
    await bench.until(lambda: len(bench.finished) == 12 and len(bench.worker.started) >= 14)
    await asyncio.sleep(0.01)
    assert len(bench.worker.started) == 14, "the two that are left go on"
    bench.worker.gate.set()
    await run
    assert len(bench.finished) == 100


async def test_an_edit_that_was_postponed_by_somebody_who_left_is_not_forgotten() -> None:
    bench = Bench()
    worker = Waiter(bench.stop, wait_s=0.01)
    engine = Engine(worker, crew=8, asked=lambda e: 1, observe=bench.said.append, stop=bench.stop)

    def shrinking() -> Iterator[Item]:
        for number, item in enumerate(planned(60)):
            if number == 50:
                loop.call_soon_threadsafe(engine.resize, 1)
            yield item

    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        await engine.run(shrinking())
    assert len(bench.finished) == 60


async def test_a_crew_that_has_ended_or_stops_does_not_grow_any_more() -> None:
    bench = Bench()
    run = asyncio.create_task(bench.engine.run(planned(100)))
    await bench.until(lambda: len(bench.worker.started) == 4)
    bench.stop.request(Interrupted("SIGINT"))
    bench.engine.resize(50)
    bench.worker.gate.set()
    await run
    assert len(bench.worker.started) == 4
    bench.engine.resize(60)
