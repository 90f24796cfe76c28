"""Opening a ledger to write or to read: what has to be true of the file before anybody does."""

import sqlite3
from pathlib import Path

from pipeline.errors import ConfigError, LedgerError
from pipeline.ledger.decisions import Decisions
from pipeline.ledger.faults import ledger_error, mapped_errors
from pipeline.ledger.queries import LedgerReader
from pipeline.ledger.schema import MIGRATIONS, OLDEST_SQLITE, migrate, version_of
from pipeline.ledger.statements import CACHED_STATEMENTS
from pipeline.ledger.view import known_columns, make_view
from pipeline.ledger.writer import Ledger

CACHE_KIB = 16_384
"""Page cache of one connection. More gained nothing with a million edits."""

CHECKPOINT_PAGES = 4_000
"""16 MB of '-wal' file before its pages move to the ledger: a fsync of both, so not too often."""

BUSY_READER_S = 10.0
"""How long a reader waits for a writer that keeps it from looking: after a crash, for a moment."""

_NO_LOG_CAN_BE_MADE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def open_ledger(
    path: Path, *, origin: str | None, accept_origin: bool = False, busy_timeout_s: float = 30.0
) -> Ledger:
    """Opens the ledger to write, and makes it, with its folder, if there is none. Blocks.

    ``origin`` is the endpoint's: a ledger belongs to one, and the ledger of another is refused
    with `ConfigError`, unless ``accept_origin`` says that from now on it belongs to this one.
    ``None``: no endpoint will be asked, whoever it belongs to.
    ``busy_timeout_s``: how long a write waits for other processes. Raises `LedgerError` for a
    ledger that is damaged, of a newer program, or cannot be written.
    """
    with mapped_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = _writable(path, busy_timeout_s)
        try:
            _claim(connection, path, origin, accept_origin)
            return Ledger(connection, path)
        except BaseException:
            connection.close()
            raise


def open_decisions(
    path: Path, *, longest_prompt: int | None = None, busy_timeout_s: float = 30.0
) -> Decisions | None:
    """Opens the ledger to write what people decide, also while a run writes; ``None`` if there is
    none yet. Blocks.

    ``longest_prompt``: characters that the model takes. ``busy_timeout_s``: how long a write waits
    for the run's. Raises `LedgerError`.
    """
    with mapped_errors(path):
        if not path.is_file():
            return None
        return Decisions(_writable(path, busy_timeout_s), path, longest_prompt=longest_prompt)


def open_reader(path: Path) -> LedgerReader | None:
    """Opens the ledger to read; ``None`` if there is none yet. Blocks.

    Works while a run writes, and in a folder that cannot be written if the ledger was closed
    cleanly. A ledger of an older version is brought up to date. Raises `LedgerError` for one that
    is damaged, of a newer version, or older where it cannot be written.
    """
    with mapped_errors(path):
        if not path.is_file():
            return None
    connection = _read_only(path)
    try:
        with mapped_errors(path):
            version = version_of(connection, path)
            if 0 < version < len(MIGRATIONS):
                connection.close()
                _bring_up_to_date(path, version)
                connection = _read_only(path)
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute("PRAGMA query_only = ON")
        if version == 0:  # a run is just about to make it
            connection.close()
            return None
    except BaseException:
        connection.close()
        raise
    return LedgerReader(connection, path)


def _writable(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """Today's schema, and every commit flushed to the disk."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise LedgerError(
            f"{path}: this Python has SQLite {sqlite3.sqlite_version} and the ledger needs "
            f"{'.'.join(map(str, OLDEST_SQLITE))}: use a newer Python"
        )
    connection = sqlite3.connect(
        path,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
    )
    try:
        version_of(connection, path)  # what is refused is left untouched
        _settings(connection, path)
        migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _bring_up_to_date(path: Path, version: int) -> None:
    try:
        with mapped_errors(path):
            _writable(path, BUSY_READER_S).close()
    except LedgerError as error:
        raise LedgerError(
            f"{path}: the ledger has the older schema version {version}, and it could not be"
            f" brought up to date: {error}"
        ) from error


def _settings(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerError(
            f"{path}: SQLite cannot use its write-ahead log here (it says {mode!r}): "
            "choose an outputs.directory on a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync stops at the drive's cache
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")


def _claim(connection: sqlite3.Connection, path: Path, origin: str | None, accept: bool) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'origin'").fetchone()
        if row and origin is not None and row[0] != origin and not accept:
            raise ConfigError(
                f"{path}: this ledger belongs to {row[0]} and the job now goes to {origin}: "
                "choose another outputs.directory, or say --accept-origin if this is meant"
            )
        if origin is not None and (not row or row[0] != origin):
            connection.execute(
                "INSERT INTO meta VALUES ('origin', ?) "
                "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (origin,),
            )
        make_view(connection, known_columns(connection))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _read_only(path: Path) -> sqlite3.Connection:
    # "rw" lets the last one who closes the ledger after a crash put it in order; it makes no file,
    # and becomes read-only by itself where the file is. `query_only` is what keeps us from writing.
    address = path.resolve().as_uri()
    try:
        return _connected(f"{address}?mode=rw")
    except sqlite3.Error as error:
        log = path.with_name(f"{path.name}-wal")
        if error.sqlite_errorcode & 0xFF not in _NO_LOG_CAN_BE_MADE or log.exists():
            raise ledger_error(path, error) from error
    # A folder where the '-wal' file cannot be made: nobody writes, the one file is all there is.
    with mapped_errors(path):
        return _connected(f"{address}?immutable=1")


def _connected(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        address, uri=True, timeout=BUSY_READER_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
