"""When the jobs of a folder run next, and how the last time came out."""

import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import msgspec

from pipeline.errors import NotRunningError
from pipeline.job import Job
from pipeline.job.design import AT, split_model
from pipeline.job.folder import Entry, JobFolder
from pipeline.scheduling import notices
from pipeline.scheduling.memory import Past, is_followed, peek
from pipeline.scheduling.times import jitter_of, upcoming

TIMES = 5


class NextTime(msgspec.Struct, frozen=True, kw_only=True):
    """``at``: seconds since the epoch; the same in UTC and in the schedule's timezone.
    ``jitter_s``: how much later it will start.
    """

    at: float
    utc: str
    local: str
    jitter_s: float


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A job and its times. ``problem``: why it does not load. ``cron`` ``None``: no schedule.
    ``followed``: a scheduler is there. ``running_since``: seconds since the epoch.
    """

    job: str
    file: Path
    problem: str | None = None
    cron: str | None = None
    timezone: str | None = None
    followed: bool = False
    running_since: float | None = None
    next: tuple[NextTime, ...] = ()
    last: Past | None = None


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """A job's next time: in seconds since the epoch, jitter included, and in its own timezone.
    ``followed``: a scheduler is there to start it.
    """

    at: float
    local: str
    followed: bool


def coming(job: Job, name: str, *, now: float) -> Coming | None:
    """When the job runs next by its schedule; ``None``: it has none, or no time to come. A job of
    one of several models (``shop@flash``) runs when the whole one does.
    """
    schedule, outputs = job.schedule, job.outputs.directory
    if split_model(job.path)[1]:
        name, outputs = name.rpartition(AT)[0], outputs.parent
    at = next(upcoming(schedule, now), None)
    if at is None:
        return None
    return Coming(
        at=at + jitter_of(schedule, name, at),
        local=notices.local(at, schedule.timezone),
        followed=is_followed(outputs, now),
    )


def listed(folder: Path, *, now: float | None = None) -> tuple[Listed, ...]:
    """Every job of a folder, those that come first first, then those without a schedule, then those
    that do not load. Raises `ConfigError` where there is no such folder.
    """
    now = time.time() if now is None else now
    found = [_listed(entry, now) for entry in JobFolder(folder).entries().values()]
    return tuple(sorted(found, key=_order))


def check_life(jobs: Iterable[Listed]) -> int:
    """How many jobs a scheduler follows. Raises `NotRunningError` where one is not followed."""
    scheduled = [job for job in jobs if job.cron is not None]
    left = [job.job for job in scheduled if not job.followed]
    if left:
        raise NotRunningError(
            f"no scheduler follows {', '.join(left)}, or it has not shown life for a minute"
            " (start one: pipeline schedule JOBS_FOLDER)"
        )
    return len(scheduled)


def _listed(entry: Entry, now: float) -> Listed:
    if entry.job is None:
        return Listed(job=entry.key, file=entry.path, problem=entry.problem)
    schedule, outputs = entry.job.schedule, entry.job.outputs.directory
    if schedule.cron is None:
        return Listed(job=entry.key, file=entry.path)
    memory = peek(outputs)
    followed = is_followed(outputs, now)
    times = islice(upcoming(schedule, now), TIMES)
    going = memory.going if memory is not None and followed else None
    return Listed(
        job=entry.key,
        file=entry.path,
        cron=schedule.cron,
        timezone=schedule.timezone,
        followed=followed,
        running_since=None if going is None else going.started_at,
        next=tuple(
            NextTime(
                at=at,
                utc=notices.utc(at),
                local=notices.local(at, schedule.timezone),
                jitter_s=round(jitter_of(schedule, entry.key, at), 1),
            )
            for at in times
        ),
        last=None if memory is None else memory.last,
    )


def _order(job: Listed) -> tuple[int, float]:
    if job.problem is not None:
        return 2, 0.0
    return (0, job.next[0].at) if job.next else (1, 0.0)
