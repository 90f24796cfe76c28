"""The breaker, and the gate in front of it, on a clock that is a number."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    ConnectionFailed,
    ContentRefusedError,
    EditError,
    FatalError,
    InputError,
    NoImageError,
    QuotaExceededError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
)
from pipeline.retries.breaker import Breaker, BreakerPolicy
from pipeline.retries.outage import EndpointDown, EndpointUp, OutageGate, OutagePolicy
from tests.virtual_clock import run_virtual


def clock() -> float:
    """Loop time, without the nanoseconds that the virtual clock adds."""
    return round(asyncio.get_running_loop().time(), 3)


DOWN = ServerError("the endpoint failed (503)")


def opened(policy: BreakerPolicy | None = None) -> Breaker:
    breaker = Breaker(policy or BreakerPolicy())
    for _ in range(10):
        breaker.failed("server_error", now=0)
    assert breaker.is_open
    return breaker


def test_it_opens_when_the_same_error_comes_so_often_in_a_row() -> None:
    breaker = Breaker(BreakerPolicy(in_a_row=3))
    assert [breaker.failed("server_error", now=0) for _ in range(3)] == [False, False, True]


def test_an_answer_in_between_starts_the_row_anew() -> None:
    breaker = Breaker(BreakerPolicy(in_a_row=3))
    for _ in range(20):
        breaker.failed("server_error", now=0)
        breaker.failed("server_error", now=0)
        breaker.answered()
    assert not breaker.is_open


def test_different_errors_are_no_row_but_open_it_by_their_share() -> None:
    breaker = Breaker(BreakerPolicy(in_a_row=10, share=0.8, window=50, sample=20))
    codes = ["server_error", "connection_failed"] * 10
    assert [breaker.failed(code, now=0) for code in codes].index(True) == 19


@given(st.lists(st.booleans(), max_size=19))
def test_a_share_of_few_outcomes_opens_nothing(outcomes: list[bool]) -> None:
    breaker = Breaker(BreakerPolicy(in_a_row=100, sample=20))
    for good in outcomes:
        if good:
            breaker.answered()
        else:
            breaker.failed("server_error", now=0)
    assert not breaker.is_open


def test_what_left_before_it_opened_says_nothing_any_more() -> None:
    breaker = opened()
    breaker.answered()
    assert breaker.is_open
    assert breaker.failed("server_error", now=1) is False


def test_probes_go_one_at_a_time_and_ever_more_rarely() -> None:
    breaker = opened(BreakerPolicy(probe_first_s=2, probe_max_s=10, give_up_s=1000))
    now, waits = 0.0, []
    for _ in range(5):
        wait = breaker.probe_in_s(now=now)
        assert wait is not None
        waits.append(wait)
        now += wait
        breaker.take_probe()
        assert breaker.probe_in_s(now=now) is None, "one is under way"
        assert not breaker.probe_failed(now=now)
    assert waits == [2, 4, 8, 10, 10]


def test_a_probe_that_is_answered_closes_it_and_the_past_is_forgotten() -> None:
    breaker = opened()
    breaker.take_probe()
    assert breaker.probe_answered(now=7) == 7
    assert not breaker.is_open
    assert not breaker.failed("server_error", now=8), "nine more to go"


def test_a_probe_that_was_lost_is_followed_by_another_at_once() -> None:
    breaker = opened()
    breaker.take_probe()
    breaker.probe_lost()
    assert breaker.probe_in_s(now=3) == 0


def test_an_outage_that_does_not_pass_is_given_up() -> None:
    breaker = opened(BreakerPolicy(give_up_s=100))
    assert not breaker.probe_failed(now=99)
    assert breaker.probe_failed(now=100)


class Door:
    """A gate, and what it said."""

    def __init__(self, policy: OutagePolicy | None = None) -> None:
        self.said: list[EndpointDown | EndpointUp] = []
        self.gate = OutageGate(policy or OutagePolicy(), self.said.append)

    def fail(self, error: EditError = DOWN, *, times: int = 10) -> None:
        for _ in range(times):
            self.gate.heard(error, probe=False)

    async def probe(self, error: EditError) -> None:
        """Asks again and again, for nothing."""
        while await self.gate.enter():
            self.gate.heard(error, probe=True)


def test_while_it_is_down_one_asks_and_everybody_goes_once_it_is_up() -> None:
    async def story() -> list[tuple[float, bool]]:
        door, went = Door(), []
        door.fail()

        async def member(number: int) -> None:
            probe = await door.gate.enter()
            went.append((clock(), probe))
            if probe:
                await asyncio.sleep(5)
                door.gate.heard(None, probe=True)

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(member(number))
        assert [type(event) for event in door.said] == [EndpointDown, EndpointUp]
        return went

    assert run_virtual(story()) == [(2, True), (7, False), (7, False), (7, False)]


def test_a_failed_probe_leaves_the_others_waiting_for_the_next() -> None:
    async def story() -> list[float]:
        door, probes = Door(), []
        door.fail()

        async def member() -> None:
            while True:
                if not await door.gate.enter():
                    return
                probes.append(clock())
                door.gate.heard(DOWN if len(probes) < 4 else None, probe=True)

        await asyncio.gather(*(member() for _ in range(3)))
        return probes

    assert run_virtual(story()) == [2, 6, 14, 30]


def test_a_cancelled_member_does_not_take_the_probe_with_it() -> None:
    async def story() -> float:
        door = Door()
        door.fail()
        first = asyncio.create_task(door.gate.enter())
        second = asyncio.create_task(door.gate.enter())
        await asyncio.sleep(2)
        first.cancel()
        assert await second is True
        return clock()

    assert run_virtual(story()) == 2


def test_a_probe_that_never_came_to_an_answer_is_followed_by_another() -> None:
    async def story() -> float:
        door = Door()
        door.fail()
        assert await door.gate.enter()
        other = asyncio.create_task(door.gate.enter())
        await asyncio.sleep(1)
        door.gate.heard(InputError("the file is gone"), probe=True)
        assert await other is True
        return clock()

    assert run_virtual(story()) == 3


@pytest.mark.parametrize("error", [ContentRefusedError, RequestRejectedError, NoImageError])
def test_an_answer_to_one_edit_is_never_an_outage(error: type[EditError]) -> None:
    async def story() -> None:
        door = Door()
        door.fail(error("no"), times=100)
        assert not door.gate.is_open

    run_virtual(story())


def test_being_too_fast_is_the_throttles_matter_and_shows_that_the_endpoint_is_up() -> None:
    async def story() -> None:
        door = Door()
        door.fail(RateLimitError("429"), times=100)
        assert not door.gate.is_open
        door.fail()
        assert await door.gate.enter()
        door.gate.heard(RateLimitError("429"), probe=True)
        assert not door.gate.is_open

    run_virtual(story())


def test_a_request_that_waited_for_something_else_meanwhile_does_not_slip_through() -> None:
    async def story() -> None:
        door = Door()
        assert await door.gate.enter() is False
        door.fail()
        assert not door.gate.passes(probe=False)
        assert door.gate.passes(probe=True)

    run_virtual(story())


def test_an_outage_of_an_hour_ends_the_run_with_the_command_to_go_on() -> None:
    async def story() -> float:
        door = Door(OutagePolicy(resume="pipeline run shop.yaml"))
        door.fail(ConnectionFailed("no route"))
        with pytest.raises(FatalError, match=r"60 min.*no route.*pipeline run shop\.yaml"):
            await door.probe(ConnectionFailed("no route"))
        return clock()

    assert 3600 <= run_virtual(story()) <= 3660


QUOTA = RateLimitError("too many requests (429): daily quota exceeded")


def test_a_used_up_quota_stops_the_run_if_the_job_says_so() -> None:
    async def story() -> None:
        door = Door(OutagePolicy(on_quota="stop", resume="pipeline run shop.yaml"))
        with pytest.raises(QuotaExceededError, match=r"daily quota.*pipeline run shop\.yaml"):
            door.gate.heard(QUOTA, probe=False)

    run_virtual(story())


def test_a_used_up_quota_is_waited_for_with_ever_rarer_probes() -> None:
    async def story() -> list[float]:
        door, probes = Door(), []
        door.fail(QUOTA)
        assert len(door.said) == 1
        while await door.gate.enter():
            probes.append(clock())
            door.gate.heard(QUOTA if len(probes) < 6 else None, probe=True)
        return probes

    assert run_virtual(story()) == [60, 180, 420, 900, 1800, 2700]


def test_a_quota_that_is_not_renewed_in_a_day_ends_the_run() -> None:
    async def story() -> float:
        door = Door()
        door.fail(QUOTA)
        with pytest.raises(QuotaExceededError, match="26 hours"):
            await door.probe(QUOTA)
        return clock() / 3600

    assert 26 <= run_virtual(story()) < 26.3


def test_nothing_but_429s_for_long_counts_as_a_quota() -> None:
    async def story() -> None:
        door = Door(OutagePolicy(quota_after_s=600))
        slow = RateLimitError("429")
        door.fail(slow)
        await asyncio.sleep(600)
        assert not door.gate.is_open
        door.fail(slow, times=1)
        assert door.gate.is_open
        assert await door.gate.enter()
        door.gate.heard(None, probe=True)
        assert not door.gate.is_open

    run_virtual(story())
