"""An endpoint against a scripted server, and what to ask it."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from yarl import URL

from pipeline.endpoints.aimlapi import AimlApiEndpoint
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import PipelineError
from pipeline.models import EditRequest, PreparedImage, RemoteImage
from tests.endpoints.memory_drafts import MemoryDrafts
from tests.endpoints.pictures import picture
from tests.endpoints.scripted_server import Reply, scripted_server

MODEL = "google/gemini-2.5-flash-image-edit"
KEY = "sk-test-0123456789"
POST = "/v1/images/generations"


def image(data: bytes = b"\x89PNG not really", **changes: Any) -> PreparedImage:
    return PreparedImage(
        **({"mime": "image/png", "parts": (data,), "width": 1, "height": 1} | changes)
    )


def a_request(
    *images: PreparedImage | RemoteImage, prompt: str = "a hat", **parameters: Any
) -> EditRequest:
    return EditRequest(
        id="run-1.7", prompt=prompt, images=images or (image(),), parameters=parameters
    )


@asynccontextmanager
async def an_endpoint(
    url: str, model: str = MODEL, **settings: Any
) -> AsyncIterator[AimlApiEndpoint]:
    settings = {"download_waits_s": (0.0, 0.0)} | settings
    endpoint = AimlApiEndpoint(URL(url), KEY, model_spec(model), **settings)
    try:
        yield endpoint
    finally:
        await endpoint.close()


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
