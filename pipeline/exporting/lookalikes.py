"""Which pictures look like a new one: all of them, exactly, without a look at all the others.

Two pictures look alike if their hashes are at most `HASH_DISTANCE` bits apart **and** no value of
their thumbnails is more than `DIFFERENCE` levels off. Near hashes cannot be looked up: 48 bits of
256 are too many for any table. But the second condition holds for each value alone. So the pictures
hang on a tree, each of whose forks asks for one value of the thumbnail: up to a threshold on the
one side, above it on the other. Where a picture's value is further than `DIFFERENCE` from the
threshold, all that looks like it is on its own side. What is left of the tree are a few leaves, and
their hashes are compared one by one.

Which forks there are follows from the pictures and decides how long a search takes, never what it
finds. Leaves are in the database, forks in memory: one for about a hundred pictures.
"""

import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.pictures.checks.likeness import HASH_DISTANCE, Likeness

DIFFERENCE = 24
"""Levels (of 255) that the most different of 16 x 16 cells may be off: what recompressing, resizing
and a slight change of light do. Other pictures with a near hash differ by more."""

BLOCK = 128
"""Pictures in a row of `leaves`: a leaf forks when one is full."""

FULL = 4 * BLOCK
"""Bytes of its ``numbers`` then."""

SAMPLE = 256
"""Pictures of a leaf that are asked where it should fork."""

WORTHWHILE = 0.9
"""A fork is made if it spares searches a tenth of the leaf. Else the leaf grows by another row."""

MADE = (
    "CREATE TABLE forks (node INTEGER PRIMARY KEY, value INTEGER NOT NULL, "
    "threshold INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL) STRICT",
    "CREATE TABLE leaves (row INTEGER PRIMARY KEY, node INTEGER NOT NULL, numbers BLOB NOT NULL, "
    "hashes BLOB NOT NULL) STRICT",
    "CREATE INDEX leaves_by_node ON leaves (node)",
)
"""``numbers`` and ``hashes``: 4 and 32 bytes for each picture, side by side."""

_ROOT = 1
_AT_ONCE = 512
"""Rows whose hashes are compared in one go: 2 MB."""

_NUMBER = np.dtype("<u4")
_Numbers = npt.NDArray[np.uint32]
_Hashes = npt.NDArray[np.uint64]
_Cells = npt.NDArray[np.int16]


