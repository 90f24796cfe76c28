"""One edit, from its inputs to its record. Reads top to bottom."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from random import Random

from pipeline.attempts import Attempts, OpenAttempt, Progress, Question
from pipeline.backlog import Later
from pipeline.endpoints import Endpoint
from pipeline.errors import (
    BudgetReachedError,
    ConnectionFailed,
    EditError,
    FatalError,
    InputError,
    RateLimitError,
    ServerError,
    StoreError,
)
from pipeline.guards import Guards
from pipeline.inputs import Inputs, Ready
from pipeline.limits.throttle import Slot, Throttle
from pipeline.models import EditRequest, EditResponse, Record, Status
from pipeline.planning import Planned
from pipeline.retries.policy import Answer, RetryQuota, decide
from pipeline.setbacks import AttemptEnded, CoolingDown, Retrying, Setback
from pipeline.stores import OutputStore
from pipeline.verdicts.answers import Answers
from pipeline.watchdog import Doing

__all__ = ["CoolingDown", "Retrying", "Setback", "Worker"]


class Worker:
    """Holds what all edits of a run share; calling it takes one edit as far as it goes now.

    ``committed``: a context that a drain waits for; it spans each attempt from its row in the
    ledger to what came of it.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        store: OutputStore,
        attempts: Attempts,
        answers: Answers,
        inputs: Inputs,
        throttle: Throttle,
        guards: Guards,
        committed: Callable[[], AbstractContextManager[None]],
        observe: Callable[[Setback], None],
        rng: Random,
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._attempts = attempts
        self._answers = answers
        self._inputs = inputs
        self._throttle = throttle
        self._gate = guards.gate
        self._watchdog = guards.watchdog
        self._retry = guards.retry
        self._quota = RetryQuota()
        self._committed = committed
        self._observe = observe
        self._now = attempts.now
        self._rng = rng

    async def __call__(self, work: Planned | Later) -> Record | Later:
        """Returns the edit's record, durable, or when it wants to be called again, with what it
        returned. Raises `FatalError` or `BudgetReachedError`: then there is no record, and the
        edit stays pending.
        """
        if isinstance(work, Later):
            planned, progress = work.planned, work.progress
            if progress.asked is not None:
                with self._committed():
                    return await self._heard(planned, progress, *progress.asked)
        else:
            planned, progress = work, Progress(started_at=self._now())
        try:
            async with asyncio.timeout(None) as deadline:  # the watchdog's, and no timer of its own
                doing = self._watchdog.begin(planned.edit.id, deadline)
                try:
                    async with self._inputs.ready(planned) as ready:
                        outcome = None
                        while outcome is None:
                            outcome = await self._attempt(planned, ready, progress, doing)
                        return outcome
                except InputError as error:
                    return await self._fail(planned, error, progress)
                finally:
                    self._watchdog.end(doing)
        except TimeoutError:
            if not deadline.expired():
                raise
            return await self._hung(planned, progress, doing)

    async def fail(self, planned: Planned, error: EditError) -> Record:
        """Records an edit that cannot even be tried."""
        return await self._fail(planned, error, Progress(started_at=self._now()))

    async def _attempt(
        self, planned: Planned, ready: Ready, progress: Progress, doing: Doing
    ) -> Record | Later | None:
        """``None``: its pictures are not all right or not all there, and it is asked once more."""
        parameters = self._answers.parameters(planned, progress, ready.images)
        asked = self._endpoint.model.count(parameters)
        probe = False
        with ExitStack() as commitment:
            try:
                while True:
                    probe = await self._past_the_gate(progress, doing)
                    doing.now_in("slot")
                    async with self._throttle.slot(images=asked) as slot:
                        if not self._gate.passes(probe=probe):
                            continue  # it went down while this one waited for its place
                        attempt = self._attempts.open(
                            planned,
                            number=progress.attempts + 1,
                            images=asked,
                            again=progress.held is not None,
                        )
                        commitment.enter_context(self._committed())
                        await self._start(attempt, progress, doing)
                        request = EditRequest(
                            id=attempt.id,
                            prompt=planned.edit.prompt,
                            images=ready.images,
                            parameters=parameters,
                        )
                        response, seconds = await self._ask(request, attempt, progress, doing)
                    break
                self._throttle.succeeded(slot)
                doing.now_in("store")
                async with self._answers.room(response, attempt):
                    try:
                        kept = await self._answers.keep(planned, progress, attempt, response)
                    except BaseException as error:
                        outcome = getattr(error, "code", "not_kept")
                        self._ended(doing.edit_id, outcome, seconds, response.cost_usd)
                        raise
                    self._gate.heard(None, probe=probe)
                    probe = False
                    self._quota.succeeded(progress.tokens)
                    doing.now_in("checks" if self._answers.looks else "record")
                    record = await self._answers.judge(
                        planned,
                        progress,
                        attempt,
                        response,
                        kept,
                        ready=ready,
                        parameters=parameters,
                    )
                usd = response.cost_usd
                self._ended(doing.edit_id, "succeeded", seconds, usd, len(kept))
                return record
            except BudgetReachedError as reached:
                if progress.held is None:
                    raise
                progress.held.not_asked()
                commitment.enter_context(self._committed())
                return await self._answers.conclude(planned, progress, why=str(reached))
            except EditError as error:
                failure = error
                if isinstance(failure, RateLimitError):
                    self._cool_down(slot, failure)
                elif isinstance(failure, ConnectionFailed | ServerError):
                    self._throttle.troubled(slot)
                if failure.body is not None:
                    await self._store.keep_unparsed(attempt.id, failure.body)
                owed, probe = probe, False
                self._gate.heard(failure, probe=owed)
                return await self._after(planned, progress, failure)
            finally:
                if probe:  # it ended without an answer: somebody else has to ask
                    self._gate.lost()

    async def _past_the_gate(self, progress: Progress, doing: Doing) -> bool:
        """Waits while the endpoint is down, which does not make the edit older. True: to probe."""
        if not self._gate.is_open:
            return False
        doing.now_in("outage")
        since = _loop_time()
        probe = await self._gate.enter()
        progress.held_s += _loop_time() - since
        return probe

    async def _after(
        self, planned: Planned, progress: Progress, failure: EditError
    ) -> Record | Later:
        """A failed attempt's consequence: the edit's record, or its wait outside the crew, where
        it holds no place, no pictures and no member.
        """
        progress.tries.count(failure)
        if progress.asked is None:
            return await self._decide(planned, progress, failure)
        outcome = await self._heard(planned, progress, *progress.asked)
        if isinstance(outcome, Later):
            words = f"{failure}; the provider's logs are asked first"
            self._say(planned, progress, failure, outcome.due - _loop_time(), words)
        return outcome

    async def _heard(
        self, planned: Planned, progress: Progress, question: Question, failure: EditError
    ) -> Record | Later:
        """What follows once the logs have said what became of the attempt; until then it waits."""
        answer = question.answer()
        if answer is None:
            return Later(planned=planned, due=question.due(), progress=progress)
        progress.asked = None
        progress.held_s += question.waited_s()
        progress.spend(answer.usd)
        return await self._decide(planned, progress, failure, answer)

    async def _decide(
        self, planned: Planned, progress: Progress, failure: EditError, answer: Answer | None = None
    ) -> Record | Later:
        now = _loop_time()
        decision = decide(
            self._retry,
            progress.tries,
            failure,
            age_s=now - progress.first_at - progress.held_s - self._throttle.paused_s,
            unknown_usd=self._attempts.unknown_usd,
            quota_s=self._quota.wait_s(failure, now=now),
            rng=self._rng,
            answer=answer,
        )
        if decision.wait_s is None:
            status: Status = "unknown" if decision.unknown else failure.outcome
            why = decision.why or (answer.words if answer is not None else "")
            return await self._fail(planned, failure, progress, status=status, why=why)
        progress.tokens = self._quota.take(failure, now=now)
        words = str(failure) if answer is None else f"{failure}; {answer.words}"
        self._say(planned, progress, failure, decision.wait_s, words)
        return Later(planned=planned, due=now + decision.wait_s, progress=progress)

    def _say(
        self, planned: Planned, progress: Progress, failure: EditError, wait_s: float, words: str
    ) -> None:
        edit_id, attempt, code = planned.edit.id, progress.attempts, failure.code
        self._observe(
            Retrying(edit_id=edit_id, attempt=attempt, wait_s=wait_s, code=code, message=words)
        )

    async def _fail(
        self,
        planned: Planned,
        error: EditError,
        progress: Progress,
        *,
        status: Status = "failed",
        why: str = "",
    ) -> Record:
        words = f"{error} ({why})" if why else str(error)
        if progress.held is not None:
            return await self._answers.conclude(
                planned, progress, why=f"asked again, and no picture came: {words}"
            )
        record = self._answers.record(
            planned, progress, status=status, error_code=error.code, error_message=words
        )
        await self._attempts.ledger.record(record)
        return record

    async def _hung(self, planned: Planned, progress: Progress, doing: Doing) -> Record:
        """The watchdog ended it: a disk or a thread has not answered for very long."""
        if doing.phase == "inputs":
            error = InputError(
                f"{planned.edit.place}: its pictures could not be prepared within"
                f" {self._watchdog.hang_s:,.0f} s (is their disk or network folder there?)"
            )
            return await self._fail(planned, error, progress)
        raise StoreError(
            f"{planned.edit.id}: writing ({doing.phase}) has not ended within"
            f" {self._watchdog.hang_s:,.0f} s (is the disk of the outputs there? Then run again)"
        )

    async def _start(self, attempt: OpenAttempt, progress: Progress, doing: Doing) -> None:
        doing.now_in("ledger")
        if progress.attempts == 0:
            progress.first_at, progress.held_s = doing.since, -self._throttle.paused_s
        progress.attempts += 1
        try:
            await attempt.start()
        except asyncio.CancelledError:
            attempt.not_sent()
            raise

    async def _ask(
        self, request: EditRequest, attempt: OpenAttempt, progress: Progress, doing: Doing
    ) -> tuple[EditResponse, float]:
        """One attempt, and its seconds. If it fails, the ledger is told here; a success goes there
        with its record, in one transaction: cut off in between, it is visible as unknown.
        """
        doing.now_in("endpoint")
        edit_id, left_at = doing.edit_id, _loop_time()
        try:
            response = await self._endpoint.edit(request, draft=self._store.draft)
        except EditError as error:
            cost = attempt.failed(error)
            progress.spend(cost)
            progress.asked = attempt.asked
            self._ended(edit_id, error.code, _loop_time() - left_at, cost)
            raise
        except FatalError as error:
            attempt.fatal(error)
            self._ended(edit_id, type(error).__name__, _loop_time() - left_at, None)
            raise
        except asyncio.CancelledError:
            attempt.cut_off()
            self._ended(edit_id, "cancelled", _loop_time() - left_at, None)
            raise
        finally:
            self._watchdog.ended()
        attempt.answered(response)
        progress.spend(response.cost_usd)
        return response, _loop_time() - left_at

    def _ended(
        self, edit_id: str, outcome: str, seconds: float, usd: float | None, images: int = 0
    ) -> None:
        self._observe(
            AttemptEnded(
                edit_id=edit_id, outcome=outcome, seconds=seconds, cost_usd=usd, images=images
            )
        )

    def _cool_down(self, slot: Slot, error: RateLimitError) -> None:
        wait = self._throttle.rate_limited(slot, retry_after=error.retry_after)
        state = self._throttle.state()
        self._observe(
            CoolingDown(
                wait_s=wait,
                concurrency=state.concurrency,
                requests_per_minute=state.requests_per_minute,
            )
        )


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
