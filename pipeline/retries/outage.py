"""While the endpoint is down, edits wait here and one at a time asks whether it is back."""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from pipeline.errors import (
    BadResponseError,
    ConnectionFailed,
    EditError,
    FatalError,
    InputError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from pipeline.retries.breaker import Breaker, BreakerPolicy
from pipeline.retries.policy import OnQuota, QuotaWatch

QUOTA_PROBE_FIRST_S = 60.0
QUOTA_PROBE_MAX_S = 900.0
QUOTA_GIVE_UP_S = 26 * 3600.0
"""A quota of a day is renewed within a day, whatever the time zone; two hours for its clock."""

TROUBLE = (ServerError, ConnectionFailed, BadResponseError)
"""Failures that speak of the endpoint. A refusal, a rejected request and an answer without a
picture are answers to one edit: twenty of them in a row are a matter of the manifest."""


class EndpointDown(msgspec.Struct, frozen=True, kw_only=True):
    """Event: the breaker has opened. ``message``: of the failure that opened it."""

    code: str
    message: str
    probe_in_s: float


class EndpointUp(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a probe was answered after ``down_s``: everybody goes on."""

    down_s: float


class OutagePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """``quota_after_s``: only 429s for so long are a used-up quota. ``resume``: the command that
    goes on with this job, for messages.
    """

    breaker: BreakerPolicy = BreakerPolicy()
    on_quota: OnQuota = "wait"
    quota_after_s: float = 1800.0
    resume: str = "pipeline run JOB"


class OutageGate:
    """Every attempt passes it twice: `enter` before it waits for a place, `heard` with what came
    of it. Belongs to one event loop; one timer serves all that wait.
    """

    def __init__(
        self, policy: OutagePolicy, observe: Callable[[EndpointDown | EndpointUp], None]
    ) -> None:
        self._policy = policy
        self._observe = observe
        self._breaker = Breaker(policy.breaker)
        self._quota = QuotaWatch(after_s=policy.quota_after_s)
        self._by_quota = False
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether the breaker is: nothing leaves but probes."""
        return self._breaker.is_open

    async def enter(self) -> bool:
        """Waits until a request may leave. True: it is the probe, and owes `heard` or `lost`."""
        loop = asyncio.get_running_loop()
        while self._breaker.is_open:
            if self._breaker.probe_in_s(now=loop.time()) == 0:
                self._breaker.take_probe()
                return True
            turn: asyncio.Future[None] = loop.create_future()
            self._waiters.append(turn)
            self._tend()
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiters:
                    self._waiters.remove(turn)
                self._tend()  # it may have been the one who was woken for the probe
                raise
        return False

    def passes(self, *, probe: bool) -> bool:
        """Whether it may still leave, after a wait for something else."""
        return probe or not self._breaker.is_open

    def heard(self, error: EditError | None, *, probe: bool) -> None:
        """What came of a request; ``None``: a success.

        Raises `QuotaExceededError` for a used-up quota if the policy says stop, and `FatalError`
        when an outage lasts longer than the policy waits.
        """
        if isinstance(error, InputError):  # nobody was asked
            if probe:
                self.lost()
        elif isinstance(error, RateLimitError):
            self._rate_limited(error, probe=probe)
        elif isinstance(error, TROUBLE):
            if not isinstance(error, ConnectionFailed):
                self._quota.answered()
            self._failed(error, probe=probe)
        else:
            self._quota.answered()
            self._answered(probe=probe)

    def was_away(self, seconds: float) -> None:
        """A pause of so long is over: it makes no outage longer, and no quota looks used up."""
        self._breaker.was_away(seconds)
        self._quota.answered()

    def lost(self) -> None:
        """The probe never came to an answer."""
        self._breaker.probe_lost()
        self._tend()

    def _answered(self, *, probe: bool) -> None:
        if not probe:
            self._breaker.answered()
            return
        down_s = self._breaker.probe_answered(now=_now())
        self._by_quota = False
        self._tend()
        self._observe(EndpointUp(down_s=down_s))

    def _failed(self, error: EditError, *, probe: bool) -> None:
        if probe:
            self._probe_failed(error)
        elif self._breaker.failed(error.code, now=_now()):
            self._opened(error)

    def _rate_limited(self, error: RateLimitError, *, probe: bool) -> None:
        now = _now()
        reason = self._quota.rate_limited(error, now=now)
        if reason is None:
            if probe and self._by_quota:
                self._probe_failed(error)
            elif probe:
                self._answered(probe=True)  # too fast is the throttle's matter: it is up
            return
        if self._policy.on_quota == "stop":
            raise QuotaExceededError(
                f"the endpoint's quota seems to be used up ({reason})."
                f" Nothing was marked failed: when it is renewed, run {self._policy.resume}"
                " (limits.on_quota: wait waits for that)"
            )
        if probe and self._by_quota:
            self._probe_failed(error)
        elif not self._by_quota:
            self._by_quota = True
            self._breaker.open(
                now=now,
                probe_first_s=QUOTA_PROBE_FIRST_S,
                probe_max_s=QUOTA_PROBE_MAX_S,
                give_up_s=QUOTA_GIVE_UP_S,
            )
            self._opened(error)

    def _opened(self, error: EditError) -> None:
        self._tend()
        wait = self._breaker.probe_in_s(now=_now()) or 0.0
        self._observe(EndpointDown(code=error.code, message=str(error), probe_in_s=wait))

    def _probe_failed(self, error: EditError) -> None:
        gave_up = self._breaker.probe_failed(now=_now())
        self._tend()
        if not gave_up:
            return
        if self._by_quota:
            raise QuotaExceededError(
                f"the endpoint's quota has been used up for {QUOTA_GIVE_UP_S / 3600:.0f} hours"
                f" (the last answer: {error}). Nothing more was marked failed: when it is renewed,"
                f" run {self._policy.resume}"
            )
        minutes = self._policy.breaker.give_up_s / 60
        raise FatalError(
            f"the endpoint has been failing for more than {minutes:,.0f} min (the last failure:"
            f" {error.code}: {error}). Edits that were not tried stay pending: when it works"
            f" again, run {self._policy.resume}"
        )

    def _tend(self) -> None:
        """Wakes whom it concerns: all when closed, one for the probe, at its time."""
        if not self._breaker.is_open:
            self._stop_timer()
            while self._waiters:
                self._wake()
            return
        wait = self._breaker.probe_in_s(now=_now())
        if wait is None or not self._waiters:
            return
        if wait == 0:
            self._wake()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._tend()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        while self._waiters:
            turn = self._waiters.popleft()
            if not turn.done():  # else it was cancelled a moment ago
                turn.set_result(None)
                return


def _now() -> float:
    return asyncio.get_running_loop().time()
