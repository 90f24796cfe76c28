"""The tables, and how an older ledger becomes one of today.

Version n of the schema is what the first n migrations make. `edits` has one row per edit that came
to an end; `attempts` one per request, written before it leaves; `images` the pictures of an edit;
`inputs` remembers digests of input files; `columns` names the manifest's own columns (see
`view.py`). `decisions` has what people said of today's records; `takes` the records that were set
aside for a redo, with their pictures in `take_images`. JSON columns are text.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import LedgerError
from pipeline.ledger.view import known_columns, make_view

APPLICATION_ID = 0x69_65_6C_31
"""Written into the file's header, so that another program's database is not taken for a ledger."""

OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""

Migration = Sequence[str]

MIGRATIONS: Sequence[Migration] = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        "CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) "
        "STRICT, WITHOUT ROWID",
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY NOT NULL,
            started_at REAL NOT NULL,
            finished_at REAL,
            ended TEXT,
            exit_code INTEGER,
            pid INTEGER NOT NULL,
            host TEXT NOT NULL,
            version TEXT NOT NULL,
            job TEXT NOT NULL,
            totals TEXT NOT NULL DEFAULT '{}'
        ) STRICT""",
        """CREATE TABLE edits (
            id TEXT PRIMARY KEY NOT NULL,
            status TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            prompt TEXT NOT NULL,
            model TEXT NOT NULL,
            parameters TEXT NOT NULL,
            variables TEXT NOT NULL,
            inputs TEXT NOT NULL,
            place TEXT NOT NULL,
            variant INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            cost_usd REAL,
            error_code TEXT,
            error_message TEXT,
            started_at REAL NOT NULL,
            finished_at REAL NOT NULL,
            run_id TEXT NOT NULL
        ) STRICT""",
        """CREATE TABLE attempts (
            id TEXT PRIMARY KEY NOT NULL,
            edit_id TEXT NOT NULL,
            run_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            fingerprint TEXT NOT NULL,
            status TEXT NOT NULL,
            started_at REAL NOT NULL,
            finished_at REAL,
            images INTEGER NOT NULL,
            reserved_usd REAL,
            cost_usd REAL,
            cost_source TEXT NOT NULL DEFAULT 'none',
            http_status INTEGER,
            inference_id TEXT,
            error_code TEXT,
            error_message TEXT
        ) STRICT""",
        "CREATE INDEX attempts_by_edit ON attempts (edit_id)",
        "CREATE INDEX attempts_by_start ON attempts (started_at)",
        "CREATE INDEX attempts_unsettled ON attempts (status) "
        "WHERE status IN ('started', 'unknown')",
        """CREATE TABLE images (
            edit_id TEXT NOT NULL,
            position INTEGER NOT NULL,
            path TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            format TEXT NOT NULL,
            PRIMARY KEY (edit_id, position)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE inputs (
            path TEXT PRIMARY KEY NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            digest TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE columns (
            position INTEGER PRIMARY KEY NOT NULL,
            name TEXT UNIQUE NOT NULL,
            label TEXT NOT NULL
        ) STRICT""",
    ),
    (
        "ALTER TABLE edits ADD COLUMN base TEXT NOT NULL DEFAULT ''",
        # What the record was before a person spoke: `status`, `error_code`, `error_message`.
        """CREATE TABLE decisions (
            edit_id TEXT PRIMARY KEY NOT NULL,
            decision TEXT NOT NULL,
            note TEXT NOT NULL,
            prompt_mode TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            decided_at REAL NOT NULL,
            status TEXT NOT NULL,
            error_code TEXT,
            error_message TEXT
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE takes (
            edit_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            status TEXT NOT NULL,
            fingerprint TEXT NOT NULL,
            base TEXT NOT NULL,
            prompt TEXT NOT NULL,
            model TEXT NOT NULL,
            parameters TEXT NOT NULL,
            variables TEXT NOT NULL,
            inputs TEXT NOT NULL,
            place TEXT NOT NULL,
            variant INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            cost_usd REAL,
            error_code TEXT,
            error_message TEXT,
            started_at REAL NOT NULL,
            finished_at REAL NOT NULL,
            run_id TEXT NOT NULL,
            decision TEXT NOT NULL,
            note TEXT NOT NULL,
            prompt_mode TEXT NOT NULL,
            decided_at REAL NOT NULL,
            PRIMARY KEY (edit_id, number)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE take_images (
            edit_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            position INTEGER NOT NULL,
            path TEXT UNIQUE NOT NULL,
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            width INTEGER NOT NULL,
            height INTEGER NOT NULL,
            format TEXT NOT NULL,
            PRIMARY KEY (edit_id, number, position)
        ) STRICT, WITHOUT ROWID""",
        # These names are the view's from now on; the position makes a new label unlike others.
        """UPDATE columns SET label = 'row_' || label || CASE WHEN EXISTS (
            SELECT 1 FROM columns AS other
            WHERE lower(other.label) = 'row_' || lower(columns.label)
        ) THEN '_' || position ELSE '' END
        WHERE lower(label) IN ('variant', 'decision', 'note')""",
    ),
    (
        "ALTER TABLE edits ADD COLUMN sent TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE takes ADD COLUMN sent TEXT NOT NULL DEFAULT ''",
        """CREATE TABLE checks (
            edit_id TEXT NOT NULL,
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            value REAL,
            "limit" REAL,
            passed INTEGER NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (edit_id, position, name)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE take_checks (
            edit_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            value REAL,
            "limit" REAL,
            passed INTEGER NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (edit_id, number, position, name)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE finished (
            edit_id TEXT NOT NULL,
            position INTEGER NOT NULL,
            path TEXT NOT NULL,
            source_sha256 TEXT NOT NULL,
            PRIMARY KEY (edit_id, position)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE likenesses (
            edit_id TEXT NOT NULL,
            position INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            packed BLOB NOT NULL,
            PRIMARY KEY (edit_id, position)
        ) STRICT""",
        # As above: the view's own from now on.
        """UPDATE columns SET label = 'row_' || label || CASE WHEN EXISTS (
            SELECT 1 FROM columns AS other
            WHERE lower(other.label) = 'row_' || lower(columns.label)
        ) THEN '_' || position ELSE '' END
        WHERE lower(label) IN ('finished', 'checks')""",
    ),
    ("ALTER TABLE finished ADD COLUMN made_as TEXT NOT NULL DEFAULT ''",),
)


def version_of(connection: sqlite3.Connection, path: Path, *, newest: int = len(MIGRATIONS)) -> int:
    """The schema version of an open file, 0 for an empty one.

    Raises `LedgerError` for a database that is no ledger, or the ledger of a newer program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (tables or version):
        raise LedgerError(
            f"{path}: this database is no ledger of this program: "
            "move it away, or choose another outputs.directory in the job"
        )
    if version > newest:
        raise LedgerError(
            f"{path}: the ledger has schema version {version} and this program knows versions up "
            f"to {newest}: use the newer program that wrote it (`pip install --upgrade "
            "image-edit-pipeline`); nothing was changed"
        )
    return int(version)


def migrate(
    connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Brings a ledger to the newest version, one migration and its number in one transaction.

    A crash leaves the version before or after a migration, never one in between; two processes
    that open the same file take turns.
    """
    newest = len(migrations)
    while version_of(connection, path, newest=newest) < newest:
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = version_of(connection, path, newest=newest)  # another process was quicker?
            if version < newest:
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
                if version + 1 == newest:  # whoever sees today's version sees today's view
                    make_view(connection, known_columns(connection))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
