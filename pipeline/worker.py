"""One edit, from its inputs to its record. Reads top to bottom."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from random import Random
from typing import Protocol

import msgspec

from pipeline.budget import Budget, Reservation
from pipeline.endpoints import Endpoint
from pipeline.errors import (
    BadResponseError,
    EditError,
    FatalError,
    InputError,
    PipelineError,
    RateLimitError,
    TransientError,
)
from pipeline.inputs import InputImage, Inputs, final_parameters
from pipeline.limits import Throttle
from pipeline.models import (
    Attempt,
    AttemptEnd,
    AttemptStatus,
    CostSource,
    EditRequest,
    EditResponse,
    PictureFacts,
    Record,
    Status,
    StoredImage,
)
from pipeline.pictures.verify import inspect_picture
from pipeline.planning import Planned
from pipeline.retry import RetryPolicy, Tries, wait_before_retry
from pipeline.stores import OutputStore

UNPARSED_MAX_BYTES = 64 * 1024


class AttemptLog(Protocol):
    """What a worker writes to the ledger, in this order."""

    async def start_attempt(self, attempt: Attempt) -> None: ...

    def end_attempt(self, attempt_id: str, end: AttemptEnd) -> None: ...

    async def record(
        self, record: Record, *, attempt_id: str | None = None, end: AttemptEnd | None = None
    ) -> None: ...


class Retrying(msgspec.Struct, frozen=True, kw_only=True):
    """Event: an attempt failed and another will follow in ``wait_s``."""

    edit_id: str
    attempt: int
    wait_s: float
    code: str
    message: str


class CoolingDown(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a 429 came; nothing leaves for ``wait_s``, then at most ``concurrency`` at once."""

    wait_s: float
    concurrency: int


