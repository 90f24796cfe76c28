"""Pages of the account: transactions by cursor, usage logs by offset, in the provider's form."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from pipeline.emulator.account import Entry, LogRow
from pipeline.emulator.bill import CREDITS_PER_USD, stamp
from pipeline.emulator.problems import ProviderError

DIRECTIONS = ("TOPUP", "CHARGE")
TYPES = (
    "PAYMENT",
    "BONUS",
    "REFUND",
    "ADJUSTMENT",
    "MODEL_USAGE",
    "CREDITS_EXPIRED",
    "INIT",
)
_PERIOD = re.compile(r"([1-9]\d{0,4})([hd])")
_LONGEST = timedelta(days=92)


class Query(Protocol):
    """The query of a request: a mapping that can also list a repeated key."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> str: ...

    def get(self, key: str) -> str | None:
        """The first value of `key`."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """Every value of `key`, in order."""


def transactions_page(
    entries: Sequence[Entry], query: Query, *, now: datetime, delay_s: float
) -> dict[str, Any]:
    """One page of movements, newest first, each shown `delay_s` seconds after it happened.

    Raises:
        ProviderError: 400 for a filter or a cursor that is not as documented.
    """
    limit = _number(query, "limit", default=50, least=1, most=100)
    start = _moment(query, "from", offset_needed=True)
    end = _moment(query, "to", offset_needed=True)
    if start is not None and end is not None and end <= start:
        raise _bad("to", "Must be later than 'from'")
    direction = _one_of(query, "direction", DIRECTIONS)
    kind = _one_of(query, "type", TYPES)
    before = _from_cursor(query["cursor"]) if "cursor" in query else None

    matching = (
        entry
        for entry in reversed(entries)
        if entry.created_at + timedelta(seconds=delay_s) <= now
        and (before is None or entry.number < before)
        and (start is None or _shown(entry.created_at) >= start)
        and (end is None or _shown(entry.created_at) < end)
        and direction in (None, entry.direction)
        and kind in (None, entry.type)
    )
    page: list[Entry] = []
    has_more = False
    for entry in matching:
        if len(page) == limit:
            has_more = True
            break
        page.append(entry)
    return {
        "data": [_transaction(entry) for entry in page],
        "pagination": {
            "next_cursor": _cursor(page[-1]) if has_more else None,
            "has_more": has_more,
        },
    }


def logs_page(
    rows: Sequence[LogRow], query: Query, *, now: datetime, delay_s: float
) -> dict[str, Any]:
    """One page of requests, newest first, each shown `delay_s` seconds after it ended.

    Raises:
        ProviderError: 400 for a window or a filter that is not as documented.
    """
    limit = _number(query, "limit", default=50, least=1, most=100)
    offset = _number(query, "offset", default=0, least=0)
    start, end = _window(query, now)
    statuses = query.getall("status", [])
    for status in statuses:
        if status not in ("succeeded", "failed"):
            raise _bad(
                "status",
                f"Invalid enum value. Expected 'succeeded' | 'failed', received '{status}'",
            )
    models = query.getall("model", [])
    matching = [
        row
        for row in reversed(rows)
        if row.ended + timedelta(seconds=delay_s) <= now
        and start <= row.created <= end
        and (not statuses or row.status in statuses)
        and (not models or row.model in models or row.model.partition("/")[2] in models)
    ]
    page = matching[offset : offset + limit]
    return {
        "data": [_log_row(row) for row in page],
        "pagination": {
            "limit": limit,
            "offset": offset,
            "total": len(matching),
            "has_more": offset + len(page) < len(matching),
        },
    }


def _transaction(entry: Entry) -> dict[str, Any]:
    return {
        "created_at": stamp(entry.created_at),
        "direction": entry.direction,
        "type": entry.type,
        "amount": _amount(entry.credits),
        "model": entry.model,
        "reference_id": entry.reference_id,
    }


def _log_row(row: LogRow) -> dict[str, Any]:
    return {
        "created": stamp(row.created),
        "status": row.status,
        "origin": "api",
        "model": row.model,
        "cost": _amount(row.credits),
        "tokens": {"input": 0, "output": 0, "total": 0},
        "request_id": row.request_id,
        "inference_id": row.inference_id,
        "client_request_id": row.client_request_id,
    }


def _amount(moved: int) -> dict[str, Any]:
    return {"usd": moved / CREDITS_PER_USD, "credits": moved}


def _window(query: Query, now: datetime) -> tuple[datetime, datetime]:
    period = query.get("period")
    start, end = _moment(query, "start"), _moment(query, "end")
    if (period is None) == (start is None and end is None):
        raise _bad("period", "Provide either 'period' or both 'start' and 'end'")
    if period is not None:
        match = _PERIOD.fullmatch(period)
        if match is None:
            raise _bad("period", "Expected a positive integer followed by 'h' or 'd'")
        length = timedelta(**{"hours" if match[2] == "h" else "days": int(match[1])})
        start, end = now - length, now
    if start is None or end is None:
        raise _bad("period", "Provide either 'period' or both 'start' and 'end'")
    if end < start:
        raise _bad("end", "Must not be earlier than 'start'")
    if end - start > _LONGEST:
        raise _bad("period", "The window must not exceed 92 days")
    return start, end


def _moment(query: Query, name: str, *, offset_needed: bool = False) -> datetime | None:
    if name not in query:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        moment = datetime.fromisoformat(query[name].replace(" ", "+"))
    except ValueError as exc:
        raise _bad(name, "Invalid ISO-8601 date") from exc
    if moment.tzinfo is None:
        if offset_needed:
            raise _bad(name, "Expected an ISO-8601 date with an offset")
        moment = moment.replace(tzinfo=UTC)
    return moment


def _shown(moment: datetime) -> datetime:
    # Filters work on what the answer shows: milliseconds.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _number(query: Query, name: str, *, default: int, least: int, most: int | None = None) -> int:
    text = query.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError as exc:
        raise _bad(name, "Expected number, received nan") from exc
    if value < least:
        raise _bad(name, f"Number must be greater than or equal to {least}")
    if most is not None and value > most:
        raise _bad(name, f"Number must be less than or equal to {most}")
    return value


def _one_of(query: Query, name: str, allowed: tuple[str, ...]) -> str | None:
    value = query.get(name)
    if value is not None and value not in allowed:
        listed = " | ".join(f"'{one}'" for one in allowed)
        raise _bad(name, f"Invalid enum value. Expected {listed}, received '{value}'")
    return value


def _cursor(last: Entry) -> str:
    position = {"v": 1, "c": stamp(last.created_at), "n": last.number}
    text = json.dumps(position, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _from_cursor(cursor: str) -> int:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        position = json.loads(text)
        number = position["n"]
        exact = list(position) == ["v", "c", "n"] and isinstance(number, int)
        exact = exact and json.dumps(position, separators=(",", ":")) == text
    except (binascii.Error, ValueError, KeyError, TypeError) as exc:
        raise _bad("cursor", "Invalid cursor") from exc
    if not exact or cursor.endswith("="):
        raise _bad("cursor", "Invalid cursor")
    return int(number)


def _bad(name: str, message: str) -> ProviderError:
    listed = json.dumps([{"path": name, "message": message}], separators=(",", ":"))
    return ProviderError(400, f"Query validation error: {listed}")
