"""A person's decisions, written beside a run: short transactions of a second writer."""

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, Self, TypeVar

import filelock
import msgspec

from pipeline.errors import LockedError
from pipeline.ledger import marking
from pipeline.ledger.checked import write_finished
from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.judging import Verdict, busy, judge
from pipeline.ledger.marking import Move
from pipeline.ledger.rows import WRONG, Applied, Left
from pipeline.ledger.standings import standing_for
from pipeline.ledger.text import clean
from pipeline.ledger.turns import Turn
from pipeline.models import Decision, FinishedPicture

T = TypeVar("T")

MARKS_AT_ONCE = 500
"""Decisions in one transaction that touch no picture."""

MOVES_AT_ONCE = 8
"""Edits whose pictures move at the same time."""

TRIES = 3
"""Of a move, where a run brings another picture of the same edit meanwhile."""

MOVING_LOCK = ".takes.lock"
MOVING_PATIENCE_S = 60.0
LOOK_EVERY_S = 0.005

MOVING = ("set_aside", "put_back", "swap")


class Pictures(Protocol):
    """Stored pictures, by their path from the outputs folder. Each raises `StoreError`."""

    def holds(self, path: str) -> bool:
        """Whether there is a picture."""

    def copy(self, path: str, target: str) -> bool:
        """Makes a picture durable under a second path. False: there is none under the first."""

    def remove(self, path: str) -> None:
        """Missing is fine."""


