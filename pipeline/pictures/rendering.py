"""Many renditions: on all cores, in bounded memory, each file whole or not there.

In processes, because Pillow holds Python's lock while it encodes JPEG, and what a rendition needs
of Python adds up; a few renditions are made in threads, where nothing has to be started. A picture
of more than `LARGE_BYTES` decoded waits for its turn. A decoder that brings its process down takes
one picture with it, not the run.
"""

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.errors import PipelineError
from pipeline.pictures.decode import kind_of, taken_apart
from pipeline.pictures.encoding import Format
from pipeline.pictures.provenance import Provenance
from pipeline.pictures.renditions import RenditionSpec, render
from pipeline.pictures.source import FileSource
from pipeline.pictures.upscaling import load_upscaler

LARGE_BYTES = 40_000_000 * 4
"""What a picture takes decoded, 4 bytes a pixel; larger ones, and what is made larger than that,
are worked on one at a time."""

FEW = 24
"""So many items, or fewer, are not worth starting processes for."""

_AHEAD = 4  # items given out per worker: one slow picture at the front keeps nobody waiting


class RenderItem(msgspec.Struct, frozen=True, kw_only=True):
    """One rendition to be made: of the file ``source``, as ``spec``, into ``target``.

    ``key``: of `rendition_key`; ``made_key`` and ``made_bytes``: key and size of what the caller's
    books say lies at ``target``. Where the keys agree and the file is there in that size, nothing
    is done.
    """

    source: Path
    spec: RenditionSpec
    target: Path
    rendition: str = ""
    provenance: Provenance | None = None
    key: str = ""
    made_key: str = ""
    made_bytes: int | None = None


class RenderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an item. ``size``: bytes; ``seconds`` of work; ``problem``: why it failed.

    The rest as of `Rendered`; of what was ``unchanged`` or ``failed`` nothing more is known.
    """

    item: RenderItem
    status: Literal["rendered", "unchanged", "failed"]
    problem: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    format: Format = "jpeg"
    quality: int | None = None
    enlarged: float = 1.0
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


def render_all(
    items: Iterable[RenderItem],
    *,
    workers: int | None = None,
    upscaler: str = "",
    processes: bool | None = None,
) -> Iterator[RenderOutcome]:
    """Makes renditions as they get ready, in the order given. Blocks; pulls a few items at a time.

    ``workers``: default one a processor. ``upscaler``: as `load_upscaler` takes it. ``processes``:
    True or False instead of what suits the number of items. A script that uses them needs the usual
    ``if __name__ == "__main__":``; where they cannot be started, threads do the work. Closing the
    iterator ends the work; what is under way is finished. Raises `JobError` for an upscaler that
    cannot be loaded, before anything is done.
    """
    if upscaler:
        load_upscaler(upscaler)
    todo = iter(items)
    first = list(itertools.islice(todo, FEW + 1))
    workers = workers or processors()
    if processes is None:
        processes = workers > 1 and len(first) > FEW
    return _rendered(
        _Crew(workers, upscaler, processes=processes), itertools.chain(first, todo), workers
    )


def processors() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _rendered(crew: "_Crew", todo: Iterator[RenderItem], workers: int) -> Iterator[RenderOutcome]:
    running: deque[tuple[RenderItem, Future[RenderOutcome]]] = deque()
    try:
        for item in itertools.islice(todo, workers * _AHEAD):
            running.append((item, crew.submit(item)))
        while running:
            item, future = running.popleft()
            try:
                outcome = future.result()
            except BrokenProcessPool:
                outcome = crew.alone(item)
                crew.renew()
                running = deque(
                    (waiting, _again(crew, waiting, there)) for waiting, there in running
                )
            for following in itertools.islice(todo, 1):
                running.append((following, crew.submit(following)))
            yield outcome
    finally:
        crew.end()


def _again(
    crew: "_Crew", item: RenderItem, future: "Future[RenderOutcome]"
) -> "Future[RenderOutcome]":
    """What is done stays done; what broke with its pool is given out once more."""
    done = future.done() and not future.cancelled() and future.exception() is None
    return future if done else crew.submit(item)


class _Crew:
    """Threads, or processes that can be replaced."""

    def __init__(self, workers: int, upscaler: str, *, processes: bool) -> None:
        self._workers = workers
        self._upscaler = upscaler
        self._pool: Executor = self._processes(workers) if processes else self._threads()

    def submit(self, item: RenderItem) -> "Future[RenderOutcome]":
        try:
            return self._pool.submit(_work, item)
        except BrokenProcessPool as error:
            # It broke since it was last asked: this item shares the fate of those it holds.
            broken: Future[RenderOutcome] = Future()
            broken.set_exception(error)
            return broken

    def alone(self, item: RenderItem) -> RenderOutcome:
        """The item in a process of its own: the one that breaks again is the one to blame."""
        pool = self._processes(1)
        try:
            return pool.submit(_work, item).result()
        except BrokenProcessPool:
            return RenderOutcome(
                item=item,
                status="failed",
                problem=f"{item.source}: brought its process down (memory, or a decoder's fault)",
            )
        finally:
            pool.shutdown(cancel_futures=True)

    def renew(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._pool = self._processes(self._workers)

    def end(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _threads(self) -> Executor:
        return ThreadPoolExecutor(
            self._workers,
            thread_name_prefix="rendition",
            initializer=_begin,
            initargs=(threading.Lock(), self._upscaler),
        )

    def _processes(self, workers: int) -> Executor:
        # Spawned: a fork of a process with threads may inherit a lock that nobody gives back.
        context = get_context("spawn")
        pool = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=_begin_process,
            initargs=(context.Lock(), self._upscaler),
        )
        try:
            pool.submit(_ready).result()
        except BrokenProcessPool:
            pool.shutdown(cancel_futures=True)
            return self._threads()
        return pool


class _Here(threading.local):
    """What a worker was given when it began."""

    large: Any = None
    upscale: Callable[..., Any] | None = None


_here = _Here()


def _begin(large: Any, upscaler: str) -> None:
    _here.large = large
    _here.upscale = load_upscaler(upscaler) if upscaler else None


def _begin_process(large: Any, upscaler: str) -> None:
    import signal

    # Ctrl-C goes to the whole group; whoever started this process decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _begin(large, upscaler)


def _ready() -> None:
    """Loads what every item needs, and shows that a process can be started at all."""
    import PIL.Image  # noqa: F401


def _work(item: RenderItem) -> RenderOutcome:
    began = time.perf_counter()
    if item.key and item.key == item.made_key and _is_there(item):
        return RenderOutcome(item=item, status="unchanged")
    try:
        with _here.large if _is_large(item) else contextlib.nullcontext():
            made = render(
                item.source,
                item.spec,
                provenance=item.provenance,
                rendition=item.rendition,
                upscaler=_here.upscale,
            )
        _put(made.data, item.target)
    except PipelineError as error:
        return RenderOutcome(item=item, status="failed", problem=str(error))
    except OSError as error:
        why = error.strerror or str(error)
        return RenderOutcome(
            item=item, status="failed", problem=f"{item.target}: cannot be written: {why}"
        )
    except MemoryError:
        return RenderOutcome(
            item=item, status="failed", problem=f"{item.source}: does not fit into memory"
        )
    return RenderOutcome(
        item=item,
        status="rendered",
        size=len(made.data),
        width=made.width,
        height=made.height,
        format=made.format,
        quality=made.quality,
        enlarged=made.enlarged,
        notes=made.notes,
        seconds=time.perf_counter() - began,
    )


def _is_there(item: RenderItem) -> bool:
    try:
        size = item.target.stat().st_size
    except OSError:
        return False
    return size > 0 if item.made_bytes is None else size == item.made_bytes


def _is_large(item: RenderItem) -> bool:
    most = LARGE_BYTES // 4
    if (item.spec.width or 1) * (item.spec.height or 1) > most:
        return True
    name = str(item.source)
    with FileSource(name, name) as source:
        layout = taken_apart(source, kind_of(source, name), name)
    # How large a HEIC or TIFF is shows only when it is opened: it queues as a large one.
    return layout is None or layout.width * layout.height > most


def _put(data: bytes, target: Path) -> None:
    # Temporary file, then rename: whoever looks sees the whole picture, or none. Not flushed to
    # the disk: what a power cut takes is made again, as its size no longer fits.
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        draft.write_bytes(data)
        draft.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
