"""What an answer's document says: pictures, text, money. Pure; nothing here trusts a type."""

import math
import re
from collections.abc import Mapping
from typing import Any

from pipeline.models import CostSource

CREDITS_PER_USD = 2_000_000

_TEXT_KEYS = ("description", "text", "content", "message", "refusal", "revised_prompt")
_REASON_KEYS = ("finish_reason", "finishReason", "block_reason", "blockReason")
_REFUSAL = re.compile(
    r"\b(safety|polic(y|ies)|moderat\w+|prohibit\w*|nsfw|harmful|explicit|sexual\w*|inappropriate"
    r"|content[ _]filter\w*|guidelines?|violat\w+|refus\w+|block(ed|list)"
    r"|(can ?not|can['’]?t|unable to|not able to|won['’]?t)\s+(\w+\s+)?"
    r"(help|assist|generate|create|edit|fulfil+|process|produce|comply|depict))\b",
    re.IGNORECASE,
)


def find_images(document: Any) -> list[str]:
    """The pictures' texts, in the provider's order: base64, data URIs and URLs alike.

    The first list of ``images``, ``data`` and ``output.choices`` that holds any picture is taken,
    never two: a document may say the same thing twice. Of an item the first that is not empty of
    ``b64_json``, ``image_base64`` and ``url`` counts.
    """
    if not isinstance(document, dict):
        return _texts(document) if isinstance(document, list) else []
    output = document.get("output")
    choices = output.get("choices") if isinstance(output, dict) else output
    for items in (document.get("images"), document.get("data"), choices):
        if found := _texts(items):
            return found
    return []


def _texts(items: Any) -> list[str]:
    if isinstance(items, dict | str):
        items = [items]
    if not isinstance(items, list):
        return []
    return [text for item in items if (text := _text_of(item))]


def _text_of(item: Any) -> str:
    if isinstance(item, str):
        return item.strip()
    if isinstance(item, dict):
        for key in ("b64_json", "image_base64", "url"):
            value = item.get(key)
            if isinstance(value, dict):  # {"url": {"url": …}}, as chat answers nest it
                value = value.get("url")
            if isinstance(value, str) and value.strip():
                return value.strip()
    return ""


def answer_text(document: Any) -> str:
    """What the answer says in words: its description, or a refusal's reason; '' if nothing."""
    if not isinstance(document, dict):
        return ""
    output = document.get("output")
    choices = output.get("choices") if isinstance(output, dict) else None
    places: list[Any] = [document, output]
    for items in (document.get("images"), document.get("data"), choices):
        if isinstance(items, list):
            places += items
    found: dict[str, None] = {}  # a set that keeps its order
    for place in places:
        if isinstance(place, dict):
            for key in _TEXT_KEYS:
                if value := place.get(key):
                    found.update(dict.fromkeys(_words(value)))
            for key in _REASON_KEYS:
                if value := place.get(key):
                    found.update((reason.replace("_", " "), None) for reason in _words(value))
    return " ".join(found)


def _words(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else [value]
    return [part.strip() for part in parts if isinstance(part, str) and part.strip()]


def speaks_of_refusal(text: str) -> bool:
    """Whether words like "safety", "policy" or "can't help" say that moderation refused.

    Names of parameters (``safety_tolerance``) do not count: a validation error names them too.
    """
    return _REFUSAL.search(text) is not None


def stated_cost(document: Any, headers: Mapping[str, str]) -> tuple[float | None, CostSource]:
    """US dollars as the provider states them: by header, else in ``meta.usage``; else ``None``.

    What is negative, not finite or no number counts as not stated.
    """
    usage: Any = document
    for key in ("meta", "usage"):
        usage = usage.get(key) if isinstance(usage, dict) else None
    body = usage if isinstance(usage, dict) else {}
    stated: tuple[tuple[Any, float, CostSource], ...] = (
        (headers.get("x-aimlapi-usd-spent"), 1, "header"),
        (headers.get("x-aimlapi-credits-used"), CREDITS_PER_USD, "header"),
        (body.get("usd_spent"), 1, "body"),
        (body.get("credits_used"), CREDITS_PER_USD, "body"),
    )
    for value, per_usd, source in stated:
        amount = _amount(value)
        if amount is not None:
            return amount / per_usd, source
    return None, "none"


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except (ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None
