from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import (
    BadResponseError,
    ConnectionFailed,
    ContentRefusedError,
    EditError,
    InputError,
    NoImageError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
)
from pipeline.retries.policy import (
    RETRY_AFTER_MAX_S,
    Decision,
    QuotaWatch,
    RetryPolicy,
    RetryQuota,
    Tries,
    decide,
    speaks_of_quota,
    wait_before_retry,
)


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


def decided(
    error: EditError,
    policy: RetryPolicy | None = None,
    *,
    tries: Tries | None = None,
    age_s: float = 0,
    unknown_usd: float = 0,
    quota_s: float = 0,
) -> Decision:
    return decide(
        policy or RetryPolicy(),
        tries or Tries(total=1),
        error,
        age_s=age_s,
        unknown_usd=unknown_usd,
        quota_s=quota_s,
        rng=Random(1),
    )


LOST = ConnectionFailed("the connection was closed without an answer", sent=True)
DOWN = ServerError("503")


def test_unknown_money_beyond_its_budget_holds_further_edits() -> None:
    policy = RetryPolicy(unknown_budget_usd=0.084)
    assert decided(LOST, policy, unknown_usd=0.084).wait_s is not None
    held = decided(LOST, policy, unknown_usd=0.126)
    assert (held.wait_s, held.unknown) == (None, True)
    assert "retry.unknown_budget_usd of $0.08" in held.why
    assert decided(DOWN, policy, unknown_usd=0.126).wait_s is not None, "known to be free"


def test_a_budget_of_nothing_holds_the_first_one() -> None:
    assert decided(LOST, RetryPolicy(unknown_budget_usd=0), unknown_usd=0.042).unknown


def test_an_edit_whose_last_attempt_is_ambiguous_ends_as_unknown_not_as_failed() -> None:
    last = Tries(total=6)
    assert decided(LOST, tries=last) == Decision(wait_s=None, unknown=True)
    assert decided(DOWN, tries=last) == Decision(wait_s=None, unknown=False)
    assert decided(BadResponseError("breaks off", sent=True), tries=last).unknown


def test_no_attempt_starts_beyond_an_edits_age() -> None:
    policy = RetryPolicy(edit_timeout_s=100)
    assert decided(DOWN, policy, age_s=50).wait_s is not None
    late = decided(DOWN, policy, age_s=100.5)
    assert (late.wait_s, late.unknown) == (None, False)
    assert "retry.edit_timeout_s" in late.why
    assert decided(DOWN, policy, age_s=50, quota_s=60).wait_s is None, "its wait counts"


def test_the_longest_of_the_waits_holds() -> None:
    assert decided(DOWN, quota_s=40).wait_s == 40
    asked = ServerError("503", retry_after=90)
    assert (decided(asked, quota_s=40).wait_s or 0) >= 90


def test_a_run_has_a_hundred_retries_in_reserve_and_then_one_each_five_seconds() -> None:
    quota = RetryQuota()
    for _ in range(100):
        assert quota.wait_s(DOWN, now=0) == 0
        quota.take(DOWN, now=0)
    for n in range(1, 4):
        assert quota.wait_s(DOWN, now=0) == 5 * n
        quota.take(DOWN, now=0)
    assert quota.wait_s(DOWN, now=20) == 0


def test_a_request_that_nobody_answered_costs_twice() -> None:
    quota = RetryQuota(10)
    quota.take(LOST, now=0)
    assert quota.wait_s(DOWN, now=0) == 5


def test_success_gives_a_retry_its_tokens_back_and_a_first_attempt_one() -> None:
    quota = RetryQuota(5)
    taken = quota.take(DOWN, now=0)
    quota.succeeded(taken)
    assert quota.wait_s(DOWN, now=0) == 0
    quota.take(DOWN, now=0)
    quota.succeeded(0)
    assert quota.wait_s(DOWN, now=0) == 4
    for _ in range(100):
        quota.succeeded(0)
    assert quota.take(DOWN, now=0) == 5
    assert quota.wait_s(DOWN, now=0) == 5, "never more than it began with"


@pytest.mark.parametrize("error", [RateLimitError("429"), NoImageError("empty")])
def test_what_has_its_own_allowance_takes_no_tokens(error: EditError) -> None:
    quota = RetryQuota(5)
    for _ in range(50):
        quota.take(error, now=0)
    assert quota.wait_s(DOWN, now=0) == 0


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 10)), max_size=300))
def test_an_outage_is_not_amplified(steps: list[tuple[bool, float]]) -> None:
    """However failures come, retries that may go by some time are what the tokens pay for."""
    quota, now, due = RetryQuota(50), 0.0, []
    for retried, pause in steps:
        now += pause
        if retried:
            due.append(now + quota.wait_s(DOWN, now=now))
            quota.take(DOWN, now=now)
    for count, when in enumerate(sorted(due), start=1):
        assert count * 5 <= 50 + when + 1e-6


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("too many requests (429): Daily limit reached", True),
        ("You exceeded your current quota, please check your plan", True),
        ("Quota exceeded: 1500 requests per day", True),
        ("GenerateRequestsPerDayPerProject", True),
        ("limit of 100 images / day", True),
        ("Too Many Requests: at most 300 requests a minute", False),
        ("Quota exceeded for quota metric 'requests per minute'", False),
        ("Too many concurrent requests: at most 7 at a time", False),
        ("too many requests (429, without a reason)", False),
    ],
)
def test_the_words_of_a_429_tell_a_quota_from_speed(text: str, expected: bool) -> None:
    assert speaks_of_quota(text) is expected


def test_nothing_but_429s_for_long_is_a_quota_too() -> None:
    watch, slow = QuotaWatch(after_s=1800), RateLimitError("429")
    assert watch.rate_limited(slow, now=0) is None
    assert watch.rate_limited(slow, now=1799) is None
    watch.answered()
    assert watch.rate_limited(slow, now=1801) is None, "something was let in meanwhile"
    reason = watch.rate_limited(slow, now=1801 + 1800)
    assert reason is not None
    assert "nothing but 429s for 1,800 s" in reason
