"""Answers that cannot be used, or never come: what is known of them, and whether they cost."""

import asyncio
import json
from typing import Any

import pytest

from pipeline.errors import (
    BadResponseError,
    ConnectionFailed,
    ContentRefusedError,
    NoImageError,
    StoreError,
)
from tests.endpoints.asking import (
    KEY,
    LARGE,
    SHAPES,
    SMALL,
    a_request,
    an_endpoint,
    b64,
    data,
    edited,
    failed,
)
from tests.endpoints.memory_drafts import MemoryDraft, MemoryDrafts
from tests.endpoints.scripted_server import Act, Reply, chunked, http, scripted_server


@pytest.mark.parametrize(
    "document",
    [
        {"output": {"choices": []}},
        {"images": [], "description": ""},
        {"data": None},
        {"data": [{"url": None, "b64_json": None}]},
        {},
        [],
        None,
    ],
)
async def test_a_success_without_a_picture_is_no_image(document: Any) -> None:
    headers = {"x-inference-id": "inf-9", "x-aimlapi-usd-spent": "0"}
    error = await failed(http(document, headers=headers))
    assert type(error) is NoImageError
    assert (error.http_status, error.inference_id, error.cost_usd) == (200, "inf-9", 0.0)
    assert error.body == json.dumps(document).encode()
    assert not error.sent


async def test_words_instead_of_a_picture_are_told() -> None:
    error = await failed(http({"images": [], "description": "I need a clearer picture."}))
    assert type(error) is NoImageError
    assert "I need a clearer picture." in str(error)


@pytest.mark.parametrize(
    "document",
    [
        {"images": [], "description": "Blocked by our safety system."},
        {"data": [], "description": "I'm sorry, but I can't help with that."},
        {"output": {"choices": [{"text": "", "finish_reason": "PROHIBITED_CONTENT"}]}},
    ],
)
async def test_a_refusal_in_a_success_is_a_refusal(document: Any) -> None:
    error = await failed(http(document))
    assert type(error) is ContentRefusedError
    assert error.http_status == 200
    assert error.body


@pytest.mark.parametrize("length", [100, 9000])
async def test_broken_base64_is_a_bad_response(length: int) -> None:
    document = {"data": [{"b64_json": b64(b"x" * length) + "!"}]}
    error = await failed(http(document, headers={"x-aimlapi-usd-spent": "0.042"}))
    assert type(error) is BadResponseError
    assert error.cost_usd == 0.042
    assert "invalid base64" in str(error)


async def test_broken_base64_that_nobody_asked_for_does_not_matter() -> None:
    document = {"signature": b64(LARGE) + "!", "data": [{"b64_json": b64(SMALL)}]}
    response, drafts = await edited(http(document))
    assert [data(draft) for draft in response.images] == [SMALL]
    assert len(drafts.open) == 1


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"OK", SMALL])
async def test_what_is_no_json_is_a_bad_response_with_its_body(body: bytes) -> None:
    error = await failed(http(body))
    assert type(error) is BadResponseError
    assert not error.sent
    assert error.body[:10] == body[:10]


async def test_the_kept_body_holds_no_picture_and_no_key_and_is_cut() -> None:
    text = f"key {KEY} " + "long text, with commas. " * 20_000
    error = await failed(http({"x": b64(LARGE), "data": [], "note": text}))
    assert len(error.body) <= 64 * 1024
    assert KEY.encode() not in error.body
    assert b64(LARGE)[:100].encode() not in error.body
    assert b"<picture 1" in error.body


@pytest.mark.parametrize("lost", [1, 500, 20_000])
async def test_a_truncated_answer_may_have_been_charged(lost: int) -> None:
    raw = http(SHAPES["data"](LARGE, SMALL), headers={"x-aimlapi-usd-spent": "0.084"})
    error = await failed([raw[:-lost], Act.CLOSE])
    assert type(error) is ConnectionFailed
    assert error.sent
    assert (error.http_status, error.cost_usd) == (200, 0.084)


async def test_a_chunked_answer_without_its_end_may_have_been_charged() -> None:
    error = await failed([chunked(b'{"data": ["', end=False), Act.CLOSE])
    assert error.sent
    error = await failed(chunked(b'{"data": ["'))
    assert type(error) is BadResponseError
    assert error.sent


