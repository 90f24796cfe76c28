"""An endpoint against a scripted server, and what to ask it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from yarl import URL

from pipeline.endpoints.aimlapi import AimlApiEndpoint
from pipeline.endpoints.catalog import model_spec
from pipeline.models import EditRequest, PreparedImage, RemoteImage

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
