"""One run of a job, from the lock to ``results.csv``."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from random import Random

import msgspec

from pipeline import __version__, guard_rails
from pipeline.assembling import open_worker
from pipeline.budget import Budget
from pipeline.canary import Canary, CanaryReport, Thresholds, refusal
from pipeline.caps import budget_of_run, cap_of_run, spent_today
from pipeline.endpoints import Account, Endpoint
from pipeline.endpoints.catalog import model_spec
from pipeline.engine import Engine, Finished, Interrupted, Scanned, Stop
from pipeline.errors import GuardError, LedgerError, PipelineError, StoreError
from pipeline.events import Event, Gauges, Started
from pipeline.guards import make_guards, stack_dump
from pipeline.interruption import answering, interruptible
from pipeline.job import Job
from pipeline.ledger import Ledger, LedgerReader, Run, open_ledger, open_reader
from pipeline.locking import locked
from pipeline.models import Edit, ModelSpec, Problem
from pipeline.opening import api_key, open_job_account, open_job_endpoint
from pipeline.outcome import Declined, Ended, RunResult, run_result, write_run_files
from pipeline.pacing import PaceMemory
from pipeline.past_runs import Changes
from pipeline.planning import Planner
from pipeline.preflight import REFUSALS, judge, look
from pipeline.preview import (
    Plan,
    chosen,
    count_job,
    ledger_path,
    make_planner,
    read_edits,
    refuse_pipes,
    sound_edits,
)
from pipeline.pulse import Pulse
from pipeline.run_options import RunOptions
from pipeline.steering.helm import RunHelm, crew_for
from pipeline.steering.server import steerable
from pipeline.summary import Summary
from pipeline.targets.candidates import Candidates

__all__ = [
    "READ_AHEAD",
    "Ended",
    "RunOptions",
    "RunResult",
    "run_job",
]

READ_AHEAD = 5_000
"""Rows that are read, and refused together if any is wrong, before the first request."""

COUNT_S = 0.5
"""How long a run whose plan nobody is shown may count, to hold its cost against the balance."""


async def run_job(job: Job, options: RunOptions, environ: Mapping[str, str]) -> RunResult:
    """Runs a job to its end. Raises `ConfigError` and `LockedError` before anything was sent;
    what happens later is in the result.
    """
    model = model_spec(job.endpoint.model)
    async with AsyncExitStack() as opened:
        key = api_key(job, environ)
        endpoint = open_job_endpoint(job, model, key)
        opened.push_async_callback(endpoint.close)
        account = open_job_account(job, key)
        opened.push_async_callback(account.close)
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
        pace = PaceMemory(ledger, reader, origin=endpoint.origin, model=model.id, key=key)
        run = _Run(job, options, model, endpoint, account, ledger, reader, pace)
        return await run.to_its_end()


class _Run:
    """What one run holds open, from its row in the ledger to its files."""

    def __init__(
        self,
        job: Job,
        options: RunOptions,
        model: ModelSpec,
        endpoint: Endpoint,
        account: Account,
        ledger: Ledger,
        reader: LedgerReader,
        pace: PaceMemory,
    ) -> None:
        self.job = job
        self.options = options
        self.model = model
        self.endpoint = endpoint
        self.account = account
        self.canary: Canary | None = None
        self.report: CanaryReport | None = None
        self.ledger = ledger
        self.reader = reader
        self.pace = pace
        self.summary = Summary()
        partial_run = bool(options.only or options.limit or options.again)
        self.changes = Changes(reader, partial=partial_run)
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self.started = time.monotonic()
        self.spent_today_usd = spent_today(job, reader)
        self.budget: Budget | None = None  # once the price is known
        self.cap_usd = cap_of_run(job, self.spent_today_usd)
        self.candidates = Candidates(
            job,
            edits=self._chosen,
            planner=self._planner,
            history=reader,
            whole=not (options.only or options.again),
        )
        self.pulse = Pulse(
            job=job.name,
            outputs=job.outputs.directory,
            run_id=self.id,
            cap_usd=self.cap_usd,
            clock=time.monotonic,
            now=time.time,
        )
        self.engine: Engine | None = None
        self.crew = crew_for(job.limits.concurrency)

    async def to_its_end(self) -> RunResult:
        orphans = await self.ledger.close_orphaned_attempts(self.id, finished_at=time.time())
        edits = await asyncio.to_thread(
            sound_edits, self.job, self.model, self.options.only, READ_AHEAD
        )
        refused: PipelineError | None = None
        try:
            if not await self._agreed():
                return self._result(Declined())
        except (*REFUSALS, GuardError) as refusing:
            refused = refusing
        await asyncio.to_thread(self.candidates.look_back)
        budget = budget_of_run(self.job, self.model.price_usd, self.spent_today_usd)
        self.budget = budget
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
        stop = Stop(self._tell, drain_s=self.job.limits.drain_s)
        with interruptible(stop) if self.options.signals else ExitStack():
            error = refused or await self._work(edits, stop, budget, len(orphans))
        return await self._close_books(error)

    async def _agreed(self) -> bool:
        """Looks before it spends. Raises `FatalError` where nothing could succeed."""
        options, job = self.options, self.job
        first = options.canary or job.canary.edits
        exact = options.confirm is not None or first is not None
        exact = exact or (options.guards and guard_rails.needs_whole_plan(job))
        if not (exact or options.preflight or options.guards):
            return True
        if exact:
            refuse_pipes(job)
        plan, complete = await asyncio.to_thread(
            count_job,
            job,
            self._planner(),
            self.reader,
            only=options.only,
            limit=options.limit,
            seconds=None if exact else COUNT_S,
        )
        self.pulse.expect(plan.requests if complete else None)
        priced = self.model.price_usd is not None or job.endpoint.price_usd is not None
        if options.preflight and (plan.requests or not complete or not priced):
            found = await look(self.account, self.model.id)
            preflight = judge(found, job, self.model, plan, complete=complete)
            plan = self._priced(preflight.price_usd, plan)
            self._tell(preflight)
        if options.guards and not await guard_rails.passes(
            job,
            plan,
            self.model,
            self.reader,
            cap_usd=self.cap_usd,
            observe=self._tell,
            allow=options.allow,
        ):
            return False
        if first is not None:
            limits = Thresholds(**job.canary.model_dump(exclude={"edits"}))
            self.canary = Canary(
                first, requests=plan.requests, pictures=plan.pictures, thresholds=limits
            )
        return options.confirm is None or options.confirm(plan)

    def _priced(self, price: float | None, plan: Plan) -> Plan:
        """Counts with this price from here on: caps, reservations, what nobody states."""
        self.model = msgspec.structs.replace(self.model, price_usd=price)
        self.endpoint.model = msgspec.structs.replace(self.endpoint.model, price_usd=price)
        cost = None if price is None else round(price * plan.pictures, 6)
        return msgspec.structs.replace(plan, cost_usd=cost)

    def _chosen(self) -> Iterator[Edit | Problem]:
        return chosen(read_edits(self.job, self.model), self.options.only)

    def _planner(self) -> Planner:
        remember, again = self.ledger.remember_input, self.options.again
        return make_planner(self.job, self.model, self.reader, remember, again)

    async def _work(
        self, edits: Iterator[Edit | Problem], stop: Stop, budget: Budget, orphans: int
    ) -> BaseException | None:
        """Does the edits; returns what stopped it, if anything did."""
        job, rng = self.job, Random()
        throttle = self.pace.throttle(job, rng)
        async with AsyncExitStack() as opened:
            guards = make_guards(job, self._tell)
            await opened.enter_async_context(guards.watchdog.on_guard())
            if self.options.signals:
                opened.enter_context(answering(stack_dump(job, self.id, guards.watchdog)))
            worker = await open_worker(
                opened,
                job,
                endpoint=self.endpoint,
                account=self.account,
                ledger=self.ledger,
                reader=self.reader,
                budget=budget,
                run_id=self.id,
                throttle=throttle,
                guards=guards,
                stop=stop,
                observe=self._tell,
                note=self.pace.noting(self._tell),
                rng=rng,
                keeps_answers=bool(self.options.again),
            )
            engine = partial(
                Engine,
                worker,
                asked=lambda edit: self.model.count(edit.parameters),
                observe=self._observe,
                stop=stop,
                admission=self.candidates.target,
            )
            self._tell(
                Started(
                    run_id=self.id,
                    endpoint=self.endpoint.origin,
                    model=self.model.id,
                    outputs=job.outputs.directory,
                    interrupted_attempts=orphans,
                    gauges=lambda: Gauges.of(throttle, budget),
                    snapshot=self.pulse.snapshot,
                )
            )
            helm = RunHelm(
                throttle=throttle,
                guards=guards,
                stop=stop,
                resize=self._resize,
                observe=self._tell,
                snapshot=self.pulse.snapshot,
            )
            await opened.enter_async_context(steerable(job.outputs.directory, helm))
            disk = guard_rails.disk_watch(job, stop, on=self.options.guards)
            await opened.enter_async_context(disk)
            items, limit = self.candidates.first(edits), self.options.limit
            if self.canary is not None:
                self.engine = engine(crew=self.crew)
                await self.engine.run(self.canary.first(items), step=self.reader.snapshot)
                self._weigh(self.canary, stop, budget)
                items = self.canary.others(self.candidates.first(self._chosen()))
                limit = None if limit is None else limit - len(self.canary.chosen)
            if stop.reason is None:
                for more in self.candidates.passes(items, lambda: stop.reason is not None):
                    self.engine = engine(crew=self.crew, limit=limit)
                    await self.engine.run(more, step=self.reader.snapshot)
                    limit = self.candidates.left(limit)
        self.pace.keep(throttle)
        return stop.reason

    def _weigh(self, canary: Canary, stop: Stop, budget: Budget) -> None:
        """After the first pass: shows what it came to, and stops the run unless it may go on."""
        if stop.reason is not None:
            return
        self.report = canary.report(unknown_usd=budget.unknown_usd)
        self._tell(self.report)
        if self.options.approve is not None:
            if self.report.remaining and not self.options.approve(self.report):
                stop.request(Declined("declined after the canary"))
        elif self.report.failures:
            stop.request(refusal(self.report))

    def _observe(self, event: Finished | Scanned) -> None:
        if isinstance(event, Finished):
            self.changes.add(event)
            self.summary.add(event.record, asked=event.asked)
            if self.canary is not None and self.report is None:
                self.canary.add(event.record, asked=event.asked)
        else:
            self.summary.unchanged += event.counts.get("unchanged", 0)
            self.summary.kept += event.counts.get("kept", 0)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        self.pulse(event)
        self.options.observe(event)

    def _resize(self, crew: int) -> None:
        self.crew = crew
        if self.engine is not None:
            self.engine.resize(crew)

    async def _close_books(self, error: BaseException | None) -> RunResult:
        if error is not None and not isinstance(error, PipelineError | Interrupted):
            raise error  # a bug: the ledger keeps the run open, as after a crash
        result = self._result(error)
        # A failed ledger was the reason, and its message is in the result already.
        with suppress(LedgerError) if isinstance(error, LedgerError) else ExitStack():
            self.ledger.keep_note(*self.changes.note())
            await self.ledger.end_run(
                self.id,
                ended=result.ended,
                exit_code=result.exit_code,
                totals=self.changes.beside(msgspec.to_builtins(result.totals)),
                finished_at=time.time(),
            )
        try:
            await asyncio.to_thread(write_run_files, result, self.reader)
            await asyncio.to_thread(self.ledger.close)
        except (StoreError, LedgerError, OSError) as failure:
            if error is None:
                return msgspec.structs.replace(
                    result, exit_code=StoreError.exit_code, ended="fatal", error=str(failure)
                )
        return result

    def _result(self, error: BaseException | None) -> RunResult:
        budget = self.budget
        totals = self.summary.totals(
            cost_usd=budget.spent_usd if budget else 0.0,
            unknown_usd=budget.unknown_usd if budget else 0.0,
            uncosted=budget.uncosted if budget else 0,
            duration_s=time.monotonic() - self.started,
        )
        return run_result(
            error,
            run_id=self.id,
            totals=totals,
            outputs=self.job.outputs.directory,
            canary=self.report,
            target=self.candidates.report(complete=error is None),
        )


def _close_quietly(ledger: Ledger) -> None:
    # For runs that ended with an error: whoever waited for a write has that error already.
    with suppress(LedgerError):
        ledger.close()
