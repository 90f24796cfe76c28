"""A person's decisions, written beside a run: short transactions of a second writer."""

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import msgspec

from pipeline.ledger import marking
from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.judging import LastTake, Standing, Verdict, judge
from pipeline.ledger.marking import Move
from pipeline.ledger.rows import WRONG, Applied, Left
from pipeline.ledger.text import clean
from pipeline.models import Decision

T = TypeVar("T")

MARKS_AT_ONCE = 500
"""Decisions in one transaction that touch no picture."""

MOVING = ("set_aside", "put_back")

MOVES_AT_ONCE = 8
"""Edits in one transaction whose pictures move: meanwhile a run waits before it writes."""

_STANDING = """
SELECT e.status, e.fingerprint, e.base, e.error_code, e.finished_at,
    (SELECT count(*) FROM images WHERE edit_id = e.id),
    EXISTS (SELECT 1 FROM attempts WHERE edit_id = e.id AND status = 'started'),
    d.decision, d.note,
    EXISTS (SELECT 1 FROM takes WHERE edit_id = e.id AND fingerprint = ?2
        AND note = ?3 AND prompt_mode = ?4),
    t.number, t.fingerprint, t.base,
    (SELECT count(*) FROM take_images AS i WHERE i.edit_id = e.id AND i.number = t.number),
    t.note, t.prompt_mode,
    length(iif(e.status IN ('pending', 'failed', 'refused') AND t.number IS NOT NULL,
        t.prompt, e.prompt))
FROM edits AS e
LEFT JOIN decisions AS d ON d.edit_id = e.id
LEFT JOIN takes AS t ON t.edit_id = e.id
    AND t.number = (SELECT max(number) FROM takes WHERE edit_id = e.id)
WHERE e.id = ?1
"""


class Pictures(Protocol):
    """Stored pictures, by their path from the outputs folder. Both raise `StoreError`."""

    def copy(self, path: str, target: str) -> bool:
        """Makes a picture durable under a second path. False: there is none under the first."""

    def remove(self, path: str) -> None:
        """Missing is fine."""


