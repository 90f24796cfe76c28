"""The writer's SQL. Texts are constant, so that SQLite compiles each of them once.

Many rows go into one statement: every step of a statement gives up the interpreter's lock and has
to get it back from a busy event loop, which costs more than the row itself.
"""

# ruff: noqa: S608 - every part of these statements is from this file

import sqlite3
from collections.abc import Sequence

from pipeline.ledger.rows import ATTEMPT_FIELDS

Value = str | int | float | bytes | None
Row = tuple[Value, ...]

_SIZES = (64, 32, 16, 8, 4, 2, 1)

CACHED_STATEMENTS = 256
"""Room for every size of every statement here in `sqlite3`'s own cache."""


class Rows:
    """One statement for any number of rows of ``width`` values each."""

    def __init__(self, before: str, after: str = "", *, width: int) -> None:
        row = f"({', '.join('?' * width)})"
        self._texts = tuple((n, f"{before}{', '.join([row] * n)}{after}") for n in _SIZES)

    def select(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
        """What it finds for all rows."""
        found: list[Row] = []
        done = 0
        for size, text in self._texts:
            while len(rows) - done >= size:
                values = [value for row in rows[done : done + size] for value in row]
                found += connection.execute(text, values).fetchall()
                done += size
        return found

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row]) -> int:
        """Executes it for all rows; how many rows of the table were touched."""
        touched = done = 0
        for size, text in self._texts:
            while len(rows) - done >= size:
                values = [value for row in rows[done : done + size] for value in row]
                touched += connection.execute(text, values).rowcount
                done += size
        return touched


def _insert(table: str, columns: Sequence[str], *, key: str = "") -> Rows:
    after = ""
    if key:
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
        after = f" ON CONFLICT ({key}) DO UPDATE SET {updates}"
    return Rows(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ", after, width=len(columns))


ATTEMPT_STARTS = _insert(
    "attempts",
    (
        "id",
        "edit_id",
        "run_id",
        "number",
        "fingerprint",
        "status",
        "started_at",
        "images",
        "reserved_usd",
    ),
)

_END = (
    "status",
    "finished_at",
    "cost_usd",
    "cost_source",
    "http_status",
    "inference_id",
    "error_code",
    "error_message",
)
ATTEMPT_ENDS = Rows(
    f"UPDATE attempts SET {', '.join(f'{name} = ended.{name}' for name in _END)} "
    f"FROM (WITH ended (id, {', '.join(_END)}) AS (VALUES ",
    ") SELECT * FROM ended) AS ended WHERE attempts.id = ended.id",
    width=1 + len(_END),
)

EDITS = _insert(
    "edits",
    (
        "id",
        "status",
        "fingerprint",
        "prompt",
        "model",
        "parameters",
        "variables",
        "inputs",
        "place",
        "variant",
        "attempts",
        "cost_usd",
        "error_code",
        "error_message",
        "started_at",
        "finished_at",
        "run_id",
        "base",
        "sent",
    ),
    key="id",
)

NOTE = (
    "INSERT INTO meta (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


IMAGES = _insert(
    "images", ("edit_id", "position", "path", "sha256", "size", "width", "height", "format")
)

CHECKS = _insert("checks", ("edit_id", "position", "name", "value", '"limit"', "passed", "message"))
FINISHED = _insert("finished", ("edit_id", "position", "path", "source_sha256", "made_as"))
LIKENESSES = _insert("likenesses", ("edit_id", "position", "sha256", "packed"))

ANSWERED = Rows(
    "SELECT id FROM edits WHERE status IN ('succeeded', 'refused', 'rejected') AND id IN (VALUES ",
    ")",
    width=1,
)
"""Of the ids given, those whose record is an answer."""

OF_THE_RECORD_BEFORE = tuple(
    [
        Rows(f"DELETE FROM {table} WHERE edit_id IN (VALUES ", ")", width=1)
        for table in ("images", "checks", "finished", "likenesses", "decisions")
    ]
)
"""What goes when an edit has a new record. What a person said was about the one before."""

INPUTS = _insert("inputs", ("path", "size", "mtime_ns", "digest"), key="path")

RUN_START = "INSERT INTO runs (id, started_at, pid, host, version, job) VALUES (?, ?, ?, ?, ?, ?)"
RUN_END = "UPDATE runs SET ended = ?, exit_code = ?, totals = ?, finished_at = ? WHERE id = ?"

ORPHANED_ATTEMPTS_CLOSED = (
    "UPDATE attempts SET status = 'unknown', finished_at = ?, error_code = 'process_ended', "
    "error_message = 'the process ended while the request was under way' "
    f"WHERE status = 'started' AND run_id <> ? RETURNING {ATTEMPT_FIELDS}"
)
ORPHANED_RUNS_CLOSED = (
    "UPDATE runs SET ended = 'process_ended', finished_at = ? WHERE ended IS NULL AND id <> ?"
)

SETTLED = (
    "UPDATE attempts SET status = ?1, cost_usd = ?2, cost_source = ?3, "
    "inference_id = coalesce(?4, inference_id), error_code = ?5, error_message = ?6 "
    "WHERE id = ?7 AND status <> 'started' "
    "AND (status, cost_usd, cost_source, inference_id, error_code, error_message) "
    "IS NOT (?1, ?2, ?3, coalesce(?4, inference_id), ?5, ?6)"
)
"""Touches no row that says it already: settling twice changes nothing."""

COSTS_OF_EDIT = (
    "UPDATE edits SET cost_usd = (SELECT round(sum(cost_usd), 9) FROM attempts "
    "WHERE edit_id = edits.id AND run_id = edits.run_id) WHERE id = ?"
)
HELD_EDIT_SETTLED = (
    "UPDATE edits SET status = 'failed', error_code = last.error_code, "
    "error_message = last.error_message FROM (SELECT error_code, error_message FROM attempts "
    "WHERE edit_id = ?1 ORDER BY started_at DESC, number DESC LIMIT 1) AS last "
    "WHERE id = ?1 AND status = 'unknown' AND NOT EXISTS "
    "(SELECT 1 FROM attempts WHERE edit_id = ?1 AND status IN ('started', 'unknown'))"
)
PENDING_AGAIN = (
    "UPDATE edits SET status = 'pending', error_code = 'picture_missing', error_message = ? "
    "WHERE id = ? AND status = 'succeeded'"
)
