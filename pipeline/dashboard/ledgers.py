"""What ledgers say, read no oftener than they change."""

import asyncio
import gzip
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.dashboard.folder import Side
from pipeline.dashboard.standing import Books, read_books

BOOKS_SHARE = 20
"""The ledger of a run that goes on is read at most a twentieth of the time: a large one takes
seconds, and the numbers that move come from the run itself."""
BOOKS_AGE_S = 60.0
"""After so long it is read again although nobody wrote: the day may have ended."""

SETTLED_S = 1.0
"""A ledger that was written to within this time may be written to once more in the same tick of the
file system's clock, and would look as if it had not been."""

INDEXES_KEPT = 8

Signature = tuple[int, ...]


class Ledgers:
    """The books of each job. Belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[Signature, float, float, Books]] = {}

    async def books(self, side: Side, *, running: bool = False) -> Books:
        """What the ledger says; of a run that goes on perhaps what it said a moment ago."""
        signature = await asyncio.to_thread(signature_of, side.ledger)
        known = self._kept.get(side.ledger)
        now = time.monotonic()
        if known is not None:
            before, read_at, took, books = known
            fresh = now - read_at < (BOOKS_AGE_S if before == signature else 0.0)
            if fresh or (running and now - read_at < took * BOOKS_SHARE):
                return books
        books = await asyncio.to_thread(read_books, side)
        ended = time.monotonic()
        self._kept[side.ledger] = (signature, ended, ended - now, books)
        return books


class Packed(msgspec.Struct, frozen=True):
    """A gallery's index: the script, compressed by gzip, and a tag that goes with these bytes."""

    data: bytes
    tag: str


class Indexes:
    """The galleries' indexes: that of 20,000 edits takes half a second to make, and every tab asks
    for it again while a run goes on. Belongs to one event loop.
    """

    def __init__(self) -> None:
        self._kept: dict[Path, tuple[Signature, Packed]] = {}
        self._turns: dict[Path, asyncio.Lock] = {}

    async def index(self, side: Side, make: Callable[[], str]) -> Packed:
        """What ``make`` gives, or gave when the ledger was as it is now. It runs in a thread, and
        raises what it likes; never twice at once for one ledger.
        """
        async with self._turns.setdefault(side.ledger, asyncio.Lock()):
            signature, settled = await asyncio.to_thread(_state_of, side.ledger)
            known = self._kept.pop(side.ledger, None)
            if known is None or known[0] != signature:
                known = (signature, await asyncio.to_thread(_packed, make))
            if settled:
                self._kept[side.ledger] = known  # the latest last
                while len(self._kept) > INDEXES_KEPT:
                    del self._kept[next(iter(self._kept))]
            return known[1]


def signature_of(ledger: Path) -> Signature:
    """Another one after every change, but for those of one moment. Blocks."""
    found: list[int] = []
    for path in (ledger, ledger.with_name(f"{ledger.name}-wal")):
        try:
            state = path.stat()
            found += [state.st_mtime_ns, state.st_size]
        except OSError:
            found += [0, -1]
    return tuple(found)


def _state_of(ledger: Path) -> tuple[Signature, bool]:
    signature = signature_of(ledger)
    written_at = max(signature[0], signature[2]) / 1e9
    return signature, not 0 <= time.time() - written_at < SETTLED_S


def _packed(make: Callable[[], str]) -> Packed:
    # Level 1: the others save next to nothing of what is left, which is digests.
    data = gzip.compress(make().encode("utf-8"), 1, mtime=0)
    return Packed(data, hashlib.blake2b(data, digest_size=8).hexdigest())
