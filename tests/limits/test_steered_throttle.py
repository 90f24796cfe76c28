"""What a person does to a throttle while requests are under way. On a virtual clock: exact."""

import asyncio
from bisect import bisect_left
from itertools import accumulate, pairwise
from random import Random

import pytest

from pipeline.limits.throttle import RAMP_MAX_S, Limits, Throttle
from tests.virtual_clock import run_virtual


def throttle(**limits: object) -> Throttle:
    return Throttle(Limits(**limits), rng=Random(1))  # type: ignore[arg-type]


class Traffic:
    """As many requests as the throttle lets out; ``left``: when each did, and its pictures."""

    def __init__(self, gate: Throttle, *, images: int = 1, busy_s: float = 0.2) -> None:
        self.gate = gate
        self.left: list[tuple[float, int]] = []
        self.most_in_flight = 0
        self._images = images
        self._busy_s = busy_s
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, crew: int) -> None:
        self._tasks += [asyncio.create_task(self._ask()) for _ in range(crew)]

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def between(self, since: float, until: float) -> list[float]:
        return [at for at, _ in self.left if since <= at < until]

    async def _ask(self) -> None:
        while True:
            async with self.gate.slot(images=self._images) as slot:
                self.left.append((slot.entered_at, self._images))
                self.most_in_flight = max(self.most_in_flight, self.gate.in_flight)
                await asyncio.sleep(self._busy_s)
            self.gate.succeeded(slot)


def sums_of_minutes(left: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """For each departure, the pictures of the minute that ends with it, both ends included."""
    times = [at for at, _ in left]
    sums = [0, *accumulate(images for _, images in left)]
    return [(at, sums[i + 1] - sums[bisect_left(times, at - 60)]) for i, at in enumerate(times)]


# Pausing


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": 4},
        {"concurrency": 4, "adaptive": False},
        {"concurrency": 4, "requests_per_minute": 120},
        {"concurrency": 4, "images_per_minute": 120},
    ],
    ids=str,
)
def test_nothing_leaves_while_paused_and_it_goes_on_without_a_burst(
    limits: dict[str, object],
) -> None:
    async def scenario() -> None:
        gate = throttle(**limits)
        traffic = Traffic(gate, busy_s=0.5)
        traffic.begin(8)
        await asyncio.sleep(30.2)
        gate.pause()
        in_flight = gate.in_flight
        await asyncio.sleep(600)
        assert traffic.between(30.2001, 1e9) == []
        assert gate.in_flight == 0, f"the {in_flight} that were in flight came back"
        assert gate.state().in_force == "pause"
        assert gate.paused_s == pytest.approx(600)
        assert gate.resume() == pytest.approx(600)
        await asyncio.sleep(60)
        await traffic.end()
        first = traffic.between(630.2, 630.2 + RAMP_MAX_S)
        assert len(first) > 3, "it goes on"
        gaps = [after - before for before, after in pairwise(first)][:3]
        assert min(gaps) > 0.4, f"one by one: {first[:5]}"
        assert gate.paused_s == pytest.approx(600), "the pause is over"

    run_virtual(scenario())


def test_pausing_twice_is_pausing_once_and_resuming_what_runs_does_nothing() -> None:
    async def scenario() -> None:
        gate = throttle()
        assert gate.resume() == 0
        gate.pause()
        await asyncio.sleep(5)
        gate.pause()
        await asyncio.sleep(5)
        assert gate.resume() == pytest.approx(10)
        assert gate.resume() == 0

    run_virtual(scenario())


def test_a_cooldown_that_came_during_a_pause_still_holds_after_it() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=4)
        traffic = Traffic(gate)
        async with gate.slot(images=1) as slot:
            gate.pause()
            gate.rate_limited(slot, retry_after=60)
        traffic.begin(4)
        await asyncio.sleep(10)
        gate.resume()
        await asyncio.sleep(100)
        await traffic.end()
        assert traffic.left[0][0] >= 60

    run_virtual(scenario())


