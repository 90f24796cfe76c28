"""Choosing some of very many, the same for the same seed, whatever else is there.

Each candidate gets a rank from a hash of the seed and its own name, and the lowest ranks are
chosen. No rank depends on other candidates, so what is added later can only push out as many as it
brings, and sorting changes nothing. With weights: Efraimidis and Spirakis, "Weighted random
sampling with a reservoir" (2006), in its exponential form.
"""

import hashlib
import heapq
import math
from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted

_KEYS = ("total", "per_set", "seed")
_STEPS = 2**64


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """How many edits of a product are made. ``None``: all. ``per_set``: of one image set."""

    total: int | None = None
    per_set: int | None = None
    seed: str = "0"


def rank(seed: str, name: str, weight: float = 1.0) -> float:
    """Of one candidate: the lower, the sooner chosen. ``weight``: above 0."""
    digest = hashlib.blake2b(f"{seed}\x1e{name}".encode("utf-8", "surrogatepass"), digest_size=8)
    share = (int.from_bytes(digest.digest(), "big") + 0.5) / _STEPS
    return -math.log(share) / weight


def highest_chosen(ranks: Iterable[float], count: int) -> float:
    """The rank up to which ``count`` are chosen; infinite if there are no more than that.

    Holds ``count`` numbers, however many there are.
    """
    heap: list[float] = []
    more = False
    for each in ranks:
        if len(heap) < count:
            heapq.heappush(heap, -each)
        else:
            more = True
            if -each > heap[0]:
                heapq.heapreplace(heap, -each)
    return -heap[0] if more else math.inf


def read_sample(value: Any) -> Sample:
    """``count: 500``, or ``count: {total: 500, per_set: 2, seed: 7}``. Raises `RowError`."""
    if value is None:
        return Sample()
    if not isinstance(value, dict):
        return Sample(total=_count(value, "count"))
    for key in value:
        if key not in _KEYS:
            raise RowError(
                f"count: unknown key {quoted(key)}{did_you_mean(key, _KEYS)} (it has"
                f" {listed(_KEYS)})"
            )
    total, per_set = value.get("total"), value.get("per_set")
    if total is None and per_set is None:
        raise RowError("count: it says neither 'total' nor 'per_set' (count: {total: 500})")
    return Sample(
        total=None if total is None else _count(total, "count.total"),
        per_set=None if per_set is None else _count(per_set, "count.per_set"),
        seed=str(value.get("seed") or "0"),
    )


def read_weight(value: Any, name: str) -> float:
    """How often it is chosen, against 1. Raises `RowError`."""
    if value is None:
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise RowError(f"{name}: {quoted(value)} is no number above 0 (2 is twice as often as 1)")
    return weight


def _count(value: Any, name: str) -> int:
    text = str(value).strip()
    if text.isascii() and text.isdigit() and int(text[:12]) >= 1:
        return int(text[:12])
    raise RowError(f"{name}: {quoted(value)} is no whole number from 1")