class Decisions:
    """Writes what people decide, while a run may be writing, too. Made by `open_decisions`.

    Blocks; for one thread. Every transaction is short, and what it decides on is looked at inside
    it, so that neither writer loses anything. Every method raises `LedgerError`; `apply` raises
    `LockedError` as well, where somebody else's decisions move pictures for too long.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, longest_prompt: int | None = None
    ) -> None:
        self.path = path
        self._connection = connection
        self._turn = Turn(path.parent)
        self._longest = longest_prompt

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection. Closing again is harmless."""
        self._connection.close()
        self._turn.close()

    def preview(self, decisions: Sequence[Decision]) -> tuple[Applied, tuple[Left, ...]]:
        """What `apply` would do, and which decisions are wrong in themselves. Changes nothing."""
        asked = list({one.id: one for one in map(_clean, decisions)}.values())
        with self._reading():
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
        verdicts: dict[str, Verdict] = {}
        for some in _parts(asked, MARKS_AT_ONCE):
            verdicts |= self._mark(some, now)
        moving = [one for one in asked if one.id not in verdicts]
        with ThreadPoolExecutor(MOVES_AT_ONCE, thread_name_prefix="takes") as threads:
            for some in _parts(moving, MOVES_AT_ONCE):
                with self._alone():
                    verdicts |= self._move(some, pictures, threads, now)
            self._bring_home(pictures, threads)
        return _summed(asked, [verdicts[one.id] for one in asked])

    def forget(self, paths: Sequence[str]) -> None:
        """Leaves pictures out of their takes, and of rejected records, because they are gone."""
        rows = [(path,) for path in paths]
        with self._writing():
            self._connection.executemany("DELETE FROM take_images WHERE path = ?", rows)
            self._connection.executemany(
                "DELETE FROM images WHERE path = ? "
                "AND edit_id IN (SELECT id FROM edits WHERE status = 'rejected')",
                rows,
            )

    def finish(self, made: Mapping[str, Sequence[FinishedPicture]]) -> None:
        """Takes down what was made of pictures, by edit, in place of what was."""
        with self._writing():
            write_finished(self._connection, made)

    def _mark(self, decisions: Sequence[Decision], now: float) -> dict[str, Verdict]:
        """Takes those that move no picture, in one transaction."""
        found: dict[str, Verdict] = {}
        with self._writing():
            for one in decisions:
                verdict = self._verdict(one)
                if verdict.action not in MOVING:
                    self._write(one, verdict, (), now)
                    found[one.id] = verdict
        return found

    def _move(
        self,
        decisions: Sequence[Decision],
        pictures: Pictures,
        threads: ThreadPoolExecutor,
        now: float,
    ) -> dict[str, Verdict]:
        """Copies pictures, then writes what is still so; the others are looked at again.

        A redo's copies are made while the ledger is free, so that a slow store holds up no run.
        What goes back to ``images/`` is copied while no request can begin: the picture that one
        brings must not be written over.
        """
        found: dict[str, Verdict] = {}
        left: Sequence[Decision] = decisions
        for _ in range(TRIES):
            with self._reading():
                plans = [self._plan(one) for one in left]
            copied = list(threads.map(lambda plan: plan.prepared(pictures), plans))
            again: list[Decision] = []
            loose: list[tuple[str, str]] = []
            with self._writing():
                same = [self._plan(one) == plan for one, plan in zip(left, plans, strict=True)]
                back = [plan.back if so else () for plan, so in zip(plans, same, strict=True)]
                returned = threads.map(lambda moves: _copied(pictures, moves), back)
                for one, plan, so, *there in zip(left, plans, same, copied, returned, strict=True):
                    if not so:
                        again.append(one)
                        loose += [(one.id, move.target) for move in plan.aside]
                    elif all(there):
                        moves = plan.aside or plan.back
                        self._write(one, plan.verdict, moves, now)
                        loose += [(one.id, move.image.path) for move in moves]
                        found[one.id] = plan.verdict
                    else:
                        found[one.id] = _gone(one)
            self._tidy(loose, pictures, threads)
            left = again
            if not left:
                break
        return found | {one.id: Verdict(action="leave", left=busy(one)) for one in left}

    def _bring_home(self, pictures: Pictures, threads: ThreadPoolExecutor) -> None:
        """Pictures of records that were taken back, by this process or one that was cut off, go
        where a record's pictures are.
        """
        with self._reading():
            away = marking.away(self._connection)
        for some in _parts(away, MOVES_AT_ONCE):
            loose: list[tuple[str, str]] = []
            with self._alone():
                with self._writing():
                    still = set(some).intersection(marking.away(self._connection))
                    ways = {one: marking.home(self._connection, one) for one in still}
                    copied = threads.map(lambda moves: _copied(pictures, moves), ways.values())
                    for (one, moves), there in zip(ways.items(), copied, strict=True):
                        if there:
                            marking.bring_home(self._connection, one, moves)
                            loose += [(one, move.image.path) for move in moves]
                self._tidy(loose, pictures, threads)

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
                marking.put_back(connection, one.id, verdict.take, moves)
                if one.decision in ("approved", "rejected"):
                    marking.mark(connection, one)
            case "swap":
                marking.swap(connection, one, verdict.take, moves)
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
        with self._writing():
            free = [
                path
                for edit_id, path in moved
                if not self._connection.execute(marking.IN_USE, (edit_id, path)).fetchone()[0]
            ]
            for _ in threads.map(pictures.remove, free):
                pass

    def _plan(self, one: Decision) -> "_Plan":
        verdict = self._verdict(one)
        match verdict.action:
            case "set_aside":
                return _Plan(verdict, aside=marking.aside(self._connection, one.id))
            case "put_back":
                return _Plan(verdict, back=marking.back(self._connection, one.id, verdict.take))
            case "swap":
                taken = marking.back(self._connection, one.id, verdict.take)
                return _Plan(
                    verdict,
                    aside=marking.aside(self._connection, one.id),
                    needed=tuple([move.image.path for move in taken]),
                )
            case _:
                return _Plan(verdict)

    def _verdict(self, decision: Decision) -> Verdict:
        return judge(decision, standing_for(decision, self._connection), self._longest)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While this lasts, no other decision moves a picture: two copies would meet."""
        lock = filelock.FileLock(self.path.with_name(MOVING_LOCK), poll_interval=LOOK_EVERY_S)
        try:
            lock.acquire(timeout=MOVING_PATIENCE_S)
        except filelock.Timeout:
            raise LockedError(
                f"{lock.lock_file}: other decisions move pictures for more than"
                f" {MOVING_PATIENCE_S:.0f} s (decide again when they are done)"
            ) from None
        try:
            yield
        finally:
            lock.release()
            time.sleep(2 * LOOK_EVERY_S)  # whoever waits has looked

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with mapped_errors(self.path):
            self._connection.execute("BEGIN")
            with self._to_its_end():
                yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with mapped_errors(self.path):
            with self._turn.taken():
                self._connection.execute("BEGIN IMMEDIATE")
            with self._to_its_end():
                yield

    @contextmanager
    def _to_its_end(self) -> Iterator[None]:
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


class _Plan(msgspec.Struct, frozen=True):
    """What follows from a decision now: which pictures are set ``aside``, which come ``back``, and
    which are ``needed`` and stay where they are.
    """

    verdict: Verdict
    aside: tuple[Move, ...] = ()
    back: tuple[Move, ...] = ()
    needed: tuple[str, ...] = ()

    def prepared(self, pictures: Pictures) -> bool:
        """Whether all is there and copied that can be copied while a run goes on."""
        return all(map(pictures.holds, self.needed)) and _copied(pictures, self.aside)


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
    names = ("approved", "rejected", "redo", "undecided", "restored", "unchanged", "redone")
    counts = dict.fromkeys(names, 0)
    for one, verdict in zip(decisions, verdicts, strict=True):
        if verdict.action != "leave":
            word = "restored" if one.decision == "restore" else one.decision
            counts["unchanged" if verdict.action == "nothing" else word] += 1
            counts["redone"] += verdict.was_done
    left = tuple([verdict.left for verdict in verdicts if verdict.left is not None])
    return Applied(**counts, left=left)


def _clean(one: Decision) -> Decision:
    return msgspec.structs.replace(one, id=clean(one.id), note=clean(one.note))


def _parts(some: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(some), size):
        yield some[first : first + size]
