"""A ledger that an older version of the program left, opened by today's."""

import sqlite3
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger import open_decisions, open_reader
from pipeline.ledger.schema import MIGRATIONS
from pipeline.ledger.view import FIXED
from pipeline.models import Decision
from tests.ledger.samples import a_record, an_edit, opened, read

OLD = Path(__file__).with_name("version_1.sql")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """As version 1 left it: three edits, one of them without its answer, one attempt left open."""
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text())
    connection.close()
    assert read(path, "PRAGMA user_version") == [(1,)]
    return path


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    tables = ("attempts", "images", "inputs", "meta", "runs")
    return {table: read(path, f"SELECT * FROM {table}") for table in tables}


def test_everything_is_kept(path: Path) -> None:
    before = contents(path)
    edits = read(path, "SELECT * FROM edits")
    opened(path).close()
    assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert contents(path) == before
    assert read(path, "SELECT * FROM edits") == [(*row, "", "") for row in edits]
    assert len(edits) == 3


def test_a_reader_brings_it_up_to_date_and_reads(path: Path) -> None:
    reader = open_reader(path)
    assert reader is not None
    with reader:
        assert reader.fingerprint_of("shoe-0") == ("f" * 64, "succeeded")
        assert reader.fingerprint_of("shoe-1") == ("f" * 64, "refused")
        assert [attempt.id for attempt in reader.open_attempts()] == ["run-1.9"]
        assert reader.takes_of("shoe-0") == ()
        assert [*reader.decisions()] == []
        assert [row["id"] for row in reader.results()] == ["shoe-0", "shoe-1", "shoe-2"]


def test_a_manifest_column_gives_its_name_to_what_the_view_has_now(path: Path) -> None:
    old = read(path, "SELECT * FROM results LIMIT 1")
    reader = open_reader(path)
    assert reader is not None
    with reader:
        assert reader.columns() == (*FIXED, "colour", "row_note", "row_Decision")
        row = next(reader.results())
    assert tuple(row.values())[: len(old[0]) - 3] == old[0][:-3]
    assert (row["row_note"], row["row_Decision"], row["note"]) == ("row 0", "x", None)


async def test_a_new_record_finds_its_old_columns(path: Path) -> None:
    ledger = opened(path)
    edit = an_edit("new", variables={"note": "mine", "colour": "blue"}, place="shoes.csv:9")
    await ledger.record(a_record(edit=edit))
    ledger.close()
    reader = open_reader(path)
    assert reader is not None
    with reader:
        *_, last = reader.results()
    assert (last["row_note"], last["colour"]) == ("mine", "blue")


def test_decisions_open_it_too(path: Path) -> None:
    decisions = open_decisions(path)
    assert decisions is not None
    with decisions:
        applied, wrong = decisions.preview([Decision(id="shoe-0", decision="approved")])
    assert (applied.approved, wrong) == (1, ())
    assert "decision" in [row[1] for row in read(path, "PRAGMA table_info(results)")]


def test_where_it_cannot_be_written_a_reader_says_so(path: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(LedgerError):
            _read_at_once(path)
    finally:
        connection.close()
    assert read(path, "PRAGMA user_version") == [(1,)]


def _read_at_once(path: Path) -> None:
    import pipeline.ledger.opening as opening

    patience, opening.BUSY_READER_S = opening.BUSY_READER_S, 0.05
    try:
        open_reader(path)
    finally:
        opening.BUSY_READER_S = patience
