"""The source pictures that a job ever had, and which of them look alike.

A file beside the ledger, ``sources.db``: a picture is looked at once, however often it is exported
and in whatever format. It only caches what follows from the ledger's order, so it may be deleted.

**Anchors.** A source that looks like none before it is its own anchor. One that looks like others
takes over their anchors, all of them. Anchors never change afterwards, so a split that depends on
them alone never changes either. A source that has come late between two groups has two anchors: if
these are in different splits, it fits into neither without a leak, and is left out.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from pipeline.errors import InputError, StoreError
from pipeline.pictures.checks.likeness import HASH_DISTANCE, Likeness, likeness_of
from pipeline.pictures.decode import decode

DIFFERENCE = 24
"""Levels (of 255) that the most different of 16 x 16 cells may be off: what recompressing, resizing
and a slight change of light do. Other pictures with a near hash differ by more."""

_BLOCK = 65_536
_VERSION = 1
_MADE = (
    "CREATE TABLE sources (number INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, "
    "hash BLOB, cells BLOB, anchors TEXT NOT NULL) STRICT",
    f"PRAGMA user_version = {_VERSION}",
)


class Sources:
    """Anchors of sources by digest. Memory: 36 bytes a source. For one thread."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises `StoreError`."""
        self.path = path
        with self._errors():
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise StoreError(
                    f"{path}: written by another version of this program (delete it: it is made"
                    " again from the pictures)"
                )
            self._connection.execute("BEGIN")
            if version == 0:
                for statement in _MADE:
                    self._connection.execute(statement)
            self._load()

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
            near = () if likeness is None else self._near(likeness)
            anchors = tuple(sorted({anchor for found in near for anchor in found})) or (digest,)
            number = self._connection.execute(
                "INSERT INTO sources (digest, hash, cells, anchors) VALUES (?, ?, ?, ?)",
                (
                    digest,
                    likeness and likeness.hash,
                    likeness and likeness.cells,
                    " ".join(anchors),
                ),
            ).lastrowid
            if likeness is not None and number is not None:
                self._remember(number, likeness.hash)
            if number is not None and number % 1_000 == 0:  # a cut costs little looking again
                self._connection.execute("COMMIT")
                self._connection.execute("BEGIN")
        return anchors

    def _near(self, likeness: Likeness) -> Sequence[tuple[str, ...]]:
        wanted = np.frombuffer(likeness.hash, np.uint64)
        mine = np.frombuffer(likeness.cells, np.uint8).astype(np.int16)
        found = []
        for start in range(0, self._count, _BLOCK):
            block = self._hashes[start : min(start + _BLOCK, self._count)]
            apart = np.bitwise_count(block ^ wanted).sum(axis=1, dtype=np.uint16)
            for at in np.flatnonzero(apart <= HASH_DISTANCE).tolist():
                cells, anchors = self._connection.execute(
                    "SELECT cells, anchors FROM sources WHERE number = ?",
                    (int(self._numbers[start + at]),),
                ).fetchone()
                theirs = np.frombuffer(cells, np.uint8).astype(np.int16)
                if int(np.abs(mine - theirs).max()) <= DIFFERENCE:
                    found.append(tuple(anchors.split()))
        return found

    def _load(self) -> None:
        (count,) = self._connection.execute(
            "SELECT count(*) FROM sources WHERE hash IS NOT NULL"
        ).fetchone()
        self._hashes = np.zeros((max(256, count * 2), 4), np.uint64)
        self._numbers = np.zeros(len(self._hashes), np.uint32)
        self._count = 0
        for number, found in self._connection.execute(
            "SELECT number, hash FROM sources WHERE hash IS NOT NULL ORDER BY number"
        ):
            self._remember(number, found)

    def _remember(self, number: int, found: bytes) -> None:
        if self._count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
            self._numbers = np.concatenate([self._numbers, np.zeros_like(self._numbers)])
        self._hashes[self._count] = np.frombuffer(found, np.uint64)
        self._numbers[self._count] = number
        self._count += 1

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.path}: {error} (make its folder writable; if it is damaged, delete it: it"
                " is made again from the pictures)"
            ) from error


def look_at(path: str) -> Likeness | None:
    """What a picture file looks like; ``None`` where it is away, or no picture that can be read."""
    from pipeline.pictures import pixels

    try:
        picture: Any = decode(path, wanted=512).picture
        return likeness_of(pixels.flattened(picture, "white").convert("RGB"), b"")
    except InputError:
        return None
