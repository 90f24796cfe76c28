"""Many edits at once, one way to stop.

A producer thread plans; a bounded queue hands edits to a crew; each member does one edit at a
time. Ctrl-C, a fatal error and a cap all stop through the same `Stop`.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import msgspec

from pipeline.backlog import Backlog, Later
from pipeline.errors import EditError, InputError, PipelineError
from pipeline.models import Edit, Problem, Record
from pipeline.planning import Item, Planned, State, Unready

LOOKAHEAD_ROWS = 2000
LOOKAHEAD_S = 0.1
"""A planning step ends after this much, so that progress shows even where nothing is new."""

WAITING_PER_MEMBER = 16
"""Edits that may wait for their next attempt, for each of the crew: more, and nothing fresh is
begun. They hold a few kilobytes each, and so there is a number for large crews as well."""
MOST_WAITING = 20_000

FIRST_STEP_EDITS = 8
"""The first planning step is short: the first request should leave at once."""


class Interrupted(Exception):  # noqa: N818 - what happened, not what went wrong
    """A person or the system asked the run to end."""


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """Event: an edit has its record. ``asked``: pictures it asked for. ``state``: as it was
    planned; ``None``: it was no edit that could be asked for.
    """

    record: Record
    asked: int
    state: State | None = None


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """Event: rows planned since the last such event, by state."""

    counts: dict[State, int]
    complete: bool


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """Event: nothing new starts any more."""

    reason: str
    in_flight: int


class DrainOver(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a drain took longer than ``after_s``; what is in flight is cancelled."""

    after_s: float
    in_flight: int


Ending = Stopping | DrainOver


class EditWorker(Protocol):
    """Does an edit: to its record, or until it has to wait; then it is called with that again."""

    async def __call__(self, work: Planned | Later) -> Record | Later: ...

    async def fail(self, planned: Planned, error: EditError) -> Record: ...


class Admission(Protocol):
    """Who lets edits in where not all of them are wanted. Asked in the loop's thread."""

    @property
    def over(self) -> bool:
        """Nothing more is wanted: what is not planned yet need not be."""

    async def admit(self, item: Item) -> Sequence[Item]:
        """What may begin now: the item, some that waited, or nothing. Waits while too many do."""

    async def rest(self) -> Sequence[Item]:
        """What waited, as it may begin; empty when nothing waits any more."""

    def ended(self, record: Record) -> None:
        """An edit has its record."""


class Stop:
    """One mechanism to stop. The first request drains: nothing new starts, attempts that were
    committed run to their end, for at most ``drain_s`` seconds (``None``: as long as it takes).
    The second cancels those too.
    """

    def __init__(self, observe: Callable[[Ending], None], *, drain_s: float | None = None) -> None:
        self._observe = observe
        self._drain_s = drain_s
        self._deadline: asyncio.TimerHandle | None = None
        self._crew: dict[asyncio.Task[None], int] = {}
        self.reason: BaseException | None = None

    def enlist(self, task: asyncio.Task[None]) -> None:
        self._crew[task] = 0

    def dismiss(self) -> None:
        """The crew has ended."""
        self._crew.clear()
        if self._deadline is not None:
            self._deadline.cancel()

    def request(self, reason: BaseException) -> None:
        """Call from the loop's thread. An error after an interruption is the one that is reported,
        and a bug after anything: nobody may miss it.
        """
        first = self.reason is None
        if self.reason is None or _gravity(reason) > _gravity(self.reason):
            self.reason = reason
        if first:
            self._observe(Stopping(reason=str(reason), in_flight=self._in_flight()))
            if self._drain_s is not None:
                loop = asyncio.get_running_loop()
                self._deadline = loop.call_later(self._drain_s, self._give_up, self._drain_s)
        for task, committed in self._crew.items():
            if not committed or (not first and isinstance(reason, Interrupted)):
                task.cancel()

    def _in_flight(self) -> int:
        return sum([bool(depth) for task, depth in self._crew.items() if not task.done()])

    def _give_up(self, after_s: float) -> None:
        if in_flight := self._in_flight():
            self._observe(DrainOver(after_s=after_s, in_flight=in_flight))
        for task in self._crew:
            task.cancel()

    @contextmanager
    def committed(self) -> Iterator[None]:
        """What a drain waits for. A member that leaves it after the request ends there."""
        task = asyncio.current_task()
        if task is None or task not in self._crew:
            yield
            return
        self._crew[task] += 1
        try:
            yield
        finally:
            self._crew[task] -= 1
            if self.reason is not None and not self._crew[task]:
                task.cancel()


