"""SQLite's errors, translated once: by result code, into what happened and the way out."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from pipeline.errors import LedgerError

_DAMAGED = (
    "the ledger is damaged ({name}: {text})",
    "keep a copy of it and of the '-wal' file beside it, then try "
    "`sqlite3 {path} .recover | sqlite3 recovered.db` and put the result in its place; "
    "without a ledger every edit is asked for, and paid, again",
)
_BUSY = (
    "another process holds the ledger ({text})",
    "close whatever has it open for writing (another run, a database browser) and run again",
)
_DENIED = (
    "the ledger cannot be opened or written ({name}: {text})",
    "check that the file and its folder belong to you and are writable",
)
_FAULTS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        sqlite3.SQLITE_FULL: (
            "no space is left for the ledger ({text})",
            "free some space and run the same command again: what was recorded stays",
        ),
        sqlite3.SQLITE_IOERR: (
            "the disk reported an error ({name}: {text})",
            "check the disk, its free space and any file size limit, then run again: "
            "what was recorded stays",
        ),
        sqlite3.SQLITE_BUSY: _BUSY,
        sqlite3.SQLITE_LOCKED: _BUSY,
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_NOTADB: _DAMAGED,
        sqlite3.SQLITE_READONLY: _DENIED,
        sqlite3.SQLITE_PERM: _DENIED,
        sqlite3.SQLITE_CANTOPEN: _DENIED,
    }
)
_UNFORESEEN = (
    "{name}: {text}",
    "run again; if it happens again, report it together with this message",
)


def ledger_error(path: Path, error: Exception) -> LedgerError:
    """What a `sqlite3.Error` or `OSError` on this ledger means, with the way out."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None and isinstance(error, OSError):
        problem, way_out = _DENIED
    else:
        # The low byte is the kind; what is above it only says in which call it happened.
        problem, way_out = _FAULTS.get((code or 0) & 0xFF, _UNFORESEEN)
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    message = f"{{path}}: {problem}: {way_out}"
    failure = LedgerError(message.format(name=name, text=error, path=path))
    failure.__cause__ = error
    return failure


@contextmanager
def mapped_errors(path: Path) -> Iterator[None]:
    """Turns SQLite's and the file system's errors into `LedgerError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ledger_error(path, error) from error
