"""The provider's books, read page by page: what `reconcile` and a run's own inquiries share."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from pipeline.endpoints import LONGEST_LOG_WINDOW_S, Account, LogEntry, Transaction

T = TypeVar("T")


class Asking(Protocol):
    """How often a page is asked for, and what becomes of an error, is the caller's to say."""

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T: ...


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
        page = await asking(
            partial(
                account.transactions,
                start=start,
                end=end,
                cursor=cursor,
            )
        )
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
