"""The adapter against a scripted server: what it sends, and what it makes of any answer."""

import asyncio
import base64
import gzip
import json
import zlib
from typing import Any

import pytest

from pipeline import __version__
from pipeline.endpoints import open_endpoint
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import (
    BadResponseError,
    ConnectionFailed,
    ContentRefusedError,
    JobError,
    NoImageError,
    PipelineError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
    StoreError,
    TransientError,
)
from tests.endpoints.asking import KEY, MODEL, POST, a_request, an_endpoint
from tests.endpoints.memory_drafts import MemoryDraft, MemoryDrafts
from tests.endpoints.pictures import picture
from tests.endpoints.scripted_server import Act, Reply, chunked, http, scripted_server

SMALL, LARGE = picture(), picture(size=(120, 80))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def edited(*replies: Reply, **settings: Any) -> tuple[Any, MemoryDrafts]:
    drafts = MemoryDrafts()
    async with scripted_server(*replies) as server, an_endpoint(server.url, **settings) as endpoint:
        return await endpoint.edit(a_request(), draft=drafts), drafts


async def failed(*replies: Reply, **settings: Any) -> Any:
    """The error; no draft may be left over after one."""
    drafts = MemoryDrafts()
    async with scripted_server(*replies) as server, an_endpoint(server.url, **settings) as endpoint:
        with pytest.raises(PipelineError) as caught:
            await endpoint.edit(a_request(), draft=drafts)
    assert drafts.open == []
    assert KEY not in str(caught.value)
    return caught.value


def data(draft: Any) -> bytes:
    return bytes(draft.data)


SHAPES: dict[str, Any] = {
    "choices": lambda one, two: {
        "status": "succeeded",
        "prompt": ["a hat"],
        "output": {"choices": [{"image_base64": b64(one)}, {"image_base64": b64(two)}]},
    },
    "images": lambda one, two: {
        "images": [{"url": f"data:image/png;base64,{b64(pic)}"} for pic in (one, two)],
        "description": "",
    },
    "data": lambda one, two: {
        "data": [{"url": None, "b64_json": b64(pic)} for pic in (one, two)],
        "meta": {"usage": {"credits_used": 168000, "usd_spent": 0.084}},
    },
    "both": lambda one, two: {
        "images": [{"url": f"data:image/webp;base64,{b64(pic)}"} for pic in (one, two)],
        "data": [{"url": None, "b64_json": b64(pic)} for pic in (one, two)],
    },
}


@pytest.mark.parametrize("status", [200, 201, 203])
@pytest.mark.parametrize("shape", SHAPES)
async def test_every_shape_gives_its_pictures_in_order(shape: str, status: int) -> None:
    document = SHAPES[shape](LARGE, SMALL)
    response, drafts = await edited(http(document, status=status))
    assert [data(draft) for draft in response.images] == [LARGE, SMALL]
    assert len(drafts.open) == 2
    assert response.http_status == status


async def test_identical_pictures_stay_two() -> None:
    response, drafts = await edited(http(SHAPES["data"](LARGE, LARGE)))
    assert [data(draft) for draft in response.images] == [LARGE, LARGE]
    assert len(drafts.open) == 2


