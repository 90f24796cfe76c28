"""What a program asks of a run that goes on in another process: pause, resume, stop, tune."""

from pathlib import Path

import msgspec

from pipeline.errors import ConfigError
from pipeline.job import Job, job_of
from pipeline.snapshot import Snapshot
from pipeline.steering import messages
from pipeline.steering.client import ask


def pause(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Holds the run of this job that goes on in another process: nothing new leaves, what is in
    flight is finished and kept. Returns the run after it. Twice is once.

    Raises `NotRunningError`, and `ConfigError` where the run cannot be asked.
    """
    return ask(job_of(job, rehearse=rehearse).outputs.directory, messages.Pause())


def resume(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Lets a paused run go on, in a ramp as after a cooldown. Returns and raises as `pause`."""
    return ask(job_of(job, rehearse=rehearse).outputs.directory, messages.Resume())


def stop(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Ends the run as its first Ctrl-C does: what is in flight is finished and kept, and its exit
    code is 130. Does not wait for that. Returns and raises as `pause`.
    """
    return ask(job_of(job, rehearse=rehearse).outputs.directory, messages.Stop())


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
    return ask(job_of(job, rehearse=rehearse).outputs.directory, change)
