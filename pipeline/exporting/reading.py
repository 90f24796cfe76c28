"""Chosen samples to whole ones: their pictures are read a little ahead, in threads."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from pipeline.errors import InputError
from pipeline.exporting.choosing import Chosen
from pipeline.exporting.originals import Pictures, Stored
from pipeline.exports.samples import PictureBytes, Sample

THREADS = 4
AHEAD = 8
"""Samples that are read before they are wanted: what an export holds in memory of pictures."""

LISTED = 1_000
"""Samples that are named one by one; beyond, they are counted."""


class Missing(msgspec.Struct, frozen=True):
    """A sample that is not in the export, and why: which picture is not what it was."""

    id: str
    place: str
    why: str


class LeftOut:
    """What could not be exported. ``edits`` are named once for each reason, the first `LISTED`."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[Missing] = []

    def add(self, chosen: Chosen, why: str) -> None:
        self.count += 1
        if len(self.named) < LISTED:
            self.named.append(Missing(chosen.edit_id, chosen.place, why))


def read(pictures: Pictures, chosen: Chosen) -> Sample:
    """One sample, whole. Raises `InputError`, which names the picture."""
    found: dict[str, PictureBytes | None] = {}
    for name, one in chosen.pictures.items():
        if one is None:
            found[name] = None
        elif isinstance(one, Stored):
            found[name] = pictures.stored(one)
        else:
            found[name] = pictures.sent(one)
    return Sample(chosen.key, chosen.values, found)


def samples(
    wanted: Iterator[Chosen], pictures: Pictures, left_out: LeftOut, each: Callable[[int], None]
) -> Iterator[tuple[Chosen, Sample]]:
    """Those whose pictures are there, in their order; the others go to ``left_out``. ``each`` hears
    of both.
    """
    waiting: deque[tuple[Chosen, Future[Sample]]] = deque()
    with ThreadPoolExecutor(THREADS, thread_name_prefix="export") as threads:
        try:
            while True:
                while len(waiting) < AHEAD and (chosen := next(wanted, None)) is not None:
                    waiting.append((chosen, threads.submit(read, pictures, chosen)))
                if not waiting:
                    return
                chosen, future = waiting.popleft()
                each(1)
                try:
                    sample = future.result()
                except InputError as error:
                    left_out.add(chosen, str(error))
                    continue
                yield chosen, sample
        finally:
            threads.shutdown(cancel_futures=True)
