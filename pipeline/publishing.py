"""What a program does with finished pictures: `render`, `deliver`, `roll_back`.

They send nothing, and work while a run goes on.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from pipeline.delivery import DeliveryResult, DeliverySettings, deliver_job, roll_back_job
from pipeline.errors import PipelineError
from pipeline.job import Job, job_of
from pipeline.outcome import RunResult
from pipeline.rendering.finished import has_finished
from pipeline.rendering.making import FOLDER, Progress, render_job
from pipeline.rendering.result import RenderResult
from pipeline.rendering.threaded import in_thread

__all__ = ["deliver", "render", "rendered_after", "roll_back"]


async def render(
    job: Job | Path | str,
    *,
    renditions: Sequence[str] = (),
    presets: Sequence[str] = (),
    only: Sequence[str] = (),
    force: bool = False,
    rehearse: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
) -> RenderResult:
    """Makes the job's renditions from its stored pictures: what is new or changed, on all cores.
    Also while a run goes on. Sends nothing.

    ``renditions``: of the job's, by name. ``presets``: by name, also such that the job does not
    have. ``only``: ids or globs. ``force``: also what has not changed. ``observe`` hears, in
    another thread, how far it is. Cancelled, it ends soon; what is made stays.

    Raises `ConfigError` before anything is written, `LedgerError`, `LockedError`, `StoreError`.
    """
    return await in_thread(
        partial(
            render_job,
            job_of(job, rehearse=rehearse),
            renditions=renditions,
            presets=presets,
            only=only,
            force=force,
            observe=observe,
        )
    )


async def deliver(
    job: Job | Path | str,
    to: Path | str,
    *,
    presets: Sequence[str] = (),
    renditions: Sequence[str] = (),
    settings: DeliverySettings | None = None,
    dry_run: bool = False,
    rehearse: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
) -> DeliveryResult:
    """Puts the renditions of approved pictures into a folder for a shop, named by their products,
    with checksums and feeds. The folder is switched to the new delivery in one step.

    ``presets``, ``renditions``: as of `render`, which is done first. ``dry_run``: say what would
    be done. ``observe``: as of `render`.

    Raises `ConfigError` (nothing to deliver, names that cannot be, a folder that is not ours),
    `IncompleteError` (a rendition cannot be made), `LedgerError`, `LockedError`, `StoreError`; the
    delivery that was there is whole then.
    """
    return await in_thread(
        partial(
            deliver_job,
            job_of(job, rehearse=rehearse),
            Path(to),
            presets=presets,
            renditions=renditions,
            settings=settings or DeliverySettings(),
            dry_run=dry_run,
            observe=observe,
        )
    )


def roll_back(job: Job | Path | str, to: Path | str, *, rehearse: bool = False) -> DeliveryResult:
    """Switches a delivery's folder back to the delivery before. Raises as `deliver`."""
    return roll_back_job(job_of(job, rehearse=rehearse), Path(to))


async def rendered_after(
    job: Job,
    result: RunResult,
    observe: Callable[[Progress], None] = lambda progress: None,
    *,
    keep_if_cancelled: bool = False,
) -> RunResult:
    """The result of a run, with its renditions made, and finished pictures of earlier runs as the
    job wants them now. What they fail of fails no edit: the exit code becomes 3 where it was 0.

    ``keep_if_cancelled``: cut off, give the result all the same (a person wants to see it).
    """
    if not (job.renditions or has_finished(job)):
        return result
    try:
        made = await in_thread(partial(render_job, job, observe=observe))
    except PipelineError as error:
        made = RenderResult(
            directory=job.outputs.directory / FOLDER,
            renditions=tuple(job.renditions),
            error=str(error),
        )
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not keep_if_cancelled or task is None:
            raise
        task.uncancel()
        made = RenderResult(
            directory=job.outputs.directory / FOLDER, renditions=tuple(job.renditions), stopped=True
        )
    if not job.renditions and made.error is None and (made.finished is None or made.finished.idle):
        return result
    exit_code = result.exit_code or made.exit_code
    return msgspec.structs.replace(result, renditions=made, exit_code=exit_code)
