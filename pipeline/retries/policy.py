"""When to try again: pure functions over a policy, and what a whole run may spend on retries."""

import re
from random import Random
from typing import Literal

import msgspec

from pipeline.errors import (
    ConnectionFailed,
    EditError,
    NoImageError,
    RateLimitError,
    TransientError,
)

OnUnknown = Literal["retry", "reconcile", "hold"]
OnQuota = Literal["wait", "stop"]

RETRY_AFTER_MAX_S = 900.0
"""A provider that asks for more than this is asked again all the same: its clock may be wrong."""

RATE_LIMITED_PER_ATTEMPT = 10
"""429s allowed for each attempt of the policy: turned away at the door, they cost nothing."""

QUOTA_TOKENS = 500.0
RETRY_COST = 5.0
UNANSWERED_COST = 10.0
SUCCESS_GAIN = 1.0
"""The figures of the AWS SDKs' standard retry mode: a hundred retries in reserve, and a request
that nobody answered costs twice, because it held a connection all the while."""

REFILL_PER_S = 1.0
"""Ours: an edit waits for its tokens here, where an SDK would fail it. So they must come back even
when nothing else succeeds."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """``attempts`` counts the first one. Waits are seconds, money is USD.

    Six attempts from 1 s on ride out about half a minute of trouble; what lasts longer is an
    outage, which the breaker waits out for ``outage_s`` (it opens after ``breaker_after`` failures
    in a row). ``no_image_attempts`` is lower because an answer without a picture may have been
    paid for. ``unknown_budget_usd``: how much money of unknown outcome a run may gather before
    further such edits are held; ``None``: the run's cap decides. ``logs_delay_s``: after so long
    the provider's logs are complete, for ``on_unknown: reconcile``. ``edit_timeout_s``: no attempt
    starts later than this after an edit's first one, unless an outage or the logs held it.
    """

    attempts: int = 6
    wait_initial_s: float = 1.0
    wait_max_s: float = 60.0
    wait_jitter_s: float = 1.0
    no_image_attempts: int = 2
    on_unknown: OnUnknown = "retry"
    unknown_budget_usd: float | None = None
    logs_delay_s: float = 600.0
    edit_timeout_s: float = 3600.0
    breaker_after: int = 10
    outage_s: float = 3600.0


class Tries(msgspec.Struct):
    """What one edit has met so far, by kind."""

    total: int = 0
    rate_limited: int = 0
    no_image: int = 0

    def count(self, error: EditError) -> None:
        self.total += 1
        if isinstance(error, RateLimitError):
            self.rate_limited += 1
        elif isinstance(error, NoImageError):
            self.no_image += 1


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What follows a failed attempt: another one in ``wait_s``, or, where that is ``None``, the
    edit's end. ``unknown``: it ends without anybody knowing its outcome. ``why``: the rule that
    ended it, where the error alone does not say so.
    """

    wait_s: float | None = None
    unknown: bool = False
    why: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider's logs say of an ambiguous attempt. ``usd``: what it cost; ``None``: it is
    not known. ``words``: for a person.
    """

    verdict: Literal["not_billed", "billed_lost", "undecided"]
    usd: float | None = None
    words: str


def is_ambiguous(error: BaseException) -> bool:
    """Sent, and no answer says what became of it: it may have been charged."""
    return isinstance(error, TransientError) and error.sent


def decide(
    policy: RetryPolicy,
    tries: Tries,
    error: EditError,
    *,
    age_s: float,
    unknown_usd: float,
    quota_s: float,
    rng: Random,
    answer: Answer | None = None,
) -> Decision:
    """What follows ``error``, which ``tries`` already counts.

    ``age_s``: since the edit's first attempt. ``unknown_usd``: the run's money of unknown outcome,
    this attempt's included, and what the logs say was lost. ``quota_s``: the least wait by the
    run's retry quota. ``answer``: what the logs say, if they were asked.
    """
    if answer is not None and answer.verdict == "undecided":
        return Decision(unknown=True, why=f"held: {answer.words}")
    unknown = is_ambiguous(error) and answer is None
    if unknown and policy.on_unknown == "hold":
        return Decision(unknown=True, why="held for a person: retry.on_unknown is 'hold'")
    most = policy.unknown_budget_usd
    lost = answer is not None and answer.verdict == "billed_lost"
    if lost and most is not None and unknown_usd > most + 1e-9:
        return Decision(
            why=f"charged, and no picture came: ${unknown_usd:,.3f} lost or unknown is more than"
            f" retry.unknown_budget_usd of ${most:,.2f}",
        )
    if unknown and most is not None and unknown_usd > most + 1e-9:
        return Decision(
            unknown=True,
            why=f"held for a person: ${unknown_usd:,.3f} of unknown outcome is more than"
            f" retry.unknown_budget_usd of ${most:,.2f}",
        )
    wait = wait_before_retry(policy, tries, error, rng)
    if wait is None:
        return Decision(unknown=unknown)
    wait = max(wait, quota_s) if answer is None else quota_s  # it has waited for the logs
    if age_s + wait > policy.edit_timeout_s:
        return Decision(
            unknown=unknown,
            why=f"given up {age_s:,.0f} s after its first attempt: the next one would come later"
            f" than retry.edit_timeout_s of {policy.edit_timeout_s:,.0f} s",
        )
    return Decision(wait_s=wait)


def wait_before_retry(
    policy: RetryPolicy, tries: Tries, error: EditError, rng: Random
) -> float | None:
    """Seconds to wait before the next attempt, or ``None``: no more attempts.

    ``tries`` already counts ``error``. Exponential with full jitter, so that edits that failed
    together do not come back together; a Retry-After is a floor, with ``wait_jitter_s`` on top.
    """
    if not isinstance(error, TransientError):
        return None
    if error.sent and policy.on_unknown == "hold":
        return None
    if isinstance(error, NoImageError) and tries.no_image >= policy.no_image_attempts:
        return None
    if tries.rate_limited >= policy.attempts * RATE_LIMITED_PER_ATTEMPT:
        return None
    counted = tries.total - tries.rate_limited
    if counted >= policy.attempts:
        return None
    if error.retry_after is not None:
        floor = min(max(error.retry_after, 0.0), RETRY_AFTER_MAX_S)
        return floor + rng.uniform(0, policy.wait_jitter_s)
    step = max(counted, 1) - 1
    # 2.0 ** 1024 overflows; no policy needs a thirtieth doubling.
    ceiling = min(policy.wait_max_s, policy.wait_initial_s * 2.0 ** min(step, 30))
    return rng.uniform(0, ceiling)


class RetryQuota:
    """What all edits of a run may retry together, so that an outage is not amplified.

    A token bucket that may go into debt: each retry takes tokens, each success gives some back,
    and in debt the next retry waits until time has paid for it. A 429 takes nothing (the throttle
    answers it), nor does an answer without a picture (it has its own allowance). Times are seconds
    of any steady clock.
    """

    def __init__(self, tokens: float = QUOTA_TOKENS) -> None:
        self._most = tokens
        self._tokens = tokens
        self._at: float | None = None

    def wait_s(self, error: EditError, *, now: float) -> float:
        """How long a retry after this error has to wait for its tokens."""
        self._refill(now)
        return max(0.0, retry_cost(error) - self._tokens) / REFILL_PER_S

    def take(self, error: EditError, *, now: float) -> float:
        """Takes the tokens of a retry; how many, for `succeeded`."""
        self._refill(now)
        cost = retry_cost(error)
        self._tokens -= cost
        return cost

    def succeeded(self, taken: float) -> None:
        """A request succeeded: a retry gets back what it took (0: it was a first attempt)."""
        self._tokens = min(self._most, self._tokens + (taken or SUCCESS_GAIN))

    def _refill(self, now: float) -> None:
        if self._at is not None:
            gained = (now - self._at) * REFILL_PER_S
            self._tokens = min(self._most, self._tokens + gained)
        self._at = now


def retry_cost(error: EditError) -> float:
    """Tokens that a retry after this error takes from the run's quota."""
    if isinstance(error, RateLimitError | NoImageError):
        return 0.0
    return UNANSWERED_COST if isinstance(error, ConnectionFailed) else RETRY_COST


