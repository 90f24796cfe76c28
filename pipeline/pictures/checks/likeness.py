"""What a picture looks like, in 800 bytes, and the pictures of a run that look the same.

Two pictures are held for one when a perceptual hash (the signs of 256 low frequencies) is near
and no cell of a 16 x 16 thumbnail differs: the hash finds, the thumbnail tells a blue mug from a
green one, which have the same hash.
"""

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

HASH_DISTANCE = 48
"""Of 256 bits. Recompressed and resized pictures differ by 40 at most, different ones by 86 and
more (docs/checks.md)."""

_GRID = 64
_FREQUENCIES = 16
_CELLS = 16
_WORDS = _FREQUENCIES * _FREQUENCIES // 64
_PACKED = 32 + 32 + _CELLS * _CELLS * 3

MOST_SEEN = 100_000
"""Pictures that a run remembers: 90 MB, looked through in about 2 ms."""


class Likeness(msgspec.Struct, frozen=True):
    """``digest``: of the file's bytes. ``hash``: 32 bytes. ``cells``: 16 x 16 RGB, 768 bytes."""

    digest: bytes
    hash: bytes
    cells: bytes

    def packed(self) -> bytes:
        """All of it in 832 bytes, for a ledger."""
        return self.digest + self.hash + self.cells

    @classmethod
    def unpacked(cls, data: bytes) -> "Likeness | None":
        """What was packed; None for what is not."""
        if len(data) != _PACKED:
            return None
        return cls(data[:32], data[32:64], data[64:])


class Match(msgspec.Struct, frozen=True):
    """The nearest other picture: whose, and by how many levels (of 255) its most different cell
    differs; ``exact``: the same bytes.
    """

    owner: str
    difference: float
    exact: bool


def likeness_of(picture: "Image", digest: bytes) -> Likeness:
    """Of an ``RGB`` picture of any size; ``digest`` is the caller's."""
    from PIL import Image

    grey = np.asarray(picture.convert("L").resize((_GRID, _GRID), Image.Resampling.BOX))
    waves = _waves()
    spectrum = waves @ grey.astype(np.float32) @ waves.T
    spectrum[0, 0] = 0  # the brightness of it all
    values = spectrum.ravel()
    bits = np.packbits(values > np.median(values[1:]))
    cells = picture.resize((_CELLS, _CELLS), Image.Resampling.BOX).tobytes()
    return Likeness(digest, bits.tobytes(), cells)


def nearest(likeness: Likeness, others: Sequence[tuple[str, Likeness]]) -> Match | None:
    """The most similar of a few, among those with a near hash; None when there is none."""
    best: Match | None = None
    for owner, other in others:
        if other.digest == likeness.digest:
            return Match(owner, 0.0, True)
        if _words(other.hash, likeness.hash) > HASH_DISTANCE:
            continue
        difference = _difference(likeness.cells, other.cells)
        if best is None or difference < best.difference:
            best = Match(owner, difference, False)
    return best


class SeenPictures:
    """The pictures of a run, at 0.9 kB each: the latest ``most``. Safe to use from many threads.

    20,000 are searched in a third of a millisecond: all hashes at once, no index.
    """

    def __init__(self, most: int = MOST_SEEN) -> None:
        self._most = most
        self._oldest = 0
        self._lock = threading.Lock()
        self._owners: list[str] = []
        self._digest_at: list[bytes] = []
        self._digests: dict[bytes, list[int]] = {}
        self._hashes = np.zeros((256, _WORDS), np.uint64)
        self._cells = np.zeros((256, _CELLS * _CELLS * 3), np.uint8)

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, owner: str, likeness: Likeness) -> None:
        """Remembers a picture, for instance one of an earlier run."""
        with self._lock:
            self._add(owner, likeness)

    def claim(self, owner: str, likeness: Likeness, *, difference: float) -> Match | None:
        """The nearest picture of another owner that differs by no more than ``difference``; where
        there is none, this one is remembered, in the same moment. An owner's own pictures are
        passed over: an edit that is done again may come out the same.
        """
        with self._lock:
            match = self._nearest(owner, likeness)
            if match is not None and match.difference <= difference:
                return match
            self._add(owner, likeness)
            return None

    def nearest(self, owner: str, likeness: Likeness) -> Match | None:
        """As `claim` finds it, with any difference; remembers nothing."""
        with self._lock:
            return self._nearest(owner, likeness)

    def release(self, owner: str, likeness: Likeness) -> None:
        """Forgets a picture that was turned down after it was claimed. Harmless for others."""
        with self._lock:
            places = self._digests.get(likeness.digest, [])
            for at in [at for at in places if self._owners[at] == owner]:
                self._forget(at)

    def _add(self, owner: str, likeness: Likeness) -> None:
        at = self._free()
        self._owners[at] = owner
        self._digest_at[at] = likeness.digest
        self._digests.setdefault(likeness.digest, []).append(at)
        self._hashes[at] = np.frombuffer(likeness.hash, np.uint64)
        self._cells[at] = np.frombuffer(likeness.cells, np.uint8)

    def _free(self) -> int:
        """A place for one more; where there are enough, the one that was filled first."""
        at = len(self._owners)
        if at < self._most:
            if at == len(self._hashes):
                self._hashes = np.concatenate([self._hashes, np.zeros_like(self._hashes)])
                self._cells = np.concatenate([self._cells, np.zeros_like(self._cells)])
            self._owners.append("")
            self._digest_at.append(b"")
            return at
        at = self._oldest
        self._oldest = (at + 1) % self._most
        self._forget(at)
        return at

    def _forget(self, at: int) -> None:
        self._owners[at] = ""
        places = self._digests.get(self._digest_at[at], [])
        if at in places:
            places.remove(at)
        if not places:
            self._digests.pop(self._digest_at[at], None)

    def _nearest(self, owner: str, likeness: Likeness) -> Match | None:
        for at in self._digests.get(likeness.digest, ()):
            if self._owners[at] != owner:
                return Match(self._owners[at], 0.0, True)
        count = len(self._owners)
        wanted = np.frombuffer(likeness.hash, np.uint64)
        apart = np.bitwise_count(self._hashes[:count] ^ wanted).sum(axis=1)
        near = [
            at
            for at in np.flatnonzero(apart <= HASH_DISTANCE).tolist()
            if self._owners[at] not in ("", owner)
        ]
        if not near:
            return None
        mine = np.frombuffer(likeness.cells, np.uint8)
        theirs = self._cells[near]
        # Unsigned, so the larger minus the smaller: a whole run may be in here.
        differences = (np.maximum(theirs, mine) - np.minimum(theirs, mine)).max(axis=1)
        best = int(differences.argmin())
        return Match(self._owners[near[best]], float(differences[best]), False)


def _words(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def _difference(one: bytes, other: bytes) -> float:
    a = np.frombuffer(one, np.uint8).astype(np.int16)
    return float(np.abs(a - np.frombuffer(other, np.uint8)).max())


@functools.cache
def _waves() -> "NDArray[np.float32]":
    """The lowest rows of a discrete cosine transform."""
    rows, columns = np.mgrid[:_FREQUENCIES, :_GRID]
    waves: NDArray[np.float32] = np.cos(
        np.pi * (2 * columns + 1) * rows / (2 * _GRID), dtype=np.float32
    )
    return waves
