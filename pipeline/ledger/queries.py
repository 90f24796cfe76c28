"""The readers' side of a ledger: a connection that cannot write."""

# ruff: noqa: S608 - every part of these statements is from this package

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self, cast

import msgspec

from pipeline.ledger.faults import ledger_error, mapped_errors
from pipeline.ledger.reviewed import ReviewedReader
from pipeline.ledger.rows import (
    ATTEMPT_FIELDS,
    AttemptRow,
    AttemptTotal,
    EditTotal,
    Holding,
    RunRow,
)
from pipeline.ledger.text import clean
from pipeline.models import Status, StoredImage

TYPICAL_OF = 500
"""Successful attempts that say how long a request takes: about the last batch or night."""

_RUN_FIELDS = ", ".join(RunRow.__struct_fields__)
_ATTEMPTS = f"SELECT {ATTEMPT_FIELDS} FROM attempts"

MANIFEST_ORDER = (
    "rtrim(place, '0123456789'), "
    "CAST(substr(place, length(rtrim(place, '0123456789')) + 1) AS INTEGER), id"
)
"""For ``ORDER BY``: as `place` (file:row) spells it, by file, then by row as a number."""

CHUNK = 500
"""Ids in one statement; SQLite takes 32,766 values at most."""

# Only ids are sorted, not whole rows; LIMIT and CROSS keep SQLite from turning the join around.
_RESULTS = (
    f"SELECT results.* FROM (SELECT id FROM edits ORDER BY {MANIFEST_ORDER} LIMIT -1) "
    "CROSS JOIN results USING (id)"
)


