"""What a program does with jobs. The command line is a thin skin over this module.

What sends requests or holds a job's lock is a coroutine: ``await pipeline.run(job)`` in a notebook
or a service, ``asyncio.run(pipeline.run(job))`` in a script. The rest are ordinary functions.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from pipeline import preview, running
from pipeline.again import Again, again_for
from pipeline.books.reconciling import LOGS_DELAY_S, Reconciliation, reconcile_job
from pipeline.canary import CanaryReport
from pipeline.decisions.deciding import ReviewResult, decided
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError
from pipeline.events import Event
from pipeline.exporting.entrance import export
from pipeline.exports.dataframe import to_dataframe
from pipeline.guard_rails import GuardReport
from pipeline.job import Job, load_job
from pipeline.ledger import open_reader
from pipeline.models import Decision
from pipeline.notifying import told
from pipeline.opening import api_key, open_job_account
from pipeline.preflight import Preflight, judge, look
from pipeline.preview import CheckReport, Plan, ledger_path
from pipeline.rehearsal import KEY, emulator_process
from pipeline.repair.filecheck import FsckReport, fsck_job
from pipeline.run_options import RunOptions
from pipeline.running import RunResult
from pipeline.snapshot import Snapshot
from pipeline.standing import JobStatus, job_status
from pipeline.steering import messages
from pipeline.steering.client import ask

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.gallery.writing import Progress, ReportResult
    from pipeline.pictures.provenance import Inspection

__all__ = [
    "JobStatus",
    "check",
    "check_online",
    "export",
    "fsck",
    "inspect",
    "load_job",
    "pause",
    "plan",
    "read_ledger",
    "reconcile",
    "report",
    "resume",
    "retry",
    "review",
    "run",
    "status",
    "stop",
    "tune",
]


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
    guards: bool = True,
    allow: Callable[[GuardReport], bool] | None = None,
    canary: int | None = None,
    approve: Callable[[CanaryReport], bool] | None = None,
    confirm: Callable[[Plan], bool] | None = None,
    observe: Callable[[Event], None] = lambda event: None,
    signals: bool = False,
    again: Again | None = None,
    metrics_port: int | None = None,
    render: bool = True,
    environ: Mapping[str, str] | None = None,
) -> RunResult:
    """Does a job: asks for every edit that the ledger does not hold, and keeps what comes back.

    ``only``: ids, or globs over them. ``limit``: at most so many edits are asked for.
    ``base_url``: another endpoint of the same kind. ``rehearse``: against the emulator (with
    ``profile``), on this machine, into ``<outputs>-rehearsal``. ``accept_origin``: go on although
    the ledger belongs to another endpoint. ``max_cost_usd``: a cap for this run; the lower of it
    and the job's. ``preflight``: look at the key, the balance, the model and its price first.
    ``guards``: its guard rails may end the run, unless ``allow``, shown what they found, returns
    True. ``canary``: ask for so many edits first, spread over the manifest, and go on only if
    ``approve``, which is shown what they came to, returns True; without ``approve``, if they keep
    to the job's thresholds. ``confirm`` is shown the plan, and nothing is sent unless it returns
    True. ``observe`` gets every event, in the loop's thread. ``signals``: the first Ctrl-C or
    SIGTERM lets what is in flight finish, the second does not. ``again``: see `retry`.
    ``metrics_port``: meanwhile figures are at this port of this machine, in Prometheus' format; 0
    takes a free one. ``render``: the job's renditions at the end, unless the run was cut short.

    Raises `ConfigError`, `LedgerError` and `LockedError` before anything was sent. Whatever ends
    the run later is in the result, and so are the edits that did not succeed.
    """
    loaded = _loaded(job, rehearse)
    if max_cost_usd is not None:
        loaded = loaded.capped(max_cost_usd)
    if canary is not None and canary < 1:
        raise ConfigError("--canary: at least 1 edit")
    environ = os.environ if environ is None else environ
    options = partial(
        RunOptions,
        only=only,
        limit=limit,
        accept_origin=accept_origin,
        preflight=preflight,
        guards=guards,
        allow=allow,
        canary=canary,
        approve=approve,
        confirm=confirm,
        signals=signals,
        again=again,
    )
    async with AsyncExitStack() as opened:
        if metrics_port is not None:
            from pipeline.metrics.address import metering

            observe = await opened.enter_async_context(metering(metrics_port, observe))
        if rehearse:
            if base_url is not None:
                raise ConfigError("a rehearsal has its own endpoint: leave --base-url out")
            base_url = opened.enter_context(emulator_process(profile=profile, seed=0))
            environ = {loaded.endpoint.api_key_env: KEY}
        if base_url is not None:
            loaded = loaded.at(base_url)
        seen = options(observe=observe)
        result = await told(running.run_job, loaded, seen, environ, silent=rehearse)
    if not (render and loaded.renditions):
        return result
    from pipeline.publishing import rendered_after

    return await rendered_after(loaded, result)


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


async def review(
    job: Job | Path | str,
    decisions: Path | str | IO[bytes] | Iterable[Decision],
    *,
    dry_run: bool = False,
    strict: bool = True,
    table: bool = True,
    rehearse: bool = False,
) -> ReviewResult:
    """Takes what people decided about pictures into the ledger, also while a run goes on.

    ``decisions``: a ``decisions.csv``, such a file opened to read bytes, or `Decision`s, of which
    the last of an edit counts. Approved pictures are marked, rejected ones become ``rejected``; a
    redo's go to ``takes/``, and the next `run` asks for it in other words. Taking the same again
    changes nothing. ``dry_run``: say what would be done. ``strict``: one decision that is wrong in
    itself (no such edit, no picture), and nothing is done; else it is left out. ``table``: write
    ``results.csv`` anew.

    Raises `ConfigError`, `ManifestError` (every bad row, with its place), `LedgerError`,
    `StoreError`.
    """
    loaded = _loaded(job, rehearse)
    return await asyncio.to_thread(
        decided, loaded, decisions, dry_run=dry_run, strict=strict, table=table
    )


def pause(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Holds the run of this job that goes on in another process: nothing new leaves, what is in
    flight is finished and kept. Returns the run after it. Twice is once.

    Raises `NotRunningError`, and `ConfigError` where the run cannot be asked.
    """
    return ask(_loaded(job, rehearse).outputs.directory, messages.Pause())


