"""The provider's books: as the emulator keeps them, and as a scripted server may spell them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from yarl import URL

from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints import Account, open_account
from pipeline.endpoints.account import AimlApiAccount
from pipeline.errors import (
    AuthenticationError,
    BadResponseError,
    ConnectionFailed,
    JobError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
)
from tests.endpoints.scripted_server import Act, ScriptedServer, http, scripted_server
from tests.virtual_clock import run_virtual

Emulators = Callable[..., RunningEmulator]
KEY = "sk-secret-0123456789"
MODEL = "google/gemini-2.5-flash-image-edit"


@asynccontextmanager
async def account(url: str, **settings: Any) -> AsyncIterator[Account]:
    opened = open_account("aimlapi", base_url=url, api_key=KEY, **settings)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def scripted(*replies: Any, **settings: Any) -> AsyncIterator[tuple[Account, ScriptedServer]]:
    async with scripted_server(*replies) as server, account(server.url, **settings) as opened:
        yield opened, server


async def test_balance_model_and_price_as_the_emulator_has_them(emulator: Emulators) -> None:
    endpoint = emulator(balance_usd=12.5, prices={MODEL: 0.05})
    async with account(endpoint.url) as books:
        assert (await books.balance()).usd == 12.5
        state = await books.model(MODEL)
        assert state is not None
        assert (state.id, state.price_usd) == (MODEL, 0.05)
        assert await books.model("google/no-such-model") is None
        page = await books.transactions(start=0, end=4e9)
        assert [(one.direction, one.kind, one.usd) for one in page.transactions] == [
            ("topup", "PAYMENT", 12.5)
        ]
        assert page.next_cursor is None
        assert (await books.logs(start=1.7e9, end=1.7e9 + 60)).entries == ()
        assert books.origin == "emulator"


async def test_the_models_are_asked_without_the_key() -> None:
    async with scripted(http({"data": []})) as (books, server):
        assert await books.model(MODEL) is None
    [seen] = server.seen
    assert "authorization" not in seen.headers
    assert "include=pricing" in seen.path


async def test_an_amount_may_be_a_number_its_text_dollars_or_credits() -> None:
    rows = [
        {"created": "2026-08-17T10:00:00.500Z", "status": "succeeded", "cost": cost}
        for cost in (0.042, "0.042", {"usd": 0.042, "credits": 84000}, {"credits": 84000}, None)
    ]
    async with scripted(http({"data": rows})) as (books, _):
        page = await books.logs(start=0, end=60)
    assert [entry.cost_usd for entry in page.entries] == [0.042, 0.042, 0.042, 0.042, None]
    assert page.entries[0].created_at == 1786960800.5
    assert page.next_offset is None


async def test_what_says_nothing_usable_is_left_out() -> None:
    rows: list[Any] = [
        "text",
        {},
        {"created": "yesterday", "status": "failed"},
        {"created": 1786960800500, "status": 7},
        {"created": 1786960800500, "status": "failed", "client_request_id": "a1\x1b[2J"},
    ]
    async with scripted(http({"data": rows})) as (books, _):
        [entry] = (await books.logs(start=0, end=60)).entries
    assert (entry.created_at, entry.succeeded) == (1786960800.5, False)
    assert entry.client_request_id == "a1"


async def test_pages_follow_the_offset_and_the_cursor() -> None:
    row = {"created": "2026-08-17T10:00:00Z", "status": "failed"}
    charge = {"created_at": "2026-08-17T10:00:00Z", "amount": {"usd": 1}, "direction": "CHARGE"}
    async with scripted_server(http({})) as server, account(server.url) as books:
        server.on("*", http({"data": [row] * 100, "pagination": {"has_more": True}}))
        assert (await books.logs(start=0, end=60, offset=200)).next_offset == 300
        assert "offset=200" in server.seen[-1].path
        server.on("*", http({"data": [], "pagination": {"has_more": True}}))
        assert (await books.logs(start=0, end=60)).next_offset is None, "no page without end"
        server.on("*", http({"data": [row], "pagination": {"total": 2}}))
        assert (await books.logs(start=0, end=60)).next_offset == 1
        server.on("*", http({"data": [charge], "pagination": {"next_cursor": "abc"}}))
        assert (await books.transactions(start=0, end=60)).next_cursor == "abc"
        with pytest.raises(BadResponseError, match="leads nowhere"):
            await books.transactions(start=0, end=60, cursor="abc")
        assert "cursor=abc" in server.seen[-1].path


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (http({"message": f"wrong key {KEY}"}, status=401), AuthenticationError),
        (http({"message": "slow down"}, status=429), RateLimitError),
        (http(b"<html>bad gateway</html>", status=502), ServerError),
        (http({"message": "Cannot GET"}, status=404), RequestRejectedError),
        (http({"message": "period"}, status=400), RequestRejectedError),
        (http(b"<html>login</html>"), BadResponseError),
        (http(b"[1, 2]"), BadResponseError),
        (http({"data": 3}), BadResponseError),
        (http(b"[" * 100_000), BadResponseError),
        (http(b"", status=302, headers={"Location": "http://127.0.0.1:9/"}), ServerError),
        ([b"HTTP/1.1 200 X\r\nContent-Length: 50\r\n\r\n{", Act.CLOSE], ConnectionFailed),
        ([Act.RESET], ConnectionFailed),
    ],
)
async def test_each_failure_is_one_of_the_houses_errors(reply: Any, error: type[Exception]) -> None:
    async with scripted(reply) as (books, server):
        with pytest.raises(error) as caught:
            await books.logs(start=0, end=60)
        # aiohttp itself repeats a GET whose connection breaks before the answer begins, once.
        assert len(server.seen) <= (2 if reply == [Act.RESET] else 1), "nothing is retried here"
    assert KEY not in str(caught.value)
    assert "charged" not in str(caught.value)


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with scripted([Act.HANG], timeout_s=0.03) as (books, _):
        with pytest.raises(ConnectionFailed, match=r"no answer within 0.03 s \(reading v2/billing"):
            await books.balance()


async def test_nobody_listening_is_no_connection() -> None:
    async with scripted_server(http({})) as server:
        url = server.url
    async with account(url) as books:
        with pytest.raises(ConnectionFailed, match="v2/logs"):
            await books.logs(start=0, end=60)


async def test_a_page_larger_than_any_page_is_not_read_to_its_end() -> None:
    async with scripted(http(b" " * (9 << 20))) as (books, _):
        with pytest.raises(BadResponseError, match="larger than 8 MiB"):
            await books.logs(start=0, end=60)


def test_no_more_than_so_many_calls_leave_in_any_minute() -> None:
    async def go() -> list[float]:
        from pipeline.endpoints.account import _Pace

        pace, left = _Pace(20), []
        for _ in range(70):
            await pace.take()
            left.append(asyncio.get_running_loop().time())
        return left

    left = run_virtual(go())
    for first, last in zip(left, left[20:], strict=False):
        assert last - first >= 60
    assert left[-1] - left[0] < 4 * 61 + 1


def test_the_key_is_in_no_repr() -> None:
    books = AimlApiAccount(URL("https://api.example.com"), KEY)
    assert KEY not in repr(books)
    assert books.origin == "https://api.example.com"


@pytest.mark.parametrize("url", ["ftp://x", "https://user:secret@x", "https://x?q=1", "nothing"])
def test_a_url_that_cannot_be_used_is_a_job_error(url: str) -> None:
    with pytest.raises(JobError, match=r"endpoint\.base_url"):
        open_account("aimlapi", base_url=url, api_key=KEY)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak"])
def test_a_key_that_cannot_be_one_is_a_job_error(key: str) -> None:
    with pytest.raises(JobError, match="api_key_env"):
        open_account("aimlapi", base_url="https://api.example.com", api_key=key)


def test_an_unknown_provider_is_named_with_the_nearest() -> None:
    with pytest.raises(JobError, match="did you mean 'aimlapi'"):
        open_account("aimlap", base_url="https://api.example.com", api_key=KEY)
