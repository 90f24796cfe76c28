"""An answer with a 2xx status: which shape, which payload, which headers, what is wrong with it."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from pipeline.emulator.bill import CREDITS_PER_USD
from pipeline.emulator.faults import Decision
from pipeline.emulator.hosting import Hosted
from pipeline.emulator.pictures import MIME, Picture
from pipeline.emulator.png import blank_png, plain_png
from pipeline.emulator.profile import Profile
from pipeline.emulator.shapes import DOCUMENTED_STATUS, Item, body_of
from pipeline.emulator.validate import Asked
from pipeline.emulator.world import Seen, World

_REFUSAL_TEXT = (
    "I can't help with this edit: it was blocked by the safety policy because it may show "
    "prohibited content. Try another prompt or another picture."
)
_NOT_A_PICTURE = b"<html><body>The requested picture could not be rendered.</body></html>\n" * 8
_LINE = 76


def trace_headers(world: World, seen: Seen) -> dict[str, str]:
    """The headers that tie an answer to the logs."""
    headers: dict[str, str] = {}
    if world.profile.inference_id_header and seen.inference_id:
        headers["x-inference-id"] = seen.inference_id
    if seen.client_request_id is not None:
        headers["x-client-request-id"] = seen.client_request_id
    return headers


def without_pictures(world: World, seen: Seen, asked: Asked, decision: Decision) -> web.Response:
    """A success status, and no picture: text only, an empty list, or nulls."""
    profile, dice = world.profile, decision.dice
    items: list[Item] = []
    if decision.fault == "null_picture":
        items = [Item(width=asked.size[0], height=asked.size[1]) for _ in range(asked.count)]
    refused = decision.fault == "refused_200_text"
    shape = _weighted(dice, profile.shapes)
    body = body_of(
        shape,
        items,
        asked,
        description=_REFUSAL_TEXT if refused else "",
        spent=0 if profile.usage_meta else None,
    )
    return _response(world, seen, shape, body, spent=0, dice=dice)


def with_pictures(
    world: World,
    seen: Seen,
    asked: Asked,
    decision: Decision,
    pictures: Sequence[Picture],
    spent: int,
) -> web.Response:
    """The pictures in one of the shapes, spoilt as the fault wants it."""
    profile, dice, fault = world.profile, decision.dice, decision.fault
    shape = _weighted(dice, profile.shapes)
    payload = _payload(profile, asked, fault, dice)
    if fault == "identical_pictures":
        pictures = [pictures[0]] * len(pictures)
    elif fault == "no_op_edit":
        pictures = [_unedited(asked) or pictures[0]] * len(pictures)
    elif fault in ("blank_picture", "wrong_shape", "repeated_picture"):
        pictures = [_wrong(fault, asked, index) for index in range(len(pictures))]
    items = [_item(world, picture, payload, fault, dice) for picture in pictures]
    body = body_of(
        shape,
        items,
        asked,
        description="" if shape != "images" else "Here is the edited picture.",
        spent=spent if profile.usage_meta else None,
    )
    answer = _response(world, seen, shape, body, spent=spent, dice=dice)
    if fault == "wrong_content_type":
        answer.content_type = "text/plain"
    return answer


def _response(
    world: World,
    seen: Seen,
    shape: str,
    body: dict[str, Any],
    *,
    spent: int,
    dice: random.Random,
) -> web.Response:
    headers = trace_headers(world, seen)
    if world.profile.cost_headers:
        headers["x-aimlapi-credits-used"] = str(spent)
        headers["x-aimlapi-usd-spent"] = f"{spent / CREDITS_PER_USD:.6f}".rstrip("0").rstrip(".")
    wanted = world.profile.status
    if wanted == "documented":
        status = DOCUMENTED_STATUS[shape]
    else:
        status = dice.choice((200, 201)) if wanted == "mixed" else wanted
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        headers=headers,
        content_type="application/json",
    )


def _payload(profile: Profile, asked: Asked, fault: str | None, dice: random.Random) -> str:
    """`base64`, `url`, or `twice` for both of them in one item."""
    if fault in ("expired_url", "slow_download"):
        return "url"
    if fault == "bad_base64":
        return "base64"
    if asked.option("response_format") is not None:
        return "url" if asked.option("response_format") == "url" else "base64"
    converted = asked.option("convert_base64_to_url")
    if converted is not None:
        return "url" if converted else "base64"
    if profile.payload == "mixed":
        return dice.choice(("base64", "url", "twice"))
    return profile.payload


def _item(
    world: World, picture: Picture, payload: str, fault: str | None, dice: random.Random
) -> Item:
    data = _NOT_A_PICTURE if fault == "not_a_picture" else picture.data
    # The name says PNG whatever it is, as the real one does; the type is true unless it is
    # the fault to lie.
    mime = picture.mime if fault != "wrong_content_type" else _another(picture.mime)
    url = b64 = None
    if payload in ("url", "twice"):
        lifetime = 0.0 if fault == "expired_url" else world.profile.url_expires_s
        hosted = Hosted(
            data=data,
            content_type="application/octet-stream" if fault == "wrong_content_type" else mime,
            expires_at=world.clock() + lifetime,
            slow=fault == "slow_download",
        )
        url = world.pictures_url + world.hosting.put(hosted)
    if payload in ("base64", "twice"):
        b64 = _encoded(data, picture.mime, world.profile, dice, spoilt=fault == "bad_base64")
    return Item(
        url=url,
        b64=b64,
        content_type=mime,
        file_size=len(data),
        width=picture.width,
        height=picture.height,
    )


def _encoded(data: bytes, mime: str, profile: Profile, dice: random.Random, *, spoilt: bool) -> str:
    import pybase64

    text = pybase64.b64encode(data).decode("ascii")
    if dice.random() < profile.b64_whitespace:
        text = "\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE)) + "\n"
    if spoilt:
        # Characters that are in no base64 alphabet, and a length that no base64 has.
        middle = len(text) // 2
        text = text[:middle] + "*!?" + text[middle + 2 :]
    if dice.random() < profile.b64_prefix:
        text = f"data:{mime};base64,{text}"
    return text


def _unedited(asked: Asked) -> Picture | None:
    first = next((one for one in asked.inputs if one.data is not None), None)
    if first is None or first.data is None:
        return None
    return Picture(first.data, first.mime or "image/png", first.width, first.height)


def _wrong(fault: str, asked: Asked, index: int) -> Picture:
    size = _otherwise(asked.size) if fault == "wrong_shape" else asked.size
    if fault == "blank_picture":
        data = blank_png(size)
    else:
        data = plain_png(size, f"{asked.key if fault == 'wrong_shape' else fault}|{index}")
    return Picture(data, "image/png", *size)


def _otherwise(size: tuple[int, int]) -> tuple[int, int]:
    """A size of the other orientation; of a square one, wide."""
    width, height = size
    return (height, width) if width != height else (width * 3 // 2, height * 2 // 3)


def _another(mime: str) -> str:
    return next(other for other in MIME.values() if other != mime)


def _weighted(dice: random.Random, weights: Any) -> str:
    names = list(weights)
    return str(dice.choices(names, [weights[name] for name in names])[0])
