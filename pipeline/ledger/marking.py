"""What each decision writes. Call inside a transaction."""

# ruff: noqa: S608 - every part of these statements is from this file

import sqlite3
from collections.abc import Sequence
from itertools import count

import msgspec

from pipeline.models import Decision, PictureCheck, StoredImage

REJECTED = "rejected_by_reviewer"
"""The error code of what a person turned down."""

REDO = "redo"
"""The error code of an edit that waits because a person wants another picture."""

TAKES = "takes"
"""The folder of pictures that were set aside, beside ``images``."""

IN_USE = (
    "SELECT EXISTS (SELECT 1 FROM images WHERE edit_id = ?1 AND path = ?2) "
    "OR EXISTS (SELECT 1 FROM take_images WHERE path = ?2) "
    "OR EXISTS (SELECT 1 FROM attempts WHERE edit_id = ?1 AND status = 'started')"
)
"""Whether a record or a take has a picture, or a request may be bringing it just now."""

NEXT_VARIANT = "(SELECT max(variant) + 1 FROM takes AS t WHERE t.edit_id = ?1 AND t.base = {base})"
"""No two pictures of one row are the same variant, also where an earlier one was taken back."""

_FIELDS = ", ".join(StoredImage.__struct_fields__)
_CHECK = ", ".join(f'"{name}"' for name in PictureCheck.__struct_fields__)

_COPIED = (
    "status, fingerprint, prompt, model, parameters, variables, inputs, place, variant, attempts, "
    "cost_usd, error_code, error_message, started_at, finished_at, run_id, sent"
)
"""What a record and a take have alike; ``base`` is more exact in a take."""

_SAID = (
    "INSERT INTO decisions (edit_id, decision, note, prompt_mode, fingerprint, decided_at, "
    "status, error_code, error_message) "
    "SELECT id, ?2, ?3, ?4, fingerprint, ?5, status, error_code, error_message "
    "FROM edits WHERE id = ?1 "
    # What the record was before the first word about it stays.
    "ON CONFLICT (edit_id) DO UPDATE SET decision = excluded.decision, note = excluded.note, "
    "prompt_mode = excluded.prompt_mode, decided_at = excluded.decided_at"
)
_APPROVED = (
    "UPDATE edits SET status = 'succeeded', error_code = NULL, error_message = NULL WHERE id = ?"
)
_REJECTED = "UPDATE edits SET status = 'rejected', error_code = ?, error_message = ? WHERE id = ?"
_AS_BEFORE = (
    "UPDATE edits SET status = said.status, error_code = said.error_code, "
    "error_message = said.error_message FROM decisions AS said "
    "WHERE said.edit_id = edits.id AND edits.id = ?"
)
_SET_ASIDE = (
    f"INSERT INTO takes (edit_id, number, {_COPIED}, base, decision, note, prompt_mode, decided_at)"
    f" SELECT id, ?2, {_COPIED}, iif(base = '', fingerprint, base), ?3, ?4, ?5, ?6 "
    "FROM edits WHERE id = ?1"
)
_WAITS = (
    "UPDATE edits SET status = 'pending', error_code = ?2, error_message = ?3, attempts = 0, "
    f"cost_usd = NULL, base = take.base, variant = {NEXT_VARIANT.format(base='take.base')} "
    "FROM (SELECT edit_id, base FROM takes WHERE edit_id = ?1 "
    "ORDER BY number DESC LIMIT 1) AS take WHERE take.edit_id = edits.id"
)
_PUT_BACK = (
    f"UPDATE edits SET ({_COPIED}, base) = "
    f"(SELECT {_COPIED}, iif(base = fingerprint, '', base) FROM takes "
    "WHERE edit_id = ?1 AND number = ?2) WHERE id = ?1"
)


class Move(msgspec.Struct, frozen=True):
    """A picture on its way: ``image`` as it lies now, ``target`` where it goes, with the number of
    the take that it leaves or becomes a part of.
    """

    image: StoredImage
    target: str
    number: int


