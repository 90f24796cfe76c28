import asyncio
from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import Any

import pytest

from pipeline.limits.bytes_held import ByteGate
from pipeline.limits.throttle import Limits, Throttle
from tests.virtual_clock import VirtualLoop, run_virtual


def throttle(**limits: object) -> Throttle:
    return Throttle(Limits(**limits), rng=Random(1))  # type: ignore[arg-type]


async def departures(
    gate: Throttle, count: int, *, images: int = 1, busy_s: float = 0.0
) -> list[float]:
    """Loop times at which ``count`` requests left, all of them wanting to leave at once."""
    left: list[float] = []

    async def one() -> None:
        async with gate.slot(images=images) as slot:
            left.append(slot.entered_at)
            await asyncio.sleep(busy_s)

    await asyncio.gather(*(one() for _ in range(count)))
    return left


def most_in_a_minute(times: list[float], weights: list[int] | None = None) -> int:
    """``times`` in order. Closed windows: both ends count."""
    sums = [0, *accumulate(weights or [1] * len(times))]
    return max(sums[bisect_right(times, t + 60)] - sums[i] for i, t in enumerate(times))


@pytest.mark.parametrize("rate", [7, 60, 600])
def test_no_minute_sees_more_requests_than_stated_and_nearly_all_of_them(rate: int) -> None:
    times = run_virtual(departures(throttle(concurrency=1000, requests_per_minute=rate), rate * 3))
    assert most_in_a_minute(times) <= rate
    assert len(times) / (times[-1] / 60) >= 0.98 * rate


def test_requests_do_not_leave_in_a_burst_at_the_start() -> None:
    times = run_virtual(departures(throttle(concurrency=100, requests_per_minute=60), 10))
    assert times == pytest.approx([float(n) for n in range(10)], abs=1e-3)


@pytest.mark.parametrize("weights", [[4], [1], [1, 2, 3, 4], [4, 1, 1]])
def test_no_minute_sees_more_pictures_than_stated_and_nearly_all_of_them(
    weights: list[int],
) -> None:
    async def scenario() -> list[tuple[float, int]]:
        gate = throttle(concurrency=1000, images_per_minute=120)
        left: list[tuple[float, int]] = []

        async def one(images: int) -> None:
            async with gate.slot(images=images) as slot:
                left.append((slot.entered_at, images))

        await asyncio.gather(*(one(weights[n % len(weights)]) for n in range(300)))
        return left

    left = run_virtual(scenario())
    times, pictures = [at for at, _ in left], [images for _, images in left]
    assert most_in_a_minute(times, pictures) <= 120
    assert sum(pictures[:-1]) / (times[-1] / 60) >= 0.98 * 120


def test_a_request_that_is_larger_than_a_minute_leaves_alone() -> None:
    times = run_virtual(departures(throttle(concurrency=100, images_per_minute=3), 3, images=4))
    assert times == pytest.approx([0, 80, 160], abs=0.1)


def test_both_rates_hold_together() -> None:
    gate = throttle(concurrency=100, requests_per_minute=60, images_per_minute=120)
    times = run_virtual(departures(gate, 200, images=4))
    assert most_in_a_minute(times) <= 30
    assert len(times) / (times[-1] / 60) >= 0.98 * 30


