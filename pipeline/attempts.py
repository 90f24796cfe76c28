"""What the ledger and the budget hear of each request: each is opened once and closed once."""

from collections.abc import Callable
from typing import Protocol

from pipeline.best_pictures import Held
from pipeline.budget import Budget
from pipeline.errors import (
    BadResponseError,
    BudgetReachedError,
    CheckFailedError,
    EditError,
    FatalError,
    PipelineError,
    StoreError,
)
from pipeline.models import (
    Attempt,
    AttemptEnd,
    AttemptStatus,
    CostSource,
    EditResponse,
    Record,
)
from pipeline.planning import Planned
from pipeline.retries.policy import Answer, Tries, is_ambiguous


class AttemptLog(Protocol):
    """What a run writes to the ledger, in this order."""

    async def start_attempt(self, attempt: Attempt) -> None: ...

    def end_attempt(self, attempt_id: str, end: AttemptEnd) -> None: ...

    async def record(
        self, record: Record, *, attempt_id: str | None = None, end: AttemptEnd | None = None
    ) -> None: ...


class Reservation(Protocol):
    """The money of one request: ends once."""

    def settle(self, cost_usd: float | None) -> None: ...

    def keep_unknown(self) -> None: ...


class BothReservations:
    """The money of a re-roll: of the run's, and of what re-rolls may cost."""

    def __init__(self, *reservations: Reservation) -> None:
        self._reservations = reservations

    def settle(self, cost_usd: float | None) -> None:
        for one in self._reservations:
            one.settle(cost_usd)

    def keep_unknown(self) -> None:
        for one in self._reservations:
            one.keep_unknown()


class Question(Protocol):
    """What the provider's logs are asked about one ambiguous attempt."""

    def answer(self) -> Answer | None:
        """``None``: not yet. Raises `LedgerError`."""

    def due(self) -> float:
        """Loop time at which to ask for the answer again."""

    def waited_s(self) -> float:
        """Since it was asked."""


class Inquirer(Protocol):
    """Who asks them. Takes over the reservation: ledger and budget hear from it what is found.

    ``lost_usd``: what was charged without a picture, by the answers so far.
    """

    @property
    def lost_usd(self) -> float: ...

    def ask(self, attempt: Attempt, end: AttemptEnd, reservation: Reservation) -> Question: ...


class Attempts:
    """Opens the attempts of one run. ``now``: seconds since the epoch. ``inquirer``: is asked
    about ambiguous ones; without it they stay unknown. ``rerolls``: what re-rolls may cost.
    """

    def __init__(
        self,
        ledger: AttemptLog,
        budget: Budget,
        *,
        now: Callable[[], float],
        run_id: str,
        inquirer: Inquirer | None = None,
        rerolls: Budget | None = None,
    ) -> None:
        self.ledger = ledger
        self.rerolls = rerolls
        self.budget = budget
        self.now = now
        self.run_id = run_id
        self.inquirer = inquirer
        self._count = 0

    @property
    def unknown_usd(self) -> float:
        """Money of unknown outcome, and what turned out to be charged without a picture."""
        lost = self.inquirer.lost_usd if self.inquirer is not None else 0.0
        return self.budget.unknown_usd + lost

    def open(
        self, planned: Planned, *, number: int, images: int, again: bool = False
    ) -> "OpenAttempt":
        """Sets the money of an edit's ``number``-th attempt aside. ``again``: it has an answer
        already. Raises `BudgetReachedError`.
        """
        reservation: Reservation
        if again and self.rerolls is not None:
            try:
                own = self.rerolls.reserve(images)
            except BudgetReachedError:
                raise BudgetReachedError("checks.reroll_budget_usd is used up") from None
            try:
                reservation = BothReservations(self.budget.reserve(images), own)
            except BudgetReachedError:
                own.settle(0.0)
                raise
        else:
            reservation = self.budget.reserve(images)
        self._count += 1
        return OpenAttempt(
            self,
            Attempt(
                id=f"{self.run_id}.{self._count}",
                edit_id=planned.edit.id,
                run_id=self.run_id,
                number=number,
                fingerprint=planned.fingerprint,
                started_at=self.now(),
                images=images,
                reserved_usd=self.budget.worst_case_usd(images),
            ),
            reservation,
        )