class Lookalikes:
    """The tree over a table ``sources (number, cells, …)``. Inside the caller's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._forks: dict[int, tuple[int, int, int, int]] = {}
        self._last = _ROOT
        for node, value, threshold, low, high in connection.execute("SELECT * FROM forks"):
            self._forks[node] = (value, threshold, low, high)
            self._last = max(self._last, high)

    def find(self, likeness: Likeness) -> list[int]:
        """The numbers of all pictures that look like this one."""
        hashed = np.frombuffer(likeness.hash, np.uint64)
        mine = np.frombuffer(likeness.cells, np.uint8).astype(np.int16)
        found = []
        for numbers, hashes in self._candidates(likeness.cells):
            apart = np.bitwise_count(hashes ^ hashed).sum(axis=1, dtype=np.uint16)
            for number in numbers[apart <= HASH_DISTANCE].tolist():
                if int(np.abs(self._cells([number])[0] - mine).max()) <= DIFFERENCE:
                    found.append(number)
        return found

    def add(self, number: int, likeness: Likeness) -> None:
        """Hangs a picture of ``sources`` on the tree."""
        node = _ROOT
        while node in self._forks:
            value, threshold, low, high = self._forks[node]
            node = low if likeness.cells[value] <= threshold else high
        name = np.array([number], _NUMBER).tobytes()
        last = self._connection.execute(
            "SELECT row, numbers, hashes FROM leaves WHERE node = ? ORDER BY row DESC LIMIT 1",
            (node,),
        ).fetchone()
        if last is None or len(last[1]) == FULL:
            self._insert(node, name, likeness.hash)
            return
        row, numbers, hashes = last
        self._connection.execute(
            "UPDATE leaves SET numbers = ?, hashes = ? WHERE row = ?",
            (numbers + name, hashes + likeness.hash, row),
        )
        if len(numbers + name) == FULL:
            self._fork(node)

    def _candidates(self, cells: bytes) -> Iterator[tuple[_Numbers, _Hashes]]:
        """All that could look like a picture with these cells, in pieces."""
        waiting = [_ROOT]
        rows: list[tuple[bytes, bytes]] = []
        while waiting:
            node = waiting.pop()
            if node in self._forks:
                value, threshold, low, high = self._forks[node]
                if cells[value] - DIFFERENCE <= threshold:
                    waiting.append(low)
                if cells[value] + DIFFERENCE > threshold:
                    waiting.append(high)
                continue
            rows += self._rows(node)
            if len(rows) >= _AT_ONCE:
                yield _joined(rows)
                rows = []
        if rows:
            yield _joined(rows)

    def _rows(self, node: int) -> list[tuple[bytes, bytes]]:
        return self._connection.execute(
            "SELECT numbers, hashes FROM leaves WHERE node = ?", (node,)
        ).fetchall()

    def _cells(self, numbers: Sequence[int]) -> _Cells:
        """A row for each: what its 16 x 16 cells show, as signed numbers."""
        found = [
            self._connection.execute(
                "SELECT cells FROM sources WHERE number = ?", (number,)
            ).fetchone()[0]
            for number in numbers
        ]
        return np.frombuffer(b"".join(found), np.uint8).reshape(len(found), -1).astype(np.int16)

    def _fork(self, node: int) -> None:
        numbers, hashes = _joined(self._rows(node))
        asked = numbers[:: -(-len(numbers) // SAMPLE)].tolist()
        best = best_fork(self._cells(asked))
        if best is None:
            return
        value, threshold = best
        low, high = self._last + 1, self._last + 2
        self._last = high
        self._forks[node] = (value, threshold, low, high)
        self._connection.execute(
            "INSERT INTO forks VALUES (?, ?, ?, ?, ?)", (node, value, threshold, low, high)
        )
        self._connection.execute("DELETE FROM leaves WHERE node = ?", (node,))
        for start in range(0, len(numbers), SAMPLE):
            part = slice(start, start + SAMPLE)
            up_to = self._cells(numbers[part].tolist())[:, value] <= threshold
            for side, chosen in ((low, up_to), (high, ~up_to)):
                self._hang(side, numbers[part][chosen], hashes[part][chosen])

    def _hang(self, node: int, numbers: _Numbers, hashes: _Hashes) -> None:
        for start in range(0, len(numbers), BLOCK):
            part = slice(start, start + BLOCK)
            self._insert(node, numbers[part].tobytes(), hashes[part].tobytes())

    def _insert(self, node: int, numbers: bytes, hashes: bytes) -> None:
        self._connection.execute(
            "INSERT INTO leaves (node, numbers, hashes) VALUES (?, ?, ?)", (node, numbers, hashes)
        )


def best_fork(cells: _Cells) -> tuple[int, int] | None:
    """Which value to ask for, and its threshold, so that a search for one of these pictures looks
    at as few of the others as possible; ``None`` where it would look at nearly all of them.

    ``cells``: a row for each picture.
    """
    ordered = np.sort(cells, axis=0)
    least, best = WORTHWHILE, None
    for share in (0.25, 0.5, 0.75):
        thresholds = ordered[int(len(cells) * share) - 1]
        low = (cells <= thresholds).mean(axis=0)
        only_low = (cells <= thresholds - DIFFERENCE).mean(axis=0)
        only_high = (cells > thresholds + DIFFERENCE).mean(axis=0)
        looked_at = only_low * low + only_high * (1 - low) + (1 - only_low - only_high)
        value = int(looked_at.argmin())
        if looked_at[value] < least:
            least, best = float(looked_at[value]), (value, int(thresholds[value]))
    return best


def _joined(rows: Sequence[tuple[bytes, bytes]]) -> tuple[_Numbers, _Hashes]:
    numbers = np.frombuffer(b"".join([row[0] for row in rows]), _NUMBER)
    return numbers, np.frombuffer(b"".join([row[1] for row in rows]), np.uint64).reshape(-1, 4)
