"""Samples into shards of a stated size. A shard that is published stays as it is, byte for byte, as
long as all that is in it is still wanted; what is new goes into new shards.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from pipeline.exporting.choosing import Chosen, Layout
from pipeline.exporting.originals import Pictures
from pipeline.exporting.publishing import Target, sha256_of
from pipeline.exporting.reading import LeftOut, samples
from pipeline.exporting.scratch import Scratch
from pipeline.exports import shard_writer
from pipeline.exports.samples import Sample, weight
from pipeline.job.exports import Export

END_BYTES = 16_384
"""What ends a tar, and a Parquet file's own account of itself, at least."""


WHATEVER_SIZE = 1 << 62
"""Of a shard that is written again with less in it."""


class Shards(msgspec.Struct):
    """What became of them. ``sizes``: bytes by name; ``samples``: by split. ``repaired``: a file
    of the present export was away or cut short.
    """

    sizes: dict[str, int] = {}
    samples: dict[str, int] = {}
    written: int = 0
    kept: int = 0
    rewritten: int = 0
    removed: int = 0
    bytes_written: int = 0
    repaired: bool = False


class Cutting:
    """A stream of samples, cut where the next one would make a shard too large."""

    def __init__(self, stream: Iterator[tuple[Chosen, Sample]], limit: int) -> None:
        self._stream = stream
        self._limit = limit - END_BYTES
        self._next = next(stream, None)

    @property
    def more(self) -> bool:
        return self._next is not None

    def shard(self, index: list[str]) -> Iterator[Sample]:
        """The samples of one shard, at least one; ``index`` gets a line for each."""
        size = 0
        while self._next is not None:
            chosen, sample = self._next
            size += weight(sample)
            if index and size > self._limit:
                return
            index.append(f"{chosen.key}\t{chosen.signature}\n")
            self._next = None  # one picture less in memory while the next is fetched
            yield sample
            self._next = next(self._stream, None)


class ShardFolder:
    """The shards of one export: what is there, and what it takes to bring them up to date."""

    def __init__(
        self,
        target: Target,
        scratch: Scratch,
        layout: Layout,
        wish: Export,
    ) -> None:
        self._target = target
        self._scratch = scratch
        self._layout = layout
        self._writer, self._extension = shard_writer(wish.format)
        self._limit = wish.shard_size
        self.done = Shards(sizes={}, samples={})

    def update(
        self,
        known: dict[str, int],
        pictures: Pictures,
        left_out: LeftOut,
        each: Callable[[int], None],
    ) -> None:
        """``known``: the sizes of the shards that are there, by name, if they may be kept.
        ``each``: hears of samples that are done.
        """

        def read(wanted: Iterator[Chosen], limit: int) -> Cutting:
            return Cutting(samples(wanted, pictures, left_out, each), limit)

        for shard, size in list(known.items()):
            index = self._target.old(index_name(shard)) if self._target.has(shard, size) else None
            if index is None:  # taken away, cut short: made again
                self.done.repaired = True
                continue
            self._scratch.hold(
                shard, split_in(shard), index.decode("utf-8").splitlines(keepends=True)
            )
        counts = self._scratch.held_counts()
        dirty = self._scratch.dirty()
        for shard in sorted(counts):
            split = split_in(shard)
            if shard not in dirty:
                self._keep(shard, known[shard])
                each(counts[shard])
                self.done.samples[split] = self.done.samples.get(split, 0) + counts[shard]
                continue
            rest = read(self._scratch.remaining(shard), WHATEVER_SIZE)
            if rest.more:
                self._write(shard, rest)
                self.done.rewritten += 1
            else:
                self.done.removed += 1
        for split in sorted(self._scratch.wanted_splits()):
            number = 1 + max(
                (number_in(shard) for shard in known if split_in(shard) == split), default=-1
            )
            cutting = read(self._scratch.new(split), self._limit)
            while cutting.more:
                self._write(f"data/{split}-{number:05}{self._extension}", cutting)
                self.done.written += 1
                number += 1

    def _write(self, shard: str, cutting: Cutting) -> None:
        index: list[str] = []
        path = self._target.new(shard)
        self._writer(self._layout.columns, cutting.shard(index), path)
        notes = self._target.new(index_name(shard))
        notes.write_text("".join(index), encoding="utf-8", newline="")
        self._listed(shard, path)
        self._listed(index_name(shard), notes)
        split = split_in(shard)
        self.done.samples[split] = self.done.samples.get(split, 0) + len(index)
        self.done.sizes[shard] = path.stat().st_size
        self.done.bytes_written += path.stat().st_size

    def _listed(self, name: str, path: Path) -> None:
        self._scratch.file(name, sha256_of(path), fresh=True)

    def _keep(self, shard: str, size: int) -> None:
        for name in (shard, index_name(shard)):
            self._target.keep(name)
            self._scratch.file(name, self._scratch.old_sha256(name) or "", fresh=False)
        self.done.sizes[shard] = size
        self.done.kept += 1


def index_name(shard: str) -> str:
    """``data/train-00000.tar`` → ``.export/train-00000.tsv``: what is in it."""
    return f".export/{shard.removeprefix('data/').rpartition('.')[0]}.tsv"


def split_in(shard: str) -> str:
    return shard.removeprefix("data/").rpartition("-")[0]


def number_in(shard: str) -> int:
    return int(shard.rpartition("-")[2].partition(".")[0])