class LedgerReader(ReviewedReader):
    """Sees what is committed, also while a run writes. Made by `open_reader`.

    One thread at a time may use it: give every thread its own. Every method raises `LedgerError`
    when the file cannot be read.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        # The planner asks a million times: a cursor of its own saves a third of each look-up.
        self._look_up = connection.cursor().execute

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Closing again is harmless."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside sees one state of the ledger, and small look-ups cost half.

        Keep it short, and wait for nothing in it: the '-wal' file only grows meanwhile.
        """
        with mapped_errors(self.path):
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def fingerprint_of(self, edit_id: str) -> tuple[str, Status] | None:
        """Fingerprint and status of an edit's record, ``None`` without one."""
        statement = "SELECT fingerprint, status FROM edits WHERE id = ?"
        try:
            found: tuple[str, Status] | None = self._look_up(statement, (edit_id,)).fetchone()
        except UnicodeEncodeError:
            return self.fingerprint_of(clean(edit_id))
        except sqlite3.Error as error:
            raise ledger_error(self.path, error) from error
        return found

    def input_digest(self, path: str, size: int, mtime_ns: int) -> str | None:
        """The remembered digest of a file, if it still has this size and mtime (nanoseconds)."""
        statement = "SELECT digest FROM inputs WHERE path = ? AND size = ? AND mtime_ns = ?"
        row = self._one(statement, path, size, mtime_ns)
        return cast(str, row[0]) if row else None

    def spent_since(self, when: float) -> float:
        """USD of the attempts that started at or after ``when``.

        What an attempt cost; its reservation where that is not known and it may have been charged:
        it is under way, its outcome is unknown, or it succeeded and nobody said the price.
        """
        row = self._one(
            "SELECT total(CASE WHEN status IN ('started', 'unknown', 'succeeded') "
            "THEN coalesce(cost_usd, reserved_usd) ELSE cost_usd END) "
            "FROM attempts WHERE started_at >= ?",
            when,
        )
        return float(row[0]) if row else 0.0

    def images_of(self, edit_id: str) -> tuple[StoredImage, ...]:
        """The pictures of an edit, in the provider's order."""
        fields = StoredImage.__struct_fields__
        rows = self._rows(
            f"SELECT {', '.join(fields)} FROM images WHERE edit_id = ? ORDER BY position", edit_id
        )
        return tuple(StoredImage(**dict(zip(fields, row, strict=True))) for row in rows)

    def attempts_of(self, edit_id: str) -> tuple[AttemptRow, ...]:
        """The attempts of an edit in all runs, the oldest first."""
        return self._attempts("WHERE edit_id = ? ORDER BY started_at, number", edit_id)

    def open_attempts(self) -> tuple[AttemptRow, ...]:
        """Attempts that are under way, or were when their process died; the oldest first."""
        return self._attempts("WHERE status = 'started' ORDER BY started_at")

    def unknown_attempts(self) -> tuple[AttemptRow, ...]:
        """Attempts that were sent and whose outcome is not known; the oldest first."""
        return self._attempts("WHERE status = 'unknown' ORDER BY started_at")

    def attempts(self) -> Iterator[AttemptRow]:
        """All attempts, the oldest first. Streams."""
        with mapped_errors(self.path):
            for row in self._connection.execute(f"{_ATTEMPTS} ORDER BY started_at, number"):
                yield AttemptRow(*row)

    def edits_with_status(
        self, statuses: Collection[Status], *, reason: str | None = None
    ) -> frozenset[str]:
        """Ids of the records with one of the statuses (and this error code, if given).

        Where ``unknown`` is among them also edits that have no record because a process died, or
        was interrupted, while their request was on its way.
        """
        marks = ", ".join("?" * len(statuses))
        values = [*statuses]
        code = ""
        if reason is not None:
            code = " AND error_code = ?"
            values.append(cast(Status, reason))
        found = self._rows(f"SELECT id FROM edits WHERE status IN ({marks}){code}", *values)
        if "unknown" in statuses:
            found += self._rows(
                f"SELECT edit_id FROM attempts WHERE status = 'unknown'{code} "
                "AND edit_id NOT IN (SELECT id FROM edits)",
                *values[len(statuses) :],
            )
        return frozenset(edit_id for (edit_id,) in found)

    def holdings(self) -> Iterator[Holding]:
        """Every picture that a record has, in alphabetical order of edits. Streams."""
        fields = StoredImage.__struct_fields__
        columns = ", ".join(f"images.{name}" for name in fields)
        with mapped_errors(self.path):
            for edit_id, status, *values in self._connection.execute(
                f"SELECT edit_id, status, {columns} FROM images JOIN edits ON id = edit_id "
                "ORDER BY edit_id, position"
            ):
                image = StoredImage(**dict(zip(fields, values, strict=True)))
                yield Holding(edit_id=edit_id, status=status, image=image)

    def successes_without_pictures(self) -> tuple[str, ...]:
        """Ids of records that succeeded and name no picture."""
        rows = self._rows(
            "SELECT id FROM edits WHERE status = 'succeeded' "
            "AND id NOT IN (SELECT edit_id FROM images) ORDER BY id"
        )
        return tuple(edit_id for (edit_id,) in rows)

    def models(self) -> frozenset[str]:
        """The models of all records."""
        return frozenset(model for (model,) in self._rows("SELECT DISTINCT model FROM edits"))

    def origin(self) -> str | None:
        """The endpoint that this ledger belongs to."""
        row = self._one("SELECT value FROM meta WHERE key = 'origin'")
        return cast(str, row[0]) if row else None

    def damage(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file, at most 20 lines; nothing for a whole one."""
        lines = [line for (line,) in self._rows("PRAGMA integrity_check(20)")]
        return () if lines == ["ok"] else tuple(lines)

    def attempts_without_outcome(self, *codes: str) -> tuple[AttemptRow, ...]:
        """Attempts that are open or unknown, or ended with one of the codes; the oldest first."""
        marks = ", ".join("?" * len(codes))
        return self._attempts(
            "WHERE status IN ('started', 'unknown') "
            f"OR error_code IN ({marks}) ORDER BY started_at, number",
            *codes,
        )

    def runs(self, limit: int = -1) -> tuple[RunRow, ...]:
        """The latest runs, the latest first; -1: all."""
        return self._runs("1", limit=limit)

    def run(self, run_id: str) -> RunRow | None:
        """The run of this id."""
        return next(iter(self._runs("id = ?", run_id)), None)

    def last_run(self) -> RunRow | None:
        """The latest run, whether it has ended or not."""
        return next(iter(self.runs(1)), None)

    def current_run(self) -> RunRow | None:
        """The latest run that has no end: it goes on, or its process (``pid``, ``host``) died."""
        return next(iter(self._runs("ended IS NULL", limit=1)), None)

    def edit_totals(self) -> tuple[EditTotal, ...]:
        """Edits and their money by status, the most frequent first."""
        rows = self._rows(
            "SELECT status, count(*) AS n, total(cost_usd) FROM edits "
            "GROUP BY status ORDER BY n DESC, status"
        )
        return tuple(
            EditTotal(status=status, count=count, cost_usd=cost) for status, count, cost in rows
        )

    def attempt_totals(self) -> tuple[AttemptTotal, ...]:
        """Attempts and their money by status and error code, the most frequent first."""
        fields = AttemptTotal.__struct_fields__
        # SQLite takes the other columns of a group from the row that has the maximum.
        rows = self._rows(
            "SELECT status, error_code, n, cost, reserved, error_message FROM ("
            "SELECT status, error_code, count(*) AS n, total(cost_usd) AS cost, "
            "total(CASE WHEN cost_usd IS NULL THEN reserved_usd END) AS reserved, "
            "error_message, max(started_at) "
            "FROM attempts GROUP BY status, error_code) ORDER BY n DESC, status, error_code"
        )
        return tuple(AttemptTotal(**dict(zip(fields, row, strict=True))) for row in rows)

    def typical_request_s(self) -> float | None:
        """Seconds from start to end of the latest successful attempts, on average; or ``None``.

        The mean, not the median: times the number of requests it is how long they take together.
        """
        row = self._one(
            "SELECT avg(finished_at - started_at) FROM (SELECT finished_at, started_at "
            "FROM attempts WHERE status = 'succeeded' ORDER BY started_at DESC LIMIT ?)",
            TYPICAL_OF,
        )
        return cast(float | None, row[0]) if row else None

    def note(self, name: str) -> str | None:
        """What `Ledger.keep_note` was last given under this name."""
        row = self._one("SELECT value FROM meta WHERE key = ?", f"note {name}")
        return row[0] if row else None

    def columns(self) -> tuple[str, ...]:
        """The columns of the view `results`: the fixed ones, then the manifest's own."""
        with mapped_errors(self.path):
            cursor = self._connection.execute("SELECT * FROM results LIMIT 0")
        return tuple(column[0] for column in cursor.description)

    def results(self) -> Iterator[dict[str, Any]]:
        """The rows of the view `results`, in the manifest's order as far as it is known.

        Streams: memory does not grow with their number. Times are ISO 8601 in UTC.
        """
        with mapped_errors(self.path):
            cursor = self._connection.execute(_RESULTS)
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    def orphans(self, edit_ids: Iterable[str]) -> Iterator[str]:
        """The ids of the ledger that are not among those given, in alphabetical order.

        Both may be millions: the given ids go to a temporary table, memory stays flat.
        """
        connection = self._connection
        given = iter(edit_ids)
        with mapped_errors(self.path):
            connection.execute("PRAGMA query_only = OFF")  # temporary tables count as writing
            connection.execute("DROP TABLE IF EXISTS temp.given")
            connection.execute(
                "CREATE TEMP TABLE given (id TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID"
            )
        # Read outside of `mapped_errors`: what the manifest raises is not about the ledger.
        while batch := [(clean(edit_id),) for edit_id in islice(given, 1000)]:
            with mapped_errors(self.path):
                connection.execute("SAVEPOINT given")  # works inside `snapshot`, too
                connection.executemany("INSERT OR IGNORE INTO temp.given VALUES (?)", batch)
                connection.execute("RELEASE given")
        with mapped_errors(self.path):
            connection.execute("PRAGMA query_only = ON")
            for (edit_id,) in connection.execute(
                "SELECT id FROM edits WHERE id NOT IN (SELECT id FROM temp.given) ORDER BY id"
            ):
                yield edit_id

    def _runs(self, where: str, *values: Any, limit: int = -1) -> tuple[RunRow, ...]:
        rows = self._rows(
            f"SELECT {_RUN_FIELDS} FROM runs WHERE {where} "
            "ORDER BY started_at DESC, rowid DESC LIMIT ?",
            *values,
            limit,
        )
        return tuple([_run(row) for row in rows])

    def _attempts(self, where: str, *values: Any) -> tuple[AttemptRow, ...]:
        return tuple(AttemptRow(*row) for row in self._rows(f"{_ATTEMPTS} {where}", *values))

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        rows = self._rows(statement, *values)
        return rows[0] if rows else None


def _run(row: tuple[Any, ...]) -> RunRow:
    values = dict(zip(RunRow.__struct_fields__, row, strict=True))
    values["totals"] = msgspec.json.decode(values["totals"])
    return RunRow(**values)