def test_whoever_waits_in_a_pause_can_be_cancelled() -> None:
    async def scenario() -> None:
        for limits in ({"concurrency": 2}, {"concurrency": 2, "requests_per_minute": 60}):
            gate = throttle(**limits)
            gate.pause()
            traffic = Traffic(gate)
            traffic.begin(5)
            await asyncio.sleep(10)
            await traffic.end()
            gate.resume()
            async with asyncio.timeout(5), gate.slot(images=1), gate.slot(images=1):
                assert gate.in_flight == 2, "no place was lost"

    run_virtual(scenario())


def test_a_long_pause_is_not_mistaken_for_a_slow_provider() -> None:
    """A provider of 120 requests a minute: after an hour's pause its rate is used as before."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        gate = Throttle(Limits(concurrency=16), rng=Random(2))
        answered: list[float] = []
        allowance, since = 2.0, 0.0

        async def ask() -> None:
            nonlocal allowance, since
            while True:
                async with gate.slot(images=1) as slot:
                    now = loop.time()
                    allowance, since = min(2.0, allowance + (now - since) * 2), now
                    let_in = allowance >= 1
                    allowance -= let_in
                    await asyncio.sleep(0.2 if let_in else 0.05)
                    if not let_in:
                        gate.rate_limited(slot, retry_after=None)
                        continue
                answered.append(loop.time())
                gate.succeeded(slot)

        tasks = [asyncio.create_task(ask()) for _ in range(32)]
        await asyncio.sleep(600)
        gate.pause()
        await asyncio.sleep(3600)
        gate.resume()
        resumed = loop.time()
        rates = []
        for _ in range(600):
            await asyncio.sleep(1)
            rates.append(gate.state().requests_per_minute)
        for task in tasks:
            task.cancel()
        assert min([rate for rate in rates if rate is not None]) > 60
        assert len([at for at in answered if at >= resumed]) > 0.9 * 10 * 120

    run_virtual(scenario())


# Tuning: rates


@pytest.mark.parametrize("kind", ["requests_per_minute", "images_per_minute"])
@pytest.mark.parametrize(
    ("before", "after"), [(60, 6), (6, 60), (None, 30), (240, 30), (30, 31), (7, 600)]
)
@pytest.mark.parametrize("change_at", [0.5, 61.0, 150.3])
def test_no_minute_is_over_the_rate_in_force_after_a_change(
    kind: str, before: float | None, after: float, change_at: float
) -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=50, **{kind: before})
        weight = 2 if kind == "images_per_minute" else 1
        traffic = Traffic(gate, images=weight, busy_s=2.0)
        traffic.begin(60)
        await asyncio.sleep(change_at)
        gate.tune(Limits(**{"concurrency": 50, kind: after}))  # type: ignore[arg-type]
        await asyncio.sleep(400)
        await traffic.end()
        for at, sum_of_minute in sums_of_minutes(traffic.left):
            if at > change_at:
                assert sum_of_minute <= after, f"at {at}"
            elif before is not None:
                assert sum_of_minute <= before, f"at {at}"
        settled = traffic.between(change_at + 70, change_at + 370)
        usable = after // weight
        assert len(settled) >= 0.96 * usable * 5, "and nearly all of the new rate is used"

    run_virtual(scenario())


def test_a_faster_rate_holds_at_once_for_whoever_waits_already() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=10, requests_per_minute=1)
        traffic = Traffic(gate)
        traffic.begin(10)
        await asyncio.sleep(5)
        gate.tune(Limits(concurrency=10, requests_per_minute=60))
        await asyncio.sleep(10.5)
        await traffic.end()
        assert [at for at, _ in traffic.left][:4] == pytest.approx([0, 5, 6, 7], abs=0.05)

    run_virtual(scenario())


def test_a_rate_that_is_removed_holds_nobody_any_more_and_counts_when_it_comes_back() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=5, requests_per_minute=6)
        traffic = Traffic(gate, busy_s=1.0)
        traffic.begin(10)
        await asyncio.sleep(30)
        gate.tune(Limits(concurrency=5))
        await asyncio.sleep(20)
        assert len(traffic.between(31, 50)) >= 80, "five at once, a second each"
        gate.tune(Limits(concurrency=5, requests_per_minute=6))
        await asyncio.sleep(59)
        assert traffic.between(50.001, 108) == [], "a minute of six has had its six long ago"
        await asyncio.sleep(61)
        await traffic.end()
        assert 5 <= len(traffic.between(108, 168)) <= 6

    run_virtual(scenario())


def test_rates_that_are_not_stated_cost_little_memory() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=100, adaptive=False)
        traffic = Traffic(gate, busy_s=0.01)
        traffic.begin(100)
        await asyncio.sleep(2)
        await traffic.end()
        assert len(traffic.left) > 10_000
        assert len(gate._rates._requests._log) <= 21, "a step each of a tenth of a second"

    run_virtual(scenario())


# Tuning: how many at once


@pytest.mark.parametrize("adaptive", [True, False])
def test_more_at_once_are_let_out_and_fewer_again(adaptive: bool) -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=2, adaptive=adaptive)
        traffic = Traffic(gate, busy_s=2.0)
        traffic.begin(64)
        await asyncio.sleep(30)
        assert traffic.most_in_flight == 2
        gate.tune(Limits(concurrency=24))
        await asyncio.sleep(60)
        assert traffic.most_in_flight == 24
        gate.tune(Limits(concurrency=3))
        await asyncio.sleep(2.001)
        traffic.most_in_flight = 0
        await asyncio.sleep(30)
        assert traffic.most_in_flight == 3, "what was in flight has come back"
        assert gate.state().stated.concurrency == 3
        gate.tune(Limits(concurrency=16))
        await asyncio.sleep(4)
        assert traffic.most_in_flight == 16, "known to pass: no need to learn it again"
        await traffic.end()

    run_virtual(scenario())


def test_fewer_at_once_holds_for_those_that_already_wait_for_a_rate() -> None:
    """They have a place, under the old limit; under the new one some of them have none."""

    async def scenario() -> None:
        gate = throttle(concurrency=20, requests_per_minute=60, adaptive=False)
        traffic = Traffic(gate, busy_s=30)
        traffic.begin(40)
        await asyncio.sleep(3.5)
        assert gate.in_flight == 4
        gate.tune(Limits(concurrency=2, requests_per_minute=60))
        await asyncio.sleep(29)
        assert traffic.between(3.5, 32) == [], "three were in flight until the second came back"
        traffic.most_in_flight = 0
        await asyncio.sleep(300)
        await traffic.end()
        assert traffic.most_in_flight == 2
        assert len(traffic.between(40, 330)) >= 16, "they go on, two at a time"

    run_virtual(scenario())


def test_what_was_learned_under_a_lowered_ceiling_is_not_forgotten_for_the_next_run() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=32)
        traffic = Traffic(gate, busy_s=1.0)
        traffic.begin(64)
        await asyncio.sleep(60)
        gate.tune(Limits(concurrency=2))
        await asyncio.sleep(60)
        await traffic.end()
        learned = gate.learned(now=0)
        assert learned is not None
        assert (learned.concurrency, learned.limited) == (32, False)

    run_virtual(scenario())


def test_a_pause_and_a_change_in_one_step_leave_it_in_order() -> None:
    async def scenario() -> None:
        gate = throttle(concurrency=4, requests_per_minute=60)
        traffic = Traffic(gate)
        traffic.begin(8)
        await asyncio.sleep(5.5)
        gate.pause()
        gate.tune(Limits(concurrency=4, requests_per_minute=30))
        gate.resume()
        gate.tune(Limits(concurrency=4, requests_per_minute=60))
        await asyncio.sleep(5)
        await traffic.end()
        assert len(traffic.left) == 11

    run_virtual(scenario())
