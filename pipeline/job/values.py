"""Kinds of values that several parts of a job state."""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(B|[kKMG]B|[KMG]iB)?\s*").fullmatch
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Part(BaseModel):
    """A part of a job: frozen, its keys known. A complaint never quotes what the file says: it may
    hold a key.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),  # `model` and `models` are words of ours
    )


def as_list(value: Any) -> Any:
    """A single value is short for a list of it."""
    return value if isinstance(value, list | tuple) else [value]


def size_in_bytes(value: Any) -> Any:
    """``512MB`` as a number; what is no text is left to the next check. Raises `ValueError`."""
    if not isinstance(value, str):
        return value
    found = _SIZE(value)
    if found is None:
        raise ValueError(f"{value[:60]!r} is no size (512MB, 64MiB, or a number of bytes)")
    return int(float(found.group(1)) * _UNITS[(found.group(2) or "B").upper()])


Bytes = Annotated[int, BeforeValidator(size_in_bytes), Field(gt=0)]
