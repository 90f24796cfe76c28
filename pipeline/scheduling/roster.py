"""Which jobs of the folder are followed, and what is remembered of each."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import StoreError
from pipeline.job import Job
from pipeline.job.folder import Entry
from pipeline.notifying.matters import Matter
from pipeline.scheduling import notices
from pipeline.scheduling.memory import Following, Memory, Past, recall, remember
from pipeline.scheduling.notices import Notice
from pipeline.scheduling.queue import Followed
from pipeline.scheduling.sharing import key_of
from pipeline.scheduling.times import Due, upcoming

SETTLED_S = 2.0
"""A job file that was written a shorter time ago may be half of what it will be: an editor is at
it. It is read the next time.
"""

Change = tuple[Literal["followed", "changed", "rescheduled", "dropped"], Followed]


class Roster:
    """The jobs with a schedule. Belongs to one thread; reads and writes small files at once, since
    nobody waits for a scheduler.
    """

    def __init__(
        self,
        entries: Callable[[], Mapping[str, Entry]],
        *,
        environ: Mapping[str, str],
        now: Callable[[], float],
        tell: Callable[[Notice], None],
    ) -> None:
        self._entries = entries
        self._environ = environ
        self._now = now
        self._notify = tell
        self._following = Following()
        self._followed: dict[str, Followed] = {}
        self._memories: dict[Path, Memory] = {}
        self._problems: dict[str, str] = {}
        self._unwritable: set[str] = set()
        self._missing: frozenset[str] = frozenset()
        self._looked = False
        self._jobs_of_key: dict[str, list[Job]] = {}

    @property
    def followed(self) -> tuple[Followed, ...]:
        """All, in the folder's order."""
        return tuple(self._followed.values())

    def get(self, name: str) -> Followed | None:
        """The job of that name, if it is followed."""
        return self._followed.get(name)

    def jobs_of(self, key: str) -> list[Job]:
        """All jobs of a key in the folder, also those without a schedule: they spend, too."""
        return self._jobs_of_key.get(key, [])

    def memory(self, followed: Followed) -> Memory:
        """What is remembered."""
        return self._memories[followed.outputs]

    def keep(self, followed: Followed, **changes: Any) -> None:
        """Remembers more. What cannot be written is said, and known as long as this lasts."""
        memory = self._memories[followed.outputs].but(**changes)
        self._memories[followed.outputs] = memory
        try:
            remember(followed.outputs, memory)
        except StoreError as error:
            if followed.name not in self._unwritable:
                self._unwritable.add(followed.name)
                self._tell("job_broken", str(error), followed.name, problem=str(error))
        else:
            self._unwritable.discard(followed.name)

    def leave_out(
        self, followed: Followed, due: Due, why: str, matter: Matter | None = None
    ) -> None:
        """No run for this time: said and remembered. ``matter``: as of `Notice`."""
        zone = followed.job.schedule.timezone
        text = f"skipped {notices.local(due.at, zone)}: {why}"
        values = {"due": notices.utc(due.at), "why": why}
        notice = Notice(
            event="run_skipped", text=text, job=followed.name, values=values, matter=matter
        )
        self._notify(notice)
        past = Past(due=due.at, ended_at=self._now(), outcome="skipped", words=text)
        memory = self.memory(followed)
        unfinished = None if memory.unfinished == due.at else memory.unfinished
        until = max(memory.until, due.at)
        self.keep(followed, until=until, last=past, unfinished=unfinished)

    def show_life(self) -> None:
        """That somebody follows them."""
        self._following.show_life()

    def let_go(self, followed: Followed) -> None:
        """Another scheduler may follow it."""
        self._following.drop(followed.outputs)

    def close(self) -> None:
        self._following.close()

    def reload(self) -> list[Change]:
        """Reads what changed in the folder. A job that does not load any more goes on by what it
        said before; one whose file is gone is let go the second time that it is not there, since
        editors write a new file in the place of the old one.
        """
        changes: list[Change] = []
        entries = self._entries()
        of_key: dict[str, list[Job]] = {}
        for name, entry in entries.items():
            before = self._followed.get(name)
            if self._looked and self._was_just_written(entry.path):
                known = entry.job if before is None else before.job
                if known is not None:
                    of_key.setdefault(key_of(known, self._environ), []).append(known)
                continue
            if entry.job is None:
                problem = entry.problem or "it does not load"
                if before is None:
                    self._is_broken(name, problem)
                else:
                    problem += "\n  its times stay; until it is mended, each run ends with this"
                    self._is_broken(name, problem, matter=notices.BROKEN)
                if before is not None:
                    of_key.setdefault(before.key, []).append(before.job)
                continue
            key = key_of(entry.job, self._environ)
            followed = Followed(name=name, path=entry.path, job=entry.job, key=key)
            of_key.setdefault(key, []).append(entry.job)
            if before == followed:
                self._problems.pop(name, None)
            elif entry.job.schedule.cron is None:
                self._problems.pop(name, None)
                changes += self._drop(name, "it has no schedule any more")
            else:
                changes += self._follow(followed, before)
        missing = frozenset(self._followed.keys() - entries.keys())
        for name in missing:
            if name in self._missing:
                changes += self._drop(name, "its file is gone")
            else:
                one = self._followed[name]
                of_key.setdefault(one.key, []).append(one.job)
        self._missing, self._looked = missing, True
        for name in self._problems.keys() - entries.keys():
            del self._problems[name]
        self._jobs_of_key = of_key
        return changes

    def _follow(self, followed: Followed, before: Followed | None) -> list[Change]:
        name, schedule = followed.name, followed.job.schedule
        changes: list[Change] = []
        if before is not None and before.outputs != followed.outputs:
            changes += self._drop(name, "its outputs are elsewhere now")
            before = None
        try:
            if not self._following.take(followed.outputs):
                self._is_broken(name, "another scheduler follows it already", event="job_taken")
                return changes
            if before is None and any(one.outputs == followed.outputs for one in self.followed):
                self._is_broken(name, f"another job has its outputs: {followed.outputs}")
                return changes
            memory = recall(followed.outputs, schedule, self._now())
            remember(followed.outputs, memory)
        except StoreError as error:
            self._is_broken(name, str(error))
            return changes
        self._problems.pop(name, None)
        self._followed[name] = followed
        self._memories[followed.outputs] = memory
        at = next(upcoming(schedule, self._now()), None)
        text = "no time to come" if at is None else f"next {notices.local(at, schedule.timezone)}"
        self._tell(
            "job_followed" if before is None else "job_changed",
            text if before is None else f"changed; {text}",
            name,
            cron=schedule.cron,
            timezone=schedule.timezone,
            next=None if at is None else notices.utc(at),
        )
        if before is None:
            return [*changes, ("followed", followed)]
        old = before.job.schedule
        again = (old.cron, old.timezone) != (schedule.cron, schedule.timezone)
        return [*changes, ("rescheduled" if again else "changed", followed)]

    def _was_just_written(self, path: Path) -> bool:
        try:
            return abs(self._now() - path.stat().st_mtime) < SETTLED_S
        except OSError:  # gone meanwhile: as good as being written
            return True

    def _drop(self, name: str, why: str) -> list[Change]:
        followed = self._followed.pop(name, None)
        if followed is None:
            return []
        self._tell("job_dropped", f"{why}; no run of it will start", name)
        return [("dropped", followed)]

    def _is_broken(
        self,
        name: str,
        problem: str,
        *,
        event: str = "job_broken",
        matter: Matter | None = None,
    ) -> None:
        """Says so, once."""
        if self._problems.get(name) == problem:
            return
        self._problems[name] = problem
        values = {"problem": problem}
        self._notify(Notice(event=event, text=problem, job=name, values=values, matter=matter))

    def _tell(self, event: str, text: str, job: str, **values: Any) -> None:
        self._notify(Notice(event=event, text=text, job=job, values=values))
