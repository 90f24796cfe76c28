"""One scheduled job, now: what ``--once`` does, and what other schedulers call."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.errors import BudgetReachedError, ConfigError, JobError, PipelineError
from pipeline.interruption import told_to_stop
from pipeline.job import Job
from pipeline.job.design import single_jobs
from pipeline.job.folder import JobFolder
from pipeline.manifest.problems import did_you_mean, listed
from pipeline.scheduling import notices
from pipeline.scheduling.going import Supervised
from pipeline.scheduling.notices import Notice
from pipeline.scheduling.processes import Ending, Processes
from pipeline.scheduling.queue import Followed
from pipeline.scheduling.sharing import key_of, least_usd, spent_today
from pipeline.scheduling.times import jitter_of, upcoming
from pipeline.steering.client import ask
from pipeline.steering.messages import State


async def once(
    folder: Path,
    name: str,
    *,
    jitter: bool = False,
    environ: Mapping[str, str] | None = None,
    tell: Callable[[Notice], None] = lambda notice: None,
    signals: bool = False,
) -> Ending:
    """Runs a job of the folder now, as its schedule would: within the day's money of its key, and
    within its ``max_runtime``. ``jitter``: waits first, as the schedule's jitter says. ``signals``:
    Ctrl-C and SIGTERM are handed on to the run.

    Raises `ConfigError` (no such job), `BudgetReachedError` (the day's money is spent) and
    `StoreError`.
    """
    environ = os.environ if environ is None else environ
    entries = JobFolder(folder).entries()
    by_name = {entry.job.name: entry for entry in entries.values() if entry.job is not None}
    entry = entries.get(name) or by_name.get(name)
    if entry is None:
        hint = did_you_mean(name, entries) or f" (there are {listed(entries)})"
        raise ConfigError(f"{folder}: there is no job {name!r}{hint}")
    if entry.job is None:
        raise JobError(entry.problem or f"{entry.path}: does not load")
    job, now = entry.job, time.time()
    if jitter:
        await asyncio.sleep(jitter_of(job.schedule, name, now))
    jobs = [each.job for each in entries.values() if each.job is not None]
    runs = Processes(environ)
    try:
        cap = await asyncio.to_thread(_cap, job, jobs, environ)
    except BudgetReachedError as error:
        for trouble in await runs.inform(job, notices.NO_MONEY, str(error)):
            tell(Notice(event="not_told", job=name, text=trouble))
        raise
    began = time.time()
    run = runs.start(job, cap_usd=cap)
    money = "" if cap is None else f", up to ${cap:,.2f} of the day's money"
    values = {"pid": run.pid, "due": None, "late_s": 0.0, "cap_usd": cap}
    text = f"started{money} (process {run.pid})"
    tell(Notice(event="run_started", job=name, text=text, values=values))

    def stopping(why: str) -> None:
        text = f"is asked to stop: {why}"
        tell(Notice(event="run_stopping", job=name, text=text, values={"why": why}))

    followed = Followed(name=name, path=entry.path, job=job, key=key_of(job, environ))
    watched = Supervised(run, followed, began=began, due=None, cap_usd=cap, tell=stopping)

    def stop(count: int, why: str) -> None:
        if count == 1:
            watched.stop(why)
        else:
            watched.hurry()

    with told_to_stop(stop if signals else None):
        ending = await watched.to_its_end()
    now = time.time()
    next_at = next(upcoming(job.schedule, now), None)
    tell(notices.ended(name, ending, due=None, started_at=began, now=now, next_at=next_at))
    return ending


def _cap(job: Job, jobs: list[Job], environ: Mapping[str, str]) -> float | None:
    """What is left of the key's day, less what runs that go on may still spend."""
    day = job.schedule.day_usd
    if day is None:
        return None
    key = key_of(job, environ)
    alike = [each for each in jobs if key_of(each, environ) == key]
    spent = spent_today(alike, time.time())
    left = day - spent - sum(_held(one) for each in alike for one in single_jobs(each))
    if left < least_usd(job):
        raise BudgetReachedError(
            f"schedule.day_usd of ${day:,.2f} is reached: ${spent:,.2f} is spent today (UTC) by the"
            f" jobs of this key, and ${max(0.0, left):,.2f} is not held by runs that go on"
            " (wait for midnight UTC, or raise it)"
        )
    return round(left, 6)


def _held(job: Job) -> float:
    """What a run of this job that goes on may still spend; 0 where none does."""
    try:
        live = ask(job.outputs.directory, State(), timeout_s=3.0)
    except PipelineError:
        return 0.0
    if live.cap_usd is None:
        return 0.0
    # What it has reserved is in the ledger already, and so in what was spent today.
    return max(0.0, live.cap_usd - live.spent_usd - live.reserved_usd - live.unknown_usd)