class Engine:
    """Runs planned items through a crew, whose size may change meanwhile (`resize`). ``asked``: how
    many pictures an edit asks for.
    """

    def __init__(
        self,
        worker: EditWorker,
        *,
        crew: int,
        asked: Callable[[Edit], int],
        observe: Callable[[Finished | Scanned], None],
        stop: Stop,
        limit: int | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._worker = worker
        self._admission = admission
        self._crew = crew
        self._asked = asked
        self._observe = observe
        self._stop = stop
        self._left = limit
        self._backlog: Backlog | None = None
        self._group: asyncio.TaskGroup | None = None
        self._members = 0

    def resize(self, crew: int) -> None:
        """Another size from now on: a larger crew is there at once, and whoever is too many in a
        smaller one leaves after the edit in hand. Call from the loop's thread.
        """
        self._crew = crew
        if self._backlog is not None:
            self._backlog.resize(fresh=crew, waiting=_most_waiting(crew))
        if self._members and self._stop.reason is None:  # else it has ended, or is about to
            self._fill()

    async def run(
        self,
        items: Iterator[Item],
        *,
        step: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Returns when all is done or the stop was obeyed; `Stop.reason` says which.

        ``step``: a context for each bounded step of planning, in the planning thread.
        """
        self._backlog = Backlog(fresh=self._crew, waiting=_most_waiting(self._crew))
        try:
            async with asyncio.TaskGroup() as self._group:
                self._begin(self._produce(_Steps(items, self._left, step), self._backlog))
                self._fill()
        finally:
            self._backlog = self._group = None
            self._stop.dismiss()

    def _begin(self, part: Coroutine[Any, Any, None]) -> None:
        assert self._group is not None  # noqa: S101 - parts begin while it runs
        self._stop.enlist(self._group.create_task(self._obey(part)))

    def _fill(self) -> None:
        assert self._backlog is not None  # noqa: S101 - as above
        while self._members < self._crew:
            self._members += 1
            self._begin(self._member(self._backlog))

    async def _obey(self, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        except asyncio.CancelledError:
            if self._stop.reason is None:
                raise
        except Exception as error:  # a bug too: what others were paid for is kept first
            self._stop.request(error)

    async def _produce(self, steps: "_Steps", backlog: Backlog) -> None:
        loop = asyncio.get_running_loop()
        # A thread of its own: SQLite's reader and the manifest stay in one place.
        with ThreadPoolExecutor(1, thread_name_prefix="plan") as thread:
            largest = FIRST_STEP_EDITS
            while True:
                batch = await loop.run_in_executor(thread, steps.take, largest)
                if batch.counts or batch.complete:
                    self._observe(Scanned(counts=batch.counts, complete=batch.complete))
                for item in batch.items:
                    await self._enter(item, backlog)
                if batch.complete:
                    break
                if self._admission is not None and self._admission.over:
                    self._observe(Scanned(counts={}, complete=True))
                    break
                largest = max(self._crew, FIRST_STEP_EDITS)
        while self._admission is not None and (ready := await self._admission.rest()):
            for item in ready:
                await backlog.put(item)
        backlog.close()

    async def _enter(self, item: Item, backlog: Backlog) -> None:
        ready = (item,) if self._admission is None else await self._admission.admit(item)
        for each in ready:
            await backlog.put(each)

    async def _member(self, backlog: Backlog) -> None:
        try:
            while self._wanted() and (item := await backlog.take()) is not None:
                state: State | None = None
                if isinstance(item, Planned | Later):
                    state = item.state if isinstance(item, Planned) else item.planned.state
                    outcome = await self._worker(item)
                else:
                    outcome = await self._unready(item)
                if isinstance(outcome, Later):
                    backlog.postpone(outcome)
                else:
                    if self._admission is not None:
                        self._admission.ended(outcome)
                    asked = self._asked(outcome.edit)
                    self._observe(Finished(record=outcome, asked=asked, state=state))
        finally:
            self._members -= 1

    def _wanted(self) -> bool:
        """Whether a member takes another item. One that is too many leaves others behind, who come
        back for what it postponed."""
        return self._stop.reason is None and self._members <= self._crew

    async def _unready(self, item: Unready | Problem) -> Record:
        if isinstance(item, Unready):
            edit, error = item.edit, item.error
        else:
            edit, error = _edit_of(item), item.message
        planned = Planned(edit=edit, fingerprint="", digests=(), state="new")
        with self._stop.committed():
            return await self._worker.fail(planned, InputError(error))


class _Batch(msgspec.Struct):
    items: list[Item]
    counts: dict[State, int]
    complete: bool = False


class _Steps:
    """Planning, a bounded step at a time; runs in the planning thread."""

    def __init__(
        self,
        items: Iterator[Item],
        limit: int | None,
        step: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._items = items
        self._left = limit
        self._step = step
        self._broken: PipelineError | None = None

    def take(self, largest: int) -> _Batch:
        with self._step():
            return self._take(largest)

    def _take(self, largest: int) -> _Batch:
        batch = _Batch(items=[], counts={})
        until = time.monotonic() + LOOKAHEAD_S
        for _ in range(LOOKAHEAD_ROWS):
            if self._left == 0:
                batch.complete = True
                return batch
            item = self._next(batch)
            if item is None:
                batch.complete = self._broken is None
                return batch
            state = item.state if isinstance(item, Planned) else "new"
            batch.counts[state] = batch.counts.get(state, 0) + 1
            if state in ("unchanged", "kept"):
                continue
            batch.items.append(item)
            if self._left is not None:
                self._left -= 1
            if len(batch.items) >= largest or time.monotonic() > until:
                break
        return batch

    def _next(self, batch: _Batch) -> Item | None:
        """The next item; where the manifest breaks off, what was read before goes out first."""
        if self._broken is None:
            try:
                return next(self._items, None)
            except PipelineError as error:
                self._broken = error
        if batch.items:
            return None
        raise self._broken


def _gravity(reason: BaseException) -> int:
    if isinstance(reason, Interrupted):
        return 0
    return 1 if isinstance(reason, PipelineError) else 2


def _most_waiting(crew: int) -> int:
    return min(crew * WAITING_PER_MEMBER, MOST_WAITING)


def _edit_of(problem: Problem) -> Edit:
    """A row that is no edit still ends in a record, under the best name known for it."""
    return Edit(
        id=problem.id,
        images=(),
        prompt="",
        parameters={},
        variables={},
        place=problem.place,
        output="",
    )
