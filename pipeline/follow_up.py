"""What follows a run, before anybody is told how it ended: renditions, then exports.

Both are made of what is stored. They send nothing, can be made again at any time, and fail no edit.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from pipeline.errors import StoreError
from pipeline.interruption import told_to_stop
from pipeline.job import Job
from pipeline.outcome import INTERRUPTED, Exported, RunResult, write_run_file
from pipeline.publishing import rendered_after
from pipeline.rendering.making import Progress
from pipeline.rendering.result import FinishedResult, RenderResult

FOLLOWED = ("finished", "budget", "guarded")
"""Endings after which there is something to make: what a run that was cut short has left to do,
the next one does.
"""

TO_CLEAN_UP_S = 10.0
"""An export that is asked to stop removes what it had begun."""

LONGEST_WORDS = 500


async def followed_up(
    job: Job,
    result: RunResult,
    *,
    render: bool = True,
    export: bool = False,
    rehearsal: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
    signals: bool = False,
) -> RunResult:
    """The result of a run, with what was made of its pictures after it.

    ``render``: the job's renditions. ``export``: its ``exports``, by a process of their own.
    ``observe`` hears, in another thread, how far the renditions are. ``signals``: Ctrl-C and
    SIGTERM end it soon, and the exit code is 130; what is made stays. What cannot be made is in the
    result, and the exit code becomes 3 where it was 0.
    """
    if result.ended not in FOLLOWED:
        return result
    step: asyncio.Task[RunResult] | None = None
    stopped = False

    def stop(count: int, why: str) -> None:
        nonlocal stopped
        stopped = True
        if step is not None:
            step.cancel()

    with told_to_stop(stop if signals else None):
        if render:
            rendering = rendered_after(job, result, observe, keep_if_cancelled=signals)
            step = asyncio.ensure_future(rendering)
            result = await step
        if export and job.exports and not stopped:
            step = asyncio.ensure_future(_exported(job, result, rehearsal=rehearsal, keep=signals))
            result = await step
    if result.renditions is None and result.exports is None:
        return result
    made = [*_of_renditions(result.renditions), *exports_in_words(result.exports)]
    if stopped:
        made.append("interrupted: what is made stays, and the rest is made after the next run")
    result = msgspec.structs.replace(
        result, made=tuple(made), exit_code=INTERRUPTED if stopped else result.exit_code
    )
    try:
        await asyncio.to_thread(write_run_file, result)
    except OSError as error:
        why = f"the run's own file could not be written again: {error.strerror or error}"
        exit_code = result.exit_code or StoreError.exit_code
        result = msgspec.structs.replace(result, made=(*result.made, why), exit_code=exit_code)
    return result


async def _exported(job: Job, result: RunResult, *, rehearsal: bool, keep: bool) -> RunResult:
    """The result with what came of the exports. ``keep``: also if it is cancelled."""
    process: asyncio.subprocess.Process | None = None
    words = ["export", str(job.path), "--json", *(["--rehearse"] if rehearsal else [])]
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pipeline", *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C at the terminal comes to it once, from here.
            start_new_session=os.name == "posix",
        )
        said, complaint = await process.communicate()
        exported = _told(said, complaint, process.returncode or 0)
    except OSError as error:
        exported = Exported(exit_code=3, error=f"no process could be started for it: {error}")
    except asyncio.CancelledError:
        if process is not None:
            await _ended(process)
        task = asyncio.current_task()
        if not keep or task is None:
            raise
        task.uncancel()
        exported = Exported(exit_code=INTERRUPTED, stopped=True)
    exit_code = result.exit_code or (3 if exported.exit_code else 0)
    return msgspec.structs.replace(result, exports=exported, exit_code=exit_code)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Asked to end, and made to. The data set that was there before is whole either way."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
    with suppress(TimeoutError, asyncio.CancelledError):  # a second Ctrl-C: at once
        async with asyncio.timeout(TO_CLEAN_UP_S):
            await process.wait()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _told(said: bytes, complaint: bytes, exit_code: int) -> Exported:
    """By its last line on standard output, or else on standard error."""
    try:
        told = json.loads(said.splitlines()[-1])
        results = tuple([_shortened(one) for one in told["exports"]])
        exit_code = max([_trouble(one) for one in results], default=0)
        error = None
    except (IndexError, ValueError, LookupError, TypeError):
        results = ()
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        error = lines[-1][:LONGEST_WORDS] if lines else f"it ended with {exit_code}"
    return Exported(exit_code=exit_code, results=results, error=error)


def _trouble(one: dict[str, Any]) -> int:
    """Its exit code. That nobody has approved anything yet, or so, is no trouble of this run."""
    nothing_there = one.get("exit_code") == 3 and not one.get("missing_count")
    return 0 if nothing_there else int(one.get("exit_code", 0))


def _shortened(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "missing"}


def _of_renditions(made: RenderResult | None) -> list[str]:
    if made is None or made.stopped:
        return [] if made is None else [f"renditions: {made.made:,} made, and not all"]
    if made.error is not None:
        return [f"renditions: none were made: {made.error.splitlines()[0][:LONGEST_WORDS]}"]
    said = []
    if made.finished is not None and not made.finished.idle:
        said.append(f"finished pictures: {_counts(made.finished)}")
    if made.renditions:
        said.append(f"renditions: {_counts(made)}")
    return said


def _counts(made: RenderResult | FinishedResult) -> str:
    counts = ((made.made, "made"), (made.removed, "removed"), (made.failed, "failed"))
    words = [f"{count:,} {name}" for count, name in counts if count] or ["nothing new"]
    return ", ".join(words)


def exports_in_words(exported: Exported | None) -> list[str]:
    """A line each."""
    if exported is None:
        return []
    if exported.stopped:
        return ["exports: interrupted; those that were there are whole"]
    if exported.error is not None:
        return [f"exports: {exported.error}"]
    return [_of_export(one) for one in exported.results]


def _of_export(one: dict[str, Any]) -> str:
    name = f"export {one.get('format')} {one.get('output')}"
    if error := one.get("error"):
        return f"{name}: {str(error).splitlines()[0][:LONGEST_WORDS]}"
    samples = one.get("samples") or {}
    if "rows" in samples:
        return f"{name}: {samples['rows']:,} rows"
    words = [f"{sum(samples.values()):,} examples"]
    counts = [(one.get(kind, 0), kind) for kind in ("written", "rewritten", "removed")]
    words += [f"{count:,} {kind}" for count, kind in counts if count]
    if not one.get("changed", True):
        words.append("nothing new")
    if missing := one.get("missing_count"):
        words.append(f"{missing:,} left out, a picture is not there")
    return f"{name}: {', '.join(words)}"
