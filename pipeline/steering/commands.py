"""What a program asks of a run that goes on in another process: pause, resume, stop, tune.

Of a job of several models, the one whose run goes on is asked.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from pipeline.errors import ConfigError, NotRunningError
from pipeline.job import Job, job_of
from pipeline.job.design import single_jobs
from pipeline.snapshot import Snapshot
from pipeline.steering import messages
from pipeline.steering.client import ask


def pause(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Holds the run of this job that goes on in another process: nothing new leaves, what is in
    flight is finished and kept. Returns the run after it. Twice is once.

    Raises `NotRunningError`, and `ConfigError` where the run cannot be asked.
    """
    return _ask(job, messages.Pause(), rehearse=rehearse)


def resume(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Lets a paused run go on, in a ramp as after a cooldown. Returns and raises as `pause`."""
    return _ask(job, messages.Resume(), rehearse=rehearse)


def stop(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Ends the run as its first Ctrl-C does: what is in flight is finished and kept, and its exit
    code is 130. Does not wait for that. Returns and raises as `pause`.
    """
    return _ask(job, messages.Stop(), rehearse=rehearse)


def tune(
    job: Job | Path | str,
    *,
    concurrency: int | msgspec.UnsetType = msgspec.UNSET,
    requests_per_minute: float | msgspec.UnsetType | None = msgspec.UNSET,
    images_per_minute: float | msgspec.UnsetType | None = msgspec.UNSET,
    rehearse: bool = False,
) -> Snapshot:
    """Changes the stated limits of a run that goes on, for the rest of that run only.

    What is left out stays as it is; ``None`` removes a rate. Returns and raises as `pause`;
    `ConfigError` also for limits that cannot be.
    """
    change = messages.Tune(
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        images_per_minute=images_per_minute,
    )
    if problem := messages.problem_with(change):
        raise ConfigError(problem)
    return _ask(job, change, rehearse=rehearse)


def _ask(job: Job | Path | str, request: messages.Request, *, rehearse: bool) -> Snapshot:
    loaded = job_of(job)
    jobs = [one.for_rehearsal() if rehearse else one for one in single_jobs(loaded)]
    if len(jobs) > 1:
        jobs = [_going(loaded, jobs)]
    return ask(jobs[0].outputs.directory, request)


def _going(job: Job, models: Sequence[Job]) -> Job:
    """The one of its models whose run goes on."""
    found = []
    for one in models:
        with suppress(NotRunningError):
            ask(one.outputs.directory, messages.State())
            found.append(one)
    if not found:
        raise NotRunningError(
            f"{job.path.name}: no run of any of its {len(models)} models is going on (pipeline run"
            " starts one; between two models, and before its first request, a run does not listen"
            " yet: try again in a moment)"
        )
    if len(found) > 1:
        names = " and ".join([one.path.name for one in found])
        raise ConfigError(f"{job.path.name}: several of its models run now (name one: {names})")
    return found[0]