class Decisions:
    """Writes what people decide, while a run may be writing, too. Made by `open_decisions`.

    Blocks; for one thread. Every transaction is short, and what it decides on is looked at inside
    it, so that neither writer loses anything. Every method raises `LedgerError`.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, longest_prompt: int | None = None
    ) -> None:
        self.path = path
        self._connection = connection
        self._longest = longest_prompt

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Closing again is harmless."""
        self._connection.close()

    def preview(self, decisions: Sequence[Decision]) -> tuple[Applied, tuple[Left, ...]]:
        """What `apply` would do, and which decisions are wrong in themselves. Changes nothing."""
        asked = list({one.id: one for one in map(_clean, decisions)}.values())
        with self._transaction("BEGIN"):
            verdicts = [self._verdict(one) for one in asked]
        wrong = [v.left for v in verdicts if v.left is not None and v.left.why in WRONG]
        return _summed(asked, verdicts), tuple(wrong)

    def apply(self, decisions: Sequence[Decision], pictures: Pictures, *, now: float) -> Applied:
        """Takes the decisions; what cannot be taken is named in `Applied.left`.

        ``now``: seconds since the epoch, for decisions that do not say when they were made. A
        redo's pictures are copied below ``takes/``, then the ledger names them there, then the
        first names go away: a crash in between leaves a picture twice, and never none. Raises
        `StoreError` as well; what was taken until then stays taken.
        """
        asked = list({one.id: one for one in map(_clean, decisions)}.values())  # the last counts
        with self._transaction("BEGIN"):
            moving = [self._verdict(one).action in MOVING for one in asked]
        marks = [one for one, moves in zip(asked, moving, strict=True) if not moves]
        moves = [one for one, moves in zip(asked, moving, strict=True) if moves]
        verdicts: list[Verdict] = []
        with ThreadPoolExecutor(MOVES_AT_ONCE, thread_name_prefix="takes") as threads:
            for some in (*_parts(marks, MARKS_AT_ONCE), *_parts(moves, MOVES_AT_ONCE)):
                verdicts += self._take(some, pictures, threads, now)
        return _summed([*marks, *moves], verdicts)

    def forget(self, paths: Sequence[str]) -> None:
        """Leaves pictures out of their takes, because they are gone."""
        with self._transaction("BEGIN IMMEDIATE"):
            self._connection.executemany(
                "DELETE FROM take_images WHERE path = ?", [(path,) for path in paths]
            )

    def _take(
        self,
        decisions: Sequence[Decision],
        pictures: Pictures,
        threads: ThreadPoolExecutor,
        now: float,
    ) -> list[Verdict]:
        moved: list[tuple[str, str]] = []
        verdicts: list[Verdict] = []
        with self._transaction("BEGIN IMMEDIATE"):
            judged = [(one, self._verdict(one)) for one in decisions]
            moves = [self._moves(one, verdict) for one, verdict in judged]
            copied = list(threads.map(lambda some: _copied(pictures, some), moves))
            for (one, verdict), some, there in zip(judged, moves, copied, strict=True):
                if there:
                    self._write(one, verdict, some, now)
                    moved += [(one.id, move.image.path) for move in some]
                verdicts.append(verdict if there else _gone(one))
        self._tidy(moved, pictures, threads)
        return verdicts

    def _write(self, one: Decision, verdict: Verdict, moves: Sequence[Move], now: float) -> None:
        connection = self._connection
        if one.decided_at is None:  # not before it was judged: see `judge`
            one = msgspec.structs.replace(one, decided_at=now)
        match verdict.action:
            case "mark":
                marking.mark(connection, one)
            case "clear":
                marking.clear(connection, one.id)
            case "restate":
                marking.restate(connection, one)
            case "set_aside":
                marking.set_aside(connection, one, moves)
            case "put_back":
                marking.put_back(connection, one.id, moves)
                if one.decision != "undecided":
                    marking.mark(connection, one)
            case "nothing" | "leave":
                pass

    def _tidy(
        self,
        moved: Sequence[tuple[str, str]],
        pictures: Pictures,
        threads: ThreadPoolExecutor,
    ) -> None:
        """Removes the first names of moved pictures, unless they are somebody's again.

        While this holds the ledger, no request can begin, so no new picture can come in between.
        """
        if not moved:
            return
        with self._transaction("BEGIN IMMEDIATE"):
            free = [
                path
                for edit_id, path in moved
                if not self._connection.execute(marking.IN_USE, (edit_id, path)).fetchone()[0]
            ]
            for _ in threads.map(pictures.remove, free):
                pass

    def _moves(self, one: Decision, verdict: Verdict) -> tuple[Move, ...]:
        if verdict.action == "set_aside":
            return marking.aside(self._connection, one.id)
        if verdict.action == "put_back":
            return marking.back(self._connection, one.id)
        return ()

    def _verdict(self, decision: Decision) -> Verdict:
        row = self._connection.execute(
            _STANDING, (decision.id, decision.fingerprint, decision.note, decision.prompt_mode)
        ).fetchone()
        return judge(decision, None if row is None else _standing(row), self._longest)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with mapped_errors(self.path):
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _standing(row: tuple[Any, ...]) -> Standing:
    *own, said, said_note, done, number, fingerprint, base, pictures, note, mode, prompt = row
    status, asked, base_now, code, finished_at, count, busy = own
    return Standing(
        status=status,
        fingerprint=asked,
        base=base_now,
        error_code=code,
        finished_at=finished_at,
        pictures=count,
        asked=bool(busy),
        said=None if said is None else (said, said_note),
        take=None
        if number is None
        else LastTake(
            number=number,
            fingerprint=fingerprint,
            base=base,
            pictures=pictures,
            note=note,
            prompt_mode=mode,
        ),
        done=bool(done),
        prompt=prompt,
    )


def _copied(pictures: Pictures, moves: Sequence[Move]) -> bool:
    return all(pictures.copy(move.image.path, move.target) for move in moves)


def _gone(one: Decision) -> Verdict:
    where = "the earlier take's picture" if one.decision != "redo" else "its picture"
    return Verdict(
        action="leave",
        left=Left(
            id=one.id,
            why="picture_missing",
            message=f"{where} is not where the ledger says (see: pipeline fsck)",
        ),
    )


def _summed(decisions: Sequence[Decision], verdicts: Sequence[Verdict]) -> Applied:
    counts = dict.fromkeys(("approved", "rejected", "redo", "undecided", "unchanged", "redone"), 0)
    for one, verdict in zip(decisions, verdicts, strict=True):
        if verdict.action != "leave":
            counts["unchanged" if verdict.action == "nothing" else one.decision] += 1
            counts["redone"] += verdict.was_done
    left = tuple([verdict.left for verdict in verdicts if verdict.left is not None])
    return Applied(**counts, left=left)


def _clean(one: Decision) -> Decision:
    return msgspec.structs.replace(one, id=clean(one.id), note=clean(one.note))


def _parts(some: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(some), size):
        yield some[first : first + size]
