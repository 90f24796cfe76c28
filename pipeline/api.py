"""What a program does with jobs. The command line is a thin skin over this module.

What sends requests or works on many files is a coroutine: ``await pipeline.run(job)`` in a notebook
or a service, ``asyncio.run(pipeline.run(job))`` in a script. The rest are ordinary functions.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pipeline import preview, running
from pipeline.again import Again, again_for
from pipeline.books.reconciling import LOGS_DELAY_S, Reconciliation, reconcile_job
from pipeline.canary import CanaryReport
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError
from pipeline.events import Event
from pipeline.exports.dataframe import to_dataframe
from pipeline.job import Job, load_job
from pipeline.ledger import AttemptTotal, EditTotal, RunRow, open_reader
from pipeline.opening import api_key, open_job_account
from pipeline.pacing import LAST
from pipeline.preflight import Preflight, judge, look
from pipeline.preview import CheckReport, Plan, ledger_path
from pipeline.rehearsal import KEY, emulator_process
from pipeline.repair.filecheck import FsckReport, fsck_job
from pipeline.running import RunOptions, RunResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "JobStatus",
    "check",
    "check_online",
    "fsck",
    "load_job",
    "plan",
    "read_ledger",
    "reconcile",
    "retry",
    "run",
    "status",
]


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its ledger has it, also while a run goes on. ``run``: the latest; ``None``: never.

    ``in_flight``: attempts under way, or left open by a process that died. ``pace``: what the
    latest 429 taught, in words; ``None``: none came yet.
    """

    run: RunRow | None
    edits: tuple[EditTotal, ...]
    attempts: tuple[AttemptTotal, ...]
    in_flight: int
    pace: str | None
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


def check(job: Job | Path | str) -> CheckReport:
    """Reads everything, offline: the job, every row, the presence of every input.

    Raises `JobError`, and `ManifestError` where a manifest cannot be read at all.
    """
    return preview.check(_loaded(job, rehearse=False))