@pytest.mark.parametrize("late_s", [0.002, 0.015])
def test_timers_that_are_late_lose_none_of_the_rate(late_s: float) -> None:
    class LateLoop(VirtualLoop):
        def call_at(self, when: float, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
            return super().call_at(when + late_s, *arguments, **options)

    gate = throttle(concurrency=1000, requests_per_minute=1200)
    with asyncio.Runner(loop_factory=LateLoop) as runner:
        times = runner.run(departures(gate, 4000))
    assert most_in_a_minute(times) <= 1200
    assert len(times) / (times[-1] / 60) >= 0.98 * 1200


def test_a_cooldown_does_not_pile_up_requests_that_then_leave_together() -> None:
    async def scenario() -> list[float]:
        gate = throttle(concurrency=100, requests_per_minute=60)
        first = gate.slot(images=1)
        slot = await first.__aenter__()
        work = asyncio.create_task(departures(gate, 200))
        await asyncio.sleep(0.1)
        gate.rate_limited(slot, retry_after=30.0)
        return [slot.entered_at, *await work]

    times = run_virtual(scenario())
    assert times[1] >= 30
    assert most_in_a_minute(times) <= 60


def test_at_most_the_stated_number_is_in_flight() -> None:
    async def scenario() -> int:
        gate, most = throttle(concurrency=3), 0

        async def one() -> None:
            nonlocal most
            async with gate.slot(images=1):
                most = max(most, gate.in_flight)
                await asyncio.sleep(1)

        await asyncio.gather(*(one() for _ in range(20)))
        assert gate.in_flight == 0
        return most

    assert run_virtual(scenario()) == 3


def test_a_rate_limit_holds_everyone() -> None:
    async def scenario() -> list[float]:
        gate = throttle(concurrency=10)
        async with gate.slot(images=1) as slot:
            gate.rate_limited(slot, retry_after=30.0)
        return await departures(gate, 5)

    times = run_virtual(scenario())
    assert min(times) >= 30.0
    assert len(set(times)) == 5, "they resume in a ramp, not at one instant"


def test_a_later_429_of_a_burst_can_only_ask_to_wait_longer() -> None:
    async def scenario() -> list[float]:
        gate = throttle(concurrency=10, adaptive=False)
        slots = [await gate.slot(images=1).__aenter__() for _ in range(4)]
        await asyncio.sleep(1)
        asked = (10.0, None, 5.0, 60.0)
        return [
            gate.rate_limited(slot, retry_after=after)
            for slot, after in zip(slots, asked, strict=True)
        ]

    first, silent, shorter, longer = run_virtual(scenario())
    assert 10 <= first <= 11
    assert first == pytest.approx(silent, abs=1e-3)
    assert first == pytest.approx(shorter, abs=1e-3)
    assert 60 <= longer <= 66


def test_nobody_is_held_for_longer_than_a_quarter_of_an_hour() -> None:
    async def scenario() -> float:
        gate = throttle(concurrency=10)
        async with gate.slot(images=1) as slot:
            return gate.rate_limited(slot, retry_after=86_400.0)

    assert 900 <= run_virtual(scenario()) <= 990


def test_without_a_header_the_cooldown_lengthens_until_something_succeeds() -> None:
    async def scenario() -> list[float]:
        gate, waits = throttle(concurrency=10, adaptive=False), []
        for _ in range(4):
            async with gate.slot(images=1) as slot:
                waits.append(gate.rate_limited(slot, retry_after=None))
        async with gate.slot(images=1) as slot:
            gate.succeeded(slot)
            waits.append(gate.rate_limited(slot, retry_after=None))
        assert gate.concurrency == 10, "not adaptive: the stated limit stands"
        return waits

    assert run_virtual(scenario()) == pytest.approx([1, 2, 4, 8, 1])


def test_a_cancelled_wait_gives_its_place_to_the_next() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=1)
        first = gate.slot(images=1)
        await first.__aenter__()
        waiting = [asyncio.create_task(departures(gate, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await first.__aexit__(None, None, None)
        waiting[1].cancel()  # its place was given in this very step
        assert len(await waiting[2]) == 1
        assert gate.in_flight == 0

    run_virtual(scenario())


def test_the_byte_gate_bounds_what_is_held_and_lets_a_giant_pass_alone() -> None:
    async def scenario() -> None:
        gate, held, most = ByteGate(100), 0, 0

        async def one(size: int) -> None:
            nonlocal held, most
            async with gate.hold(size):
                held += size
                most = max(most, held)
                try:
                    assert held <= 100 or held == size, "a giant is alone"
                    await asyncio.sleep(1)
                finally:
                    held -= size

        cancelled = asyncio.create_task(one(60))
        tasks = [asyncio.create_task(one(size)) for size in (60, 60, 500, 40, 40)]
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(*tasks)
        assert most == 500

    run_virtual(scenario())