class OpenAttempt:
    """One request, from the money set aside for it to its end.

    Ends in one of: `not_sent`; `failed`, `fatal` or `cut_off` while it is asked; after `answered`
    in `unusable`, `not_kept`, or in the row of `success`, which goes to the ledger with the
    edit's record. ``asked``: what the logs are asked about it, and what it failed with.
    """

    def __init__(self, attempts: Attempts, attempt: Attempt, reservation: Reservation) -> None:
        self._attempts = attempts
        self._attempt = attempt
        self._reservation = reservation
        self._answered_at = attempt.started_at
        self.id = attempt.id
        self.asked: tuple[Question, EditError] | None = None

    async def start(self) -> None:
        """Writes its row. Raises `LedgerError`: then nothing may be sent."""
        await self._attempts.ledger.start_attempt(self._attempt)

    def not_sent(self) -> None:
        """The run was interrupted before the request left."""
        self._reservation.settle(0.0)
        self._end("failed", "not_sent", "the run was interrupted before the request left")

    def failed(self, error: EditError) -> float | None:
        """Closed by what it failed with. What it cost; ``None``: nobody knows.

        Ambiguous, it is ``unknown``, and its money stays set aside unless its cost is known; where
        the logs are asked, until they answer. An error status is never charged; a success status
        may be, whatever was in it.
        """
        unknown = is_ambiguous(error)
        cost, source = error.cost_usd, error.cost_source
        if cost is None and not unknown:
            cost = self._attempt.reserved_usd if isinstance(error, BadResponseError) else 0.0
            source = "catalog" if cost else "none"
        inquirer = self._attempts.inquirer
        if unknown and inquirer is not None:
            end = self._end_by(error, "unknown", cost=cost, source=source)
            self.asked = inquirer.ask(self._attempt, end, self._reservation), error
            return None
        if unknown and cost is None:
            self._reservation.keep_unknown()
        else:
            self._reservation.settle(cost)
        status: AttemptStatus = "refused" if error.outcome == "refused" else "failed"
        self._end_by(error, "unknown" if unknown else status, cost=cost, source=source)
        return cost

    def fatal(self, error: FatalError) -> None:
        """A fatal answer is an answer, and free. But a store that cannot take the pictures fails
        while they arrive: they may have been charged.
        """
        if isinstance(error, StoreError):
            self._reservation.keep_unknown()
            self._end_by(error, "unknown", cost=None)
            return
        self._reservation.settle(0.0)
        self._end_by(error, "failed", cost=0.0)

    def cut_off(self) -> None:
        """Cancelled on its way: it may have been acted upon."""
        self._reservation.keep_unknown()
        words = "the run was interrupted while the request was on its way"
        self._end("unknown", "cancelled", words)

    def answered(self, response: EditResponse) -> None:
        """A success status and pictures: its money is spent."""
        self._answered_at = self._attempts.now()
        self._reservation.settle(response.cost_usd)

    def unusable(self, error: BadResponseError, response: EditResponse) -> None:
        """None of its pictures is one."""
        error.inference_id, error.http_status = response.inference_id, response.http_status
        error.cost_usd, error.cost_source = response.cost_usd, response.cost_source
        self._end_by(error, "failed", cost=response.cost_usd, source=response.cost_source)

    def not_kept(self, response: EditResponse, words: str) -> None:
        """Answered and paid, but whether its pictures were kept is not known."""
        self._attempts.ledger.end_attempt(
            self.id,
            AttemptEnd(
                status="unknown",
                finished_at=self._attempts.now(),
                cost_usd=response.cost_usd,
                cost_source=response.cost_source,
                http_status=response.http_status,
                inference_id=response.inference_id,
                error_code="not_kept",
                error_message=words,
            ),
        )

    def success(self, response: EditResponse, wrong: str = "") -> AttemptEnd:
        """The row of its end. ``wrong``: what checks say against its pictures."""
        return AttemptEnd(
            status="succeeded",
            finished_at=self._answered_at,
            cost_usd=response.cost_usd,
            cost_source=response.cost_source,
            http_status=response.http_status,
            inference_id=response.inference_id,
            error_code=CheckFailedError.code if wrong else None,
            error_message=wrong or None,
        )

    def _end_by(
        self,
        error: PipelineError,
        status: AttemptStatus,
        *,
        cost: float | None,
        source: CostSource = "none",
    ) -> AttemptEnd:
        end = AttemptEnd(
            status=status,
            finished_at=self._attempts.now(),
            cost_usd=cost,
            cost_source=source,
            http_status=getattr(error, "http_status", None),
            inference_id=getattr(error, "inference_id", None),
            error_code=getattr(error, "code", type(error).__name__),
            error_message=str(error),
        )
        self._attempts.ledger.end_attempt(self.id, end)
        return end

    def _end(self, status: AttemptStatus, code: str, message: str) -> None:
        self._attempts.ledger.end_attempt(
            self.id,
            AttemptEnd(
                status=status,
                finished_at=self._attempts.now(),
                error_code=code,
                error_message=message,
            ),
        )


class Progress:
    """What one edit has come to so far. ``first_at``: loop time of its first attempt; ``held_s``:
    how long outages and the logs have held it since; ``tokens``: what its last retry took from the
    quota; ``asked``: while it waits for the logs, see `OpenAttempt`; ``held``: the pictures of
    earlier answers, while better ones are asked for; ``wanted``: how many.
    """

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.first_at = 0.0
        self.held_s = 0.0
        self.tokens = 0.0
        self.attempts = 0
        self.cost_usd: float | None = None
        self.tries = Tries()
        self.asked: tuple[Question, EditError] | None = None
        self.held: Held | None = None
        self.wanted = 0

    def spend(self, usd: float | None) -> None:
        if usd is not None:
            self.cost_usd = round((self.cost_usd or 0.0) + usd, 9)
