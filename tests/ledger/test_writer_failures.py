"""Writes that fail: loudly, for those whom it concerns, and with the ledger as it was."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.errors import LedgerError
from pipeline.ledger import Ledger, open_reader
from tests.ledger.samples import a_record, an_attempt, an_end, change, opened, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = opened(path)
    yield ledger
    ledger.close()


@pytest.fixture
def other_writer(path: Path, ledger: Ledger) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection, which holds the ledger until it commits."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield connection
    connection.close()


async def test_a_ledger_that_stays_locked_fails_for_everybody_and_for_good(path: Path) -> None:
    ledger = opened(path, busy_timeout_s=0.01)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    outcomes = await asyncio.gather(
        *(ledger.record(a_record(f"shoe-{n}")) for n in range(5)), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [LedgerError] * 5
    blocker.execute("COMMIT")
    blocker.close()
    with pytest.raises(LedgerError, match="another process holds") as caught:
        await ledger.start_attempt(an_attempt())
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    for call in (
        lambda: ledger.end_attempt("a1", an_end()),
        lambda: ledger.remember_input("/in/a.jpg", 1, 1, "d"),
    ):
        with pytest.raises(LedgerError, match="another process holds"):
            call()
    ledger.close()
    assert read(path, "SELECT count(*) FROM edits") == [(0,)]


async def test_a_failure_that_nobody_awaited_is_raised_by_the_next_write(path: Path) -> None:
    ledger = opened(path)
    change(path, "DROP TABLE inputs")
    ledger.remember_input("/in/a.jpg", 1, 1, "d")
    with pytest.raises(LedgerError, match="no such table: inputs"):
        await ledger.record(a_record())
    with pytest.raises(LedgerError, match="no such table: inputs"):
        ledger.close()
    ledger.close()  # said once


async def test_a_row_that_cannot_be_written_harms_no_other(
    path: Path, ledger: Ledger, other_writer: sqlite3.Connection
) -> None:
    writes: list[Any] = [
        ledger.record(a_record("shoe-1")),
        ledger.start_attempt(an_attempt("a1")),
        ledger.start_attempt(an_attempt("a1")),  # the same id again: a bug
        ledger.record(msgspec.structs.replace(a_record("shoe-2"), attempts=2**70)),
        ledger.record(a_record("shoe-3")),
    ]
    waiting = asyncio.gather(*writes, return_exceptions=True)
    await asyncio.sleep(0)
    other_writer.execute("COMMIT")
    outcomes = await waiting
    assert [type(outcome) for outcome in outcomes] == [
        type(None),
        type(None),
        LedgerError,
        LedgerError,
        type(None),
    ]
    assert read(path, "SELECT id FROM edits ORDER BY id") == [("shoe-1",), ("shoe-3",)]


async def test_the_end_of_an_attempt_that_never_started_is_said_at_close(path: Path) -> None:
    ledger = opened(path)
    ledger.end_attempt("a1", an_end())
    await ledger.record(a_record())
    with pytest.raises(LedgerError, match=r"a1.*never started"):
        ledger.close()


async def test_a_closed_ledger_takes_nothing_more(path: Path) -> None:
    ledger = opened(path)
    ledger.close()
    with pytest.raises(LedgerError, match="closed already"):
        await ledger.record(a_record())
    with pytest.raises(LedgerError, match="closed already"):
        ledger.end_attempt("a1", an_end())


async def test_closing_does_not_wait_for_readers(path: Path) -> None:
    ledger = opened(path)
    await ledger.record(a_record("shoe-1"))
    with open_reader(path) as reader, reader.snapshot():
        assert reader.fingerprint_of("shoe-1") is not None
        await ledger.record(a_record("shoe-2"))
        ledger.close()
        assert reader.fingerprint_of("shoe-2") is None
    assert read(path, "SELECT count(*) FROM edits") == [(2,)]