def mark(connection: sqlite3.Connection, one: Decision) -> None:
    """Approved or rejected."""
    _say(connection, one)
    if one.decision == "approved":
        connection.execute(_APPROVED, (one.id,))
    else:
        words = one.note or "turned down by a person"
        connection.execute(_REJECTED, (REJECTED, words, one.id))


def clear(connection: sqlite3.Connection, edit_id: str) -> None:
    """The record as it was before anybody spoke of it."""
    connection.execute(_AS_BEFORE, (edit_id,))
    connection.execute("DELETE FROM decisions WHERE edit_id = ?", (edit_id,))


def set_aside(connection: sqlite3.Connection, one: Decision, moves: Sequence[Move]) -> None:
    """The record becomes a take; the edit waits for the next run."""
    _become_take(connection, one, moves)
    _wait(connection, one)


def restate(connection: sqlite3.Connection, one: Decision) -> None:
    """The latest take's redo in other words."""
    connection.execute(
        "UPDATE takes SET note = ?2, prompt_mode = ?3, decided_at = ?4 WHERE edit_id = ?1 "
        "AND number = (SELECT max(number) FROM takes WHERE edit_id = ?1)",
        (one.id, one.note, one.prompt_mode, one.decided_at),
    )
    _wait(connection, one)


def put_back(
    connection: sqlite3.Connection, edit_id: str, number: int, moves: Sequence[Move]
) -> None:
    """A take becomes the record of an edit that has none of its own."""
    connection.execute("DELETE FROM decisions WHERE edit_id = ?", (edit_id,))
    connection.execute(_PUT_BACK, (edit_id, number))
    connection.execute("DELETE FROM images WHERE edit_id = ?", (edit_id,))
    for position, move in enumerate(moves, start=1):
        values = msgspec.structs.astuple(msgspec.structs.replace(move.image, path=move.target))
        connection.execute(
            f"INSERT INTO images (edit_id, position, {_FIELDS}) "
            f"VALUES (?, ?, {', '.join('?' * len(values))})",
            (edit_id, position, *values),
        )
    _put_checks_back(connection, edit_id, number)
    for table in ("take_images", "takes"):
        connection.execute(
            f"DELETE FROM {table} WHERE edit_id = ? AND number = ?", (edit_id, number)
        )


def swap(connection: sqlite3.Connection, one: Decision, number: int, moves: Sequence[Move]) -> None:
    """The record becomes a take, and a take the record; its pictures stay where they are, until the
    record's own have left their place: see `home`.
    """
    _become_take(connection, one, moves)
    staying = [
        Move(move.image, move.image.path, number) for move in back(connection, one.id, number)
    ]
    put_back(connection, one.id, number, staying)


def bring_home(connection: sqlite3.Connection, edit_id: str, moves: Sequence[Move]) -> None:
    """The record's pictures have their own place again."""
    connection.executemany(
        "UPDATE images SET path = ? WHERE edit_id = ? AND path = ?",
        [(move.target, edit_id, move.image.path) for move in moves],
    )


