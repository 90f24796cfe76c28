"""Asks the provider's logs what became of ambiguous attempts, while the run goes on.

One reader for all edits that wait: it looks soon, then ever more rarely, and once more when the
logs' delay is over. What `matching.py` decides settles the ledger and the budget; what is still
open then is held.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from pipeline.attempts import Reservation
from pipeline.books.matching import (
    FOREIGN_SLACK_S,
    NOT_BILLED,
    WINDOW_SLACK_S,
    Books,
    Matching,
    Windows,
)
from pipeline.books.paging import T, patiently, read_logs, read_transactions
from pipeline.endpoints import Account
from pipeline.errors import EditError, FatalError, LedgerError, TransientError
from pipeline.job import Job
from pipeline.ledger import AttemptRow, Ledger, Settlement, open_reader
from pipeline.models import Attempt, AttemptEnd
from pipeline.preview import ledger_path
from pipeline.retries.policy import Answer

FIRST_LOOK_S = 5.0
"""After an attempt ended; also the least time between two looks. Each further one waits twice as
long."""

DELAY_PER_LOOK = 20
"""Logs that are quick are asked sooner: the first look is after at most this part of the delay."""

POLL_S = 1.0
"""How often an edit looks whether a look has ended that should have."""

PAGE_TRIES_S = (1.0, 2.0, 4.0)
"""Waits between tries to read a page. Reading is free and can be repeated."""


class Question:
    """What the logs are asked about one attempt. Implements `attempts.Question`."""

    def __init__(
        self, inquiry: "Inquiry", attempt: AttemptRow, reservation: Reservation, *, pause_s: float
    ) -> None:
        self.attempt = attempt
        self.reservation = reservation
        self.asked_at = asyncio.get_running_loop().time()
        self.gap_s = pause_s
        self.look_at = self.asked_at + pause_s
        self.found: Answer | None = None
        self._inquiry = inquiry

    def answer(self) -> Answer | None:
        """Raises what ended the reader, a `LedgerError` for instance."""
        if self.found is None:
            self._inquiry.check()
        return self.found

    def due(self) -> float:
        return self._inquiry.next_answers()

    def waited_s(self) -> float:
        return asyncio.get_running_loop().time() - self.asked_at


class Inquiry:
    """The reader. Implements `attempts.Inquirer`. Belongs to one event loop.

    ``delay_s``: after so long the books are complete. ``longest_s``: no request lasts longer.
    ``lost_usd``: what was found to be charged without a picture, so far.
    """

    def __init__(
        self,
        account: Account,
        ledger: Ledger,
        path: Path,
        *,
        delay_s: float,
        longest_s: float,
        model: str,
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._path = path
        self._delay_s = delay_s
        self._longest_s = longest_s
        self._model = model
        self._pause_s = min(FIRST_LOOK_S, max(delay_s / DELAY_PER_LOOK, 0.02))
        self._waiting: dict[str, Question] = {}
        self._wake = asyncio.Event()
        self._look_at = 0.0
        self._rests_until = 0.0
        self._closed: str | None = None
        self._settling: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._told = False
        self.lost_usd = 0.0

    @asynccontextmanager
    async def on_duty(self) -> AsyncIterator[None]:
        """Reads while this lasts. What is open at its end keeps its money set aside. Raises what
        ended the reader, if no edit was told of it.
        """
        reader = self._reader = asyncio.create_task(self._serve(), name="inquiry")
        try:
            yield
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            if self._settling is not None:  # a cancelled reader cancels no write
                await asyncio.wait([self._settling])
            for question in [*self._waiting.values()]:
                self._hold(question, "the run ended before the provider's logs had it")
            if not self._told:
                self.check()

    def check(self) -> None:
        """Raises what ended the reader: edits that wait must hear of it, not wait for ever."""
        for task in (self._reader, self._settling):
            ended = task is not None and task.done() and not task.cancelled()
            error = task.exception() if task is not None and ended else None
            if error is not None:
                self._told = True
                raise error

    def ask(self, attempt: Attempt, end: AttemptEnd, reservation: Reservation) -> Question:
        """From now on the money of the attempt, closed as ``unknown``, is this reader's care."""
        row = AttemptRow(
            id=attempt.id,
            edit_id=attempt.edit_id,
            run_id=attempt.run_id,
            number=attempt.number,
            fingerprint=attempt.fingerprint,
            status=end.status,
            started_at=attempt.started_at,
            finished_at=end.finished_at,
            images=attempt.images,
            reserved_usd=attempt.reserved_usd,
            cost_usd=end.cost_usd,
            cost_source=end.cost_source,
            http_status=end.http_status,
            inference_id=end.inference_id,
            error_code=end.error_code,
            error_message=end.error_message,
        )
        question = Question(self, row, reservation, pause_s=self._pause_s)
        if self._closed is not None:
            self._hold(question, self._closed)
            return question
        self._waiting[row.id] = question
        if self._look_at > question.look_at or self._look_at <= question.asked_at:
            self._look_at = max(question.look_at, self._rests_until)
        self._wake.set()
        return question

    def next_answers(self) -> float:
        """Loop time at which a look should have ended."""
        poll = min(POLL_S, self._pause_s)
        return max(self._look_at, asyncio.get_running_loop().time()) + poll

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            at: float | None = None
            if self._waiting:
                next_at = min(question.look_at for question in self._waiting.values())
                at = self._look_at = max(next_at, self._rests_until)
            if at is not None and at <= loop.time():
                await self._look()
                self._rests_until = loop.time() + self._pause_s
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(at):
                    await self._wake.wait()

    async def _look(self) -> None:
        """Reads what concerns those that wait, and settles or holds what that decides."""
        started = asyncio.get_running_loop().time()
        books = Books()
        matching = Matching(
            books, now=time.time(), delay_s=self._delay_s, longest_s=self._longest_s
        )
        asked = [*self._waiting.values()]
        # By the loop's clock too: the other one may be set back.
        last = [
            question
            for question in asked
            if matching.is_due(question.attempt)
            or started >= question.asked_at + self._delay_s + self._pause_s
        ]
        windows = Windows()
        for question in last or asked:
            windows.add(question.attempt.started_at, matching.ended(question.attempt))
        unreadable: str | None = None
        try:
            if last:
                await self._read_all(books, windows)
            else:
                await self._read_latest(books, asked, matching)
        except (EditError, FatalError) as error:
            unreadable = f"the provider's logs cannot be read: {error}"
            if not isinstance(error, TransientError):
                self._closed = unreadable
        if unreadable is None:
            if last:
                await asyncio.to_thread(self._prepare, matching, windows)
            settlements = [
                judgement.settlement
                for question in asked
                if (judgement := matching.judge(question.attempt)) is not None
                and judgement.settlement is not None
            ]
            if settlements:
                self._settling = asyncio.create_task(self._settle(settlements))
                await asyncio.shield(self._settling)
        over = asked if self._closed is not None else last
        for question in over:
            if question.found is None:
                self._hold(question, unreadable or self._why_undecided(matching))
        self._plan_next_looks(asked)

    def _plan_next_looks(self, asked: list[Question]) -> None:
        now = asyncio.get_running_loop().time()
        for question in asked:
            if question.look_at <= now:
                question.gap_s *= 2
                question.look_at = now + question.gap_s
                over = question.asked_at + self._delay_s
                # When the delay is over, and, should the wall clock say otherwise, a little later.
                for end in (over + self._pause_s / 10, over + self._pause_s):
                    if now < end < question.look_at + question.gap_s / 2:
                        question.look_at = end
                        break

    async def _settle(self, settlements: list[Settlement]) -> None:
        await self._ledger.settle(settlements)
        for one in settlements:
            question = self._waiting.pop(one.attempt_id)
            question.reservation.settle(one.cost_usd)
            if one.error_code == NOT_BILLED:
                words = "not charged, by the provider's log"
                question.found = Answer(verdict="not_billed", words=words)
                continue
            cost = "at an unknown price" if one.cost_usd is None else f"${one.cost_usd:.6g}"
            self.lost_usd = round(
                self.lost_usd + (one.cost_usd or question.attempt.reserved_usd or 0.0), 9
            )
            question.found = Answer(
                verdict="billed_lost",
                usd=one.cost_usd,
                words=f"charged {cost}, by the provider's log, and no picture came",
            )

    def _hold(self, question: Question, words: str) -> None:
        self._waiting.pop(question.attempt.id, None)
        cost = question.attempt.cost_usd
        if cost is None:
            question.reservation.keep_unknown()
        else:
            question.reservation.settle(cost)
        question.found = Answer(verdict="undecided", usd=cost, words=words)

    def _why_undecided(self, matching: Matching) -> str:
        if matching.lagging:
            return "the provider's books lag: they do not show later requests either"
        if matching.ambiguous:
            return "at that time the provider charged for requests without any id of ours"
        return f"the provider's books do not say what became of it after {self._delay_s:g} s"

    async def _read_latest(self, books: Books, asked: list[Question], matching: Matching) -> None:
        """The log, newest first, until it has named all that wait."""
        attempts = [question.attempt for question in asked]
        missing = {attempt.id for attempt in attempts}
        start = min(attempt.started_at for attempt in attempts) - FOREIGN_SLACK_S
        end = max(matching.ended(attempt) for attempt in attempts) + WINDOW_SLACK_S
        offset: int | None = 0
        while offset is not None and missing:
            page = await _page(partial(self._account.logs, start=start, end=end, offset=offset))
            books.note_entries(page.entries)
            missing.difference_update([entry.client_request_id or "" for entry in page.entries])
            offset = page.next_offset

    async def _read_all(self, books: Books, windows: Windows) -> None:
        """Bill and log around those whose time is over: what is not there proves something."""
        for first, last in windows:
            start, end = first - WINDOW_SLACK_S, last + WINDOW_SLACK_S
            account, bill = self._account, books.note_transactions
            await read_transactions(account, start, end, note=bill, asking=_page)
            await read_logs(account, start, end, note=books.note_entries, asking=_page)

    def _prepare(self, matching: Matching, windows: Windows) -> None:
        """What of the ledger lies in the time that was read says whether the books are complete."""
        reader = open_reader(self._path)
        if reader is None:
            raise LedgerError(f"{self._path}: vanished during the run")
        times = [(start - WINDOW_SLACK_S, end + WINDOW_SLACK_S) for start, end in windows]
        with reader:
            attempts = [
                attempt
                for attempt in reader.attempts()
                if any(start <= attempt.started_at <= end for start, end in times)
            ]
            models = reader.models() | {self._model}
        matching.look_for_lag(attempts)
        matching.note_anonymous(matching.unexplained(attempts, windows, models))


@asynccontextmanager
async def inquiring(job: Job, account: Account, ledger: Ledger) -> AsyncIterator[Inquiry | None]:
    """A reader at work, if the job asks for one (``retry.on_unknown: reconcile``)."""
    if job.retry.on_unknown != "reconcile":
        yield None
        return
    inquiry = Inquiry(
        account,
        ledger,
        ledger_path(job),
        delay_s=job.retry.logs_delay_s,
        longest_s=job.endpoint.timeout_s + job.endpoint.download_timeout_s,
        model=job.endpoint.model,
    )
    async with inquiry.on_duty():
        yield inquiry


async def _page(call: Callable[[], Awaitable[T]]) -> T:
    """One page. Raises as `Account`."""
    return await patiently(call, waits_s=PAGE_TRIES_S)
