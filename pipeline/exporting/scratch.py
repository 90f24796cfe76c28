"""What an export has to remember meanwhile, in a temporary database: memory stays flat, whatever
the number of samples. About 1 kB of disk for each.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import msgspec

from pipeline.errors import StoreError
from pipeline.exporting.choosing import Chosen
from pipeline.exporting.preferring import Judged

_MADE = """
CREATE TABLE wanted (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, split TEXT NOT NULL,
    signature TEXT NOT NULL, chosen BLOB NOT NULL);
CREATE TABLE held (key TEXT NOT NULL, shard TEXT NOT NULL, split TEXT NOT NULL,
    signature TEXT NOT NULL, number INTEGER PRIMARY KEY);
CREATE INDEX held_by_key ON held (key);
CREATE TABLE judged (number INTEGER PRIMARY KEY, grouped TEXT NOT NULL, edit TEXT NOT NULL,
    judged BLOB NOT NULL);
CREATE INDEX judged_by_group ON judged (grouped);
CREATE TABLE old_files (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL, fresh INTEGER NOT NULL)
    WITHOUT ROWID;
"""
_SAME = "h.key = w.key AND h.signature = w.signature AND h.split = w.split"


class Scratch:
    """For one thread, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._connection = sqlite3.connect(folder / "scratch.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("PRAGMA cache_size = -16384")
        self._connection.executescript(_MADE)
        self._connection.execute("BEGIN")
        self._encode = msgspec.msgpack.Encoder().encode
        self._chosen = msgspec.msgpack.Decoder(Chosen).decode
        self._judged = msgspec.msgpack.Decoder(Judged).decode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.Error):  # the ledger's and the sources' are said by them
            raise StoreError(
                f"{self._folder}: {error} (an export needs about 1 kB there for each example: make"
                " room, and export again; what was there before is untouched)"
            ) from error

    def want(self, chosen: Chosen) -> None:
        """A sample that belongs into the export. Of two with one key the first counts."""
        self._connection.execute(
            "INSERT OR IGNORE INTO wanted (key, split, signature, chosen) VALUES (?, ?, ?, ?)",
            (chosen.key, chosen.split, chosen.signature, self._encode(chosen)),
        )

    def hold(self, shard: str, split: str, lines: Iterable[str]) -> None:
        """What a shard of the present export has in it, as its index says."""
        rows = (line.rstrip("\n").partition("\t") for line in lines)
        self._connection.executemany(
            "INSERT INTO held (key, shard, split, signature) VALUES (?, ?, ?, ?)",
            ((key, shard, split, signature) for key, _, signature in rows),
        )

    def judge(self, edit: Judged) -> None:
        """An edit whose pictures were judged; see `groups`."""
        self._connection.execute(
            "INSERT INTO judged (grouped, edit, judged) VALUES (?, ?, ?)",
            (edit.group, edit.edit_id, self._encode(edit)),
        )

    def groups(self) -> Iterator[tuple[Judged, ...]]:
        """Judged edits that are variants of one, in the order of the first of each."""
        for (group,) in self._connection.execute(
            "SELECT grouped FROM judged GROUP BY grouped ORDER BY min(number)"
        ):
            rows = self._connection.execute(
                "SELECT judged FROM judged WHERE grouped = ? ORDER BY number", (group,)
            )
            yield tuple([self._judged(one) for (one,) in rows.fetchall()])

    def dirty(self) -> frozenset[str]:
        """Shards that have something in them which is not wanted like that any more."""
        rows = self._connection.execute(
            f"SELECT DISTINCT shard FROM held AS h WHERE NOT EXISTS "  # noqa: S608 - from above
            f"(SELECT 1 FROM wanted AS w WHERE {_SAME})"
        )
        return frozenset(shard for (shard,) in rows.fetchall())

    def held_counts(self) -> dict[str, int]:
        """Samples by shard."""
        rows = self._connection.execute("SELECT shard, count(*) FROM held GROUP BY shard")
        return dict(rows.fetchall())

    def remaining(self, shard: str) -> Iterator[Chosen]:
        """What a shard has in it and is still wanted, in its order."""
        return self._samples(
            f"SELECT w.chosen FROM held AS h JOIN wanted AS w ON {_SAME} "  # noqa: S608
            "WHERE h.shard = ? ORDER BY h.number",
            shard,
        )

    def new(self, split: str) -> Iterator[Chosen]:
        """What is wanted, and in no shard, in the ledger's order."""
        return self._samples(
            "SELECT chosen FROM wanted AS w WHERE split = ? AND NOT EXISTS "  # noqa: S608
            f"(SELECT 1 FROM held AS h WHERE {_SAME}) ORDER BY number",
            split,
        )

    def all_of(self, split: str) -> Iterator[Chosen]:
        """All that is wanted in a split, in the ledger's order."""
        return self._samples("SELECT chosen FROM wanted WHERE split = ? ORDER BY number", split)

    def first(self, count: int) -> Iterator[Chosen]:
        """The first that are wanted, in whatever split."""
        return self._samples("SELECT chosen FROM wanted ORDER BY number LIMIT ?", count)

    def wanted_count(self) -> int:
        """All samples that belong into the export."""
        return int(self._connection.execute("SELECT count(*) FROM wanted").fetchone()[0])

    def wanted_splits(self) -> frozenset[str]:
        """The splits that anything belongs into."""
        rows = self._connection.execute("SELECT DISTINCT split FROM wanted")
        return frozenset(split for (split,) in rows.fetchall())

    def _samples(self, statement: str, *values: object) -> Iterator[Chosen]:
        for (chosen,) in self._connection.execute(statement, values):
            yield self._chosen(chosen)

    def old_file(self, path: str, sha256: str) -> None:
        """A file of the present export, as its SHA256SUMS has it."""
        self._connection.execute("INSERT OR REPLACE INTO old_files VALUES (?, ?)", (path, sha256))

    def old_sha256(self, path: str) -> str | None:
        row = self._connection.execute(
            "SELECT sha256 FROM old_files WHERE path = ?", (path,)
        ).fetchone()
        return row[0] if row else None

    def file(self, path: str, sha256: str, *, fresh: bool) -> None:
        """A file of the new export. ``fresh``: it was written now."""
        self._connection.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, sha256, fresh)
        )

    def has_file(self, path: str) -> bool:
        row = self._connection.execute("SELECT 1 FROM files WHERE path = ?", (path,)).fetchone()
        return row is not None

    def files(self) -> Iterator[tuple[str, str]]:
        """Path and SHA-256 of all files of the new export, by path."""
        yield from self._connection.execute("SELECT path, sha256 FROM files ORDER BY path")

    def fresh_files(self) -> Iterator[str]:
        """The files that were written now, by path."""
        for (path,) in self._connection.execute("SELECT path FROM files WHERE fresh ORDER BY path"):
            yield path

    def gone_files(self) -> Iterator[str]:
        """Files of the present export that the new one does not have."""
        for (path,) in self._connection.execute(
            "SELECT path FROM old_files WHERE path NOT IN (SELECT path FROM files)"
        ):
            yield path

    def changed(self) -> bool:
        """Whether the new export differs from the present one in any file."""
        row = self._connection.execute(
            "SELECT EXISTS (SELECT path, sha256 FROM files EXCEPT SELECT path, sha256 "
            "FROM old_files) OR EXISTS (SELECT 1 FROM old_files WHERE path NOT IN "
            "(SELECT path FROM files))"
        ).fetchone()
        return bool(row[0])