@pytest.mark.parametrize("pieces", [1, 3, 1000])
async def test_an_answer_of_unknown_length_is_read_to_its_end(pieces: int) -> None:
    raw = json.dumps(SHAPES["choices"](LARGE, SMALL)).encode()
    step = -(-len(raw) // pieces)
    reply = chunked(*(raw[start : start + step] for start in range(0, len(raw), step)))
    response, _ = await edited(reply)
    assert data(response.images[0]) == LARGE


async def test_a_dripping_answer_arrives_whole() -> None:
    raw = http(SHAPES["data"](LARGE, SMALL))
    steps: list[Any] = []
    for start in range(0, len(raw), 2999):
        steps += [raw[start : start + 2999], Act.PAUSE]
    response, _ = await edited(steps)
    assert [data(draft) for draft in response.images] == [LARGE, SMALL]


async def test_the_request_carries_the_key_the_id_and_nothing_it_should_not() -> None:
    async with scripted_server(http(SHAPES["data"](SMALL, SMALL))) as server:
        async with an_endpoint(server.url) as endpoint:
            await endpoint.edit(a_request(num_images=2), draft=MemoryDrafts())
        (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", POST)
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["x-client-request-id"] == "run-1.7"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["user-agent"] == f"image-edit-pipeline/{__version__}"
    assert seen.headers["accept-encoding"] == "identity"
    assert "cookie" not in seen.headers
    assert seen.json["num_images"] == 2


async def test_cookies_are_not_kept() -> None:
    reply = http(SHAPES["data"](SMALL, SMALL), headers={"Set-Cookie": "a=b; Path=/"})
    async with scripted_server(reply) as server, an_endpoint(server.url) as endpoint:
        for _ in range(2):
            await endpoint.edit(a_request(), draft=MemoryDrafts())
        assert all("cookie" not in seen.headers for seen in server.seen)
        assert server.connections == 1


@pytest.mark.parametrize(
    ("headers", "document", "cost", "source"),
    [
        ({"x-aimlapi-usd-spent": "0.05"}, SHAPES["data"](SMALL, SMALL), 0.05, "header"),
        ({"x-aimlapi-credits-used": "84000"}, SHAPES["data"](SMALL, SMALL), 0.042, "header"),
        ({}, SHAPES["data"](SMALL, SMALL), 0.084, "body"),
        ({}, SHAPES["choices"](SMALL, SMALL), 0.084, "catalog"),
        ({"x-aimlapi-usd-spent": "-1"}, SHAPES["choices"](SMALL, SMALL), 0.084, "catalog"),
    ],
)
async def test_the_cost_is_stated_or_calculated_and_says_which(
    headers: dict[str, str], document: Any, cost: float, source: str
) -> None:
    response, _ = await edited(http(document, headers=headers))
    assert (response.cost_usd, response.cost_source) == (pytest.approx(cost), source)


async def test_without_any_price_the_cost_is_unknown_not_zero() -> None:
    reply = http(SHAPES["choices"](SMALL, SMALL))
    response, _ = await edited(reply, model="reve/edit-image")
    assert (response.cost_usd, response.cost_source) == (None, "none")
    response, _ = await edited(reply, model="reve/edit-image", price_usd=0.01)
    assert (response.cost_usd, response.cost_source) == (0.02, "catalog")


async def test_the_inference_id_and_the_description_come_along() -> None:
    document = SHAPES["images"](SMALL, SMALL) | {"description": "Two\x1b[1m hats"}
    response, _ = await edited(http(document, headers={"x-inference-id": "inf-1"}))
    assert (response.inference_id, response.text) == ("inf-1", "Two hats")


# --- answers that cannot be used -------------------------------------------------------------


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
    error = await failed([start, Act.HANG], timeout_s=0.05)
    assert type(error) is ConnectionFailed
    assert error.sent
    assert "within 0.05 s" in str(error)


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


# --- hostile answers -------------------------------------------------------------------------


async def test_an_answer_over_the_cap_is_cut_off() -> None:
    error = await failed(http(SHAPES["data"](LARGE, LARGE)), max_response_bytes=30_000)
    assert type(error) is BadResponseError
    assert "larger than 30000 bytes" in str(error)


async def test_an_endless_answer_is_cut_off() -> None:
    endless = [chunked(b'{"data": ["', end=False), *[b"1000\r\n" + b"A" * 4096 + b"\r\n"] * 40]
    error = await failed([*endless, Act.HANG], max_response_bytes=100_000)
    assert type(error) is BadResponseError


def packed(encoding: str, body: bytes) -> bytes:
    packing = gzip.compress(body) if "gzip" in encoding else zlib.compress(body)
    return http(packing, headers={"Content-Encoding": encoding})


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
async def test_a_compressed_answer_is_read_though_nobody_asked_for_it(encoding: str) -> None:
    raw = json.dumps(SHAPES["data"](LARGE, SMALL)).encode()
    response, _ = await edited(packed(encoding, raw))
    assert [data(draft) for draft in response.images] == [LARGE, SMALL]


async def test_a_gzip_bomb_is_cut_off_at_the_cap() -> None:
    bomb = b'{"data": ["' + b"A" * 80_000_000
    error = await failed(packed("gzip", bomb))
    assert type(error) is BadResponseError
    assert "larger than" in str(error)


async def test_damaged_or_unknown_compression_is_a_bad_response() -> None:
    error = await failed(http(b"\x1f\x8bnonsense", headers={"Content-Encoding": "gzip"}))
    assert type(error) is BadResponseError
    error = await failed(http(b"x", headers={"Content-Encoding": "br"}))
    assert "'br'" in str(error)
    short = gzip.compress(json.dumps({"data": []}).encode())[:-9]
    error = await failed(http(short, headers={"Content-Encoding": "gzip"}))
    assert error.sent


async def test_a_redirect_is_not_followed_and_the_key_stays_here() -> None:
    async with scripted_server(http({"data": []})) as elsewhere:
        moved = http(status=307, headers={"Location": f"{elsewhere.url}/other"})
        error = await failed(moved)
        assert elsewhere.seen == []
    assert type(error) is ServerError
    assert "endpoint.base_url" in str(error)


async def test_an_error_status_is_mapped_with_its_body_cut() -> None:
    error = await failed(http({"message": f"no {KEY}" + "x" * 200_000}, status=400))
    assert type(error) is RequestRejectedError
    assert len(error.body) <= 64 * 1024
    assert KEY.encode() not in error.body
    error = await failed(http(b"", status=429, headers={"Retry-After": "3"}))
    assert type(error) is RateLimitError
    assert error.retry_after == 3.0


async def test_an_early_error_status_wins_over_a_half_sent_body() -> None:
    error = await failed(
        http({"message": "too large"}, status=413, headers={"Connection": "close"})
    )
    assert type(error) is RequestRejectedError


# --- opening -----------------------------------------------------------------------------------


def opened(base_url: str = "https://api.aimlapi.com", api_key: str = KEY) -> Any:
    return open_endpoint("aimlapi", model=model_spec(MODEL), base_url=base_url, api_key=api_key)


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://api.aimlapi.com", "https://api.aimlapi.com"),
        ("https://api.aimlapi.com/", "https://api.aimlapi.com"),
        ("http://127.0.0.1:8123", "emulator"),
        ("http://127.9.9.9", "emulator"),
        ("http://localhost:1", "emulator"),
        ("http://[::1]:5", "emulator"),
        ("http://gateway.example:8080/ai", "http://gateway.example:8080"),
    ],
)
def test_the_origin_says_whose_answers_a_ledger_holds(base_url: str, origin: str) -> None:
    assert opened(base_url).origin == origin


