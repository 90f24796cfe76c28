"""A small client for the emulator's tests; nothing of the real client is in it."""

import asyncio
import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from PIL import Image

MODEL = "google/gemini-2.5-flash-image-edit"
KEY = {"Authorization": "Bearer right"}


def picture_bytes(form: str = "PNG", size: tuple[int, int] = (8, 6), colour: str = "red") -> bytes:
    """A small picture file."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def data_uri(data: bytes, mime: str = "image/png") -> str:
    """Bytes as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


PNG_URI = data_uri(picture_bytes())
BODY: dict[str, Any] = {"model": MODEL, "prompt": "a red chair", "image_urls": [PNG_URI]}
"""The smallest good body."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes
    content_type: str = ""
    sent: dict[str, Any] = field(default_factory=dict)

    @property
    def body(self) -> Any:
        """The JSON in it."""
        return json.loads(self.raw)

    @property
    def message(self) -> str:
        """The text of an error body of any style."""
        message = self.body["message"]
        return "; ".join(message) if isinstance(message, list) else str(message)

    @property
    def items(self) -> list[dict[str, Any]]:
        """The picture items, wherever the shape has them."""
        body = self.body
        found = body.get("images") or body.get("data")
        return list(found if found else body.get("output", {}).get("choices", []))


class Asker:
    """Sends image requests and other calls, and reads the whole answer."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def edit(
        self,
        url: str,
        *,
        request_id: str | None = None,
        key: str | None = "right",
        headers: dict[str, str] | None = None,
        **body: Any,
    ) -> Answer:
        """One image request; keys of the body that are `...` are left out."""
        sent = {**BODY, **body}
        sent = {name: value for name, value in sent.items() if value is not ...}
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            all_headers["Authorization"] = f"Bearer {key}"
        if request_id is not None:
            all_headers["X-Client-Request-Id"] = request_id
        target = url + "/v1/images/generations"
        # A file, because aiohttp warns of large bytes.
        raw = io.BytesIO(json.dumps(sent).encode())
        async with self.session.post(target, data=raw, headers=all_headers) as answer:
            return await _read(answer)

    async def get(self, url: str, *, key: bool = True, **query: Any) -> Answer:
        """One GET, with the key unless told otherwise."""
        headers = KEY if key else {}
        async with self.session.get(url, params=query, headers=headers) as answer:
            return await _read(answer)

    async def picture(self, item: dict[str, Any]) -> bytes:
        """The bytes of a picture item, decoded or downloaded without the key."""
        text = item.get("b64_json") or item.get("image_base64")
        if text:
            return base64.b64decode(text.rpartition(",")[2])
        return (await self.get(item["url"], key=False)).raw


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for across threads
            await asyncio.sleep(0.005)


async def _read(answer: aiohttp.ClientResponse) -> Answer:
    raw = await answer.read()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status, headers, raw, answer.content_type)


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of a picture file, fully decoded."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size
