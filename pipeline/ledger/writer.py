"""The ledger's one writer: a thread, a connection, and one commit for everybody who waits."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipeline.batching import Batcher
from pipeline.errors import LedgerError
from pipeline.ledger import statements
from pipeline.ledger.checked import Verdict, write_verdicts
from pipeline.ledger.faults import ledger_error, mapped_errors
from pipeline.ledger.record_rows import ItemRows, edit_rows, end_row, whole
from pipeline.ledger.rows import AttemptRow, Run, Settlement
from pipeline.ledger.statements import Row, Value
from pipeline.ledger.text import clean, cleaned, json_text
from pipeline.ledger.turns import Turn
from pipeline.ledger.view import add_columns, known_columns, make_view
from pipeline.models import Attempt, AttemptEnd, Record

_VALUE_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
    LookupError,
    TypeError,
    ValueError,
)
"""What SQLite and its binding say about a value; everything else is about the file."""

_ANSWERS = ("succeeded", "refused", "rejected")

PATIENCE_AT_CLOSE_MS = 200
"""How long the last checkpoint waits for readers. Without it the '-wal' file just stays."""


_Write = ItemRows | Callable[[sqlite3.Connection], Any]


class Ledger:
    """The writer's side of a ledger; one for a process, made by `open_ledger`.

    Awaited methods return when what they wrote is on disk. `end_attempt` and `remember_input` only
    queue: what they write is durable no later than the next awaited write, in the order of the
    calls. Once writing failed (disk full, I/O error, locked too long, damaged), every later call
    raises `LedgerError` with the cause; a cancelled wait cancels no write.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._turn = Turn(path.parent)
        self._columns = known_columns(connection)
        self._failure: LedgerError | None = None
        self._closed = False
        self._batcher: Batcher[_Write, Any] = Batcher(self._process, name="ledger")

    async def start_run(self, run: Run) -> None:
        """Notes that a run began. Raises `LedgerError`."""
        row = (run.id, run.started_at, run.pid, clean(run.host), run.version, clean(run.job))
        await self._execute(statements.RUN_START, row)

    async def end_run(
        self,
        run_id: str,
        *,
        ended: str,
        exit_code: int,
        totals: dict[str, Any],
        finished_at: float,
    ) -> None:
        """Notes how a run ended: in a word, in its exit code, in figures. Raises `LedgerError`."""
        row = (ended, exit_code, json_text(totals), finished_at, run_id)
        await self._execute(statements.RUN_END, row)

    async def start_attempt(self, attempt: Attempt) -> None:
        """Writes an attempt as ``started``. Raises `LedgerError`: then nothing may be sent."""
        await self._submit(
            ItemRows(
                "start",
                (
                    attempt.id,
                    attempt.edit_id,
                    attempt.run_id,
                    attempt.number,
                    attempt.fingerprint,
                    "started",
                    attempt.started_at,
                    attempt.images,
                    attempt.reserved_usd,
                ),
            )
        )

    def end_attempt(self, attempt_id: str, end: AttemptEnd) -> None:
        """Queues how an attempt ended. Raises `LedgerError` if the writer has failed already."""
        self._post(ItemRows("end", end_row(attempt_id, end)))

    async def record(
        self,
        record: Record,
        *,
        attempt_id: str | None = None,
        end: AttemptEnd | None = None,
        keep_answer: bool = False,
    ) -> None:
        """Writes an edit's outcome and pictures; the last ones, and what was said of them, go.

        One transaction, with the ``end`` of the attempt that brought it, if given: a reader sees
        the old record or the new one, and never a success without its record.

        An answer that was paid for (succeeded, refused, rejected) is not replaced by a failure for
        which nothing was even sent, such as an input that is away for a night; with
        ``keep_answer`` only by a success. Raises `LedgerError`.
        """
        ended = end_row(attempt_id, end) if attempt_id is not None and end is not None else None
        rows = edit_rows(record, ended, self._columns)
        if record.status != "succeeded" and (keep_answer or not record.attempts):
            rows = rows._replace(yields=True)
        await self._submit(rows)

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Writes what became of attempts, in one transaction; how many were not so before.

        The edits' costs follow; an edit that was held as ``unknown`` becomes ``failed`` when none
        of its attempts is unknown any more. Settling again changes nothing. Raises `LedgerError`.
        """
        rows = [
            (
                *(one.status, one.cost_usd, one.cost_source, one.inference_id),
                *(one.error_code, whole(one.error_message), one.attempt_id),
            )
            for one in settlements
        ]
        edits = dict.fromkeys(one.edit_id for one in settlements)

        def settle(connection: sqlite3.Connection) -> int:
            changed = sum(connection.execute(statements.SETTLED, row).rowcount for row in rows)
            for edit_id in edits:
                connection.execute(statements.COSTS_OF_EDIT, (edit_id,))
                connection.execute(statements.HELD_EDIT_SETTLED, (edit_id,))
            return changed

        changed: int = await self._submit(settle)
        return changed

    async def set_pending(self, messages: Mapping[str, str]) -> None:
        """Makes edits that had succeeded ``pending``: the next run asks for them again.

        ``messages``: why, by edit id; the code is ``picture_missing``. Raises `LedgerError`.
        """
        rows = [(whole(message), edit_id) for edit_id, message in messages.items()]
        await self._submit(
            lambda connection: connection.executemany(statements.PENDING_AGAIN, rows).rowcount
        )

    async def recheck(self, verdicts: Sequence[Verdict]) -> int:
        """Writes what checks say now of pictures that are there, in one transaction; how many edits
        have another status. What a person decided stays. Raises `LedgerError`.
        """
        changed: int = await self._submit(lambda connection: write_verdicts(connection, verdicts))
        return changed

    def remember_input(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Queues the digest of an input file, as long as size and mtime stay what they are."""
        self._post(ItemRows("input", (path, size, mtime_ns, digest)))

    def keep_note(self, name: str, value: str) -> None:
        """Queues a text to keep under a name, replacing what was there; see `LedgerReader.note`."""
        row = (f"note {name}", clean(value))
        self._post(lambda connection: connection.execute(statements.NOTE, row).rowcount)

    async def close_orphaned_attempts(
        self, run_id: str, *, finished_at: float
    ) -> tuple[AttemptRow, ...]:
        """Closes what dead processes left open, as seen by run ``run_id``, which holds the lock.

        Attempts of other runs that are still ``started`` become ``unknown`` (``process_ended``)
        and are returned as they now are; other runs without an end get the end ``process_ended``.
        Raises `LedgerError`.
        """

        def close(connection: sqlite3.Connection) -> tuple[AttemptRow, ...]:
            closed = connection.execute(
                statements.ORPHANED_ATTEMPTS_CLOSED, (finished_at, run_id)
            ).fetchall()
            connection.execute(statements.ORPHANED_RUNS_CLOSED, (finished_at, run_id))
            return tuple(AttemptRow(*row) for row in closed)

        orphans: tuple[AttemptRow, ...] = await self._submit(close)
        return orphans

    def close(self) -> None:
        """Writes what is queued, leaves everything in the one file, closes it. Blocks.

        Raises `LedgerError` if something that nobody waited for could not be written. Closing
        again is harmless.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._batcher.close()
        finally:
            try:
                if self._failure is None:
                    self._checkpoint()
            finally:
                self._connection.close()
                self._turn.close()

    def _checkpoint(self) -> None:
        with mapped_errors(self.path):
            self._connection.execute(f"PRAGMA busy_timeout = {PATIENCE_AT_CLOSE_MS}")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    async def _execute(self, statement: str, row: Row) -> None:
        await self._submit(lambda connection: connection.execute(statement, row).rowcount)

    async def _submit(self, write: _Write) -> Any:
        self._refuse_when_over()
        return await self._batcher.submit(write)

    def _post(self, write: _Write) -> None:
        self._refuse_when_over()
        self._batcher.post(write)

    def _refuse_when_over(self) -> None:
        if self._failure is not None:
            raise _again(self._failure)
        if self._closed:
            raise LedgerError(f"{self.path}: the ledger was closed already: open it again to write")

    # From here on: in the writer's thread.

    def _process(self, writes: Sequence[_Write]) -> Sequence[Any]:
        if self._failure is not None:
            return [_again(self._failure) for _ in writes]
        try:
            return self._commit(writes)
        except _VALUE_ERRORS as error:
            return self._apart(writes, error)
        except sqlite3.Error as error:
            self._failure = ledger_error(self.path, error)
            return [_again(self._failure) for _ in writes]

    def _apart(self, writes: Sequence[_Write], error: Exception) -> Sequence[Any]:
        """One of the writes holds a value that cannot be written: the others must not suffer."""
        if len(writes) > 1:  # by halves: each part costs a commit
            half = len(writes) // 2
            return [*self._process(writes[:half]), *self._process(writes[half:])]
        write = writes[0]
        if isinstance(error, UnicodeEncodeError) and isinstance(write, ItemRows):
            return self._process([ItemRows(write.kind, *cleaned(tuple(write[1:])))])
        failure = LedgerError(
            f"{self.path}: a row cannot be written: {error}: report this, it is a bug"
        )
        failure.__cause__ = error
        return [failure]

    def _commit(self, writes: Sequence[_Write]) -> Sequence[Any]:
        connection = self._connection
        outcomes: list[Any] = [None] * len(writes)
        columns = self._columns
        with self._turn.taken():
            connection.execute("BEGIN IMMEDIATE")
        try:
            rows: list[ItemRows] = []
            for n, write in enumerate(writes):
                if isinstance(write, ItemRows):
                    rows.append(write)
                    continue
                columns = _write_rows(connection, columns, rows)
                rows = []
                outcomes[n] = write(connection)
            columns = _write_rows(connection, columns, rows)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._columns = columns
        return outcomes


def _write_rows(
    connection: sqlite3.Connection, columns: dict[str, str], rows: Sequence[ItemRows]
) -> dict[str, str]:
    """Writes rows, many of a kind at once; the manifest columns known after it.

    Of rows with one key the last counts. An attempt's start comes before its end.
    """
    if not rows:
        return columns
    starts = [item.row for item in rows if item.kind == "start"]
    ends = {item.row[0]: item.row for item in rows if item.kind == "end"}
    ends.update({item.end[0]: item.end for item in rows if item.end is not None})
    edits = _edits_to_write(connection, rows)
    statements.ATTEMPT_STARTS.run(connection, starts)
    if statements.ATTEMPT_ENDS.run(connection, list(ends.values())) != len(ends):
        raise LookupError(f"among {list(ends)[:3]} … is an attempt that was never started")
    statements.EDITS.run(connection, [item.row for item in edits.values()])
    ids: list[Row] = [(edit_id,) for edit_id in edits]
    for gone in statements.OF_THE_RECORD_BEFORE:
        gone.run(connection, ids)
    statements.IMAGES.run(connection, [row for item in edits.values() for row in item.images])
    for statement, rows_of in (
        (statements.CHECKS, attrgetter("checks")),
        (statements.FINISHED, attrgetter("finished")),
        (statements.LIKENESSES, attrgetter("likenesses")),
    ):
        statement.run(connection, [row for item in edits.values() for row in rows_of(item)])
    statements.INPUTS.run(connection, [item.row for item in rows if item.kind == "input"])
    names = [name for item in edits.values() for name in item.names]
    if names:
        columns = add_columns(connection, columns, names)
        make_view(connection, columns)
    return columns


def _edits_to_write(
    connection: sqlite3.Connection, rows: Sequence[ItemRows]
) -> dict[Value, ItemRows]:
    """The last for each edit, without those that yield to an answer."""
    edits: dict[Value, ItemRows] = {}
    yielding = [item.row[:1] for item in rows if item.yields]
    answered = {row[0] for row in statements.ANSWERED.select(connection, yielding)}
    for item in rows:
        if item.kind != "edit" or (item.yields and item.row[0] in answered):
            continue
        edits[item.row[0]] = item
        if item.row[1] in _ANSWERS:
            answered.add(item.row[0])
    return edits


def _again(failure: LedgerError) -> LedgerError:
    # A new one for everybody: an exception that many raise collects all their tracebacks.
    error = LedgerError(str(failure))
    error.__cause__ = failure.__cause__
    return error
