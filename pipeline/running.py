"""One run of a job, from the lock to ``results.csv``."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
from yarl import URL

from pipeline import __version__
from pipeline.budget import Budget
from pipeline.endpoints import Endpoint, open_endpoint
from pipeline.endpoints.aimlapi import origin_of
from pipeline.endpoints.catalog import model_spec
from pipeline.engine import Engine, Finished, Interrupted, Scanned, Stop, Stopping
from pipeline.errors import (
    BudgetReachedError,
    ConfigError,
    LedgerError,
    PipelineError,
    StoreError,
)
from pipeline.exports.results_csv import write_results_csv
from pipeline.inputs import Inputs
from pipeline.interruption import interruptible
from pipeline.job import Job, read_api_key
from pipeline.ledger import Ledger, LedgerReader, Run, open_ledger, open_reader
from pipeline.limits import Limits, Throttle
from pipeline.locking import locked
from pipeline.models import Edit, ModelSpec, Problem
from pipeline.preview import (
    Plan,
    chosen,
    count_plan,
    ledger_path,
    make_planner,
    preparation,
    read_edits,
    refuse_problems,
)
from pipeline.retry import RetryPolicy
from pipeline.stores import open_store
from pipeline.summary import Summary, Totals
from pipeline.worker import CoolingDown, Retrying, Worker

READ_AHEAD = 5_000
"""Rows that are read, and refused together if any is wrong, before the first request."""

Ended = Literal["finished", "interrupted", "fatal", "budget", "declined"]


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """A run at this moment."""

    in_flight: int
    concurrency: int
    spent_usd: float
    reserved_usd: float
    unknown_usd: float


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """Event: a run begins. ``gauges`` can be asked at any time until it ends."""

    run_id: str
    endpoint: str
    model: str
    outputs: Path
    interrupted_attempts: int
    gauges: Callable[[], Gauges]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. ``error``: what stopped it, in words; `exit_code` as the command's."""

    run_id: str
    ended: Ended
    exit_code: int
    error: str | None
    totals: Totals
    outputs: Path


