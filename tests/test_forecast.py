"""Time left, held against histories whose end is known."""

import heapq
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from pipeline.forecast import BINS, History, Steady, tail_s, time_left

Latency = Callable[[Random, float], float]


def lognormal(median_s: float, spread: float) -> Latency:
    return lambda rng, at: median_s * math.exp(rng.gauss(0, spread))


def simulated(
    rng: Random,
    *,
    edits: int,
    concurrency: int,
    latency: Latency,
    failing: float = 0.0,
    per_minute: float | None = None,
    outages: tuple[tuple[float, float], ...] = (),
    ramp: float = math.inf,
) -> list[tuple[float, float]]:
    """When each edit of a run ended, and how long it took: a queue, places, retries, a rate."""
    fresh = list(range(edits))[::-1]
    waiting: list[tuple[float, int]] = []
    flying: list[tuple[float, int]] = []
    began: dict[int, float] = {}
    tries: dict[int, int] = {}
    ends = []
    at = opens = 0.0
    while fresh or waiting or flying:
        places = min(concurrency, int(2 + ramp * at) if ramp < math.inf else concurrency)
        due = bool(waiting) and waiting[0][0] <= at
        down = next((end for start, end in outages if start <= at < end), None)
        if (due or fresh) and len(flying) < places and at >= opens and down is None:
            edit = heapq.heappop(waiting)[1] if due else fresh.pop()
            began.setdefault(edit, at)
            heapq.heappush(flying, (at + latency(rng, at), edit))
            if per_minute:
                opens = max(opens, at) + 60 / per_minute
            continue
        later = [flying[0][0]] if flying else []
        later += [waiting[0][0]] if waiting and not due else []
        later += [down] if down is not None else []
        later += [opens] if opens > at else []
        later += [at + 1] if places < concurrency else []
        at = min(later)
        while flying and flying[0][0] <= at:
            edit = heapq.heappop(flying)[1]
            tries[edit] = tries.get(edit, 0) + 1
            if rng.random() < failing and tries[edit] < 6:
                wait = 2.0 ** tries[edit] * rng.uniform(0.5, 1.5)
                heapq.heappush(waiting, (at + wait, edit))
            else:
                ends.append((at, at - began[edit]))
    return ends


def outages(rng: Random) -> tuple[tuple[float, float], ...]:
    found, at = [], 0.0
    while at < 20_000:
        start = at + rng.expovariate(1 / 400)
        at = start + rng.uniform(10, 90)
        found.append((start, at))
    return tuple(found)


def history(kind: str, rng: Random) -> list[tuple[float, float]]:
    edits, concurrency = rng.choice([60, 200, 600]), rng.choice([4, 16, 32])
    match kind:
        case "uneven":
            options = {"latency": lognormal(12, 0.9)}
        case "in step":
            options = {"latency": lambda rng, at: 12 + 0.2 * rng.random()}
        case "retries":
            options = {"latency": lognormal(12, 0.3), "failing": 0.25}
        case "rate":
            options = {"latency": lognormal(12, 0.3), "per_minute": 30}
        case "outages":
            options = {"latency": lognormal(12, 0.4), "outages": outages(rng)}
        case "ramp":
            options = {"latency": lognormal(12, 0.3), "ramp": 0.5}
        case _:
            options = {"latency": lognormal(12, 0.3)}
    return simulated(rng, edits=edits, concurrency=concurrency, **options)  # type: ignore[arg-type]


def forecasts(
    ends: list[tuple[float, float]], *, looks: int
) -> Iterator[tuple[float, tuple[float, float]]]:
    """The time, and what was forecast then."""
    seen, steady, durations = History(), Steady(), []
    number, end = 0, ends[-1][0]
    for look in range(looks):
        at = end * look / looks
        while ends[number][0] <= at:
            seen.add(ends[number][0])
            durations.append(ends[number][1])
            number += 1
        left = len(ends) - number
        slowest_s = tail_s(durations[-200:], left)
        found = steady.shown(time_left(left, seen, at=at, tail_s=slowest_s), at=at)
        if found is not None:
            yield at, found


