"""Kinds of values that several parts of a job state."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(B|[kKMG]B|[KMG]iB)?\s*").fullmatch
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_in_bytes(value: Any) -> Any:
    """``512MB`` as a number; what is no text is left to the next check. Raises `ValueError`."""
    if not isinstance(value, str):
        return value
    found = _SIZE(value)
    if found is None:
        raise ValueError(f"{value[:60]!r} is no size (512MB, 64MiB, or a number of bytes)")
    return int(float(found.group(1)) * _UNITS[(found.group(2) or "B").upper()])


Bytes = Annotated[int, BeforeValidator(size_in_bytes), Field(gt=0)]
