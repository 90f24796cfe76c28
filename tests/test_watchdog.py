"""Who is stuck, and where: on a clock that is a number, and in a real process."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from pipeline.emulator.testing import RunningEmulator
from pipeline.pulse.lines import describe
from pipeline.watchdog import NAMED, Phase, Stalled, Stuck, Watchdog, stacks
from tests.conftest import Shop
from tests.test_command import started, until
from tests.virtual_clock import run_virtual


class Guarded:
    """A watchdog, and what it said."""

    def __init__(self, *, stall_s: float = 600, hang_s: float = 3600) -> None:
        self.said: list[tuple[float, Stalled]] = []
        self.dog = Watchdog(stall_s=stall_s, hang_s=hang_s, observe=self.hear)

    def hear(self, event: Stalled) -> None:
        self.said.append((round(asyncio.get_running_loop().time(), 3), event))

    async def edit(self, name: str, phase: Phase, seconds: float) -> None:
        """An edit that spends its time in one phase."""
        async with asyncio.timeout(None) as deadline:
            doing = self.dog.begin(name, deadline)
            try:
                doing.now_in(phase)
                await asyncio.sleep(seconds)
            finally:
                self.dog.end(doing)


def test_when_nothing_ends_it_says_who_is_stuck_and_where() -> None:
    async def story() -> list[tuple[float, Stalled]]:
        guarded = Guarded()
        async with guarded.dog.on_guard(), asyncio.TaskGroup() as group:
            group.create_task(guarded.edit("shoe", "endpoint", 1000))
            await asyncio.sleep(50)
            group.create_task(guarded.edit("bag", "slot", 950))
        return guarded.said

    [(when, event)] = run_virtual(story())
    assert when == 600
    assert event.phases == {"endpoint": 1, "slot": 1}
    assert [(s.edit_id, s.phase, round(s.seconds)) for s in event.longest] == [
        ("shoe", "endpoint", 600),
        ("bag", "slot", 550),
    ]


def test_as_long_as_something_ends_it_is_silent() -> None:
    async def story() -> list[tuple[float, Stalled]]:
        guarded = Guarded()
        async with guarded.dog.on_guard(), asyncio.TaskGroup() as group:
            group.create_task(guarded.edit("slow", "slot", 3000))
            for _ in range(10):
                await asyncio.sleep(300)
                guarded.dog.ended()
        return guarded.said

    assert run_virtual(story()) == []


def test_where_nobody_works_nobody_is_stuck() -> None:
    async def story() -> list[tuple[float, Stalled]]:
        guarded = Guarded()
        async with guarded.dog.on_guard():
            await asyncio.sleep(10_000)
        return guarded.said

    assert run_virtual(story()) == []


def test_it_says_so_again_each_time_as_long_and_names_a_few() -> None:
    async def story() -> list[tuple[float, Stalled]]:
        guarded = Guarded(hang_s=1e6)
        async with guarded.dog.on_guard(), asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(guarded.edit(f"e{number}", "store", 2000))
        return guarded.said

    said = run_virtual(story())
    assert [when for when, _ in said] == [600, 1200, 1800]
    assert said[0][1].phases == {"store": 100}
    assert len(said[0][1].longest) == NAMED
    assert said[2][1].seconds == pytest.approx(1800)


@pytest.mark.parametrize("phase", ["inputs", "ledger", "store", "record"])
def test_what_waits_for_a_disk_for_ever_is_ended(phase: Phase) -> None:
    async def story() -> float:
        guarded = Guarded(stall_s=600, hang_s=1000)
        async with guarded.dog.on_guard():
            with pytest.raises(TimeoutError):
                await guarded.edit("e", phase, 1e9)
            return asyncio.get_running_loop().time()

    assert 1000 <= run_virtual(story()) <= 1200


@pytest.mark.parametrize("phase", ["outage", "slot", "endpoint"])
def test_what_has_a_deadline_of_its_own_is_left_alone(phase: Phase) -> None:
    async def story() -> None:
        guarded = Guarded(hang_s=1000)
        async with guarded.dog.on_guard():
            await guarded.edit("e", phase, 50_000)

    run_virtual(story())


def test_an_edit_that_bears_its_end_badly_does_not_end_the_watchdog() -> None:
    async def story() -> int:
        guarded = Guarded(stall_s=100, hang_s=100)

        async def stubborn() -> None:
            async with asyncio.timeout(None) as deadline:
                doing = guarded.dog.begin("e", deadline)
                try:
                    await asyncio.sleep(1e6)
                finally:
                    await asyncio.sleep(500)
                    guarded.dog.end(doing)

        async with guarded.dog.on_guard():
            with pytest.raises(TimeoutError):
                await stubborn()
        return len(guarded.said)

    assert run_virtual(story()) > 3


def test_whoever_observes_badly_is_told() -> None:
    async def story() -> None:
        def broken(event: Stalled) -> None:
            raise KeyError("no such bar")

        dog = Watchdog(stall_s=10, hang_s=100, observe=broken)
        async with dog.on_guard(), asyncio.timeout(None) as deadline:
            dog.begin("e", deadline)
            await asyncio.sleep(20)

    with pytest.raises(KeyError):
        run_virtual(story())


async def test_stacks_show_what_a_task_really_waits_for() -> None:
    @asynccontextmanager
    async def place() -> object:  # type: ignore[misc]
        await asyncio.Event().wait()
        yield

    async def innermost() -> None:
        async with place():
            pass

    async def outer() -> None:
        await innermost()

    task = asyncio.create_task(outer(), name="member-7")
    await asyncio.sleep(0)
    text = stacks(asyncio.get_running_loop(), [Stuck(edit_id="shoe", phase="slot", seconds=12)])
    task.cancel()
    assert "shoe: slot for 12.0 s" in text
    mine = text.partition("task member-7")[2].partition("\ntask ")[0]
    for line in ("await innermost()", "async with place()", "await asyncio.Event().wait()"):
        assert line in mine, text
    assert "thread MainThread" in text


def test_a_stall_is_told_in_words() -> None:
    stuck = Stuck(edit_id="shoe", phase="store", seconds=700)
    event = Stalled(seconds=600, phases={"store": 1, "slot": 12}, longest=(stuck,))
    assert describe(event) == (
        "nothing has ended for 600 s: 1 waiting for the picture's flush, 12 waiting for a place"
        " (longest: shoe 700 s)"
    )


@pytest.mark.skipif(os.name == "nt", reason="no SIGUSR1")
def test_a_signal_writes_all_stacks_into_the_outputs_and_the_run_goes_on(
    shop: Shop, emulator: Callable[..., RunningEmulator]
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 60})
    shop.with_edits(20, limits={"concurrency": 4})
    with started("run", shop.job, "--base-url", endpoint.url) as process:
        until(lambda: len(endpoint.requests) >= 4)
        for count in (1, 2):
            process.send_signal(signal.SIGUSR1)
            until(lambda count=count: sum(t.count("\nedits\n") for t in dumps(shop)) == count)
        assert process.poll() is None
    [text] = dumps(shop)
    assert text.count(": endpoint for") == 2 * 4
    assert "aimlapi.py" in text
    assert "thread ledger-0" in text


def dumps(shop: Shop) -> list[str]:
    return [path.read_text() for path in (shop.outputs / "runs").glob("*-stacks.txt")]
