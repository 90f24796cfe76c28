"""What a program does with jobs. The command line is a thin skin over this module.

What sends requests or holds a job's lock is a coroutine: ``await pipeline.run(job)`` in a notebook
or a service, ``asyncio.run(pipeline.run(job))`` in a script. The rest are ordinary functions.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipeline import preview, running
from pipeline.again import Again, again_for
from pipeline.books.reconciling import LOGS_DELAY_S, Reconciliation, reconcile_job
from pipeline.canary import CanaryReport
from pipeline.decisions.deciding import ReviewResult, decided
from pipeline.delivery import DeliveryResult, DeliverySettings
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError
from pipeline.events import Event
from pipeline.exporting.entrance import export, export_named
from pipeline.exporting.result import ExportedJob, ExportResult
from pipeline.exports.dataframe import to_dataframe
from pipeline.follow_up import followed_up
from pipeline.guard_rails import GuardReport
from pipeline.job import Job, job_of, load_job
from pipeline.ledger import open_reader
from pipeline.models import Attempt, Decision, Edit, Problem, Record, StoredImage
from pipeline.notifying import notify_test, told
from pipeline.opening import api_key, open_job_account
from pipeline.past_runs import PastRun, history
from pipeline.preflight import Preflight, judge, look
from pipeline.preview import CheckReport, Plan, ledger_path
from pipeline.publishing import deliver, render, roll_back
from pipeline.quick import QuickJob, quick_job
from pipeline.rechecking import RecheckReport, recheck
from pipeline.rehearsal import KEY, emulator_process
from pipeline.rendering.result import RenderResult
from pipeline.repair.filecheck import fsck_job
from pipeline.repair.findings import FsckReport
from pipeline.run_options import RunOptions
from pipeline.running import RunResult
from pipeline.scheduling import schedule
from pipeline.snapshot import Snapshot
from pipeline.standing import JobStatus, job_status
from pipeline.steering.commands import pause, resume, stop, tune

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.gallery.writing import Progress, ReportResult
    from pipeline.pictures.provenance import Inspection

# All that `import pipeline` gives: this is the one list of it.
__all__ = [
    "Attempt",
    "Decision",
    "DeliveryResult",
    "DeliverySettings",
    "Edit",
    "ExportResult",
    "ExportedJob",
    "Job",
    "JobStatus",
    "PastRun",
    "Plan",
    "Problem",
    "QuickJob",
    "RecheckReport",
    "Record",
    "RenderResult",
    "ReviewResult",
    "RunResult",
    "Snapshot",
    "StoredImage",
    "check",
    "check_online",
    "deliver",
    "export",
    "export_named",
    "fsck",
    "history",
    "inspect",
    "load_job",
    "notify_test",
    "pause",
    "plan",
    "quick_job",
    "read_ledger",
    "recheck",
    "reconcile",
    "render",
    "report",
    "resume",
    "retry",
    "review",
    "roll_back",
    "run",
    "schedule",
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
    return preview.plan(job_of(job, rehearse=rehearse), only=only, limit=limit)


def check(job: Job | Path | str) -> CheckReport:
    """Reads everything, offline: the job, every row, the presence of every input.

    Raises `JobError`, and `ManifestError` where a manifest cannot be read at all.
    """
    return preview.check(job_of(job))


async def check_online(
    job: Job | Path | str,
    *,
    base_url: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Preflight:
    """What ``run`` would look at before its first request: key, balance, model, price. Free.

    Raises `ConfigError`, `LedgerError`, and the `FatalError` that would end the run.
    """
    loaded = job_of(job)
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
    export: bool = False,
    follow_up: Callable[[Job, RunResult], Awaitable[RunResult]] | None = None,
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
    takes a free one. ``render``, ``export``: at the end, unless it was cut short, its renditions
    and finished pictures, and its exports. ``follow_up``: does that instead.

    Raises `ConfigError`, `LedgerError` and `LockedError` before anything was sent. Whatever ends
    the run later is in the result, and so are the edits that did not succeed.
    """
    loaded = job_of(job, rehearse=rehearse)
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
        then = follow_up or partial(
            followed_up, render=render, export=export, rehearsal=rehearse, signals=signals
        )
        seen = options(observe=observe)
        return await told(running.run_job, loaded, seen, environ, then=then, silent=rehearse)


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
    loaded = job_of(job, rehearse=rehearse)
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
    return await fsck_job(job_of(job, rehearse=rehearse), repair=repair)


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
    loaded = job_of(job, rehearse=rehearse)
    return await asyncio.to_thread(
        decided, loaded, decisions, dry_run=dry_run, strict=strict, table=table
    )


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
    return job_status(job_of(job, rehearse=rehearse))


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
        job_of(job, rehearse=rehearse),
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
        ledger = ledger_path(job_of(job, rehearse=rehearse))
    reader = open_reader(ledger)
    if reader is None:
        raise ConfigError(f"{ledger}: there is no ledger yet (run the job first)")
    with reader:
        return to_dataframe(reader.columns(), reader.results())