def resume(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Lets a paused run go on, in a ramp as after a cooldown. Returns and raises as `pause`."""
    return ask(_loaded(job, rehearse).outputs.directory, messages.Resume())


def stop(job: Job | Path | str, *, rehearse: bool = False) -> Snapshot:
    """Ends the run as its first Ctrl-C does: what is in flight is finished and kept, and its exit
    code is 130. Does not wait for that. Returns and raises as `pause`.
    """
    return ask(_loaded(job, rehearse).outputs.directory, messages.Stop())


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
    return ask(_loaded(job, rehearse).outputs.directory, change)


def inspect(path: Path | str) -> "Inspection":
    """What a picture file says of itself: format, size, origin, and what else is embedded.

    Raises `InputError` for what is missing, no picture, or damaged.
    """
    from pipeline.pictures.provenance import read_provenance

    return read_provenance(path)


def status(job: Job | Path | str, *, rehearse: bool = False) -> JobStatus:
    """How a job stands: its run, if one goes on, is asked; the rest is what the ledger holds.

    Raises `LedgerError`.
    """
    return job_status(_loaded(job, rehearse))


def report(
    job: Job | Path | str,
    *,
    only: Sequence[str] = (),
    contact_sheet: Path | str | None = None,
    statuses: Sequence[str] = (),
    rehearse: bool = False,
    observe: Callable[["Progress"], None] = lambda progress: None,
) -> "ReportResult":
    """Writes the review gallery, ``<outputs>/report/index.html``, also while a run goes on.

    ``only``: ids or globs; previews of others stay. ``contact_sheet``: also draw one, a .jpg or
    .pdf, of edits with one of ``statuses`` (none given: any). ``observe`` hears of the previews as
    they are made. Sends nothing.

    Raises `ConfigError` (no ledger yet, no such edit, no format for the sheet), `LedgerError`,
    `LockedError` (another report of this job is being made), `StoreError`.
    """
    from pipeline.gallery.writing import write_report

    return write_report(
        _loaded(job, rehearse),
        now=time.time(),
        only=only,
        sheet=None if contact_sheet is None else Path(contact_sheet),
        statuses=statuses,
        rehearsal=rehearse,
        observe=observe,
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
