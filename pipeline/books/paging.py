"""The provider's books, read page by page: what `reconcile` and a run's own inquiries share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from pipeline.endpoints import LONGEST_LOG_WINDOW_S, Account, LogEntry, Transaction
from pipeline.errors import TransientError
from pipeline.retries.policy import RETRY_AFTER_MAX_S

T = TypeVar("T")


class Asking(Protocol):
    """How often a page is asked for, and what becomes of an error, is the caller's to say."""

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T: ...


async def patiently(call: Callable[[], Awaitable[T]], *, waits_s: Sequence[float]) -> T:
    """One page; what may pass by itself is asked for again after each of these waits, or after what
    its Retry-After says. Raises as `Account` does.
    """
    for wait in waits_s:
        try:
            return await call()
        except TransientError as error:
            after = error.retry_after
        await asyncio.sleep(wait if after is None else min(max(after, 0.0), RETRY_AFTER_MAX_S))
    return await call()


async def read_transactions(
    account: Account,
    start: float,
    end: float,
    *,
    note: Callable[[Sequence[Transaction]], None],
    asking: Asking,
) -> None:
    """The bill from ``start`` to ``end``, seconds since the epoch; ``note`` gets each page."""
    cursor: str | None = None
    while True:
        page = await asking(partial(account.transactions, start=start, end=end, cursor=cursor))
        note(page.transactions)
        if page.next_cursor is None:
            return
        cursor = page.next_cursor


async def read_logs(
    account: Account,
    start: float,
    end: float,
    *,
    note: Callable[[Sequence[LogEntry]], None],
    asking: Asking,
) -> None:
    """The log of the same time, in windows as long as the provider allows."""
    while start < end:
        until = min(end, start + LONGEST_LOG_WINDOW_S)
        offset: int | None = 0
        while offset is not None:
            page = await asking(partial(account.logs, start=start, end=until, offset=offset))
            note(page.entries)
            offset = page.next_offset
        start = until
