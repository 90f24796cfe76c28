import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import pytest

from benchmarks.pacing import TARGETED, oracle, pipeline, played
from pipeline.errors import RateLimitError
from pipeline.limits.adaptive import CUT, START, Learner
from pipeline.limits.state import Learned
from pipeline.limits.throttle import RAMP, Limits, Slot, Throttle, ThrottleState
from tests.virtual_clock import run_virtual

LATENCY_S = 2.0
NOTHING = {"concurrency": 4, "limited": False, "requests_per_minute": None, "learned_at": 0.0}
Ask = Callable[[], Awaitable[bool]]


def throttle(concurrency: int = 16, *, start: Learned | None = None, **limits: object) -> Throttle:
    stated = Limits(concurrency=concurrency, **limits)  # type: ignore[arg-type]
    return Throttle(stated, rng=Random(1), start=start)


async def edits(gate: Throttle, count: int, ask: Ask, *, crew: int = 32) -> int:
    """Does ``count`` edits; ``ask`` says whether it was let in. Returns how many were not."""
    left, refused = iter(range(count)), 0

    async def worker() -> None:
        nonlocal refused
        for _ in left:
            while True:
                try:
                    async with gate.slot(images=1) as slot:
                        if not await ask():
                            raise RateLimitError("429")
                    gate.succeeded(slot)
                    break
                except RateLimitError:
                    refused += 1
                    gate.rate_limited(slot, retry_after=None)

    await asyncio.gather(*(worker() for _ in range(crew)))
    return refused


async def fine() -> bool:
    await asyncio.sleep(LATENCY_S)
    return True


class AtMost:
    """A server that works on so many at once."""

    def __init__(self, most: int) -> None:
        self.most, self.at_work = most, 0

    async def __call__(self) -> bool:
        await asyncio.sleep(0.05)
        if self.at_work >= self.most:
            return False
        self.at_work += 1
        await asyncio.sleep(LATENCY_S)
        self.at_work -= 1
        return True


class AMinute:
    """A server that lets in so many a minute, ``burst`` of them at once."""

    def __init__(self, per_minute: float, burst: int = 10) -> None:
        self.rate, self.burst, self.tokens, self.at = per_minute / 60, burst, float(burst), 0.0

    async def __call__(self) -> bool:
        await asyncio.sleep(0.05)
        now = asyncio.get_running_loop().time()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        await asyncio.sleep(LATENCY_S)
        return True


async def in_flight(gate: Throttle, count: int) -> list[Slot]:
    return [await gate.slot(images=1).__aenter__() for _ in range(count)]


async def back(slot: Slot) -> None:
    await slot.__aexit__(None, None, None)


# Growing


def test_it_starts_with_a_few() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        work = asyncio.create_task(edits(gate, 100, fine))
        await asyncio.sleep(LATENCY_S / 2)
        assert gate.in_flight == gate.concurrency == START
        await work

    run_virtual(scenario())


@pytest.mark.parametrize(("ceiling", "rounds"), [(16, 3), (64, 5), (256, 7)])
@pytest.mark.parametrize("latency", [0.005, 2.0])
def test_without_limits_the_stated_concurrency_is_reached_in_a_few_round_trips(
    ceiling: int, rounds: int, latency: float
) -> None:
    async def scenario() -> float:
        gate, loop, reached = throttle(ceiling), asyncio.get_running_loop(), 0.0

        async def ask() -> bool:
            nonlocal reached
            if gate.in_flight == ceiling and not reached:
                reached = loop.time() / latency
            await asyncio.sleep(latency)
            return True

        assert await edits(gate, ceiling * 20, ask, crew=2 * ceiling) == 0
        return reached

    # Smooth departures cost a slow provider one round more.
    assert 0 < run_virtual(scenario()) <= rounds + 1.1


def test_the_stated_concurrency_is_never_exceeded() -> None:
    async def scenario() -> None:
        gate = throttle(6)

        async def ask() -> bool:
            assert gate.in_flight <= 6
            return await fine()

        await edits(gate, 200, ask)
        assert gate.concurrency == 6

    run_virtual(scenario())


