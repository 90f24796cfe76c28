import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.budget import DAY_S, Budget, Reservation, midnight_before
from pipeline.emulator.testing import RunningEmulator
from pipeline.engine import Finished
from pipeline.errors import BudgetReachedError, JobError
from tests.conftest import Shop

NOON = 20_000.5 * DAY_S


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def budget(price: float | None, clock: Callable[[], float] | None = None, **caps: Any) -> Budget:
    return Budget(price_usd=price, now=clock or Clock(), **caps)


def test_what_is_reserved_counts_before_anything_is_spent() -> None:
    money = budget(0.042, run_usd=0.10)
    money.reserve(1)
    money.reserve(1)
    with pytest.raises(BudgetReachedError, match=r"run_usd of \$0\.10 .* \$0\.084 .* \$0\.042"):
        money.reserve(1)


def test_a_request_that_cost_nothing_gives_its_money_back() -> None:
    money = budget(0.05, run_usd=0.05)
    money.reserve(1).settle(0.0)
    money.reserve(1).settle(0.05)
    with pytest.raises(BudgetReachedError):
        money.reserve(1)
    assert (money.spent_usd, money.reserved_usd, money.unknown_usd) == (0.05, 0.0, 0.0)


def test_money_whose_fate_is_unknown_stays_taken() -> None:
    money = budget(0.05, run_usd=0.05)
    money.reserve(1).keep_unknown()
    assert money.unknown_usd == 0.05
    with pytest.raises(BudgetReachedError):
        money.reserve(1)


def test_the_day_counts_what_earlier_runs_spent() -> None:
    money = budget(0.05, day_usd=1.0, spent_today_usd=0.96)
    with pytest.raises(BudgetReachedError, match=r"day_usd .* midnight UTC"):
        money.reserve(1)


@pytest.mark.parametrize("price", [0.042, 0.1, 0.0000005, 0.03, 1 / 3])
def test_a_cap_can_be_used_up_to_the_last_digit(price: float) -> None:
    money = budget(price, run_usd=round(price, 9) * 10_000)
    for _ in range(10_000):
        money.reserve(1).settle(price)
    with pytest.raises(BudgetReachedError):
        money.reserve(1)


def test_sums_of_cents_do_not_drift() -> None:
    money = budget(0.042)
    for _ in range(100_000):
        money.reserve(1).settle(0.042)
    assert money.spent_usd == 4200.0
    assert money.reserved_usd == 0.0


def test_a_float_sum_of_earlier_runs_costs_no_request_at_the_cap() -> None:
    earlier = sum([0.042] * 3000)
    assert earlier > 126, "binary sums come out a little above"
    money = budget(0.042, day_usd=126.042, spent_today_usd=earlier)
    money.reserve(1)


def test_a_cap_with_an_unknown_price_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(JobError, match="price_usd"):
        budget(None, run_usd=5)
    budget(None).reserve(1).settle(0.1)


def test_what_nobody_priced_is_counted_and_is_no_silent_zero() -> None:
    money = budget(None)
    money.reserve(1).settle(None)
    money.reserve(1).settle(0.0)
    assert (money.spent_usd, money.uncosted) == (0.0, 1)
    known = budget(0.05)
    known.reserve(2).settle(None)
    assert (known.spent_usd, known.uncosted) == (0.10, 1), "the worst case, where there is one"


def test_a_reservation_ends_once() -> None:
    reservation = budget(0.05).reserve(1)
    reservation.settle(0.05)
    with pytest.raises(RuntimeError):
        reservation.keep_unknown()


def test_a_run_over_midnight_has_the_new_days_allowance() -> None:
    clock = Clock(20_001 * DAY_S - 1)
    money = budget(0.5, clock, day_usd=1.0, spent_today_usd=0.5)
    late = money.reserve(1)
    with pytest.raises(BudgetReachedError):
        money.reserve(1)
    clock.now += 2
    first = money.reserve(1)
    late.settle(0.5)
    money.reserve(1)
    with pytest.raises(BudgetReachedError):
        money.reserve(1)
    first.settle(0.0)
    money.reserve(1)
    assert money.spent_usd == 0.5


def test_what_was_in_flight_at_midnight_gives_its_money_back_to_no_day_but_its_own() -> None:
    clock = Clock(20_001 * DAY_S - 1)
    money = budget(0.5, clock, day_usd=1.0)
    late = [money.reserve(1), money.reserve(1)]
    clock.now += 2
    money.reserve(1)
    for reservation in late:
        reservation.settle(0.0)
    money.reserve(1)
    with pytest.raises(BudgetReachedError, match=r"\$1\.00 is spent or reserved"):
        money.reserve(1)


def test_a_clock_that_is_set_back_gives_no_day_twice() -> None:
    clock = Clock()
    money = budget(0.5, clock, day_usd=0.5)
    money.reserve(1)
    clock.now -= DAY_S
    with pytest.raises(BudgetReachedError):
        money.reserve(1)
    clock.now += DAY_S
    with pytest.raises(BudgetReachedError):
        money.reserve(1)


def test_midnight_is_in_utc() -> None:
    assert midnight_before(NOON) == 20_000 * DAY_S
    assert midnight_before(20_000 * DAY_S) == 20_000 * DAY_S


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -0.01])
def test_what_is_no_sum_of_money_is_not_counted(nonsense: float) -> None:
    with pytest.raises(ValueError, match="no sum of money"):
        budget(nonsense)


@given(
    price=st.floats(0, 5, allow_nan=False),
    cap=st.floats(0, 20, allow_nan=False),
    steps=st.lists(st.tuples(st.integers(1, 4), st.sampled_from("rsku"), st.floats(0, 1))),
)
def test_whatever_happens_no_cap_is_passed(
    price: float, cap: float, steps: list[tuple[int, str, float]]
) -> None:
    """A request never costs more than its worst case; then the cap holds at every moment."""
    money = budget(price, run_usd=cap, day_usd=cap)
    open_ones: list[Reservation] = []
    for images, act, share in steps:
        try:
            open_ones.append(money.reserve(images))
        except BudgetReachedError:
            assert money.spent_usd + money.reserved_usd + money.unknown_usd <= cap + 1e-9
        if act in "su" and open_ones:
            one = open_ones.pop()
            one.settle(one.usd * share) if act == "s" else one.keep_unknown()
        taken = money.spent_usd + money.reserved_usd + money.unknown_usd
        assert taken <= cap + 1e-9


def test_a_real_run_over_midnight_spends_both_days_allowances_and_the_next_none(
    shop: Shop, emulator: Callable[..., RunningEmulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(20, limits={"concurrency": 1}, budget={"day_usd": 0.10})
    real, ahead = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + ahead)

    def observe(event: object) -> None:
        nonlocal ahead
        if isinstance(event, Finished):
            ahead = DAY_S

    def run() -> pipeline.RunResult:
        return asyncio.run(
            pipeline.run(shop.job, base_url=endpoint.url, environ={}, observe=observe)
        )

    over_midnight = run()
    assert over_midnight.exit_code == 5
    assert "day_usd of $0.10" in str(over_midnight.error)
    ledger = sqlite3.connect(shop.outputs / "ledger.db")
    days = Counter(at // DAY_S for (at,) in ledger.execute("SELECT started_at FROM attempts"))
    ledger.close()
    first, second = days
    # The second edit may have left before the clock was moved.
    assert days[first] in (1, 2)
    assert days[second] == 2
    assert run().totals.succeeded == 0, "the ledger and the budget count the same days"
    monkeypatch.setattr(time, "time", lambda: real() + 2 * DAY_S)
    assert run().totals.succeeded == 2
