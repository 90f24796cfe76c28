"""The source pictures that a job ever had, and which of them look alike.

A file beside the ledger, ``sources.db``: a picture is looked at once, however often it is exported
and in whatever format. It only caches what follows from the ledger's order, so it may be deleted.

**Anchors.** A source that looks like none before it is its own anchor. One that looks like others
takes over their anchors, all of them. Anchors never change afterwards, so a split that depends on
them alone never changes either. A source that has come late between two groups has two anchors: if
these are in different splits, it fits into neither without a leak, and is left out.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pipeline.errors import InputError, StoreError
from pipeline.exporting import lookalikes
from pipeline.exporting.lookalikes import Lookalikes
from pipeline.pictures.checks.likeness import Likeness, likeness_of
from pipeline.pictures.decode import decode

_VERSION = 2
_MADE = (
    "CREATE TABLE sources (number INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, "
    "hash BLOB, cells BLOB, anchors TEXT NOT NULL) STRICT",
)


class Sources:
    """Anchors of sources by digest. Memory does not grow with them. For one thread."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises `StoreError`."""
        self.path = path
        with self._errors():
            self._connection = sqlite3.connect(path, isolation_level=None)
            try:
                self._begin()
                self._tree = Lookalikes(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def _begin(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA cache_size = -65536")  # leaves are looked at again
        self._connection.execute("BEGIN IMMEDIATE")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreError(
                f"{self.path}: written by a newer version of this program (use that one, or delete"
                " it: it is made again from the pictures)"
            )
        if version == 0:
            for statement in _MADE:
                self._connection.execute(statement)
        if version < _VERSION:
            for statement in lookalikes.MADE:
                self._connection.execute(statement)
            tree = Lookalikes(self._connection)
            for number, hashed, cells in self._connection.execute(
                "SELECT number, hash, cells FROM sources WHERE hash IS NOT NULL ORDER BY number"
            ):
                tree.add(number, Likeness(b"", hashed, cells))
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._errors():
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        self._connection.close()

    def anchors(self, digest: str, look: Callable[[], Likeness | None]) -> tuple[str, ...]:
        """The anchors of a source. ``look`` is asked once, for one that was never seen: what it
        looks like, or ``None`` where it cannot be looked at; then it is its own anchor.
        """
        with self._errors():
            known = self._connection.execute(
                "SELECT anchors FROM sources WHERE digest = ?", (digest,)
            ).fetchone()
        if known is not None:
            return tuple(known[0].split())
        likeness = look()
        with self._errors():
            anchors = self._inherited(likeness) or (digest,)
            (number,) = self._connection.execute(
                "INSERT INTO sources (digest, hash, cells, anchors) VALUES (?, ?, ?, ?) "
                "RETURNING number",
                (
                    digest,
                    likeness and likeness.hash,
                    likeness and likeness.cells,
                    " ".join(anchors),
                ),
            ).fetchone()
            if likeness is not None:
                self._tree.add(number, likeness)
            if number % 1_000 == 0:  # a cut costs little looking again
                self._connection.execute("COMMIT")
                self._connection.execute("BEGIN IMMEDIATE")
        return anchors

    def _inherited(self, likeness: Likeness | None) -> tuple[str, ...]:
        """The anchors of all that looks like it."""
        found = set[str]()
        for number in () if likeness is None else self._tree.find(likeness):
            (anchors,) = self._connection.execute(
                "SELECT anchors FROM sources WHERE number = ?", (number,)
            ).fetchone()
            found.update(anchors.split())
        return tuple(sorted(found))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: {error} (check that its folder is writable and the disk not full; if"
                " the file is damaged, delete it: it is made again from the pictures)"
            ) from error


def look_at(path: str) -> Likeness | None:
    """What a picture file looks like; ``None`` where it is away, or no picture that can be read."""
    from pipeline.pictures import pixels

    try:
        picture: Any = decode(path, wanted=512).picture
        return likeness_of(pixels.flattened(picture, "white").convert("RGB"), b"")
    except InputError:
        return None