def test_an_unused_limit_does_not_grow() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        await edits(gate, 100, fine, crew=2)
        assert gate.concurrency == START

    run_virtual(scenario())


def test_timeouts_and_server_errors_freeze_growth() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        slots = await in_flight(gate, START)
        gate.troubled(slots[0])
        for slot in slots:
            gate.succeeded(slot)
        await asyncio.sleep(1)
        assert gate.concurrency == START
        for slot in slots:
            gate.succeeded(slot)
        await asyncio.sleep(1)
        assert gate.concurrency > START

    run_virtual(scenario())


def test_a_night_of_failures_does_not_forbid_growth() -> None:
    """One request in six fails, all the time."""

    async def scenario() -> None:
        gate, count = throttle(16), 0

        async def worker() -> None:
            nonlocal count
            while count < 600:
                count += 1
                fails = count % 6 == 0
                async with gate.slot(images=1) as slot:
                    await asyncio.sleep(0.1 if fails else LATENCY_S)
                if fails:
                    gate.troubled(slot)
                else:
                    gate.succeeded(slot)

        await asyncio.gather(*(worker() for _ in range(32)))
        assert gate.concurrency == 16

    run_virtual(scenario())


def test_a_number_that_was_refused_by_chance_is_tried_again_soon() -> None:
    async def scenario() -> None:
        gate, asked = throttle(12), 0

        async def ask() -> bool:
            nonlocal asked
            asked += 1
            number = asked
            await asyncio.sleep(0.05)
            if number == 60:  # whatever the load
                return False
            await asyncio.sleep(LATENCY_S)
            return True

        assert await edits(gate, 59 + 40, ask) == 1
        assert gate.concurrency == 12

    run_virtual(scenario())


def test_growth_stops_when_the_provider_only_slows_down() -> None:
    async def scenario() -> ThrottleState:
        gate, at_work = throttle(64), 0

        async def queues() -> bool:
            nonlocal at_work
            at_work += 1
            await asyncio.sleep(1.0 * max(1.0, at_work / 8))  # more than eight share its time
            at_work -= 1
            return True

        work = asyncio.create_task(edits(gate, 5000, queues, crew=128))
        await asyncio.sleep(20)
        early = gate.concurrency
        await asyncio.sleep(200)
        state = gate.state()
        assert state.concurrency == early
        work.cancel()
        return state

    state = run_virtual(scenario())
    assert 8 <= state.concurrency <= 5 * 8
    assert state.in_force == "learned concurrency"
    assert "learned: answers take 4.9 s, at best 1.1 s" in state.why


# A 429


def test_a_429_cuts_to_four_fifths_of_what_was_at_work_and_a_burst_cuts_once() -> None:
    async def scenario() -> None:
        gate = throttle(64, start=Learned(**{**NOTHING, "concurrency": 20}))
        slots = await in_flight(gate, 20)
        await asyncio.sleep(0.1)
        await back(slots[19])
        assert gate.rate_limited(slots[19], retry_after=None) == pytest.approx(0.05)
        assert gate.concurrency == int(20 * CUT)
        for slot in slots[:19]:
            await back(slot)
            gate.rate_limited(slot, retry_after=None)
        assert gate.concurrency == int(20 * CUT)

    run_virtual(scenario())


def test_a_429_does_not_hand_its_place_to_the_next() -> None:
    async def scenario() -> None:
        gate, asked = throttle(4), 0

        async def ask() -> bool:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.1)
            return asked > 4 or asyncio.get_running_loop().time() > 1

        work = asyncio.create_task(edits(gate, 20, ask))
        await asyncio.sleep(0.11)
        assert asked == 4, "four came back refused: nobody may leave before the cooldown is over"
        await work

    run_virtual(scenario())


