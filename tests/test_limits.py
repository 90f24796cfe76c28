import asyncio
from bisect import bisect_left
from random import Random

import pytest

from pipeline.limits import CUT, ByteGate, Limits, Throttle
from tests.virtual_clock import run_virtual


def throttle(**limits: object) -> Throttle:
    return Throttle(Limits(**limits), rng=Random(1))  # type: ignore[arg-type]


async def departures(gate: Throttle, count: int, *, images: int = 1, busy_s: float = 0.0):
    """Loop times at which ``count`` requests left, all of them wanting to leave at once."""
    left: list[float] = []

    async def one() -> None:
        async with gate.slot(images=images) as at:
            left.append(at)
            await asyncio.sleep(busy_s)

    await asyncio.gather(*(one() for _ in range(count)))
    return left


def most_in_a_minute(times: list[float]) -> int:
    times = sorted(times)
    # Half-open windows: what left at the very end of one minute belongs to the next.
    return max(bisect_left(times, t + 60 - 1e-6) - i for i, t in enumerate(times))


@pytest.mark.parametrize("rate", [7, 60, 600])
def test_no_minute_sees_more_requests_than_stated_and_nearly_all_of_them(rate: int) -> None:
    times = run_virtual(departures(throttle(concurrency=1000, requests_per_minute=rate), rate * 3))
    assert most_in_a_minute(times) <= rate
    assert len(times) / (times[-1] / 60) >= 0.98 * rate


def test_requests_do_not_leave_in_a_burst_at_the_start() -> None:
    times = run_virtual(departures(throttle(concurrency=100, requests_per_minute=60), 10))
    assert times == pytest.approx([float(n) for n in range(10)], abs=1e-3)


def test_pictures_a_minute_are_weighted_by_what_a_request_asks_for() -> None:
    gate = throttle(concurrency=100, images_per_minute=60)
    times = run_virtual(departures(gate, 40, images=4))
    assert most_in_a_minute(times) * 4 <= 60 + 4  # the last request's pictures are paid for ahead
    assert times[-1] == pytest.approx(39 * 4 + 3, abs=0.1)


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
        async with gate.slot(images=1) as at:
            gate.rate_limited(entered_at=at, retry_after=30.0)
        return await departures(gate, 5)

    times = run_virtual(scenario())
    assert min(times) >= 30.0
    assert len(set(times)) == 5, "they resume in a ramp, not at one instant"


def test_a_burst_of_429s_cuts_once() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=10)
        entered = [await gate.slot(images=1).__aenter__() for _ in range(5)]
        await asyncio.sleep(1)
        for at in entered:
            gate.rate_limited(entered_at=at, retry_after=None)
        assert gate.concurrency == int(10 * CUT)

    run_virtual(scenario())


def test_the_limit_grows_back_only_while_it_is_used() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=10)
        gate.rate_limited(entered_at=0.0, retry_after=0.0)
        for _ in range(100):
            gate.succeeded()
        assert gate.concurrency == 8, "nothing in flight: nothing learned"
        await asyncio.sleep(1)
        await asyncio.gather(*(_busy(gate) for _ in range(100)))
        assert gate.concurrency == 10

    async def _busy(gate: Throttle) -> None:
        async with gate.slot(images=1):
            await asyncio.sleep(1)
            gate.succeeded()

    run_virtual(scenario())


def test_without_a_header_the_cooldown_lengthens_until_something_succeeds() -> None:
    async def scenario() -> list[float]:
        gate, waits = throttle(concurrency=10, adaptive=False), []
        for _ in range(4):
            async with gate.slot(images=1) as at:
                waits.append(gate.rate_limited(entered_at=at, retry_after=None))
        async with gate.slot(images=1) as at:
            gate.succeeded()
            waits.append(gate.rate_limited(entered_at=at, retry_after=None))
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