async def test_garbage_between_chunks_may_have_been_charged() -> None:
    error = await failed([chunked(b'{"data": ', end=False), b"zz\r\nnonsense\r\n", Act.CLOSE])
    assert type(error) is ConnectionFailed
    assert error.sent


@pytest.mark.parametrize("reply", [[b"", Act.CLOSE], [b"HTTP/1.1 2", Act.CLOSE], [b"x\r\n\r\n"]])
async def test_no_answer_to_a_whole_request_may_have_been_charged(reply: Reply) -> None:
    error = await failed(reply)
    assert type(error) is ConnectionFailed
    assert error.sent
    assert "may have been charged" in str(error)


async def test_a_reset_after_the_request_may_have_been_charged() -> None:
    error = await failed([b"", Act.RESET])
    assert type(error) is ConnectionFailed
    assert error.sent


async def test_a_request_on_a_kept_connection_is_never_sent_twice() -> None:
    good = http(SHAPES["data"](SMALL, SMALL))
    async with (
        scripted_server(good, [b"", Act.CLOSE], good) as server,
        an_endpoint(server.url) as endpoint,
    ):
        await endpoint.edit(a_request(), draft=MemoryDrafts())
        with pytest.raises(ConnectionFailed) as caught:
            await endpoint.edit(a_request(), draft=MemoryDrafts())
        assert caught.value.sent
        assert (len(server.seen), server.connections) == (2, 1)


async def test_a_refused_connection_was_not_charged() -> None:
    async with scripted_server() as server:
        url = server.url
    async with an_endpoint(url) as endpoint:
        with pytest.raises(ConnectionFailed, match="not charged") as caught:
            await endpoint.edit(a_request(), draft=MemoryDrafts())
    assert not caught.value.sent


async def test_a_name_that_does_not_resolve_was_not_charged() -> None:
    async with an_endpoint("http://nowhere.invalid") as endpoint:
        with pytest.raises(ConnectionFailed) as caught:
            await endpoint.edit(a_request(), draft=MemoryDrafts())
    assert not caught.value.sent


async def test_no_tls_where_tls_was_expected_was_not_charged() -> None:
    async def speak_plainly(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak_plainly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with an_endpoint(f"https://127.0.0.1:{port}") as endpoint:
            with pytest.raises(ConnectionFailed) as caught:
                await endpoint.edit(a_request(), draft=MemoryDrafts())
    assert not caught.value.sent


async def test_a_handshake_that_takes_too_long_was_not_charged() -> None:
    async with (
        scripted_server(http({})) as server,
        an_endpoint(server.url.replace("http:", "https:"), connect_timeout_s=0.05) as endpoint,
    ):
        with pytest.raises(ConnectionFailed, match="Connection timeout") as caught:
            await endpoint.edit(a_request(), draft=MemoryDrafts())
    assert not caught.value.sent
    assert "not charged" in str(caught.value)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n{"])
async def test_a_server_that_stalls_is_left_after_the_timeout(start: bytes) -> None:
    error = await failed([start, Act.HANG], timeout_s=1.0)
    assert type(error) is ConnectionFailed
    assert error.sent
    assert "within 1 s" in str(error)


async def test_cancelling_leaves_no_draft_behind() -> None:
    raw = http(SHAPES["data"](LARGE, SMALL))
    drafts = MemoryDrafts()
    begun = asyncio.Event()

    def draft() -> MemoryDraft:
        begun.set()
        return drafts()

    async with (
        scripted_server([raw[:15_000], Act.HANG]) as server,
        an_endpoint(server.url) as endpoint,
    ):
        task = asyncio.create_task(endpoint.edit(a_request(), draft=draft))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(drafts.all) == 1
    assert drafts.open == []


async def test_a_full_disk_is_told_as_it_is_and_leaves_no_draft_behind() -> None:
    class Full(MemoryDraft):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            raise StoreError("disk full")

    drafts: list[Full] = []

    def draft() -> Full:
        drafts.append(Full())
        return drafts[-1]

    async with (
        scripted_server(http(SHAPES["data"](LARGE, SMALL))) as server,
        an_endpoint(server.url) as endpoint,
    ):
        with pytest.raises(StoreError, match="disk full"):
            await endpoint.edit(a_request(), draft=draft)
    assert drafts[0].discarded
