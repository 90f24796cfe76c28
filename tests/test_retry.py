from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    ConnectionFailed,
    ContentRefusedError,
    EditError,
    InputError,
    NoImageError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
)
from pipeline.retry import RETRY_AFTER_MAX_S, RetryPolicy, Tries, wait_before_retry


def waits(policy: RetryPolicy, error: EditError, *, most: int = 1000) -> list[float]:
    """The waits until the policy gives up on an error that keeps coming."""
    tries, rng, found = Tries(), Random(3), []
    for _ in range(most):
        tries.count(error)
        wait = wait_before_retry(policy, tries, error, rng)
        if wait is None:
            return found
        found.append(wait)
    raise AssertionError("never gives up")


@pytest.mark.parametrize("error", [InputError, RequestRejectedError, ContentRefusedError])
def test_what_a_retry_would_only_repeat_is_never_retried(error: type[EditError]) -> None:
    assert waits(RetryPolicy(), error("no")) == []


def test_attempts_count_the_first_one() -> None:
    assert len(waits(RetryPolicy(attempts=6), ServerError("503"))) == 5
    assert waits(RetryPolicy(attempts=1), ServerError("503")) == []


@given(st.integers(1, 40), st.floats(0.01, 10), st.floats(0.01, 100))
def test_backoff_stays_under_its_exponential_ceiling(n: int, initial: float, most: float) -> None:
    policy = RetryPolicy(attempts=n, wait_initial_s=initial, wait_max_s=most)
    for step, wait in enumerate(waits(policy, ServerError("503"))):
        assert 0 <= wait <= min(most, initial * 2**step)


def test_edits_that_failed_together_do_not_come_back_together() -> None:
    tries = Tries(total=3)
    rng = Random(5)
    found = {wait_before_retry(RetryPolicy(), tries, ServerError("x"), rng) for _ in range(20)}
    assert len(found) == 20


def test_retry_after_is_a_floor_with_jitter_on_top() -> None:
    error = RateLimitError("slow down", retry_after=30)
    for wait in waits(RetryPolicy(wait_jitter_s=2), error):
        assert 30 <= wait <= 32


def test_an_absurd_retry_after_does_not_hold_an_edit_for_ever() -> None:
    assert waits(RetryPolicy(), ServerError("x", retry_after=1e12))[0] <= RETRY_AFTER_MAX_S + 1


def test_being_turned_away_does_not_use_up_the_attempts_but_ends_too() -> None:
    found = waits(RetryPolicy(attempts=3), RateLimitError("429"))
    assert len(found) == 29


def test_answers_without_a_picture_have_their_own_small_allowance() -> None:
    assert len(waits(RetryPolicy(no_image_attempts=2), NoImageError("empty"))) == 1


@pytest.mark.parametrize(("policy", "expected"), [("retry", 5), ("hold", 0)])
def test_an_unknown_outcome_is_retried_or_held_as_the_job_says(policy: str, expected: int) -> None:
    error = ConnectionFailed("reset", sent=True)
    assert len(waits(RetryPolicy(on_unknown=policy), error)) == expected  # type: ignore[arg-type]
    assert len(waits(RetryPolicy(on_unknown="hold"), ConnectionFailed("refused"))) == 5
