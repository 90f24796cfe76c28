"""What was measured on pictures, what they look like, and what was made of them.

The rows of `checks`, `likenesses` and `finished`: read, set aside with a picture, and written anew
when pictures are checked again. What a person decided stands above what a check says: see
`write_verdicts`.
"""

# ruff: noqa: S608 - every part of these statements is from this file

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.queries import CHUNK, LedgerReader
from pipeline.ledger.record_rows import check_rows, finished_rows, likeness_rows
from pipeline.ledger.statements import CHECKS, FINISHED, LIKENESSES
from pipeline.ledger.text import clean
from pipeline.models import (
    FinishedPicture,
    PictureCheck,
    PictureLikeness,
    Status,
    StoredImage,
)

CHECK_FAILED = "check_failed"
"""The error code of what a check turned down; a person's is `marking.REJECTED`."""

_CHECK = ", ".join(f'"{name}"' for name in PictureCheck.__struct_fields__)
_FINISHED = ", ".join(FinishedPicture.__struct_fields__)


class PictureRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record with pictures, as whoever looks at them again needs it. ``sent``: as of
    `Record.sent`. ``decision``: a person's, or empty; ``machine``: what the record's status would
    be without that person. ``finished_at``: seconds since the epoch.
    """

    id: str
    status: Status
    sent: str
    fingerprint: str
    decision: str
    machine: Status
    finished_at: float
    images: tuple[StoredImage, ...]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What checks say now of a record's pictures. ``status``: ``succeeded``, or ``rejected`` with
    a message.
    """

    edit_id: str
    fingerprint: str
    status: Status
    message: str
    checks: tuple[PictureCheck, ...]
    finished: tuple[FinishedPicture, ...]
    likenesses: tuple[PictureLikeness, ...]


def checks_of(reader: LedgerReader, ids: Sequence[str]) -> dict[str, tuple[PictureCheck, ...]]:
    """What was measured on the pictures of these edits, by edit. Raises `LedgerError`."""
    found: dict[str, list[PictureCheck]] = {}
    with mapped_errors(reader.path):
        for at in range(0, len(ids), CHUNK):
            some = ids[at : at + CHUNK]
            marks = ", ".join("?" * len(some))
            for edit_id, *values in reader._connection.execute(
                f"SELECT edit_id, {_CHECK} FROM checks WHERE edit_id IN ({marks}) "
                "ORDER BY edit_id, position, name",
                list(some),
            ):
                found.setdefault(edit_id, []).append(_check(values))
    return {edit_id: tuple(checks) for edit_id, checks in found.items()}


def known_likenesses(reader: LedgerReader, most: int) -> Iterator[tuple[str, bytes]]:
    """Edit and packed likeness of the pictures of what succeeded, at most ``most``, the latest
    ones; the oldest of them first. Streams. Raises `LedgerError`.
    """
    with mapped_errors(reader.path):
        yield from reader._connection.execute(
            "SELECT edit_id, packed FROM (SELECT l.edit_id, l.packed, e.finished_at "
            "FROM edits AS e JOIN likenesses AS l ON l.edit_id = e.id "
            "JOIN images AS i ON i.edit_id = l.edit_id AND i.position = l.position "
            "AND i.sha256 = l.sha256 WHERE e.status = 'succeeded' "
            "ORDER BY e.finished_at DESC LIMIT ?) ORDER BY finished_at",
            (most,),
        )


def picture_row(reader: LedgerReader, edit_id: str) -> PictureRow | None:
    """An edit's record, if it has pictures. Raises `LedgerError`."""
    images = reader.images_of(edit_id)
    with mapped_errors(reader.path):
        row = reader._connection.execute(
            "SELECT e.id, e.status, e.sent, e.fingerprint, coalesce(d.decision, ''), "
            "coalesce(d.status, e.status), e.finished_at FROM edits AS e "
            "LEFT JOIN decisions AS d ON d.edit_id = e.id WHERE e.id = ?",
            (clean(edit_id),),
        ).fetchone()
    if row is None or not images:
        return None
    return PictureRow(**dict(zip(PictureRow.__struct_fields__, row, strict=False)), images=images)


def finished_pictures(
    reader: LedgerReader, ids: Sequence[str]
) -> dict[str, dict[int, FinishedPicture]]:
    """What was made of the pictures of these edits (at most `CHUNK`), by edit and position.

    Also of pictures that are not the edit's any more: see ``source_sha256``. Raises `LedgerError`.
    """
    found: dict[str, dict[int, FinishedPicture]] = {}
    marks = ", ".join("?" * len(ids))
    with mapped_errors(reader.path):
        for edit_id, *values in reader._connection.execute(
            f"SELECT edit_id, {_FINISHED} FROM finished WHERE edit_id IN ({marks})", list(ids)
        ):
            named = dict(zip(FinishedPicture.__struct_fields__, values, strict=True))
            one = FinishedPicture(**named)
            found.setdefault(edit_id, {})[one.position] = one
    return found


def write_finished(
    connection: sqlite3.Connection, made: Mapping[str, Sequence[FinishedPicture]]
) -> None:
    """Writes what was made of pictures, by edit, for what was there. Call inside a transaction."""
    for edit_id, finished in made.items():
        connection.execute("DELETE FROM finished WHERE edit_id = ?", (edit_id,))
        FINISHED.run(connection, finished_rows(edit_id, finished))


def write_verdicts(connection: sqlite3.Connection, verdicts: Sequence[Verdict]) -> int:
    """Writes what checks say now. How many records changed their status. Call inside a transaction.

    A record that is another one by now is left alone. What a person approved or rejected keeps
    that person's word; the verdict is kept below it, and is what ``undecided`` brings back.
    """
    changed = 0
    for one in verdicts:
        values = (
            one.status,
            None if one.status == "succeeded" else CHECK_FAILED,
            None if one.status == "succeeded" else one.message,
            one.edit_id,
            one.fingerprint,
        )
        known = connection.execute(
            "SELECT 1 FROM edits WHERE id = ? AND fingerprint = ? "
            "AND status IN ('succeeded', 'rejected')",
            values[3:],
        ).fetchone()
        if known is None:
            continue
        decided = connection.execute(
            "UPDATE decisions SET status = ?, error_code = ?, error_message = ? "
            "WHERE edit_id = ? AND fingerprint = ?",
            values,
        ).rowcount
        if not decided:
            changed += connection.execute(
                "UPDATE edits SET status = ?1, error_code = ?2, error_message = ?3 WHERE id = ?4 "
                "AND fingerprint = ?5 AND (status, error_message) IS NOT (?1, ?3)",
                values,
            ).rowcount
        connection.execute("DELETE FROM checks WHERE edit_id = ?", (one.edit_id,))
        connection.execute("DELETE FROM likenesses WHERE edit_id = ?", (one.edit_id,))
        CHECKS.run(connection, check_rows(one.edit_id, one.checks))
        write_finished(connection, {one.edit_id: one.finished})
        LIKENESSES.run(connection, likeness_rows(one.edit_id, one.likenesses))
    return changed


def _check(values: Sequence[Any]) -> PictureCheck:
    named = dict(zip(PictureCheck.__struct_fields__, values, strict=True))
    named["passed"] = bool(named["passed"])
    return PictureCheck(**named)
