import errno
import sqlite3
from pathlib import Path

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger.faults import ledger_error, mapped_errors

PATH = Path("outputs/catalog/ledger.db")


def test_a_full_disk_is_called_that_with_the_way_out(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "small.db", isolation_level=None)
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 3")  # SQLite's answer is that of a full disk
    words = r"no space is left.*free some space"
    with pytest.raises(LedgerError, match=words) as caught, mapped_errors(PATH):
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (sqlite3.SQLITE_FULL, "no space is left"),
        (sqlite3.SQLITE_IOERR, "the disk reported an error"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk reported an error"),
        (sqlite3.SQLITE_BUSY, "another process holds"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "another process holds"),
        (sqlite3.SQLITE_LOCKED, "another process holds"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_CORRUPT_INDEX, "damaged"),
        (sqlite3.SQLITE_NOTADB, "damaged"),
        (sqlite3.SQLITE_READONLY, "cannot be opened or written"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "cannot be opened or written"),
        (sqlite3.SQLITE_PERM, "cannot be opened or written"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened or written"),
        (sqlite3.SQLITE_ERROR, "report it"),
        (sqlite3.SQLITE_NOMEM, "report it"),
    ],
)
def test_every_kind_of_error_names_place_problem_and_way_out(code: int, words: str) -> None:
    error = sqlite3.OperationalError("what {SQLite} says")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_X"
    message = str(ledger_error(PATH, error))
    assert message.startswith(f"{PATH}: ")
    assert words in message
    assert "what {SQLite} says" in message


def test_an_error_of_the_file_system_is_a_ledger_error() -> None:
    with pytest.raises(LedgerError, match="Permission denied"), mapped_errors(PATH):
        raise PermissionError(errno.EACCES, "Permission denied", "outputs")


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), mapped_errors(PATH):
        raise KeyError("a bug")
