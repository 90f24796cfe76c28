"""Text and JSON as SQLite can keep them, show them whole and give them back."""

from typing import Any

import msgspec


def clean(text: str) -> str:
    """The text with U+FFFD for every NUL and ``?`` for every lone surrogate."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def cleaned(value: Any) -> Any:
    """The same for all the text in a value of dicts, lists and tuples."""
    match value:
        case str():
            return clean(value)
        case dict():
            return {cleaned(key): cleaned(item) for key, item in value.items()}
        case list() | tuple():
            return type(value)(cleaned(item) for item in value)
        case _:
            return value


def json_text(value: Any) -> str:
    """A value as JSON. Raises `TypeError` for what JSON has no word for."""
    try:
        text = msgspec.json.encode(value).decode("utf-8")
    except UnicodeEncodeError:
        text = msgspec.json.encode(cleaned(value)).decode("utf-8")
    if "\\u0000" in text:  # SQLite's JSON functions would end the text there
        text = msgspec.json.encode(cleaned(value)).decode("utf-8")
    return text