class Worker:
    """Holds what all edits of a run share; calling it does one edit.

    ``committed``: a context that a drain waits for; it spans each attempt from its row in the
    ledger to what came of it. ``now``: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        store: OutputStore,
        ledger: AttemptLog,
        inputs: Inputs,
        throttle: Throttle,
        budget: Budget,
        retry: RetryPolicy,
        committed: Callable[[], AbstractContextManager[None]],
        observe: Callable[[Retrying | CoolingDown], None],
        now: Callable[[], float],
        rng: Random,
        run_id: str,
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._ledger = ledger
        self._inputs = inputs
        self._throttle = throttle
        self._budget = budget
        self._retry = retry
        self._committed = committed
        self._observe = observe
        self._now = now
        self._rng = rng
        self._run_id = run_id
        self._attempts = 0

    async def __call__(self, planned: Planned) -> Record:
        """Returns the edit's record, durable. Raises `FatalError` or `BudgetReachedError`: then
        there is no record, and the edit stays pending.
        """
        progress = _Progress(started_at=self._now())
        try:
            async with self._inputs.ready(planned) as images:
                return await self._until_settled(planned, images, progress)
        except InputError as error:
            return await self._fail(planned, error, progress)

    async def fail(self, planned: Planned, error: EditError) -> Record:
        """Records an edit that cannot even be tried."""
        return await self._fail(planned, error, _Progress(started_at=self._now()))

    async def _until_settled(
        self, planned: Planned, images: Sequence[InputImage], progress: "_Progress"
    ) -> Record:
        model = self._endpoint.model
        parameters = final_parameters(model, planned.edit.parameters, images)
        asked = model.count(parameters)
        while True:
            with ExitStack() as commitment:
                try:
                    async with self._throttle.slot(images=asked) as entered_at:
                        reservation = self._budget.reserve(asked)
                        commitment.enter_context(self._committed())
                        attempt = await self._start(planned, progress, asked, reservation)
                        request = EditRequest(
                            id=attempt.id,
                            prompt=planned.edit.prompt,
                            images=tuple(images),
                            parameters=parameters,
                        )
                        response = await self._ask(request, attempt, reservation, progress)
                    self._throttle.succeeded()
                    stored = await self._keep(planned, response, attempt)
                    return await self._succeed(planned, progress, attempt, response, stored)
                except EditError as error:
                    failure = error
                if isinstance(failure, RateLimitError):
                    self._cool_down(entered_at, failure)
                if failure.body is not None:
                    await self._store.keep_unparsed(attempt.id, failure.body)
                progress.tries.count(failure)
                wait = wait_before_retry(self._retry, progress.tries, failure, self._rng)
                if wait is None:
                    return await self._fail(planned, failure, progress)
            # Outside the slot: an edit that waits does not keep others from going.
            self._observe(
                Retrying(
                    edit_id=planned.edit.id,
                    attempt=progress.attempts,
                    wait_s=wait,
                    code=failure.code,
                    message=str(failure),
                )
            )
            await asyncio.sleep(wait)

    async def _fail(self, planned: Planned, error: EditError, progress: "_Progress") -> Record:
        status: Status = error.outcome
        if isinstance(error, TransientError) and error.sent and self._retry.on_unknown == "hold":
            status = "unknown"
        record = self._record(
            planned, progress, status=status, error_code=error.code, error_message=str(error)
        )
        await self._ledger.record(record)
        return record

    async def _start(
        self, planned: Planned, progress: "_Progress", asked: int, reservation: Reservation
    ) -> Attempt:
        progress.attempts += 1
        self._attempts += 1
        attempt = Attempt(
            id=f"{self._run_id}.{self._attempts}",
            edit_id=planned.edit.id,
            run_id=self._run_id,
            number=progress.attempts,
            fingerprint=planned.fingerprint,
            started_at=self._now(),
            images=asked,
            reserved_usd=self._budget.worst_case_usd(asked),
        )
        try:
            await self._ledger.start_attempt(attempt)
        except asyncio.CancelledError:
            reservation.settle(0.0)
            self._ledger.end_attempt(
                attempt.id,
                AttemptEnd(
                    status="failed",
                    finished_at=self._now(),
                    error_code="not_sent",
                    error_message="the run was interrupted before the request left",
                ),
            )
            raise
        return attempt

    async def _ask(
        self,
        request: EditRequest,
        attempt: Attempt,
        reservation: Reservation,
        progress: "_Progress",
    ) -> EditResponse:
        """One attempt. If it fails, the ledger is told here; a success goes there with its record,
        in one transaction: cut off in between, it is visible as unknown.
        """
        try:
            response = await self._endpoint.edit(request, draft=self._store.draft)
        except EditError as error:
            ambiguous = isinstance(error, TransientError) and error.sent
            cost = self._cost_of(error, attempt)
            if ambiguous and error.cost_usd is None:
                reservation.keep_unknown()
            else:
                reservation.settle(cost or 0.0)
                progress.spend(cost)
            self._end(
                attempt,
                "unknown" if ambiguous else _attempt_status(error),
                error=error,
                cost_usd=None if ambiguous and error.cost_usd is None else cost,
            )
            raise
        except (FatalError, asyncio.CancelledError) as error:
            self._end_unfinished(attempt, reservation, error)
            raise
        progress.answered_at = self._now()
        reservation.settle(response.cost_usd or 0.0)
        progress.spend(response.cost_usd)
        return response

    def _end_unfinished(
        self, attempt: Attempt, reservation: Reservation, error: BaseException
    ) -> None:
        """A fatal answer is an answer, and free; a cancelled request may have been acted upon."""
        if isinstance(error, FatalError):
            reservation.settle(0.0)
            self._end(attempt, "failed", error=error, cost_usd=0.0)
        else:
            reservation.keep_unknown()
            self._ledger.end_attempt(
                attempt.id,
                AttemptEnd(
                    status="unknown",
                    finished_at=self._now(),
                    error_code="cancelled",
                    error_message="the run was interrupted while the request was on its way",
                ),
            )

    def _end(
        self,
        attempt: Attempt,
        status: AttemptStatus,
        *,
        error: PipelineError,
        cost_usd: float | None,
    ) -> None:
        self._ledger.end_attempt(
            attempt.id,
            AttemptEnd(
                status=status,
                finished_at=self._now(),
                cost_usd=cost_usd,
                cost_source=_cost_source(error, cost_usd),
                http_status=getattr(error, "http_status", None),
                inference_id=getattr(error, "inference_id", None),
                error_code=getattr(error, "code", type(error).__name__),
                error_message=str(error),
            ),
        )

    def _cost_of(self, error: EditError, attempt: Attempt) -> float | None:
        """An error status is never charged; a success status may be, whatever was in it."""
        if error.cost_usd is not None:
            return error.cost_usd
        return attempt.reserved_usd if isinstance(error, BadResponseError) else 0.0

    def _cool_down(self, entered_at: float, error: RateLimitError) -> None:
        wait = self._throttle.rate_limited(entered_at=entered_at, retry_after=error.retry_after)
        self._observe(CoolingDown(wait_s=wait, concurrency=self._throttle.concurrency))

    async def _keep(
        self, planned: Planned, response: EditResponse, attempt: Attempt
    ) -> tuple[StoredImage, ...]:
        """Puts every usable picture; an answer with none is a `BadResponseError`."""
        first = planned.edit.output
        names = [first, *(f"{first}-{n}" for n in range(2, len(response.images) + 1))]
        put = [
            self._store.put(draft, name, inspect=_inspected)
            for draft, name in zip(response.images, names, strict=True)
        ]
        results = await asyncio.gather(*put, return_exceptions=True)
        stored = tuple([result for result in results if isinstance(result, StoredImage)])
        for error in results:
            if isinstance(error, BadResponseError):
                if stored:
                    await self._store.keep_unparsed(attempt.id, error.body or b"")
                    continue
                error.cost_usd, error.inference_id = response.cost_usd, response.inference_id
                self._end(attempt, "failed", error=error, cost_usd=response.cost_usd)
            if isinstance(error, BaseException):
                raise error
        return stored

    async def _succeed(
        self,
        planned: Planned,
        progress: "_Progress",
        attempt: Attempt,
        response: EditResponse,
        stored: tuple[StoredImage, ...],
    ) -> Record:
        end = AttemptEnd(
            status="succeeded",
            finished_at=progress.answered_at,
            cost_usd=response.cost_usd,
            cost_source=response.cost_source,
            http_status=response.http_status,
            inference_id=response.inference_id,
        )
        record = self._record(planned, progress, status="succeeded", images=stored)
        await self._ledger.record(record, attempt_id=attempt.id, end=end)
        # Only now: until the new record is durable, the old one is what the ledger shows.
        for path in set(planned.previous).difference(image.path for image in stored):
            await self._store.remove(path)
        return record

    def _record(
        self,
        planned: Planned,
        progress: "_Progress",
        *,
        status: Status,
        images: tuple[StoredImage, ...] = (),
        error_code: str | None = None,
        error_message: str | None = None,
    ) -> Record:
        return Record(
            edit=planned.edit,
            model=self._endpoint.model.id,
            fingerprint=planned.fingerprint,
            run_id=self._run_id,
            status=status,
            attempts=progress.attempts,
            started_at=progress.started_at,
            finished_at=self._now(),
            images=images,
            cost_usd=progress.cost_usd,
            error_code=error_code,
            error_message=error_message,
        )


class _Progress:
    """What one edit has come to so far."""

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.answered_at = started_at
        self.attempts = 0
        self.cost_usd: float | None = None
        self.tries = Tries()

    def spend(self, usd: float | None) -> None:
        if usd is not None:
            self.cost_usd = round((self.cost_usd or 0.0) + usd, 9)


def _inspected(data: memoryview) -> PictureFacts:
    """As `inspect_picture`; what is no picture goes with the error, for a person to look at."""
    try:
        return inspect_picture(data)
    except BadResponseError as error:
        error.body = bytes(data[:UNPARSED_MAX_BYTES])
        raise


def _attempt_status(error: EditError) -> AttemptStatus:
    return "refused" if error.outcome == "refused" else "failed"


def _cost_source(error: PipelineError, cost_usd: float | None) -> CostSource:
    if getattr(error, "cost_usd", None) is not None:
        return "header"
    return "catalog" if cost_usd else "none"
