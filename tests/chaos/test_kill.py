"""SIGKILL at random moments. `make chaos` does the same with 100 kills."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.chaos.killing import (
    CONCURRENCY,
    asked_of,
    kill_and_judge,
    wrong_money,
    wrong_pictures,
)
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")


def test_kills_lose_nothing_and_what_is_paid_twice_is_named(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.1, "sigma": 0.5})
    control = emulator(pictures="plain")
    found = kill_and_judge(shop, endpoint, control, edits=80, kills=6, seed=3)
    assert found.problems == ()
    assert (found.kills, found.edits, found.records, found.lost) == (6, 80, 80, 0)
    assert found.asked_again == 0, "what has succeeded is not asked for again"
    assert found.billed_usd == pytest.approx(found.ledger_usd)
    assert 0 < found.paid_twice <= found.open_at_kills
    assert found.unknown == found.reconciled == found.open_at_kills
    # A request under way holds a place, or its picture is being stored by one of the crew.
    assert found.most_open <= 2 * CONCURRENCY
    the_judge_would_have_seen_it(shop, endpoint)


def the_judge_would_have_seen_it(shop: Shop, endpoint: RunningEmulator) -> None:
    """Two pictures change places; an attempt is forgotten, as if nobody had paid for it."""
    undisturbed = Shop(shop.folder.parent / "undisturbed")
    first, second = (shop.outputs / "images" / f"e{n}.png" for n in (1, 2))
    data = first.read_bytes(), second.read_bytes()
    second.write_bytes(data[0])
    first.write_bytes(data[1])
    whole, problems = wrong_pictures(shop, undisturbed, asked_of(endpoint))
    assert (whole, len(problems)) == (78, 2)
    with closing(sqlite3.connect(shop.outputs / "ledger.db")) as connection, connection:
        [(name,)] = connection.execute("SELECT min(id) FROM attempts WHERE cost_usd > 0")
        connection.execute("UPDATE attempts SET cost_usd = 0 WHERE id = ?", [name])
        connection.execute("UPDATE edits SET id = 'gone' WHERE id = 'e3'")
    assert name in "".join(wrong_money(shop, endpoint, at_kills=set(), unknown=set(), named=set()))
    assert wrong_pictures(shop, undisturbed, asked_of(endpoint))[0] == 77