async def check_online(
    job: Job | Path | str,
    *,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Preflight:
    """What ``run`` would look at before its first request: key, balance, model, price. Free.

    Raises `ConfigError`, `LedgerError`, and the `FatalError` that would end the run.
    """
    loaded = _loaded(job, rehearse=False)
    if base_url is not None:
        loaded = loaded.at(base_url)
    account = open_job_account(loaded, api_key(loaded, os.environ if environ is None else environ))
    try:
        model = model_spec(loaded.endpoint.model)
        found = await asyncio.to_thread(preview.plan, loaded)
        return judge(await look(account, model.id), loaded, model, found)
    finally:
        await account.close()


async def run(
    job: Job | Path | str,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    base_url: str | None = None,
    rehearse: bool = False,
    profile: str = "calm",
    accept_origin: bool = False,
    max_cost_usd: float | None = None,
    preflight: bool = True,
    canary: int | None = None,
    approve: Callable[[CanaryReport], bool] | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    observe: Callable[[Event], None] = lambda event: None,
    signals: bool = False,
    again: Again | None = None,
    environ: Mapping[str, str] | None = None,
) -> RunResult:
    """Does a job: asks for every edit that the ledger does not hold, and keeps what comes back.

    ``only``: ids, or globs over them. ``limit``: at most so many edits are asked for.
    ``base_url``: another endpoint of the same kind. ``rehearse``: against the emulator (with
    ``profile``), on this machine, into ``<outputs>-rehearsal``. ``accept_origin``: go on although
    the ledger belongs to another endpoint. ``max_cost_usd``: a cap for this run; the lower of it
    and the job's. ``preflight``: look at the key, the balance, the model and its price first.
    ``canary``: ask for so many edits first, spread over the manifest, and go on only if
    ``approve``, which is shown what they came to, returns True; without ``approve``, if they keep
    to the job's thresholds. ``confirm`` is shown the plan, and nothing is sent unless it returns
    True. ``observe`` gets every event, in the loop's thread. ``signals``: the
    first Ctrl-C or SIGTERM lets what is in flight finish, the second does not. ``again``: see
    `retry`.

    Raises `ConfigError`, `LedgerError` and `LockedError` before anything was sent. Whatever ends
    the run later is in the result, and so are the edits that did not succeed.
    """
    loaded = _loaded(job, rehearse)
    if max_cost_usd is not None:
        loaded = loaded.capped(max_cost_usd)
    if canary is not None and canary < 1:
        raise ConfigError("--canary: at least 1 edit")
    environ = os.environ if environ is None else environ
    options = RunOptions(
        only=only,
        limit=limit,
        accept_origin=accept_origin,
        preflight=preflight,
        canary=canary,
        approve=approve,
        confirm=confirm,
        observe=observe,
        signals=signals,
        again=again,
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


async def retry(
    job: Job | Path | str,
    *,
    status: Sequence[str] = (),
    reason: str | None = None,
    only: Sequence[str] = (),
    **options: Any,
) -> RunResult:
    """Asks again for edits that have an outcome; the old one stays until a new one is a success.

    ``status``: of ``failed``, ``refused``, ``rejected`` and ``unknown``; all of them, if none is
    given; ``succeeded`` only together with ``only``. ``reason``: only with this error code.
    ``options``, what is raised, and the result: as of `run`.
    """
    return await run(job, only=only, again=again_for(status, reason=reason, only=only), **options)


async def reconcile(
    job: Job | Path | str,
    *,
    wait_s: float = 0.0,
    delay_s: float = LOGS_DELAY_S,
    base_url: str | None = None,
    rehearse: bool = False,
    observe: Callable[[str], None] = lambda line: None,
    environ: Mapping[str, str] | None = None,
) -> Reconciliation:
    """Holds the ledger against the provider's log and bill, and settles what was unknown. Free.

    ``wait_s``: how long to wait for what the books do not show yet; ``delay_s``: after so long
    they show everything. ``base_url``, ``rehearse``: the endpoint and the outputs that were used.
    Doing it again changes nothing. Raises `ConfigError`, `LockedError`, `LedgerError`, and
    `FatalError` where the books cannot be read.
    """
    if rehearse and base_url is None:
        raise ConfigError(
            "a rehearsal's endpoint, and its log, end with the rehearsal: it charged nobody"
            " (to practise: keep `pipeline emulator --profile storm` going in another terminal, and"
            " give its address to `pipeline run` and `pipeline reconcile` as --base-url)"
        )
    loaded = _loaded(job, rehearse)
    if base_url is not None:
        loaded = loaded.at(base_url)
    environ = os.environ if environ is None else environ
    return await reconcile_job(loaded, environ, wait_s=wait_s, delay_s=delay_s, observe=observe)


async def fsck(
    job: Job | Path | str, *, repair: bool = False, rehearse: bool = False
) -> FsckReport:
    """Holds the ledger against the files; ``repair`` mends what can be mended without a loss.

    Sends nothing. Raises `ConfigError`, `LockedError`, `LedgerError`, `StoreError`.
    """
    return await fsck_job(_loaded(job, rehearse), repair=repair)


def status(job: Job | Path | str, *, rehearse: bool = False) -> JobStatus:
    """What the ledger says of a job. Raises `LedgerError`."""
    loaded = _loaded(job, rehearse)
    reader = open_reader(ledger_path(loaded))
    if reader is None:
        return JobStatus(
            run=None,
            edits=(),
            attempts=(),
            in_flight=0,
            pace=None,
            outputs=loaded.outputs.directory,
        )
    with reader, reader.snapshot():
        return JobStatus(
            run=reader.last_run(),
            edits=reader.edit_totals(),
            attempts=reader.attempt_totals(),
            in_flight=len(reader.open_attempts()),
            pace=reader.note(LAST),
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
