"""The text of a description that a shop wrote in HTML."""

import re
from html import unescape

MAX_LENGTH = 5_000
"""Characters kept: descriptions in prompts are short, and each edit carries its own."""

_HIDDEN = re.compile(r"<(script|style)\b.{0,100000}?</\1\s*>", re.I | re.S)
_TAG = re.compile(r"<[^<>]{0,10000}>")


def plain_text(html: str) -> str:
    """Without tags, entities and repeated spaces."""
    if "<" in html:
        html = _TAG.sub(" ", _HIDDEN.sub(" ", html))
    if "&" in html:
        html = unescape(html)
    return " ".join(html[: 4 * MAX_LENGTH].split())[:MAX_LENGTH]
