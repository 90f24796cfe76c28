"""The request as it goes over the wire."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.endpoints.catalog import load_catalog, model_spec
from pipeline.endpoints.request_body import PIECE, RequestBody
from pipeline.errors import InputError
from pipeline.models import EditRequest, FileSlice, PreparedImage, RemoteImage
from tests.endpoints.asking import MODEL, a_request, an_endpoint, image
from tests.endpoints.memory_drafts import MemoryDrafts
from tests.endpoints.scripted_server import http, scripted_server

URL = RemoteImage(url='https://example.com/a "b".png?x=1&y=ü')


class Wire:
    """What an aiohttp writer would send."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, chunk: Any) -> None:
        self.pieces.append(bytes(chunk))


async def sent(model: str, request: EditRequest) -> bytes:
    body = RequestBody(model_spec(model), request)
    wire = Wire()
    await body.write_with_length(wire, body.size)  # type: ignore[arg-type]
    data = b"".join(wire.pieces)
    assert len(data) == body.size
    assert max(map(len, wire.pieces)) <= PIECE // 3 * 4
    return data


def data_uri(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("model", load_catalog())
async def test_each_model_gets_its_inputs_where_it_wants_them(model: str) -> None:
    spec = model_spec(model)
    pictures = [bytes([n]) * (10 + n) for n in range(spec.max_images)]
    parameters: dict[str, Any] = dict.fromkeys(spec.parameters, 1)
    request = a_request(
        *(image(data, mime="image/jpeg") for data in pictures),
        prompt='ein "Hut" für\nalle \\ 😀',
        **parameters,
    )
    uris = [data_uri("image/jpeg", data) for data in pictures]
    reference = {
        **parameters,
        "model": model,
        "prompt": request.prompt,
        spec.image_field: uris if spec.image_list else uris[0],
    }
    data = await sent(model, request)
    assert data == json.dumps(reference, ensure_ascii=False, separators=(",", ":")).encode()


async def test_a_model_that_needs_no_input_gets_none() -> None:
    request = EditRequest(id="x", prompt="a hat", images=(), parameters={})
    data = await sent("google/nano-banana-edit", request)
    assert json.loads(data) == {"model": "google/nano-banana-edit", "prompt": "a hat"}


@pytest.mark.parametrize(
    "images",
    [(URL,), (URL, URL), (URL, image(b"a")), (image(b"a"), URL), (image(b"a"), URL, image(b"bc"))],
    ids=["u", "uu", "up", "pu", "pup"],
)
async def test_urls_are_passed_as_they_are(images: tuple[Any, ...]) -> None:
    data = json.loads(await sent(MODEL, a_request(*images)))
    assert data["image_urls"] == [
        one.url if isinstance(one, RemoteImage) else data_uri("image/png", one.parts[0])
        for one in images
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), max_size=6), st.booleans())
async def test_parts_of_any_length_join_seamlessly(lengths: list[int], shared: bool) -> None:
    rng = random.Random(len(lengths))
    parts = tuple(rng.randbytes(length) for length in lengths)
    encoded = base64.b64encode(b"".join(parts)) if shared else None
    prepared = PreparedImage(mime="image/webp", parts=parts, width=1, height=1, encoded=encoded)
    data = json.loads(await sent(MODEL, a_request(prepared)))
    assert data["image_urls"] == [data_uri("image/webp", b"".join(parts))]


@pytest.mark.parametrize("extra", [-1, 0, 1, 2, PIECE, PIECE * 2 + 5])
async def test_slices_of_files_and_memory_mix(tmp_path: Path, extra: int) -> None:
    content = random.Random(extra).randbytes(PIECE + extra + 20)
    file = tmp_path / "in.jpg"
    file.write_bytes(content)
    tail = FileSlice(path=str(file), offset=9, length=PIECE + extra)
    empty = FileSlice(path=str(file), offset=0, length=0)
    head = FileSlice(path=str(file), offset=0, length=2)
    prepared = image(parts=(b"\xff\xd8", head, b"x", empty, tail, content))
    data = json.loads(await sent(MODEL, a_request(prepared)))
    joined = b"\xff\xd8" + content[:2] + b"x" + content[9 : 9 + PIECE + extra] + content
    assert data["image_urls"] == [data_uri("image/png", joined)]


async def test_a_large_file_arrives_whole_with_its_length_announced(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(3_000_001)
    file = tmp_path / "in.jpg"
    file.write_bytes(content)
    whole = image(parts=(FileSlice(path=str(file), offset=0, length=len(content)),))
    async with scripted_server(http({"data": [{"b64_json": "QUJD"}]})) as server:
        async with an_endpoint(server.url) as endpoint:
            await endpoint.edit(a_request(whole, whole, num_images=2), draft=MemoryDrafts())
        (seen,) = server.seen
    assert seen.json == {
        "model": MODEL,
        "prompt": "a hat",
        "num_images": 2,
        "image_urls": [data_uri("image/png", content)] * 2,
    }
    assert int(seen.headers["content-length"]) == len(seen.body)
    assert "transfer-encoding" not in seen.headers


@pytest.mark.parametrize("left", [None, 0, 100_000])
async def test_an_input_that_vanished_or_shrank_fails_its_edit_and_nothing_else(
    tmp_path: Path, left: int | None
) -> None:
    file = tmp_path / "in.jpg"
    if left is not None:
        file.write_bytes(b"x" * left)
    gone = image(parts=(FileSlice(path=str(file), offset=0, length=500_000),))
    async with scripted_server(http({"data": [{"b64_json": "QUJD"}]})) as server:
        async with an_endpoint(server.url) as endpoint:
            with pytest.raises(InputError, match=r"in\.jpg"):
                await endpoint.edit(a_request(gone), draft=MemoryDrafts())
            # The broken request's connection is not used again.
            await endpoint.edit(a_request(), draft=MemoryDrafts())
        assert len(server.seen) == 1
        assert server.connections == 2
