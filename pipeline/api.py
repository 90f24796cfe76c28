"""What a program does with jobs. The command line is a thin skin over this module.

``run`` is a coroutine: ``await pipeline.run(job)`` in a notebook or a service,
``asyncio.run(pipeline.run(job))`` in a script. Everything else is an ordinary function.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline import preview, running
from pipeline.errors import ConfigError
from pipeline.exports.dataframe import to_dataframe
from pipeline.job import Job, load_job
from pipeline.ledger import AttemptTotal, EditTotal, RunRow, open_reader
from pipeline.preview import Plan, check, ledger_path
from pipeline.rehearsal import KEY, emulator_process
from pipeline.running import Event, RunOptions, RunResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["JobStatus", "check", "load_job", "plan", "read_ledger", "run", "status"]


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its ledger has it, also while a run goes on. ``run``: the latest; ``None``: never.

    ``in_flight``: attempts under way, or left open by a process that died.
    """

    run: RunRow | None
    edits: tuple[EditTotal, ...]
    attempts: tuple[AttemptTotal, ...]
    in_flight: int
    outputs: Path


def plan(
    job: Job | Path | str,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    rehearse: bool = False,
) -> Plan:
    """What ``run`` would do: edits by state, requests, pictures, dollars, minutes. Sends nothing.

    Raises `JobError`, `ManifestError`, `LedgerError`.
    """
    return preview.plan(_loaded(job, rehearse), only=only, limit=limit)


async def run(
    job: Job | Path | str,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    base_url: str | None = None,
    rehearse: bool = False,
    profile: str = "calm",
    accept_origin: bool = False,
    confirm: Callable[[Plan], bool] | None = None,
    observe: Callable[[Event], None] = lambda event: None,
    signals: bool = False,
    environ: Mapping[str, str] | None = None,
) -> RunResult:
    """Does a job: asks for every edit that the ledger does not hold, and keeps what comes back.

    ``only``: ids, or globs over them. ``limit``: at most so many edits are asked for.
    ``base_url``: another endpoint of the same kind. ``rehearse``: against the emulator (with
    ``profile``), on this machine, into ``<outputs>-rehearsal``. ``accept_origin``: go on although
    the ledger belongs to another endpoint. ``confirm`` is shown the plan, and nothing is sent
    unless it returns True. ``observe`` gets every event, in the loop's thread. ``signals``: the
    first Ctrl-C or SIGTERM lets what is in flight finish, the second does not.

    Raises `ConfigError`, `LedgerError` and `LockedError` before anything was sent. Whatever ends
    the run later is in the result, and so are the edits that did not succeed.
    """
    loaded = _loaded(job, rehearse)
    environ = os.environ if environ is None else environ
    options = RunOptions(
        only=only,
        limit=limit,
        accept_origin=accept_origin,
        confirm=confirm,
        observe=observe,
        signals=signals,
    )
    with ExitStack() as opened:
        if rehearse:
            if base_url is not None:
                raise ConfigError("a rehearsal has its own endpoint: leave --base-url out")
            base_url = opened.enter_context(emulator_process(profile=profile, seed=0))
            environ = {loaded.endpoint.api_key_env: KEY}
        if base_url is not None:
            loaded = loaded.at(base_url)
        return await running.run_job(loaded, options, environ)


def status(job: Job | Path | str, *, rehearse: bool = False) -> JobStatus:
    """What the ledger says of a job. Raises `LedgerError`."""
    loaded = _loaded(job, rehearse)
    reader = open_reader(ledger_path(loaded))
    if reader is None:
        return JobStatus(
            run=None, edits=(), attempts=(), in_flight=0, outputs=loaded.outputs.directory
        )
    with reader, reader.snapshot():
        return JobStatus(
            run=reader.last_run(),
            edits=reader.edit_totals(),
            attempts=reader.attempt_totals(),
            in_flight=len(reader.open_attempts()),
            outputs=loaded.outputs.directory,
        )


def read_ledger(job: Job | Path | str, *, rehearse: bool = False) -> "pd.DataFrame":
    """The view ``results`` as a pandas DataFrame, one row per edit.

    Takes a job, or the path of a job file, of an outputs folder or of a ``ledger.db``. Needs the
    extra ``pandas``. Raises `ConfigError` where there is no ledger.
    """
    path = Path(job) if isinstance(job, Path | str) else None
    if path is not None and path.is_dir():
        ledger = path / "ledger.db"
    elif path is not None and path.suffix == ".db":
        ledger = path
    else:
        ledger = ledger_path(_loaded(job, rehearse))
    reader = open_reader(ledger)
    if reader is None:
        raise ConfigError(f"{ledger}: there is no ledger yet (run the job first)")
    with reader:
        return to_dataframe(reader.columns(), reader.results())


def _loaded(job: Job | Path | str, rehearse: bool) -> Job:
    loaded = job if isinstance(job, Job) else load_job(Path(job))
    return loaded.for_rehearsal() if rehearse else loaded