@pytest.mark.parametrize(
    "kind", ["steady", "uneven", "in step", "retries", "rate", "outages", "ramp"]
)
def test_the_true_end_lies_in_the_range_four_times_out_of_five(kind: str) -> None:
    hits = total = 0
    for seed in range(12):
        ends = history(kind, Random(f"{kind} {seed}"))
        for at, (low, high) in forecasts(ends, looks=120):
            total += 1
            hits += low <= ends[-1][0] - at <= high
    assert total > 1000
    assert hits / total >= 0.8, f"{hits} of {total}"


def test_a_range_is_narrow_enough_to_plan_with() -> None:
    """Halfway through an hour's steady run the slow end is at most one and a half of the fast."""
    ends = simulated(Random(1), edits=4800, concurrency=16, latency=lognormal(12, 0.3))
    [(low, high)] = [
        found for at, found in forecasts(ends, looks=200) if at == ends[-1][0] * 100 / 200
    ]
    assert high / low < 1.5


@pytest.mark.parametrize("kind", ["steady", "in step", "retries", "rate"])
def test_it_does_not_jump_about(kind: str) -> None:
    """From one second to the next an end moves by less than a fifth of what is left."""
    options: dict[str, Any] = {
        "steady": {"latency": lognormal(12, 0.3)},
        "in step": {"latency": lambda rng, at: 12 + 0.2 * rng.random()},
        "retries": {"latency": lognormal(12, 0.3), "failing": 0.25},
        "rate": {"latency": lognormal(12, 0.3), "per_minute": 30},
    }[kind]
    ends = simulated(Random(7), edits=250, concurrency=8, **options)
    looked = list(forecasts(ends, looks=int(ends[-1][0])))
    moves = []
    for (at, before), (later, after) in pairwise(looked):
        for one, other in zip(before, after, strict=True):
            moves.append(abs((later + other) - (at + one)) / max(one, 20))
    assert len(moves) > 100
    assert sorted(moves)[int(0.99 * len(moves))] < 0.2


def test_little_is_not_enough_to_say_anything() -> None:
    seen = History()
    assert time_left(100, seen, at=5.0) is None
    for second in range(5):
        seen.add(float(second))
    assert time_left(100, seen, at=5.0) is None


def test_nothing_left_is_no_time_left() -> None:
    assert time_left(0, History(), at=1.0) == (0.0, 0.0)


def test_it_is_never_better_than_the_stated_rates_allow() -> None:
    seen = History()
    for number in range(600):
        seen.add(number / 10)  # ten a second so far
    found = time_left(100, seen, at=60.0, least_s=600.0)
    assert found is not None
    assert found[0] >= 600.0
    assert found[1] >= 600.0


def test_a_learned_rate_bounds_the_slow_end_only() -> None:
    seen = History()
    for number in range(600):
        seen.add(number / 10)
    found = time_left(100, seen, at=60.0, paced_s=600.0)
    assert found is not None
    assert found[0] < 60 < 600 <= found[1]


def test_a_history_of_days_stays_small_and_whole() -> None:
    seen = History()
    for number in range(200_000):
        seen.add(number * 2.0)
    counts = seen.counts(400_000.0, blocks=4, seconds=400_000.0)
    assert sum(counts) == pytest.approx(199_999)
    assert counts == pytest.approx([50_000] * 4, rel=0.01)
    assert len(seen._bins) <= BINS


def test_a_shown_range_follows_little_by_little() -> None:
    steady = Steady()
    assert steady.shown((100.0, 200.0), at=0.0) == (100.0, 200.0)
    followed = steady.shown((300.0, 400.0), at=1.0)
    assert followed is not None
    assert 99 < followed[0] < 130, "one second later it has moved a little only"
    much_later = steady.shown((300.0, 400.0), at=200.0)
    assert much_later == pytest.approx((300.0, 400.0), abs=1.0)
