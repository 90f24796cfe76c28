"""All scheduled jobs of a folder, run when they are due: the loop of ``pipeline schedule``."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.budget import DAY_S, midnight_before
from pipeline.errors import PipelineError
from pipeline.job.folder import Entry
from pipeline.notifying.matters import Matter
from pipeline.outcome import INTERRUPTED
from pipeline.scheduling import notices
from pipeline.scheduling.going import Supervised
from pipeline.scheduling.memory import AHEAD_S, Going, Past
from pipeline.scheduling.money import allowance
from pipeline.scheduling.notices import Notice
from pipeline.scheduling.processes import Ending, Run, Runs
from pipeline.scheduling.queue import Followed, Queue, Waiting
from pipeline.scheduling.roster import Roster
from pipeline.scheduling.times import (
    Due,
    in_words,
    too_late,
    too_late_words,
    upcoming,
    verdict,
)
from pipeline.scheduling.tuning import Tuning

LOOK_EVERY_S = 5.0
"""How often the folder and the clock are looked at: a change is seen, and a sleep of the machine
noticed, after at most this.
"""


class Daemon:
    """Belongs to one event loop. ``now``: seconds since the epoch, which may jump."""

    def __init__(
        self,
        entries: Callable[[], Mapping[str, Entry]],
        runs: Runs,
        *,
        max_runs: int,
        environ: Mapping[str, str],
        now: Callable[[], float],
        tell: Callable[[Notice], None],
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._runs = runs
        self._max_runs = max_runs
        self._now = now
        self._look_every_s = look_every_s
        self._notify = tell
        self._roster = Roster(entries, environ=environ, now=now, tell=self._heard)
        self._dealt: dict[str, float] = {}
        self._queue = Queue()
        self._going: dict[str, Supervised] = {}
        self._tuning = Tuning(runs, self._going, do=self._do, tell=tell)
        self._tasks: set[asyncio.Task[None]] = set()
        self._bug: BaseException | None = None
        self._woken = asyncio.Event()
        self._stops = 0
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """Until `stop`; then until the runs have ended."""
        most = self._max_runs
        self._tell("scheduler_started", f"at most {most} at once", max_runs=most)
        try:
            while not self._stops:
                self._look()
                await self._pause()
            for going in self._going.values():
                going.drained_by_us = True
                going.stop("the scheduler ends")
            while self._going:
                await self._pause()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._roster.close()
        self._tell("scheduler_ended", "no run of it is left")

    def stop(self, why: str) -> None:
        """Nothing new starts, and runs are asked to end as by Ctrl-C. A second time: at once."""
        self._stops += 1
        if self._stops == 1:
            count = len(self._going)
            runs = f"{count} run{'s' * (count > 1)} to end first" if count else "no run goes on"
            self._tell("scheduler_stopping", f"{why}: {runs}", runs=count)
        else:
            for going in self._going.values():
                going.hurry()
        self._woken.set()

    def _look(self) -> None:
        for kind, followed in self._roster.reload():
            if kind in ("rescheduled", "dropped"):
                for one in self._queue.of(followed.name):
                    self._queue.remove(one)
            if kind == "dropped" and followed.name not in self._going:
                self._roster.let_go(followed)
            if kind == "followed" and followed.name not in self._going:
                self._take_over(followed)
            if kind in ("followed", "rescheduled"):
                self._dealt[followed.name] = self._roster.memory(followed).until
        self._roster.show_life()
        now = self._now()
        for followed in self._roster.followed:
            self._line_up(followed, now)
        self._drop_what_is_too_late(now)
        self._start_what_may(now)

    async def _pause(self) -> None:
        """Until there is something to do."""
        if self._bug is not None:
            raise self._bug
        now, wait = self._now(), self._look_every_s
        for followed in self._roster.followed:
            at = next(upcoming(followed.job.schedule, max(now, self._dealt[followed.name])), None)
            wait = wait if at is None else min(wait, at - now)
        start = self._queue.next_start(now)
        wait = wait if start is None else min(wait, start - now)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, wait)):
                await self._woken.wait()
        self._woken.clear()

    # --- what is due

    def _take_over(self, followed: Followed) -> None:
        """What the last scheduler left: a run that goes on, or one that was cut short."""
        now, memory = self._now(), self._roster.memory(followed)
        if (going := memory.going) is not None:
            run = self._runs.adopt(followed.job, going)
            if run is not None:
                ran = in_words(now - going.started_at)
                self._tell("run_adopted", f"still going on, for {ran}", followed.name, pid=run.pid)
                self._watch(followed, run, going)
                return
            ending = self._runs.outcome_of(followed.job, going)
            self._close(followed, ending, going)
            if ending.ended is None:
                self._roster.keep(followed, unfinished=going.due or going.started_at)
        at = self._roster.memory(followed).unfinished
        if at is None:
            return
        due, schedule = Due(at=at, start_at=at, late=True), followed.job.schedule
        if schedule.catch_up == "none":
            self._roster.leave_out(followed, due, "it was cut short, and catch_up is none")
        elif too_late(schedule, due, now):
            why = too_late_words(schedule, due, now)
            self._roster.leave_out(followed, due, why, notices.TOO_LATE)
        else:
            self._queue.put(Waiting(name=followed.name, due=due, order=at))

    def _line_up(self, followed: Followed, now: float) -> None:
        name, schedule = followed.name, followed.job.schedule
        if self._dealt[name] > now + AHEAD_S:
            self._dealt[name] = now  # as in `recall`
        found = verdict(schedule, name, after=self._dealt[name], now=now)
        self._dealt[name] = max(self._dealt[name], found.until)
        for due, why in found.left_out:
            late = notices.TOO_LATE if too_late(schedule, due, now) else None
            self._roster.leave_out(followed, due, why, late)
        for due in found.due:
            waits = self._queue.of(name)
            all_of_them = schedule.catch_up == "all"
            if name in self._going and not (all_of_them and due.late):
                self._roster.leave_out(followed, due, "the run before it is still going on")
            elif waits and not all_of_them:
                # One run does the work of both, and the later one has the later deadline.
                self._roster.leave_out(followed, waits[0].due, "the next one is due, too")
                self._queue.replace(waits[0], Waiting(name=name, due=due, order=waits[0].order))
            else:
                self._queue.put(Waiting(name=name, due=due, order=due.start_at))

    def _drop_what_is_too_late(self, now: float) -> None:
        for one in self._queue:
            followed = self._roster.get(one.name)
            if followed is None or (one.day_ends is not None and now >= one.day_ends):
                self._queue.remove(one)
            elif too_late(followed.job.schedule, one.due, now):
                self._queue.remove(one)
                why = too_late_words(followed.job.schedule, one.due, now)
                self._roster.leave_out(followed, one.due, why, notices.TOO_LATE)

    def _start_what_may(self, now: float) -> None:
        due = self._queue.startable(now, lambda one: one.name not in self._going)
        while due:
            one = due[0]
            followed = self._roster.get(one.name)
            assert followed is not None  # noqa: S101 - else it would not be in the queue
            free = self._max_runs - len(self._going)
            if free < 1:
                for each in due:
                    self._say_once(each.name, "run_waits", f"waits: {len(self._going)} runs go on")
                return
            self._consider(followed, one, due[:free], now)
            due = due[1:]

    def _consider(
        self, followed: Followed, one: Waiting, alike: Sequence[Waiting], now: float
    ) -> None:
        """Starts it, if there is money."""
        allowed = allowance(
            followed.job,
            jobs=self._roster.jobs_of(followed.key),
            going=[run for run in self._going.values() if run.followed.key == followed.key],
            alike=sum(self._shares_money(each, followed.key) for each in alike),
            now=now,
            more_than_usd=one.more_than_usd or 0.0,
        )
        if allowed.verdict == "go":
            self._start(followed, one, allowed.cap_usd)
        elif allowed.verdict == "wait":
            self._say_once(one.name, "run_waits", f"waits: {allowed.why}")
        else:
            self._queue.remove(one)
            if one.more_than_usd is None:
                self._roster.leave_out(followed, one.due, allowed.why, notices.NO_MONEY)

    def _shares_money(self, one: Waiting, key: str) -> bool:
        followed = self._roster.get(one.name)
        return (
            followed is not None
            and followed.key == key
            and followed.job.schedule.day_usd is not None
        )

    # --- runs

    def _start(self, followed: Followed, one: Waiting, cap: float | None) -> None:
        self._queue.remove(one)
        self._said.pop(one.name, None)
        now = self._now()
        try:
            run = self._runs.start(followed.job, cap_usd=cap)
        except PipelineError as error:
            self._roster.leave_out(followed, one.due, str(error), notices.NO_START)
            return
        going = Going(pid=run.pid, log=str(run.log), started_at=now, due=one.due.at, cap_usd=cap)
        until = max(self._roster.memory(followed).until, one.due.at)
        self._roster.keep(followed, until=until, going=going, unfinished=None)
        due = notices.local(one.due.at, followed.job.schedule.timezone)
        late = f", {in_words(now - one.due.at)} late" if one.due.late else ""
        money = "" if cap is None else f", up to ${cap:,.2f} of the day's money"
        self._tell(
            "run_started",
            f"started for {due}{late}{money} (process {run.pid})",
            followed.name,
            pid=run.pid,
            due=notices.utc(one.due.at),
            late_s=round(max(0.0, now - one.due.start_at), 1),
            cap_usd=cap,
        )
        self._watch(followed, run, going)

    def _watch(self, followed: Followed, run: Run, going: Going) -> None:
        name = followed.name
        supervised = Supervised(
            run,
            followed,
            began=going.started_at,
            due=going.due,
            cap_usd=going.cap_usd,
            tell=lambda why: self._tell("run_stopping", f"is asked to stop: {why}", name, why=why),
        )
        self._going[name] = supervised
        self._do(self._to_its_end(supervised, going))
        self._tuning.share()

    async def _to_its_end(self, run: Supervised, going: Going) -> None:
        followed = run.followed
        ending = await run.to_its_end(ran_s=max(0.0, self._now() - run.began))
        del self._going[followed.name]
        self._close(followed, ending, going)
        if run.drained_by_us and ending.exit_code == INTERRUPTED:
            self._roster.keep(followed, unfinished=going.due)
        if self._roster.get(followed.name) is None:
            self._roster.let_go(followed)
        elif not self._stops:
            self._go_on_with_more(run, ending)
            self._tuning.share()
        self._woken.set()

    def _go_on_with_more(self, run: Supervised, ending: Ending) -> None:
        """A run that stopped at its part of the day's money goes on if others leave some of it."""
        own, cap = run.job.budget.run_usd, run.cap_usd
        if ending.ended != "budget" or ending.canary_failed or run.due is None:
            return
        if cap is None or (own is not None and own <= cap):
            return
        now, totals = self._now(), ending.totals
        spent = float(totals.get("cost_usd", 0.0)) + float(totals.get("unknown_usd", 0.0))
        self._queue.put(
            Waiting(
                name=run.followed.name,
                due=Due(at=run.due, start_at=now),
                order=now,
                more_than_usd=max(0.0, cap - spent),
                day_ends=midnight_before(now) + DAY_S,
            )
        )

    def _close(self, followed: Followed, ending: Ending, going: Going) -> None:
        now = self._now()
        notice = notices.ended(
            followed.name,
            ending,
            due=going.due,
            started_at=going.started_at,
            now=now,
            next_at=next(upcoming(followed.job.schedule, now), None),
        )
        past = Past(
            due=going.due,
            ended_at=now,
            outcome=ending.ended or "ended",
            exit_code=ending.exit_code,
            run_id=ending.run_id,
            words=notice.text,
        )
        self._roster.keep(followed, going=None, last=past)
        self._notify(notice)

    # --- small things

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._bug = bug
            self._woken.set()

    def _heard(self, notice: Notice) -> None:
        """Passes on what the roster says; of what means a night without data, people hear, too."""
        self._notify(notice)
        followed = self._roster.get(notice.job) if notice.job is not None else None
        if notice.matter is not None and followed is not None and followed.job.notify:
            self._do(self._inform(followed, notice.matter, notice.text))

    async def _inform(self, followed: Followed, matter: Matter, text: str) -> None:
        for trouble in await self._runs.inform(followed.job, matter, text):
            self._tell("not_told", trouble, followed.name)

    def _say_once(self, name: str, event: str, text: str) -> None:
        if self._said.get(name) != text:
            self._said[name] = text
            self._tell(event, text, name)

    def _tell(self, event: str, text: str, job: str | None = None, **values: Any) -> None:
        self._notify(Notice(event=event, text=text, job=job, values=values))
