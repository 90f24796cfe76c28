"""The four response shapes of the route, as the provider's documents and answers show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.emulator.bill import CREDITS_PER_USD
from pipeline.emulator.validate import Asked

DOCUMENTED_STATUS = {"choices": 201, "images": 200, "data": 200, "both": 200}


@dataclass(frozen=True)
class Item:
    """One picture as an answer carries it. Both `url` and `b64` may be absent."""

    url: str | None = None
    b64: str | None = None
    content_type: str = "image/png"
    file_name: str = "output.png"
    file_size: int = 0
    width: int = 0
    height: int = 0


def body_of(
    shape: str,
    items: Sequence[Item],
    asked: Asked,
    *,
    description: str = "",
    spent: int | None = None,
) -> dict[str, Any]:
    """The JSON body in one of the shapes.

    `spent`, in credits, is what `meta.usage` reports where a shape has it; `None` leaves it out.
    """
    if shape == "choices":
        return _choices(items, asked, description)
    if shape == "images":
        return {"images": [_image(item) for item in items], "description": description}
    body: dict[str, Any] = {"data": [_datum(item) for item in items]}
    if shape == "both":
        body = {"images": [_image(item) for item in items], **body}
    if description:
        body["description"] = description
    if spent is not None:
        usage = {"credits_used": spent, "usd_spent": spent / CREDITS_PER_USD}
        body["meta"] = {"usage": usage}
    return body


def _choices(items: Sequence[Item], asked: Asked, description: str) -> dict[str, Any]:
    choices: list[dict[str, Any]] = []
    for item in items:
        choice: dict[str, Any] = {"image_base64": item.b64}
        if item.url is not None:
            choice["url"] = item.url
        choices.append(choice)
    body: dict[str, Any] = {
        "status": "completed",
        "prompt": [asked.prompt],
        "model": asked.model.id,
        "model_owner": asked.model.developer,
        "tags": {},
        "num_returns": len(items),
        "args": {"num_images": asked.count, "aspect_ratio": asked.ratio},
        "subjobs": [],
        "output": {"choices": choices},
    }
    if description:
        body["description"] = description
    return body


def _image(item: Item) -> dict[str, Any]:
    image: dict[str, Any] = {
        "url": item.url,
        "content_type": item.content_type,
        "file_name": item.file_name,
        "file_size": item.file_size,
        "width": item.width,
        "height": item.height,
    }
    if item.b64 is not None:
        image["b64_json"] = item.b64
    return image


def _datum(item: Item) -> dict[str, Any]:
    return {"url": item.url, "b64_json": item.b64}