Event = Started | Scanned | Finished | Retrying | CoolingDown | Stopping


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``only``: ids or globs. ``limit``: edits to ask for. ``confirm``: is shown the plan, and
    nothing is sent unless it agrees. ``signals``: Ctrl-C and SIGTERM stop the run.
    """

    only: Sequence[str] = ()
    limit: int | None = None
    accept_origin: bool = False
    confirm: Callable[[Plan], bool] | None = None
    observe: Callable[[Event], None] = lambda event: None
    signals: bool = False


async def run_job(job: Job, options: RunOptions, environ: Mapping[str, str]) -> RunResult:
    """Runs a job to its end. Raises `ConfigError` and `LockedError` before anything was sent;
    what happens later is in the result.
    """
    model = model_spec(job.endpoint.model)
    async with AsyncExitStack() as opened:
        endpoint = _endpoint(job, model, environ)
        opened.push_async_callback(endpoint.close)
        opened.enter_context(locked(job.outputs.directory))
        ledger = await asyncio.to_thread(
            open_ledger,
            ledger_path(job),
            origin=endpoint.origin,
            accept_origin=options.accept_origin,
        )
        opened.callback(_close_quietly, ledger)
        reader = open_reader(ledger_path(job))
        if reader is None:
            raise LedgerError(f"{ledger_path(job)}: vanished while it was opened")
        opened.callback(reader.close)
        return await _Run(job, options, model, endpoint, ledger, reader).to_its_end()


class _Run:
    """What one run holds open, from its row in the ledger to its files."""

    def __init__(
        self,
        job: Job,
        options: RunOptions,
        model: ModelSpec,
        endpoint: Endpoint,
        ledger: Ledger,
        reader: LedgerReader,
    ) -> None:
        self.job = job
        self.options = options
        self.model = model
        self.endpoint = endpoint
        self.ledger = ledger
        self.reader = reader
        self.summary = Summary()
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self.started = time.monotonic()

    async def to_its_end(self) -> RunResult:
        orphans = await self.ledger.close_orphaned_attempts(self.id, finished_at=time.time())
        if not await self._confirmed():
            return self._result("declined", None)
        edits = await asyncio.to_thread(self._edits)
        self.budget = self._budget()
        await self.ledger.start_run(
            Run(
                id=self.id,
                started_at=time.time(),
                pid=os.getpid(),
                host=socket.gethostname(),
                version=__version__,
                job=str(self.job.path),
            )
        )
        stop = Stop(self.options.observe)
        with interruptible(stop) if self.options.signals else ExitStack():
            error = await self._work(edits, stop, len(orphans))
        return await self._close_books(error)

    async def _confirmed(self) -> bool:
        confirm = self.options.confirm
        if confirm is None:
            return True
        plan = await asyncio.to_thread(
            lambda: count_plan(
                self.job,
                self.model,
                self._planner().plan(chosen(read_edits(self.job, self.model), self.options.only)),
                self.reader,
                whole=not self.options.only,
                limit=self.options.limit,
            )
        )
        return confirm(plan)

    def _edits(self) -> Iterator[Edit | Problem]:
        """The edits to hold against the ledger; the first rows were read, and are in order."""
        only = self.options.only
        edits = read_edits(self.job, self.model)
        head = list(islice(edits, READ_AHEAD))
        refuse_problems(chosen(head, only))
        found = chosen(chain(head, edits), only)
        if not only:
            return found
        first = list(islice(found, 1))
        if not first:
            raise ConfigError(
                f"no edit's id matches --only {' '.join(only)} (ids are in the manifest's column"
                " 'id'; quote globs, as in --only 'shoe-*')"
            )
        return chain(first, found)

    def _planner(self) -> Any:
        return make_planner(self.job, self.model, self.reader, self.ledger.remember_input)

    def _budget(self) -> Budget:
        job = self.job
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        price = (
            job.endpoint.price_usd if job.endpoint.price_usd is not None else self.model.price_usd
        )
        return Budget(
            price_usd=price,
            run_usd=job.budget.run_usd,
            day_usd=job.budget.day_usd,
            spent_today_usd=self.reader.spent_since(midnight.timestamp()),
        )

    async def _work(
        self, edits: Iterator[Edit | Problem], stop: Stop, orphans: int
    ) -> BaseException | None:
        """Does the edits; returns what stopped it, if anything did."""
        job, rng = self.job, Random()
        throttle = Throttle(
            Limits(
                concurrency=job.limits.concurrency,
                requests_per_minute=job.limits.requests_per_minute,
                images_per_minute=job.limits.images_per_minute,
                adaptive=job.limits.adaptive,
            ),
            rng=rng,
        )
        async with AsyncExitStack() as opened:
            store = open_store(job.outputs.directory, job.outputs.store)
            opened.push_async_callback(store.close)
            inputs = Inputs(
                preparation(job),
                embed_urls=job.inputs.embed_urls,
                max_bytes_in_flight=job.limits.max_bytes_in_flight,
            )
            opened.push_async_callback(inputs.close)
            worker = Worker(
                endpoint=self.endpoint,
                store=store,
                ledger=self.ledger,
                inputs=inputs,
                throttle=throttle,
                budget=self.budget,
                retry=_policy(job),
                committed=stop.committed,
                observe=self.options.observe,
                now=time.time,
                rng=rng,
                run_id=self.id,
            )
            engine = Engine(
                worker,
                crew=2 * job.limits.concurrency,
                asked=lambda edit: self.model.count(edit.parameters),
                observe=self._observe,
                stop=stop,
                limit=self.options.limit,
            )
            self.options.observe(
                Started(
                    run_id=self.id,
                    endpoint=self.endpoint.origin,
                    model=self.model.id,
                    outputs=job.outputs.directory,
                    interrupted_attempts=orphans,
                    gauges=lambda: self._gauges(throttle),
                )
            )
            await engine.run(self._planner().plan(edits), step=self.reader.snapshot)
        return stop.reason

    def _observe(self, event: Finished | Scanned) -> None:
        if isinstance(event, Finished):
            self.summary.add(event.record, asked=event.asked)
        else:
            self.summary.unchanged += event.counts.get("unchanged", 0)
            self.summary.kept += event.counts.get("kept", 0)
        self.options.observe(event)

    def _gauges(self, throttle: Throttle) -> Gauges:
        return Gauges(
            in_flight=throttle.in_flight,
            concurrency=throttle.concurrency,
            spent_usd=self.budget.spent_usd,
            reserved_usd=self.budget.reserved_usd,
            unknown_usd=self.budget.unknown_usd,
        )

    async def _close_books(self, error: BaseException | None) -> RunResult:
        if error is not None and not isinstance(error, PipelineError | Interrupted):
            raise error  # a bug: the ledger keeps the run open, as after a crash
        result = self._result(_ended(error), error)
        # A failed ledger was the reason, and its message is in the result already.
        with suppress(LedgerError) if isinstance(error, LedgerError) else ExitStack():
            await self.ledger.end_run(
                self.id,
                ended=result.ended,
                exit_code=result.exit_code,
                totals=msgspec.to_builtins(result.totals),
                finished_at=time.time(),
            )
        try:
            await asyncio.to_thread(self._write_files, result)
            await asyncio.to_thread(self.ledger.close)
        except (StoreError, LedgerError, OSError) as failure:
            if error is None:
                return msgspec.structs.replace(
                    result, exit_code=StoreError.exit_code, ended="fatal", error=str(failure)
                )
        return result

    def _write_files(self, result: RunResult) -> None:
        outputs = self.job.outputs.directory
        table = outputs / "results.csv"
        if result.totals.finished or not table.exists():
            write_results_csv(self.reader.columns(), self.reader.results(), table)
        folder = outputs / "runs"
        folder.mkdir(exist_ok=True)
        text = msgspec.json.format(msgspec.json.encode(result, enc_hook=str), indent=2)
        (folder / f"{self.id}.json").write_bytes(text + b"\n")

    def _result(self, ended: Ended, error: BaseException | None) -> RunResult:
        budget = getattr(self, "budget", None)
        totals = self.summary.totals(
            cost_usd=budget.spent_usd if budget else 0.0,
            unknown_usd=budget.unknown_usd if budget else 0.0,
            duration_s=time.monotonic() - self.started,
        )
        if isinstance(error, PipelineError):
            exit_code = error.exit_code
        elif ended != "finished":
            exit_code = 130
        else:
            exit_code = 0 if totals.all_done else 3
        return RunResult(
            run_id=self.id,
            ended=ended,
            exit_code=exit_code,
            error=str(error) if isinstance(error, PipelineError) else None,
            totals=totals,
            outputs=self.job.outputs.directory,
        )


def _endpoint(job: Job, model: ModelSpec, environ: Mapping[str, str]) -> Endpoint:
    settings = job.endpoint
    key = read_api_key(job, environ)
    if key is None:
        if origin_of(URL(settings.base_url)) != "emulator":
            raise ConfigError(
                f"no API key: the environment variable {settings.api_key_env} is not set\n"
                f"  set it:       export {settings.api_key_env}=…   (or put it into a .env file"
                " beside the job)\n"
                f"  or rehearse:  pipeline run {job.path} --rehearse   (no key, no cost: the"
                " endpoint is played on this machine)"
            )
        key = "emulator"
    return open_endpoint(
        settings.provider,
        model=model,
        base_url=settings.base_url,
        api_key=key,
        timeout_s=settings.timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
        download_timeout_s=settings.download_timeout_s,
        price_usd=settings.price_usd,
        max_response_bytes=settings.max_response_bytes,
    )


def _close_quietly(ledger: Ledger) -> None:
    # For runs that ended with an error: whoever waited for a write has that error already.
    with suppress(LedgerError):
        ledger.close()


def _policy(job: Job) -> RetryPolicy:
    return RetryPolicy(**job.retry.model_dump())


def _ended(error: BaseException | None) -> Ended:
    if error is None:
        return "finished"
    if isinstance(error, Interrupted):
        return "interrupted"
    return "budget" if isinstance(error, BudgetReachedError) else "fatal"
