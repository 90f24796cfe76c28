"""A run that writes back to back, and a person who decides: both get their turn."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from pipeline.ledger import open_decisions, turns
from pipeline.ledger.turns import Turn
from pipeline.models import Decision
from pipeline.stores.local import LocalShelf
from tests.ledger.samples import a_record, an_attempt, an_end, opened

posix = pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked there")

SLOW_COMMIT_S = 0.02
"""As of a disk whose flush takes so long."""


@posix
async def test_a_decision_waits_for_a_few_commits_of_a_busy_run_and_not_for_hundreds(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    ledger = opened(path)
    await ledger.record(a_record("shoe-0"))
    commits = 0

    def slow(statement: str) -> None:
        nonlocal commits
        if statement == "COMMIT":
            commits += 1
            time.sleep(SLOW_COMMIT_S)

    ledger._connection.set_trace_callback(slow)
    over = False
    numbers = iter(range(1, 1_000_000))

    async def member() -> None:
        while not over:
            n = next(numbers)
            await ledger.start_attempt(an_attempt(f"a{n}", edit_id=f"shoe-{n}"))
            await ledger.record(a_record(f"shoe-{n}"), attempt_id=f"a{n}", end=an_end())

    def decide() -> list[int]:
        waited = []
        decisions = open_decisions(path)
        assert decisions is not None
        with decisions:
            for word in ("approved", "rejected") * 5:
                time.sleep(1.5 * SLOW_COMMIT_S)  # to look at the next picture
                before = commits
                one = Decision(id="shoe-0", decision=word)
                assert decisions.apply([one], LocalShelf(tmp_path), now=0.0).changed == 1
                waited.append(commits - before)
        return waited

    crew = [asyncio.create_task(member()) for _ in range(8)]
    try:
        waited = await asyncio.to_thread(decide)
    finally:
        over = True
        await asyncio.gather(*crew)
        ledger.close()
    assert commits > 10, "the run went on meanwhile"
    assert max(waited) < 30, waited


@posix
def test_a_turn_is_one_writer_s_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE_S", 60.0)
    one, other = Turn(tmp_path), Turn(tmp_path)
    order = []

    def come_second() -> None:
        with other.taken():
            order.append("second")

    async def both() -> None:
        with one.taken():
            second = asyncio.create_task(asyncio.to_thread(come_second))
            await asyncio.sleep(0.03)
            order.append("first")
        await second

    asyncio.run(both())
    assert order == ["first", "second"]
    for turn in (one, other, one):
        turn.close()


@posix
def test_whoever_stands_still_with_the_turn_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped (Ctrl-Z) keeps its locks: a run must not hang for that."""
    monkeypatch.setattr(turns, "PATIENCE_S", 0.02)
    stopped, other = Turn(tmp_path), Turn(tmp_path)
    with stopped.taken():
        for _ in range(2):
            with other.taken():
                pass
        assert _is_held(tmp_path), "and its turn was not taken away"
    assert not _is_held(tmp_path)


def test_where_there_is_no_such_lock_it_is_everybody_s_turn(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "gone")
    with turn.taken():
        pass
    turn.close()


def _is_held(folder: Path) -> bool:
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
