"""AI/ML API's books: balance, usage logs, transactions, the models it offers.

Shapes as documented, read tolerantly: an amount is a number, text, or ``{usd, credits}``; what is
not there is ``None``, and a row that says nothing usable is left out.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from pipeline import __version__
from pipeline.endpoints import (
    Balance,
    LogEntry,
    LogPage,
    ModelState,
    Transaction,
    TransactionPage,
)
from pipeline.endpoints.access import checked_access
from pipeline.endpoints.aimlapi import origin_of
from pipeline.endpoints.answers import CREDITS_PER_USD
from pipeline.endpoints.failures import BODY_LENGTH, clean_text, error_for, mapped_errors
from pipeline.errors import (
    BadResponseError,
    ConnectionFailed,
    ModelGoneError,
    PipelineError,
    RequestRejectedError,
)

PAGE = 100
"""Rows of one page: the most that is documented."""

CALLS_PER_MINUTE = 200
"""Documented for `/v2/logs`; kept for all pages together."""

MAX_PAGE_BYTES = 8 << 20
_STEP = 64 * 1024
_CHARGE = ("CHARGE", "DEBIT")
_ID_LENGTH = 200


def open_aimlapi_account(
    *, base_url: str, api_key: str, timeout_s: float, connect_timeout_s: float
) -> "AimlApiAccount":
    """Checks what the user gave. Raises `JobError`."""
    url, key = checked_access(base_url, api_key)
    return AimlApiAccount(url, key, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)


class AimlApiAccount:
    """The account of one key. Implements `Account`; see there for what is raised.

    ``timeout_s`` is for one page, from connect to its last byte; ``calls_per_minute`` for all
    pages but the models', which need no key.
    """

    def __init__(
        self,
        base_url: URL,
        api_key: str,
        *,
        timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
        calls_per_minute: int = CALLS_PER_MINUTE,
    ) -> None:
        self.origin = origin_of(base_url)
        self._base = base_url
        self._place = str(base_url.origin())
        self._key = api_key
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._pace = _Pace(calls_per_minute)
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"AimlApiAccount({self._place})"

    async def balance(self) -> Balance:
        page = await self._get("v2/billing")
        usd = _usd(page.get("current_balance"))
        if usd is None:
            raise self._unlike("v2/billing", "no current_balance in it")
        return Balance(usd=usd)

    async def logs(self, *, start: float, end: float, offset: int = 0) -> LogPage:
        page = await self._get(
            "v2/logs",
            {"start": _iso(start), "end": _iso(end), "limit": str(PAGE), "offset": str(offset)},
        )
        rows = self._rows("v2/logs", page)
        entries = [_log_entry(row) for row in rows]
        more = _paging(page).get("has_more")
        if more is None:
            total = _paging(page).get("total")
            more = offset + len(rows) < total if isinstance(total, int) else len(rows) == PAGE
        return LogPage(
            entries=tuple([entry for entry in entries if entry is not None]),
            next_offset=offset + len(rows) if more and rows else None,
        )

    async def transactions(
        self, *, start: float, end: float, cursor: str | None = None
    ) -> TransactionPage:
        query = {"from": _iso(start), "to": _iso(end), "limit": str(PAGE)}
        if cursor is not None:
            query["cursor"] = cursor
        page = await self._get("v2/billing/transactions", query)
        rows = [_transaction(row) for row in self._rows("v2/billing/transactions", page)]
        following = _paging(page).get("next_cursor")
        if following is not None and (not isinstance(following, str) or following == cursor):
            raise self._unlike("v2/billing/transactions", "its cursor leads nowhere")
        return TransactionPage(
            transactions=tuple([row for row in rows if row is not None]),
            next_cursor=following or None,
        )

    async def model(self, model_id: str) -> ModelState | None:
        page = await self._get("v1/models", {"id": model_id, "include": "pricing"}, with_key=False)
        for row in self._rows("v1/models", page):
            aliases = row.get("aliases")
            names = [row.get("id"), *(aliases if isinstance(aliases, list) else [])]
            if model_id.lower() in [name.lower() for name in names if isinstance(name, str)]:
                return ModelState(id=model_id, price_usd=_price_usd(row.get("pricing")))
        return None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _get(
        self, path: str, query: Mapping[str, str] | None = None, *, with_key: bool = True
    ) -> dict[str, Any]:
        if with_key:
            await self._pace.take()
        headers = CIMultiDict({"Accept": "application/json"})
        if with_key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with mapped_errors(_Reading(), place=self._place, timeout_s=self._timeout_s):
                async with (
                    asyncio.timeout(self._timeout_s),
                    self._open().get(
                        self._base / path, params=query, headers=headers, allow_redirects=False
                    ) as response,
                ):
                    if response.status != 200:
                        problem = await response.content.read(BODY_LENGTH)
                        raise self._error(path, response, problem)
                    body = await _whole(response)
        except ConnectionFailed as error:
            # The shared words go on about whether a picture was charged.
            what = str(error).partition(", before the request")[0]
            raise ConnectionFailed(f"{what} (reading {path})") from error.__cause__
        if body is None:
            raise self._unlike(path, f"larger than {MAX_PAGE_BYTES >> 20} MiB")
        try:
            page = msgspec.json.decode(body)
        except (ValueError, RecursionError) as error:
            raise self._unlike(path, "no JSON") from error
        if not isinstance(page, dict):
            raise self._unlike(path, "no JSON object")
        return page

    def _error(self, path: str, response: aiohttp.ClientResponse, problem: bytes) -> PipelineError:
        error = error_for(
            response.status, response.headers, problem, now=time.time(), secret=self._key
        )
        if not isinstance(error, ModelGoneError):
            return error
        words = str(error).partition("to this key ")[2].partition(". Check")[0]
        return RequestRejectedError(
            f"{self._place}: there is no page /{path} for this key {words}"
            " (check endpoint.base_url, and what the key may do)",
            http_status=response.status,
        )

    def _rows(self, path: str, page: dict[str, Any]) -> list[dict[str, Any]]:
        rows = page.get("data")
        if not isinstance(rows, list):
            raise self._unlike(path, "no list 'data' in it")
        return [row for row in rows if isinstance(row, dict)]

    def _unlike(self, path: str, what: str) -> BadResponseError:
        return BadResponseError(
            f"{self._place}: the answer of /{path} cannot be used: {what}"
            " (check endpoint.base_url; if it is right, report this)"
        )

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": f"image-edit-pipeline/{__version__}"},
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s),
            )
        return self._session


class _Reading:
    """A request without a body: for the shared mapping it was never handed over."""

    handed_over = False
    failure: PipelineError | None = None


class _Pace:
    """At most so many calls in any minute. They may leave together: nobody reads thousands."""

    def __init__(self, per_minute: int) -> None:
        self._left_at: deque[float] = deque(maxlen=per_minute)
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._turn:
            if len(self._left_at) == self._left_at.maxlen:
                # A second more: what leaves evenly may arrive closer together.
                await asyncio.sleep(max(0.0, self._left_at[0] + 61.0 - loop.time()))
            self._left_at.append(loop.time())


async def _whole(response: aiohttp.ClientResponse) -> bytes | None:
    """The body, unpacked; ``None``: it is larger than any page."""
    received = bytearray()
    async for chunk in response.content.iter_chunked(_STEP):
        received += chunk
        if len(received) > MAX_PAGE_BYTES:
            return None
    return bytes(received)


def _log_entry(row: dict[str, Any]) -> LogEntry | None:
    created = _moment(row.get("created") or row.get("created_at"))
    status = row.get("status")
    if created is None or not isinstance(status, str):
        return None
    return LogEntry(
        created_at=created,
        succeeded=status.lower() in ("succeeded", "success", "completed"),
        cost_usd=_usd(row.get("cost")),
        model=_name(row.get("model")),
        inference_id=_name(row.get("inference_id")),
        client_request_id=_name(row.get("client_request_id")),
    )


def _transaction(row: dict[str, Any]) -> Transaction | None:
    created = _moment(row.get("created_at") or row.get("created"))
    usd = _usd(row.get("amount"))
    if created is None or usd is None:
        return None
    direction = str(row.get("direction") or ("CHARGE" if usd < 0 else "TOPUP")).upper()
    return Transaction(
        created_at=created,
        direction="charge" if direction in _CHARGE else "topup",
        kind=_name(row.get("type")) or "",
        usd=abs(usd),
        model=_name(row.get("model")),
        reference_id=_name(row.get("reference_id")),
    )


def _paging(page: dict[str, Any]) -> dict[str, Any]:
    paging = page.get("pagination")
    return paging if isinstance(paging, dict) else {}


def _price_usd(pricing: Any) -> float | None:
    """The price of one picture, if the page has one figure for it."""
    units = pricing.get("units") if isinstance(pricing, dict) else None
    for unit in units if isinstance(units, list) else ():
        if not isinstance(unit, dict) or "image" not in (unit.get("content"), unit.get("name")):
            continue
        price, per = _usd(unit.get("price")), unit.get("per", 1)
        if price is not None and isinstance(per, int | float) and per > 0:
            return round(price / per, 9)
    return None


def _usd(amount: Any) -> float | None:
    """Dollars, from a number, its text, or ``{usd, credits}``. $1 is 2,000,000 credits."""
    if isinstance(amount, dict):
        usd = _usd(amount.get("usd"))
        if usd is not None:
            return usd
        units = _usd(amount.get("credits"))
        return None if units is None else round(units / CREDITS_PER_USD, 9)
    if isinstance(amount, str):
        try:
            amount = float(amount)
        except ValueError:
            return None
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        return None
    # No account moves more; a NaN is no amount either.
    return float(amount) if abs(amount) < 1e9 else None


def _moment(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000 if value > 1e11 else float(value)  # milliseconds, or seconds
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _name(value: Any) -> str | None:
    return clean_text(value, length=_ID_LENGTH) or None if isinstance(value, str) else None


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
