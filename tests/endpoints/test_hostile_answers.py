"""Answers that would hurt: endless, packed, leading elsewhere."""

import gzip
import json
import zlib

import pytest

from pipeline.errors import (
    BadResponseError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
)
from tests.endpoints.asking import KEY, LARGE, SHAPES, SMALL, data, edited, failed
from tests.endpoints.scripted_server import Act, chunked, http, scripted_server


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
