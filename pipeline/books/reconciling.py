"""What unknown attempts came to, from the provider's own books; the ledger is settled by them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import msgspec

from pipeline.books.matching import (
    WINDOW_SLACK_S,
    Books,
    Item,
    Matching,
    Share,
    Shares,
    Windows,
)
from pipeline.books.paging import T, patiently, read_logs, read_transactions
from pipeline.endpoints import Account
from pipeline.errors import ConfigError, EditError, FatalError, LedgerError
from pipeline.exports.results_csv import write_results_csv
from pipeline.job import Job
from pipeline.ledger import Ledger, LedgerReader, Settlement, open_ledger, open_reader
from pipeline.locking import locked
from pipeline.opening import api_key, open_job_account
from pipeline.preview import ledger_path

LOGS_DELAY_S = 600.0
"""After so long the provider's log and bill show a request. Not documented: a cautious guess."""

POLL_S = 15.0
SETTLED_AT_ONCE = 500
READ_TRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Waits between tries to read a page. Reading is free and can be repeated."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger held against the provider's books. Dollars; times in seconds since the epoch.

    - ``billed_have``: charged, and the picture is with us
    - ``billed_lost``: charged, and no picture came
    - ``not_billed``: its outcome was unknown, or a price assumed; nothing was charged (``usd``:
      what had been set aside for it)
    - ``billed_unknown``: charges in the time of our runs, for our model, that no attempt explains
    - ``undecided``: the books do not show it yet, and may still
    - ``unconfirmed``: in the ledger as paid, but not on the books; left as it is

    ``settled``: attempts about which the ledger now says something that it did not say before.
    ``ledger_usd``: what all attempts cost by the ledger, now; ``unknown_usd``: what is still
    reserved for undecided ones. ``notes``: what a person should know.
    """

    billed_have: Share
    billed_lost: Share
    not_billed: Share
    billed_unknown: Share
    undecided: Share
    unconfirmed: Share
    settled: int
    ledger_usd: float
    unknown_usd: float
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """3 while something is undecided, else 0."""
        return 3 if self.undecided.count else 0


async def reconcile_job(
    job: Job,
    environ: Mapping[str, str],
    *,
    wait_s: float = 0.0,
    delay_s: float = LOGS_DELAY_S,
    observe: Callable[[str], None] = lambda line: None,
) -> Reconciliation:
    """Settles a job's ledger. ``wait_s``: how long to wait for what is undecided, asking again.

    ``observe`` gets a line whenever it goes to wait. Raises `ConfigError` (no ledger, no key, the
    ledger of another endpoint), `LockedError`, `LedgerError`, and `FatalError` where the books
    cannot be read: what was settled until then stays, and running it again goes on.
    """
    path = ledger_path(job)
    async with AsyncExitStack() as opened:
        found = await asyncio.to_thread(open_reader, path)
        if found is None:
            raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
        found.close()
        account = open_job_account(job, api_key(job, environ))
        opened.push_async_callback(account.close)
        opened.enter_context(locked(job.outputs.directory))
        reader = await asyncio.to_thread(open_reader, path)
        if reader is None:
            raise LedgerError(f"{path}: vanished while it was opened")
        opened.callback(reader.close)
        _refuse_other(reader.origin(), account.origin, job)
        ledger = await asyncio.to_thread(open_ledger, path, origin=None)
        opened.push_async_callback(asyncio.to_thread, ledger.close)
        await ledger.close_orphaned_attempts("", finished_at=time.time())
        return await _Reconciling(job, account, ledger, reader, delay_s, observe).go(wait_s)


class _Reconciling:
    def __init__(
        self,
        job: Job,
        account: Account,
        ledger: Ledger,
        reader: LedgerReader,
        delay_s: float,
        observe: Callable[[str], None],
    ) -> None:
        self._job = job
        self._account = account
        self._ledger = ledger
        self._reader = reader
        self._delay_s = delay_s
        self._observe = observe
        self._books = Books()
        self._settled = 0
        self._models = reader.models() | {job.endpoint.model}

    async def go(self, wait_s: float) -> Reconciliation:
        give_up_at = time.monotonic() + wait_s
        since = float("-inf")
        while True:
            found = await self._look(since)
            left = give_up_at - time.monotonic()
            if not found.undecided.count or left <= 0:
                break
            since = min(item.at for item in found.undecided.items)
            pause = min(POLL_S, max(self._delay_s / 20, 0.02), left)
            self._observe(
                f"{found.undecided.count:,} undecided: the provider's books may lag by"
                f" {self._delay_s:g} s; asking again for another {left:.0f} s"
            )
            await asyncio.sleep(pause)
        if self._settled:
            await asyncio.to_thread(self._write_table)
        return found

    async def _look(self, since: float) -> Reconciliation:
        """Reads the books from ``since`` on, settles what they decide, and says how all stands."""
        matching = Matching(
            self._books,
            now=time.time(),
            delay_s=self._delay_s,
            longest_s=self._job.endpoint.timeout_s + self._job.endpoint.download_timeout_s,
        )
        windows = await asyncio.to_thread(self._windows, matching)
        account, bill, log = self._account, self._books.note_transactions, self._books.note_entries
        for first, last in windows:
            if last >= since:
                start, end = max(first, since) - WINDOW_SLACK_S, last + WINDOW_SLACK_S
                await read_transactions(account, start, end, note=bill, asking=_asked)
        for first, last in await asyncio.to_thread(self._log_windows, matching, windows):
            if last >= since:
                start, end = max(first, since) - WINDOW_SLACK_S, last + WINDOW_SLACK_S
                await read_logs(account, start, end, note=log, asking=_asked)
        await asyncio.to_thread(self._prepare, matching, windows)
        shares, settlements = await asyncio.to_thread(self._judge_all, matching, windows)
        for number in range(0, len(settlements), SETTLED_AT_ONCE):
            batch = settlements[number : number + SETTLED_AT_ONCE]
            self._settled += await self._ledger.settle(batch)
        return await asyncio.to_thread(self._report, shares, matching)

    def _windows(self, matching: Matching) -> Windows:
        windows = Windows()
        for attempt in self._reader.attempts():
            windows.add(attempt.started_at, matching.ended(attempt))
        return windows

    def _log_windows(self, matching: Matching, windows: Windows) -> Windows:
        """When the log must be asked; never, where every charge is explained without it."""
        needed = Windows()
        for attempt in self._reader.attempts():
            if matching.needs_log(attempt):
                needed.add(attempt.started_at, matching.ended(attempt))
        for _, charge in matching.unexplained(self._reader.attempts(), windows, self._models):
            needed.add(charge.at, charge.at)
        return needed

    def _prepare(self, matching: Matching, windows: Windows) -> None:
        matching.look_for_lag(self._reader.attempts())
        matching.note_anonymous(
            matching.unexplained(self._reader.attempts(), windows, self._models)
        )

    def _judge_all(self, matching: Matching, windows: Windows) -> tuple[Shares, list[Settlement]]:
        shares = Shares()
        settlements: list[Settlement] = []
        for attempt in self._reader.attempts():
            judgement = matching.judge(attempt)
            if judgement is None:
                continue
            shares.add(judgement.verdict, judgement.item)
            if judgement.settlement is not None:
                settlements.append(judgement.settlement)
        for inference_id, charge in matching.unexplained(
            self._reader.attempts(), windows, self._models
        ):
            entry = self._books.by_inference.get(inference_id)
            shares.add(
                "billed_unknown",
                Item(
                    id=(entry.client_request_id if entry else None) or inference_id,
                    edit_id=None,
                    usd=charge.usd,
                    at=charge.at,
                ),
            )
        return shares, settlements

    def _report(self, shares: Shares, matching: Matching) -> Reconciliation:
        notes = []
        if matching.lagging:
            notes.append(
                f"the provider's books do not show the latest {matching.lagging:,} answered and"
                f" charged requests, although they ended more than {self._delay_s:g} s ago: they"
                " lag, or this is the key of another account; until they show them, nothing from"
                " then on is taken for not charged"
            )
        if matching.ambiguous:
            notes.append(
                f"{matching.ambiguous:,} undecided attempts are not in the log, but at their time"
                " there are charges without any id of ours, which may be theirs: a person has to"
                " compare them"
            )
        totals = self._reader.attempt_totals()
        ledger_usd = sum(total.cost_usd for total in totals)
        unknown_usd = sum(
            [total.reserved_usd for total in totals if total.status in ("started", "unknown")], 0.0
        )
        return Reconciliation(
            billed_have=shares.share("billed_have"),
            billed_lost=shares.share("billed_lost"),
            not_billed=shares.share("not_billed"),
            billed_unknown=shares.share("billed_unknown"),
            undecided=shares.share("undecided"),
            unconfirmed=shares.share("unconfirmed"),
            settled=self._settled,
            ledger_usd=round(ledger_usd, 6),
            unknown_usd=round(unknown_usd, 6),
            notes=tuple(notes),
        )

    def _write_table(self) -> None:
        write_results_csv(
            self._reader.columns(),
            self._reader.results(),
            self._job.outputs.directory / "results.csv",
        )


async def _asked(call: Callable[[], Awaitable[T]]) -> T:
    """One page. Raises `FatalError`."""
    try:
        return await patiently(call, waits_s=READ_TRIES_S)
    except EditError as error:
        raise FatalError(
            f"the provider's books cannot be read: {error}\n"
            "  what was settled stays; the same command goes on from there"
        ) from error


def _refuse_other(ledger_of: str | None, origin: str, job: Job) -> None:
    if ledger_of not in (None, origin):
        raise ConfigError(
            f"{ledger_path(job)}: this ledger belongs to {ledger_of}, and {origin} knows nothing"
            " of its requests (ask the endpoint that was asked: endpoint.base_url, --base-url)"
        )