def test_a_base_url_may_have_a_path() -> None:
    async def ask() -> str:
        async with scripted_server(http(SHAPES["data"](SMALL, SMALL))) as server:
            async with an_endpoint(f"{server.url}/ai/v9") as endpoint:
                await endpoint.edit(a_request(), draft=MemoryDrafts())
            return server.seen[0].path

    assert asyncio.run(ask()) == f"/ai/v9{POST}"


@pytest.mark.parametrize(
    "base_url", ["", "api.aimlapi.com", "ftp://x", "https://", "https://u:p@x", "https://x?a=1"]
)
def test_a_base_url_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(JobError, match=r"endpoint\.base_url"):
        opened(base_url)


@pytest.mark.parametrize("key", ["", "  ", "a b", "a\nb", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(JobError, match=r"endpoint\.api_key_env") as caught:
        opened(api_key=key)
    assert not key.strip() or key not in str(caught.value)


def test_a_key_with_a_line_break_at_its_end_is_fine() -> None:
    opened(api_key=KEY + "\n")


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(JobError, match="did you mean 'aimlapi'"):
        open_endpoint("aimlapl", model=model_spec(MODEL), base_url="http://x", api_key="k")


def test_no_repr_holds_the_key() -> None:
    assert KEY not in repr(opened())
    assert MODEL in repr(opened())


async def test_closing_an_endpoint_that_was_never_used_is_fine() -> None:
    await opened().close()


async def test_errors_that_may_pass_are_transient_and_others_are_not() -> None:
    assert isinstance(await failed(http(b"", status=500)), TransientError)
    assert not isinstance(await failed(http(b"", status=400)), TransientError)
