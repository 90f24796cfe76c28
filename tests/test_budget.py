import pytest

from pipeline.budget import Budget
from pipeline.errors import BudgetReachedError, JobError


def test_what_is_reserved_counts_before_anything_is_spent() -> None:
    budget = Budget(price_usd=0.042, run_usd=0.10)
    budget.reserve(1)
    budget.reserve(1)
    with pytest.raises(BudgetReachedError, match=r"run_usd of \$0\.10"):
        budget.reserve(1)


def test_a_request_that_cost_nothing_gives_its_money_back() -> None:
    budget = Budget(price_usd=0.05, run_usd=0.05)
    budget.reserve(1).settle(0.0)
    budget.reserve(1).settle(0.05)
    with pytest.raises(BudgetReachedError):
        budget.reserve(1)
    assert (budget.spent_usd, budget.reserved_usd, budget.unknown_usd) == (0.05, 0.0, 0.0)


def test_money_whose_fate_is_unknown_stays_taken() -> None:
    budget = Budget(price_usd=0.05, run_usd=0.05)
    budget.reserve(1).keep_unknown()
    assert budget.unknown_usd == 0.05
    with pytest.raises(BudgetReachedError):
        budget.reserve(1)


def test_the_day_counts_what_earlier_runs_spent() -> None:
    budget = Budget(price_usd=0.05, day_usd=1.0, spent_today_usd=0.96)
    with pytest.raises(BudgetReachedError, match="day_usd"):
        budget.reserve(1)


def test_a_cap_can_be_used_up_to_the_cent() -> None:
    budget = Budget(price_usd=0.042, run_usd=0.42)
    for _ in range(10):
        budget.reserve(1).settle(0.042)
    with pytest.raises(BudgetReachedError):
        budget.reserve(1)


def test_a_cap_with_an_unknown_price_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(JobError, match="price_usd"):
        Budget(price_usd=None, run_usd=5)
    Budget(price_usd=None).reserve(1).settle(0.1)


def test_a_reservation_ends_once() -> None:
    reservation = Budget(price_usd=0.05).reserve(1)
    reservation.settle(0.05)
    with pytest.raises(RuntimeError):
        reservation.keep_unknown()