def test_where_a_place_is_all_it_takes_the_cooldown_is_well_below_a_second_and_lengthens() -> None:
    class Request:
        def __init__(self, entered_at: float, others: int) -> None:
            self.entered_at, self.others = entered_at, others

    learner = Learner(64, Learned(**{**NOTHING, "concurrency": 20}))
    times = [10.0, 20.0, 30.0, 40.0]
    holds = [
        learner.refused(at, Request(at - 0.1, 19 - n), returned=0, out=[])
        for n, at in enumerate(times)
    ]
    assert holds == pytest.approx([0.05, 0.1, 0.2, 0.4])
    learner.succeeded(50.0, Request(45.0, 3), in_use=4, held_back=False)
    assert learner.refused(60.0, Request(59.9, 9), returned=1, out=[]) == pytest.approx(0.05)


def test_a_retry_after_holds_everyone_with_jitter_and_they_resume_in_a_ramp() -> None:
    async def scenario() -> list[float]:
        gate, left = throttle(8), []
        slot = await gate.slot(images=1).__aenter__()
        await back(slot)
        gate.rate_limited(slot, retry_after=30.0)

        async def ask() -> bool:
            left.append(asyncio.get_running_loop().time())
            await asyncio.sleep(100)
            return True

        work = asyncio.create_task(edits(gate, 8, ask))
        await asyncio.sleep(29)
        assert gate.state().in_force == "cooldown"
        assert "Retry-After" in gate.state().why
        await work
        return left[:3]

    left = run_virtual(scenario())
    assert 30.0 < left[0] < 33.0
    assert min(b - a for a, b in pairwise(left)) > 0.3
    assert left[-1] - left[0] < 33 * RAMP


# Which limit it is


def test_a_hidden_concurrency_is_found_and_hardly_ever_passed_again() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        refused = await edits(gate, 600, AtMost(7))
        assert gate.concurrency == 7
        assert refused < 6
        learned = gate.learned(now=1e9)
        assert learned is not None
        assert (learned.concurrency, learned.limited) == (7, True)
        assert learned.requests_per_minute is None, "no rate was ever suspected"

    run_virtual(scenario())


def test_a_hidden_rate_is_paced_and_not_taken_for_a_concurrency() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        work = asyncio.create_task(edits(gate, 600, AMinute(120)))
        await asyncio.sleep(100)
        state = gate.state()
        assert state.in_force == "learned rate"
        assert state.requests_per_minute == pytest.approx(120, rel=0.05)
        assert state.concurrency > 5, "room for slow answers"
        assert "requests a minute, learned: a 429 came with" in state.why
        refused = await work
        assert refused < 12

    run_virtual(scenario())


def test_a_rate_is_suspected_when_nothing_else_was_at_work() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        refusals = 0

        async def ask() -> bool:
            nonlocal refusals
            if refusals < 5:
                refusals += 1
                return False
            return await fine()

        await edits(gate, 20, ask, crew=1)
        assert gate.concurrency >= START, "one request alone says nothing about many"

    run_virtual(scenario())


def test_a_limit_that_is_lifted_is_noticed() -> None:
    async def scenario() -> None:
        server, gate = AtMost(7), throttle(32)
        await edits(gate, 300, server)
        server.most = 1000
        await edits(gate, 1500, server, crew=64)
        assert gate.concurrency == 32

    run_virtual(scenario())


def test_a_rate_that_holds_nobody_back_is_forgotten() -> None:
    async def scenario() -> None:
        server, gate = AMinute(120), throttle(8)
        await edits(gate, 200, server)
        assert gate.state().requests_per_minute
        server.rate = 1000.0
        server.burst = 1000
        await edits(gate, 1500, server)
        assert gate.state().requests_per_minute is None

    run_virtual(scenario())


@pytest.mark.parametrize("closed_s", [60, 3600])
def test_after_a_closed_door_the_pace_comes_back(closed_s: float) -> None:
    async def scenario() -> None:
        server, gate, loop = AMinute(120), throttle(16), asyncio.get_running_loop()
        answers: list[float] = []

        async def ask() -> bool:
            if 100 < loop.time() < 100 + closed_s:
                await asyncio.sleep(0.1)
                return False
            let_in = await server()
            if let_in:
                answers.append(loop.time())
            return let_in

        work = asyncio.create_task(edits(gate, 3000, ask))
        await asyncio.sleep(100 + closed_s + 300)
        lately = [at for at in answers if at > loop.time() - 60]
        assert len(lately) > 0.9 * 120, f"five minutes after it opened: {len(lately)} a minute"
        work.cancel()

    run_virtual(scenario())