_LONG_PERIOD = re.compile(
    r"\b(daily|monthly|per[ _-]?(day|month)|(a|each|this) (day|month)|24[ -]?h(ours?)?|RPD)\b"
    r"|/ ?(day|month)\b|PerDay",
    re.IGNORECASE,
)
_SHORT_PERIOD = re.compile(
    r"per[ _-]?(second|minute|hour)|/ ?(s|sec|m|min|h|hour)\b|\bRP[SMH]\b|concurren", re.IGNORECASE
)
_QUOTA = re.compile(r"\bquota\b", re.IGNORECASE)


def speaks_of_quota(text: str) -> bool:
    """Whether a 429's words are about a day's or a month's allowance, not about speed."""
    if _LONG_PERIOD.search(text):
        return True
    return _QUOTA.search(text) is not None and _SHORT_PERIOD.search(text) is None


class QuotaWatch:
    """Tells a 429 that is really a used-up quota from one that means "slower".

    By its words, or because nothing but 429s has come for ``after_s`` seconds: slower cannot be
    the cure then.
    """

    def __init__(self, *, after_s: float) -> None:
        self._after_s = after_s
        self._since: float | None = None

    def rate_limited(self, error: RateLimitError, *, now: float) -> str | None:
        """What speaks for a quota, in words; ``None``: nothing does."""
        if self._since is None:
            self._since = now
        if speaks_of_quota(str(error)):
            return str(error)
        if now - self._since >= self._after_s:
            return f"nothing but 429s for {now - self._since:,.0f} s, the last one: {error}"
        return None

    def answered(self) -> None:
        """Another answer came: requests are let in."""
        self._since = None
