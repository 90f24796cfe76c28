"""The adapter: what it sends, what it makes of a good answer, and how it is opened."""

import asyncio
import json
from typing import Any

import pytest

from pipeline import __version__
from pipeline.endpoints import open_endpoint
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import (
    JobError,
    TransientError,
)
from tests.endpoints.asking import (
    KEY,
    LARGE,
    MODEL,
    POST,
    SHAPES,
    SMALL,
    a_request,
    an_endpoint,
    data,
    edited,
    failed,
)
from tests.endpoints.memory_drafts import MemoryDrafts
from tests.endpoints.scripted_server import Act, chunked, http, scripted_server


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


async def test_an_answer_that_does_not_begin_in_time_may_have_been_charged() -> None:
    error = await failed([Act.HANG], first_byte_timeout_s=0.03, timeout_s=5.0)
    assert "no answer within 0.03 s" in str(error)
    assert error.sent


async def test_an_answer_that_has_begun_has_the_whole_time_to_end() -> None:
    begun = http(SHAPES["data"](LARGE, SMALL))[:200]
    error = await failed([begun, Act.HANG], first_byte_timeout_s=0.03, timeout_s=0.1)
    assert "no answer within 0.1 s" in str(error)
    assert error.sent