def away(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The edits whose record still has its pictures among the takes, and of which no request is
    open.
    """
    rows = connection.execute(
        "SELECT DISTINCT edit_id FROM images WHERE path GLOB ? AND edit_id NOT IN "
        "(SELECT edit_id FROM attempts WHERE status = 'started')",
        (f"{TAKES}/*",),
    )
    return tuple([edit_id for (edit_id,) in rows])


def home(connection: sqlite3.Connection, edit_id: str) -> tuple[Move, ...]:
    """Where the pictures of a record belong that are still among the takes."""
    images = _images(connection, "images WHERE edit_id = ? AND path GLOB ?", edit_id, f"{TAKES}/*")
    return tuple([Move(image, first_path(image.path), 0) for image in images])


def _become_take(connection: sqlite3.Connection, one: Decision, moves: Sequence[Move]) -> None:
    clear(connection, one.id)
    number = moves[0].number if moves else _next_number(connection, one.id)
    said = (one.decision, one.note, one.prompt_mode, one.decided_at)
    connection.execute(_SET_ASIDE, (one.id, number, *said))
    for position, move in enumerate(moves, start=1):
        values = msgspec.structs.astuple(msgspec.structs.replace(move.image, path=move.target))
        connection.execute(
            f"INSERT INTO take_images (edit_id, number, position, {_FIELDS}) "
            f"VALUES (?, ?, ?, {', '.join('?' * len(values))})",
            (one.id, number, position, *values),
        )
    connection.execute("DELETE FROM images WHERE edit_id = ?", (one.id,))
    _set_checks_aside(connection, one.id, number)


def aside(connection: sqlite3.Connection, edit_id: str) -> tuple[Move, ...]:
    """Where the pictures of a record would go."""
    images = _images(connection, "images WHERE edit_id = ?", edit_id)
    for number in count(_next_number(connection, edit_id)):
        targets = [_set_aside_path(image.path, number) for image in images]
        marks = ", ".join("?" * len(targets))
        # Another edit may have had this name, before outputs.image changed.
        statement = f"SELECT 1 FROM take_images WHERE path IN ({marks})"
        if connection.execute(statement, targets).fetchone() is None:
            return tuple([Move(*pair, number) for pair in zip(images, targets, strict=True)])
    raise AssertionError("numbers do not end")


def back(connection: sqlite3.Connection, edit_id: str, number: int) -> tuple[Move, ...]:
    """Where the pictures of a take came from."""
    images = _images(connection, "take_images WHERE edit_id = ? AND number = ?", edit_id, number)
    return tuple([Move(image, first_path(image.path), number) for image in images])


def first_path(path: str) -> str:
    """Where a take's picture was when it was a record's: ``takes/a-v1.png``, ``images/a.png``."""
    stem, _, extension = path.removeprefix(f"{TAKES}/").rpartition(".")
    return f"images/{stem.rpartition('-v')[0]}.{extension}"


def _set_checks_aside(connection: sqlite3.Connection, edit_id: str, number: int) -> None:
    """What was measured on a record that becomes a take."""
    connection.execute(
        f"INSERT INTO take_checks (edit_id, number, {_CHECK}) "
        f"SELECT edit_id, ?2, {_CHECK} FROM checks WHERE edit_id = ?1",
        (edit_id, number),
    )
    connection.execute("DELETE FROM checks WHERE edit_id = ?", (edit_id,))


def _put_checks_back(connection: sqlite3.Connection, edit_id: str, number: int) -> None:
    """The other way round."""
    connection.execute("DELETE FROM checks WHERE edit_id = ?", (edit_id,))
    connection.execute(
        f"INSERT INTO checks (edit_id, {_CHECK}) "
        f"SELECT edit_id, {_CHECK} FROM take_checks WHERE edit_id = ?1 AND number = ?2",
        (edit_id, number),
    )
    connection.execute(
        "DELETE FROM take_checks WHERE edit_id = ? AND number = ?", (edit_id, number)
    )


def _set_aside_path(path: str, number: int) -> str:
    if path.startswith(f"{TAKES}/"):  # it was taken back, and cut off before it came home
        path = first_path(path)
    stem, _, extension = path.removeprefix("images/").rpartition(".")
    return f"{TAKES}/{stem}-v{number}.{extension}"


def _images(connection: sqlite3.Connection, where: str, *values: object) -> list[StoredImage]:
    rows = connection.execute(f"SELECT {_FIELDS} FROM {where} ORDER BY position", values)
    names = StoredImage.__struct_fields__
    return [StoredImage(**dict(zip(names, row, strict=True))) for row in rows.fetchall()]


def _next_number(connection: sqlite3.Connection, edit_id: str) -> int:
    statement = "SELECT coalesce(max(number), 0) + 1 FROM takes WHERE edit_id = ?"
    return int(connection.execute(statement, (edit_id,)).fetchone()[0])


def _say(connection: sqlite3.Connection, one: Decision) -> None:
    connection.execute(_SAID, (one.id, one.decision, one.note, one.prompt_mode, one.decided_at))


def _wait(connection: sqlite3.Connection, one: Decision) -> None:
    words = one.note or "a person wants another picture"
    connection.execute(_WAITS, (one.id, REDO, words))
    _say(connection, one)
