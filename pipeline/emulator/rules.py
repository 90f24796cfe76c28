"""What one field of a body may hold, and what the provider says when it does not.

The words are those of the validator that answers `Expected array, received string`.
A check takes a value and yields (sub-path, message) pairs; nothing yielded means valid.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

Complaint = tuple[str, str]
Check = Callable[[Any], Iterator[Complaint]]

_MAX_SIDE = 4096
"""Largest side that is drawn, in pixels: a guard of the emulator, not a documented limit."""


def kind_of(value: Any) -> str:
    """The JSON type of a decoded value, in the validator's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def wrong_kind(expected: str, value: Any) -> str:
    """`Expected X, received Y`."""
    return f"Expected {expected}, received {kind_of(value)}"


def text(max_length: int | None = None) -> Check:
    """A string, of at most `max_length` characters."""

    def check(value: Any) -> Iterator[Complaint]:
        if not isinstance(value, str):
            yield "", wrong_kind("string", value)
        elif max_length is not None and len(value) > max_length:
            yield "", f"String must contain at most {max_length} character(s)"

    return check


def flag() -> Check:
    """A boolean."""

    def check(value: Any) -> Iterator[Complaint]:
        if not isinstance(value, bool):
            yield "", wrong_kind("boolean", value)

    return check


def integer(least: int | None = None, most: int | None = None) -> Check:
    """A whole number within bounds, both inclusive."""

    def check(value: Any) -> Iterator[Complaint]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield "", wrong_kind("number", value)
        elif not math.isfinite(value) or value != int(value):
            yield "", "Expected integer, received float"
        elif least is not None and value < least:
            yield "", f"Number must be greater than or equal to {least}"
        elif most is not None and value > most:
            yield "", f"Number must be less than or equal to {most}"

    return check


def number() -> Check:
    """Any number."""

    def check(value: Any) -> Iterator[Complaint]:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield "", wrong_kind("number", value)

    return check


def choice(*allowed: str) -> Check:
    """One of some strings."""
    listed = " | ".join(f"'{one}'" for one in allowed)

    def check(value: Any) -> Iterator[Complaint]:
        if not isinstance(value, str):
            yield "", f"Expected {listed}, received {kind_of(value)}"
        elif value not in allowed:
            yield "", f"Invalid enum value. Expected {listed}, received '{value}'"

    return check


def size_or_name() -> Check:
    """`image_size`: a name, or an object with `width` and `height` in pixels."""
    side = integer(1, _MAX_SIDE)

    def check(value: Any) -> Iterator[Complaint]:
        if isinstance(value, str):
            return
        if not isinstance(value, dict):
            yield "", wrong_kind("object", value)
            return
        for name in ("width", "height"):
            if name not in value:
                yield f".{name}", "Required"
                continue
            for where, message in side(value[name]):
                yield f".{name}{where}", message

    return check
