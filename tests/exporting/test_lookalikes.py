"""Look-alikes are found exactly as by a look at all of them, without a look at all of them."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.exporting import lookalikes
from pipeline.exporting.lookalikes import BLOCK, DIFFERENCE, Lookalikes, best_fork
from pipeline.exporting.sources import Sources
from pipeline.pictures.checks.likeness import HASH_DISTANCE, Likeness


def near_each_other(count: int, *, seed: int, bases: int, levels: int, bits: int) -> list[Likeness]:
    """``count`` pictures, each one of a few, changed by up to so many levels and bits: on both
    sides of what counts as alike.
    """
    chance = np.random.default_rng(seed)
    cells = chance.integers(0, 256, (bases, 768))
    hashes = chance.integers(0, 2, (bases, 256))
    found = []
    for _ in range(count):
        one = int(chance.integers(bases))
        off = chance.integers(0, levels + 1)
        shown = (cells[one] + chance.integers(-off, off + 1, 768)).clip(0, 255).astype(np.uint8)
        flipped = hashes[one].copy()
        flipped[chance.choice(256, int(chance.integers(0, bits + 1)), replace=False)] ^= 1
        found.append(Likeness(b"", np.packbits(flipped).tobytes(), shown.tobytes()))
    return found


def by_a_look_at_all(pictures: list[Likeness]) -> Iterator[set[int]]:
    """Of each, those before it that look like it."""
    cells = np.array([np.frombuffer(one.cells, np.uint8) for one in pictures]).astype(int)
    hashes = np.array([np.frombuffer(one.hash, np.uint8) for one in pictures])
    for at in range(len(pictures)):
        apart = np.bitwise_count(hashes[:at] ^ hashes[at]).sum(axis=1)
        most = np.abs(cells[:at] - cells[at]).max(axis=1, initial=0)
        yield {int(n) for n in np.flatnonzero((apart <= HASH_DISTANCE) & (most <= DIFFERENCE))}


def tree() -> tuple[sqlite3.Connection, Lookalikes]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE sources (number INTEGER PRIMARY KEY, cells BLOB)")
    for statement in lookalikes.MADE:
        connection.execute(statement)
    return connection, Lookalikes(connection)


def add(connection: sqlite3.Connection, to: Lookalikes, number: int, one: Likeness) -> None:
    connection.execute("INSERT INTO sources VALUES (?, ?)", (number, one.cells))
    to.add(number, one)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bases=st.sampled_from([1, 2, 30, 400]),
    levels=st.sampled_from([2, 15, 30]),
    bits=st.sampled_from([10, 60]),
    again_at=st.integers(1, 499),
)
def test_the_tree_finds_what_a_look_at_all_finds(
    seed: int, bases: int, levels: int, bits: int, again_at: int
) -> None:
    pictures = near_each_other(500, seed=seed, bases=bases, levels=levels, bits=bits)
    connection, found = tree()
    for number, wanted in enumerate(by_a_look_at_all(pictures)):
        if number == again_at:
            found = Lookalikes(connection)  # as the next export opens it
        assert set(found.find(pictures[number])) == wanted
        add(connection, found, number, pictures[number])
    connection.close()


@pytest.mark.parametrize("first", [0, 3 * BLOCK], ids=["at once", "after many of one kind"])
def test_a_search_looks_at_few_of_many(first: int) -> None:
    """Also where the first hundreds all show nearly the same, and could not be told apart."""
    alike = near_each_other(first, seed=1, bases=1, levels=3, bits=256)
    pictures = alike + near_each_other(3_000, seed=2, bases=3_000, levels=0, bits=0)
    connection, found = tree()
    for number, one in enumerate(pictures):
        add(connection, found, number, one)
    looked_at = [
        sum(len(numbers) for numbers, _ in found._candidates(one.cells)) for one in pictures[-50:]
    ]
    assert max(looked_at) < len(pictures) / 4
    in_leaves = connection.execute("SELECT numbers FROM leaves").fetchall()
    hung = np.concatenate([np.frombuffer(numbers, "<u4") for (numbers,) in in_leaves])
    assert sorted(hung.tolist()) == list(range(len(pictures))), "each hangs there once"
    connection.close()


def test_pictures_that_cannot_be_told_apart_have_no_fork() -> None:
    cells = np.random.default_rng(0).integers(236, 256, (100, 768)).astype(np.int16)
    assert best_fork(cells) is None


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "sources.db"
    pictures = near_each_other(300, seed=5, bases=20, levels=15, bits=40)
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE sources (number INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, "
            "hash BLOB, cells BLOB, anchors TEXT NOT NULL) STRICT"
        )
        old.execute("PRAGMA user_version = 1")
        for number, one in enumerate(pictures[:-1]):
            row = (f"d{number}", one.hash, one.cells, f"anchor{number}")
            old.execute(
                "INSERT INTO sources (digest, hash, cells, anchors) VALUES (?, ?, ?, ?)", row
            )
        old.execute("INSERT INTO sources (digest, anchors) VALUES ('unreadable', 'unreadable')")
    old.close()
    *_, wanted = by_a_look_at_all(pictures)
    assert wanted, "else nothing is shown"
    with Sources(path) as sources:
        found = sources.anchors("new", lambda: pictures[-1])
        assert sources.anchors("d7", lambda: None) == ("anchor7",)
    assert set(found) == {f"anchor{number}" for number in wanted}
    with Sources(path) as again:
        assert again.anchors("new", lambda: None) == found


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "sources.db") as new:
        new.execute("PRAGMA user_version = 99")
    new.close()
    with pytest.raises(StoreError, match="written by a newer version"):
        Sources(tmp_path / "sources.db")