# What it says, what it keeps


def test_the_state_says_which_limit_is_in_force_and_why() -> None:
    async def state_of(gate: Throttle, ask: Ask, after_s: float) -> ThrottleState:
        work = asyncio.create_task(edits(gate, 10_000, ask))
        await asyncio.sleep(after_s)
        state = gate.state()
        work.cancel()
        return state

    async def scenario() -> None:
        assert throttle().state() == ThrottleState(
            in_force="nothing",
            why="0 of 4 places are taken",
            in_flight=0,
            paused=False,
            stated=Limits(),
            concurrency=4,
            requests_per_minute=None,
            resumes_in_s=0.0,
        )
        state = await state_of(throttle(8), fine, 30.5)
        assert (state.in_force, state.why) == (
            "stated concurrency",
            "at most 8 at once, as stated",
        )
        state = await state_of(throttle(8, requests_per_minute=30), fine, 30.5)
        assert (state.in_force, state.why) == (
            "stated rate",
            "30 requests a minute, as stated",
        )
        state = await state_of(throttle(64), AtMost(7), 60.5)
        assert (state.in_force, state.why) == (
            "learned concurrency",
            "at most 7 at once (stated: 64), learned: request number 8 at once met a 429",
        )
        state = await state_of(throttle(64), fine, 1.0)
        assert (state.in_force, state.why) == (
            "learned concurrency",
            "at most 4 at once (stated: 64), learned: still growing",
        )

    run_virtual(scenario())


def test_the_next_run_starts_where_the_last_one_ended() -> None:
    async def scenario(server: Ask, start: Learned | None, count: int) -> tuple[Learned, int]:
        gate = throttle(64, start=start)
        refused = await edits(gate, count, server)
        learned = gate.learned(now=1e9)
        assert learned is not None
        return learned, refused

    rate, first = run_virtual(scenario(AMinute(120), None, 400))
    assert rate.requests_per_minute == pytest.approx(120, rel=0.05)
    assert rate.learned_at == 1e9
    _, second = run_virtual(scenario(AMinute(120), rate, 400))
    assert second < first

    concurrency, _ = run_virtual(scenario(AtMost(7), None, 100))
    gate = Learner(64, concurrency)
    assert gate.limit == 7
    assert Learner(3, concurrency).limit == 3, "never more than stated"
    again, _ = run_virtual(scenario(AtMost(7), concurrency, 100))
    assert again.concurrency == 7


def test_nothing_is_learned_unless_adaptive() -> None:
    async def scenario() -> None:
        gate = throttle(10, adaptive=False)
        slots = await in_flight(gate, 10)
        await back(slots[0])
        assert gate.rate_limited(slots[0], retry_after=None) == 1.0
        assert gate.concurrency == 10
        assert gate.learned(now=0.0) is None

    run_virtual(scenario())


def test_cancelled_requests_leave_nothing_behind() -> None:
    async def scenario() -> None:
        gate = throttle(64)
        work = asyncio.create_task(edits(gate, 1000, AMinute(60)))
        await asyncio.sleep(33.3)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await asyncio.sleep(1)
        assert (gate.in_flight, len(gate._out), len(gate._waiters)) == (0, 0, 0)

    run_virtual(scenario())


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", TARGETED)
def test_the_target_of_the_benchmark_is_reached(name: str, seed: int) -> None:
    """At least 95 % of what an oracle reaches, and fewer than 2 % of the requests wasted."""
    best, ours = played(TARGETED[name], oracle, seed), played(TARGETED[name], pipeline, seed)
    assert best.seconds / ours.seconds >= 0.95
    assert ours.wasted < 0.02
