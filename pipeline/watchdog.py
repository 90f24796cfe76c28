"""Which edits are stuck, and where: one look now and then at what everybody is doing."""

import asyncio
import sys
import threading
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import CodeType, FrameType
from typing import Any, Literal

import msgspec

Phase = Literal["inputs", "outage", "slot", "ledger", "endpoint", "store", "checks", "record"]

PHASES: dict[Phase, str] = {
    "inputs": "preparing inputs",
    "outage": "waiting for the endpoint to be back",
    "slot": "waiting for a place",
    "ledger": "waiting for the attempt's row",
    "endpoint": "waiting for the answer",
    "store": "waiting for the picture's flush",
    "checks": "looking at the picture",
    "record": "waiting for the record",
}
"""In words. A place stands for cooldowns and rates as well."""

UNBOUNDED: frozenset[Phase] = frozenset({"inputs", "ledger", "store", "checks", "record"})
"""Phases that wait for a disk or a thread, which may hang without saying so. The others end by
themselves: requests by their own deadlines, a slot with the requests before it, an outage with
the breaker's patience."""

NAMED = 10
"""Stuck edits that an event names; all are counted."""


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """An edit and how long it has been in its phase, in seconds."""

    edit_id: str
    phase: Phase
    seconds: float


class Stalled(msgspec.Struct, frozen=True, kw_only=True):
    """Event: no attempt and no edit has ended for ``seconds``. ``longest``: a few of the edits
    that are stuck, the longest first; ``phases``: how many there are in each phase.
    """

    seconds: float
    phases: dict[Phase, int]
    longest: tuple[Stuck, ...]


class Doing:
    """What one edit is doing. Says so itself, by `now_in`."""

    __slots__ = ("deadline", "edit_id", "phase", "since")

    def __init__(self, edit_id: str, since: float, deadline: asyncio.Timeout) -> None:
        self.edit_id = edit_id
        self.phase: Phase = "inputs"
        self.since = since
        self.deadline = deadline

    def now_in(self, phase: Phase) -> None:
        self.phase = phase
        self.since = asyncio.get_running_loop().time()


class Watchdog:
    """One task and one timer for all edits of a run.

    ``stall_s``: when nothing has ended for so long, it says who is stuck, and again each time as
    long. ``hang_s``: an edit that has been so long in one of the `UNBOUNDED` phases is ended with
    a `TimeoutError` inside its deadline.
    """

    def __init__(
        self, *, stall_s: float, hang_s: float, observe: Callable[[Stalled], None]
    ) -> None:
        self._stall_s = stall_s
        self.hang_s = hang_s
        self._observe = observe
        self._doing: set[Doing] = set()
        self._ended_at = 0.0
        self._said_at = 0.0
        self._clock: Callable[[], float] = lambda: 0.0  # the loop's, once there is one
        self._resting = False

    @asynccontextmanager
    async def on_guard(self) -> AsyncIterator[None]:
        """Looks around while this lasts."""
        self._clock = asyncio.get_running_loop().time
        self.ended()
        task = asyncio.create_task(self._look_around(), name="watchdog")
        try:
            yield
        finally:
            task.cancel()
            [outcome] = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, Exception):  # a bug, here or in whoever observes
                raise outcome

    def begin(self, edit_id: str, deadline: asyncio.Timeout) -> Doing:
        """An edit begins, inside ``deadline``, which has no time of its own."""
        doing = Doing(edit_id, asyncio.get_running_loop().time(), deadline)
        self._doing.add(doing)
        return doing

    def end(self, doing: Doing) -> None:
        """The edit has ended, or waits outside the crew."""
        self._doing.discard(doing)
        self.ended()

    def ended(self) -> None:
        """Something came to an end: an attempt, an edit."""
        self._ended_at = asyncio.get_running_loop().time()

    def rest(self) -> None:
        """The run is paused: whoever waits is not stuck."""
        self._resting = True

    def wake(self) -> None:
        """It goes on: everything counts from now."""
        self._resting = False
        self.ended()
        for doing in self._doing:
            doing.since = self._ended_at

    def look(self) -> tuple[Stuck, ...]:
        """What everybody is doing at this moment, the longest first."""
        now = self._clock()
        doing = sorted(self._doing, key=lambda one: one.since)
        return tuple(
            [Stuck(edit_id=d.edit_id, phase=d.phase, seconds=now - d.since) for d in doing]
        )

    async def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        # Often enough that nothing is seen much later than it is due.
        pause = min(self._stall_s, self.hang_s) / 4
        while True:
            await asyncio.sleep(pause)
            if self._resting:
                continue
            now = loop.time()
            for doing in self._doing:
                hangs = doing.phase in UNBOUNDED and now - doing.since >= self.hang_s
                if hangs and doing.deadline.when() is None:  # once: what is struck may take a while
                    doing.deadline.reschedule(now)
            quiet_since = max(self._ended_at, self._said_at)
            if self._doing and now - quiet_since >= self._stall_s:
                self._said_at = now
                stuck = self.look()
                self._observe(
                    Stalled(
                        seconds=now - self._ended_at,
                        phases=dict(Counter([one.phase for one in stuck])),
                        longest=stuck[:NAMED],
                    )
                )


def stacks(loop: asyncio.AbstractEventLoop, stuck: Iterable[Stuck] = ()) -> str:
    """All that a person needs to see where a run hangs: edits, tasks and threads, as text.

    A suspended task's own stack is one frame; what it awaits is followed here, as far as Python
    shows it.
    """
    lines = ["edits"]
    lines += [f"  {one.edit_id}: {one.phase} for {one.seconds:.1f} s" for one in stuck]
    for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.get_name()):
        lines.append(f"\ntask {task.get_name()}")
        awaited: Any = task.get_coro()
        while awaited is not None:
            frame, awaited = _frame_of(awaited)
            if frame is not None:
                lines += _place(frame)
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, top in sys._current_frames().items():
        lines.append(f"\nthread {names.get(ident, ident)}")
        lines += [line.rstrip("\n") for line in traceback.format_stack(top)]
    return "\n".join(lines) + "\n"


def _frame_of(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of something awaited, and what it awaits itself."""
    for frame_name, next_name in (
        ("cr_frame", "cr_await"),
        ("ag_frame", "ag_await"),
        ("gi_frame", "gi_yieldfrom"),
    ):
        frame = getattr(awaited, frame_name, None)
        if isinstance(frame, FrameType):
            return frame, _generator_behind(frame) or getattr(awaited, next_name, None)
    return None, None


def _generator_behind(frame: FrameType) -> Any:
    """An asynchronous context manager's own generator, which the object awaited does not show."""
    code: CodeType = frame.f_code
    if code.co_name in ("__aenter__", "__aexit__"):
        return getattr(frame.f_locals.get("self"), "gen", None)
    return None


def _place(frame: FrameType) -> list[str]:
    return [line.rstrip("\n") for line in traceback.format_list(traceback.extract_stack(frame, 1))]
