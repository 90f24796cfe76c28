"""Places: how many candidates may be under way, so that no more pass than are wanted.

A place is reserved as money is: what passed and what is in flight never exceed what is wanted (but
for ``extra``). Nothing is wasted so, and the last few take longest: where one is missing, one is
asked for at a time.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from pipeline.models import Edit, Problem, Record
from pipeline.planning import Item, Planned
from pipeline.targets.tries import candidate

MOST_HELD = 5_000
"""Edits that wait for a place in their group while other groups go on: a few kilobytes each."""

GROUPS_SHOWN = 50

TargetEnd = Literal["reached", "candidates", "stopped"]


class TargetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run with a target came to. ``wanted``: of each group, if ``per`` names a column.

    ``accepted``: in all, ``before``: of these when the run began. ``asked``: edits that this run
    finished. ``short``: groups that miss some, with what they have, the first `GROUPS_SHOWN`.
    ``ended``: ``reached``; ``candidates``: there were no more of them; ``stopped``: the run ended
    first, for the reason that it states.
    """

    wanted: int
    per: str | None
    groups: int
    accepted: int
    before: int
    asked: int
    ended: TargetEnd
    short: dict[str, int]

    @property
    def line(self) -> str:
        """In words."""
        whole = f"{self.wanted:,} accepted"
        if self.per is not None:
            whole += f" for each of {self.groups:,} values of {self.per}"
        passed = f"{self.accepted:,} are ({self.accepted - self.before:,} by this run)"
        why = {
            "reached": "reached",
            "candidates": "not reached: there are no more candidates",
            "stopped": "not reached: the run ended first",
        }[self.ended]
        text = f"{whole}: {why}; {passed}"
        if self.short and self.per is not None:
            missing = [f"{name or '(none)'} {count:,}" for name, count in self.short.items()]
            text += f"; short: {', '.join(missing[:5])}{', …' if len(missing) > 5 else ''}"
        return text


class Places:
    """Counts what passed, and gives out places. Implements the engine's `Admission`.

    ``per``: a column; each of its values is a group with ``count`` of its own. ``per_candidate``:
    how many may pass of one candidate, whose further tries are its `variant`\\ s. Belongs to one
    event loop; counts may be read from other threads.
    """

    def __init__(
        self, count: int, *, per: str | None = None, per_candidate: int = 1, extra: int = 0
    ) -> None:
        self.count = count
        self.per = per
        self.asked = 0
        self._per_candidate = per_candidate
        self._extra = extra
        self._accepted = Counter[str]()
        self._of = Counter[str]()
        self._groups = set[str]()
        self._flying: dict[str, str] = {}
        self._out = Counter[str]()
        self._held: dict[str, deque[Planned]] = {}
        self._waiting = 0
        self._changed = asyncio.Event()
        self._before = 0

    @property
    def over(self) -> bool:
        """Whether no candidate can be wanted any more, whatever its group."""
        return self.per is None and self._accepted[""] >= self.count

    @property
    def reached(self) -> bool:
        """Whether every group that was seen has what it should."""
        groups = self._groups if self.per is not None else {""}
        return all(self._accepted[group] >= self.count for group in groups)

    def found(self, edit: Edit) -> None:
        """It passed in an earlier run."""
        self._count(edit)
        self._before += 1

    def seen(self, edits: Iterable[Edit | Problem]) -> Iterator[Edit | Problem]:
        """The candidates that may still be wanted; their groups are noted. For any thread."""
        for edit in edits:
            if isinstance(edit, Problem):
                yield edit
                continue
            group = self._group(edit)
            self._groups.add(group)
            if self.over:
                return
            yield edit

    def wants(self, edit: Edit) -> bool:
        """Whether a candidate's further variant could be of use."""
        return self._of[candidate(edit.id)] < self._per_candidate and not self._full(
            self._group(edit)
        )

    async def admit(self, item: Item) -> Sequence[Item]:
        """What may go now: this item, others that waited, or nothing. Waits where too many do."""
        if not isinstance(item, Planned):
            return (item,)
        group = self._group(item.edit)
        if not self._full(group):
            self._held.setdefault(group, deque()).append(item)
            self._waiting += 1
        allowed = 0 if self.per is None else MOST_HELD
        while True:
            ready = self._released([group])
            if ready or self._waiting <= allowed:
                return ready
            ready = await self._after_a_change()
            if ready or self._waiting <= allowed:
                return ready

    async def rest(self) -> Sequence[Item]:
        """What waited, as places become free; empty when nothing waits any more."""
        ready = self._released(list(self._held))
        while self._waiting and not ready:
            ready = await self._after_a_change()
        return ready

    def ended(self, record: Record) -> None:
        """An edit has its record: its place is free, and needed no more if it passed."""
        group = self._flying.pop(record.edit.id, None)
        if group is not None:
            self._out[group] -= 1
            self.asked += 1
        if record.status == "succeeded":
            self._count(record.edit)
        self._changed.set()

    def report(self, *, complete: bool) -> TargetReport:
        """``complete``: the run was not stopped by anything else."""
        groups = sorted(self._groups) if self.per is not None else [""]
        short = [group for group in groups if self._accepted[group] < self.count]
        ended: TargetEnd = "candidates" if complete else "stopped"
        return TargetReport(
            wanted=self.count,
            per=self.per,
            groups=len(groups),
            accepted=sum(self._accepted.values()),
            before=self._before,
            asked=self.asked,
            ended="reached" if self.reached else ended,
            short={group: self._accepted[group] for group in short[:GROUPS_SHOWN]},
        )

    def _count(self, edit: Edit) -> None:
        self._accepted[self._group(edit)] += 1
        self._of[candidate(edit.id)] += 1

    def _group(self, edit: Edit) -> str:
        return "" if self.per is None else edit.variables.get(self.per, "").strip()

    def _full(self, group: str) -> bool:
        return self._accepted[group] >= self.count

    async def _after_a_change(self) -> list[Planned]:
        self._changed.clear()
        await self._changed.wait()
        return self._released(list(self._held))

    def _released(self, groups: Sequence[str]) -> list[Planned]:
        """Those that have a place now; what nobody wants any more is dropped."""
        ready: list[Planned] = []
        for group in groups:
            held = self._held.get(group)
            while held and (self._full(group) or self._has_room(group)):
                item = held.popleft()
                self._waiting -= 1
                if not self._full(group) and self.wants(item.edit):
                    self._flying[item.edit.id] = group
                    self._out[group] += 1
                    ready.append(item)
            if not held:
                self._held.pop(group, None)
        return ready

    def _has_room(self, group: str) -> bool:
        return self._accepted[group] + self._out[group] < self.count + self._extra
