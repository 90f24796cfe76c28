"""Measures the search for look-alikes: seconds for a new source where there are so many already.

``python -m benchmarks.sources [COUNT …] [--kind NAME]`` prints a table. What sources look like is
drawn, not decoded from files: to decode them takes far longer than to compare them. ``photos`` are
soft shapes all over the frame, ``products`` shapes on pure white, ``pages`` nearly white all over:
there the tree has nothing to go by, and every hash is compared.
"""

import argparse
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.exporting.lookalikes import DIFFERENCE
from pipeline.exporting.sources import Sources
from pipeline.pictures.checks.likeness import HASH_DISTANCE, Likeness

BATCH = 1_000
ASKED = 300
KINDS = ("photos", "products", "pages")

_Cells = npt.NDArray[np.uint8]


def drawn(count: int, kind: str, seed: int) -> _Cells:
    """``count`` times 16 x 16 cells of RGB."""
    chance = np.random.default_rng(seed)
    if kind == "pages":
        return chance.integers(236, 256, (count, 16, 16, 3), np.uint8)
    points, cells_at = np.linspace(0, 15, 5), np.arange(16)
    soft = np.stack([np.interp(cells_at, points, line) for line in np.eye(5)], axis=1)
    coarse = chance.uniform(0, 255, (count, 5, 5, 3))
    shades = np.einsum("ai,nijc,bj->nabc", soft, coarse, soft, optimize=True)
    shades += chance.normal(0, 12, shades.shape)
    cells = shades.clip(0, 255).astype(np.uint8)
    if kind == "products":
        framed = np.full_like(cells, 255)
        framed[:, 4:12, 4:12] = cells[:, 4:12, 4:12]
        return framed
    return cells


def likenesses(cells: _Cells) -> list[Likeness]:
    """With hashes as `likeness_of` makes them, of the cells instead of a picture."""
    rows, columns = np.mgrid[:16, :16]
    waves = np.cos(np.pi * (2 * columns + 1) * rows / 32)
    spectrum = np.einsum("ai,nij,bj->nab", waves, cells.mean(axis=3), waves, optimize=True)
    spectrum = spectrum.reshape(len(cells), -1)
    spectrum[:, 0] = 0
    bits = np.packbits(spectrum > np.median(spectrum[:, 1:], axis=1, keepdims=True), axis=1)
    return [
        Likeness(b"", hashed.tobytes(), shown.tobytes())
        for hashed, shown in zip(bits, cells, strict=True)
    ]


def fill(path: Path, count: int, kind: str) -> float:
    """Makes ``sources.db`` as exports do, one source after another; how many seconds it took."""
    took = 0.0
    with Sources(path) as sources:
        for first in range(0, count, BATCH):
            batch = likenesses(drawn(min(BATCH, count - first), kind, seed=first))
            began = time.perf_counter()
            for number, one in enumerate(batch, start=first):
                sources.anchors(f"{number:064x}", lambda one=one: one)  # type: ignore[misc]
            took += time.perf_counter() - began
    return took


def ask(path: Path, kind: str) -> tuple[float, float]:
    """Seconds for one more source: by the tree, and by a look at all of them."""
    new = likenesses(drawn(ASKED, kind, seed=-1 % 2**32))
    with Sources(path) as sources:
        began = time.perf_counter()
        found = [sorted(sources._tree.find(one)) for one in new]
        tree = (time.perf_counter() - began) / len(new)
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT number, hash FROM sources ORDER BY number").fetchall()
    hashes = np.frombuffer(b"".join([row[1] for row in rows]), np.uint64).reshape(-1, 4)
    began = time.perf_counter()
    for one, known in zip(new[:20], found, strict=False):
        apart = np.bitwise_count(hashes ^ np.frombuffer(one.hash, np.uint64)).sum(axis=1)
        near = []
        for at in np.flatnonzero(apart <= HASH_DISTANCE).tolist():
            (cells,) = connection.execute(
                "SELECT cells FROM sources WHERE number = ?", (rows[at][0],)
            ).fetchone()
            mine, theirs = np.frombuffer(one.cells + cells, np.uint8).reshape(2, -1).astype(int)
            if np.abs(mine - theirs).max() <= DIFFERENCE:
                near.append(rows[at][0])
        assert near == known, "the tree finds what a look at all finds"
    return tree, (time.perf_counter() - began) / 20


def main() -> None:
    """Prints a row for each number of sources and kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--kind", action="append", choices=KINDS)
    options = parser.parse_args()
    print("| sources | kind | all of them | one more | by a look at all | memory |")
    print("|---:|---|---:|---:|---:|---:|")
    for kind in options.kind or KINDS:
        for count in options.counts:
            folder = Path(tempfile.mkdtemp(prefix="bench-sources-"))
            try:
                took = fill(folder / "sources.db", count, kind)
                unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
                tree, every = ask(folder / "sources.db", kind)
                print(
                    f"| {count:,} | {kind} | {took:,.0f} s | {tree * 1e3:.2f} ms |"
                    f" {every * 1e3:.2f} ms | {memory:.0f} MB |",
                    flush=True,
                )
            finally:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
