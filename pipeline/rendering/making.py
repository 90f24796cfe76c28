"""Renditions of a job, made: what is new or changed, and nothing else."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import cast

import filelock
import msgspec

from pipeline.errors import ConfigError, EditError, LockedError, StoreError
from pipeline.job import Job
from pipeline.job.provenance import Labels
from pipeline.ledger import LedgerReader, open_reader
from pipeline.manifest.names import output_problem
from pipeline.manifest.problems import RowError
from pipeline.pictures.rendering import RenderItem, RenderOutcome, render_all
from pipeline.pictures.renditions import rendition_key
from pipeline.pictures.upscaling import load_upscaler
from pipeline.preview import ledger_path
from pipeline.rendering.finished import facts_of, has_finished, refinish
from pipeline.rendering.journal import Journal, Made
from pipeline.rendering.result import (
    PROBLEMS_KEPT,
    FinishedResult,
    RenderNote,
    RenderProblem,
    RenderResult,
)
from pipeline.rendering.sources import Sources
from pipeline.rendering.wanted import (
    Chosen,
    Naming,
    all_targets,
    chosen_renditions,
    edits_of,
    ids_of,
)

FOLDER = "renditions"

_NUMBERS = re.compile(r"[0-9][0-9.,]*")


class Progress(msgspec.Struct, frozen=True):
    """Renditions that are looked after, of all that there are to be."""

    done: int
    total: int


def render_job(
    job: Job,
    *,
    renditions: Sequence[str] = (),
    presets: Sequence[str] = (),
    only: Sequence[str] = (),
    force: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
    stop: threading.Event | None = None,
    workers: int | None = None,
) -> RenderResult:
    """Makes what is missing or has changed, below ``<outputs>/renditions/``, and removes what is
    not wanted any more; before that, the finished pictures that they are made from, see `refinish`.
    Blocks; sends nothing; works while a run goes on.

    ``renditions``: of the job's, by name; ``presets``: also such that the job does not have.
    ``only``: ids or globs. Given any of these, others stay as they are. ``force``: make also what
    has not changed. ``stop``: set by another thread, ends it soon; what is made stays.
    ``workers``: default one a processor.

    Raises `ConfigError` (nothing to make, names that cannot be, no ledger) before anything is
    written, `LedgerError`, `LockedError` (another one is at it), `StoreError`.
    """
    chosen = chosen_renditions(job, renditions=renditions, presets=presets)
    if not (chosen or has_finished(job)):
        raise ConfigError(
            f"{job.path.name}: the job has no renditions (add some below 'renditions:', or name a"
            " preset: --preset web-1280)"
        )
    for one in chosen:
        if one.upscaler:
            load_upscaler(one.upscaler)
    path = ledger_path(job)
    reader = open_reader(path)
    if reader is None:
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    with reader:
        ids = ids_of(reader, only)
        naming = Naming(chosen)
        targets = all_targets(reader, naming, ids)
        directory = job.outputs.directory / FOLDER
        finished = refinish(
            job,
            reader,
            ids,
            force=force,
            observe=lambda done, total: observe(Progress(done, total + len(targets))),
            stop=stop,
        )
        if not chosen or (finished is not None and finished.stopped):
            return RenderResult(
                directory=directory,
                renditions=(),
                edits=len(ids),
                stopped=finished is not None and finished.stopped,
                finished=finished,
            )
        with _held(directory), Journal(directory) as journal, Sources(job, reader) as sources:
            work = _Making(job, reader, journal, sources, naming, directory, force=force)
            work.total = len(targets)
            for old in _unwanted(
                journal, targets, chosen, reader, only, bool(renditions or presets)
            ):
                work.remove(old)
            for upscaler in dict.fromkeys([one.upscaler for one in chosen]):
                items = work.items(ids, targets, upscaler)
                outcomes = render_all(items, workers=workers, upscaler=upscaler)
                with contextlib.closing(cast(Generator[RenderOutcome, None, None], outcomes)):
                    for outcome in outcomes:
                        work.take(outcome)
                        observe(Progress(work.done, work.total))
                        if stop is not None and stop.is_set():
                            work.stopped = True
                            break
                if work.stopped:
                    break
            return work.result(chosen, edits=len(ids), finished=finished)


class _Making:
    """One go: hands out what has to be made, and takes down what came of it."""

    def __init__(
        self,
        job: Job,
        reader: LedgerReader,
        journal: Journal,
        sources: Sources,
        naming: Naming,
        directory: Path,
        *,
        force: bool,
    ) -> None:
        self._reader = reader
        self._journal = journal
        self._sources = sources
        self._naming = naming
        self._directory = directory
        self._force = force
        self._labels = Labels(job.provenance)
        self._waiting: dict[Path, Made] = {}
        self._began = time.monotonic()
        self._notes: dict[tuple[str, str], tuple[int, str, str]] = {}
        self._problems: list[RenderProblem] = []
        self.total = 0
        self.made = self.unchanged = self.removed = self.failed = self.size = 0
        self.stopped = False

    @property
    def done(self) -> int:
        return self.made + self.unchanged + self.failed

    def items(
        self, ids: Sequence[str], targets: dict[str, tuple[str, str, int]], upscaler: str
    ) -> Iterator[RenderItem]:
        """What is not there as it should be, of the renditions with this upscaler. The rest is
        counted.
        """
        for edit in edits_of(self._reader, ids):
            try:
                facts = facts_of(self._labels, edit)
                wanted = list(self._naming.of(edit))
            except RowError as error:
                self._fail(edit.id, "", f"{edit.place}: {error}")
                continue
            for target in wanted:
                if target.rendition.upscaler != upscaler:
                    continue
                owner = (edit.id, target.rendition.name, target.position)
                if targets.get(target.path) != owner:
                    continue  # came in since names were looked at: the next time
                image = edit.images[target.position - 1]
                key = rendition_key(
                    self._sources.digest_of(edit, image),
                    target.rendition.spec,
                    provenance=facts,
                    rendition=target.rendition.name,
                    upscaler=upscaler,
                )
                place = self._directory / target.path
                before = self._journal.made.get(target.path)
                same = before is not None and before.key == key and not self._force
                if before is not None and same and _size(place) == before.size:
                    self.unchanged += 1
                    self._note(before)
                    continue
                try:
                    source = self._sources.file_of(edit, target.position)
                except EditError as error:
                    self._fail(edit.id, target.rendition.name, str(error))
                    if before is not None:
                        self.remove(target.path)
                    continue
                self._waiting[place] = Made(
                    path=target.path,
                    edit_id=edit.id,
                    position=target.position,
                    rendition=target.rendition.name,
                    key=key,
                    source=image.sha256,
                    asked=target.rendition.asked,
                )
                yield RenderItem(
                    source=source,
                    spec=target.rendition.spec,
                    target=place,
                    rendition=target.rendition.name,
                    provenance=facts,
                    key=key,
                )

    def take(self, outcome: RenderOutcome) -> None:
        """What came of an item."""
        made = self._waiting.pop(outcome.item.target)
        if outcome.status == "failed":
            self._fail(made.edit_id, made.rendition, outcome.problem)
            if made.path in self._journal.made:
                self.remove(made.path)  # what lies there shows an older picture, or other settings
            return
        made = msgspec.structs.replace(
            made,
            size=outcome.size,
            width=outcome.width,
            height=outcome.height,
            quality=outcome.quality,
            notes=outcome.notes,
        )
        self._journal.add(made)
        self.made += 1
        self.size += outcome.size
        self._note(made)

    def remove(self, path: str) -> None:
        """A rendition that nobody wants any more, and folders that it leaves empty."""
        if output_problem(path) is None:  # a journal that was tampered with removes nothing else
            place = self._directory / path
            try:
                place.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(f"{place}: cannot be removed: {error.strerror}") from error
            for folder in place.parents:
                if folder == self._directory:
                    break
                with contextlib.suppress(OSError):
                    folder.rmdir()
        self._journal.remove(path)
        self.removed += 1

    def result(
        self, chosen: Sequence[Chosen], *, edits: int, finished: FinishedResult | None
    ) -> RenderResult:
        notes = [
            RenderNote(rendition=rendition, count=count, id=edit_id, note=note)
            for (rendition, _), (count, edit_id, note) in self._notes.items()
        ]
        return RenderResult(
            directory=self._directory,
            renditions=tuple([one.name for one in chosen]),
            edits=edits,
            made=self.made,
            unchanged=self.unchanged,
            removed=self.removed,
            failed=self.failed,
            size=self.size,
            seconds=time.monotonic() - self._began,
            problems=tuple(self._problems),
            notes=tuple(notes),
            stopped=self.stopped,
            finished=finished,
        )

    def _fail(self, edit_id: str, rendition: str, message: str) -> None:
        self.failed += 1
        if len(self._problems) < PROBLEMS_KEPT:
            self._problems.append(RenderProblem(id=edit_id, rendition=rendition, message=message))

    def _note(self, made: Made) -> None:
        """Notes that differ in their numbers alone are one."""
        for note in made.notes:
            key = (made.rendition, _NUMBERS.sub("…", note))
            count, edit_id, first = self._notes.get(key, (0, made.edit_id, note))
            self._notes[key] = (count + 1, edit_id, first)


def _unwanted(
    journal: Journal,
    targets: dict[str, tuple[str, str, int]],
    chosen: Sequence[Chosen],
    reader: LedgerReader,
    only: Sequence[str],
    some: bool,
) -> list[str]:
    """Paths of renditions that are to go: their edit is gone, was rejected or waits for a redo;
    the picture has another name now; or the job does not have the rendition any more.

    What was left out by ``only``, or because ``some`` renditions were named, stays.
    """
    names = {one.name for one in chosen}
    alive = frozenset(ids_of(reader, ()))
    there = frozenset(ids_of(reader, only)) if only else alive
    unwanted = []
    for path, made in journal.made.items():
        if path in targets:
            continue
        outlived = made.rendition in names or not (some or made.asked)
        if made.edit_id not in alive or (made.edit_id in there and outlived):
            unwanted.append(path)
    return unwanted


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@contextlib.contextmanager
def _held(directory: Path) -> Iterator[None]:
    """Keeps a second one away, and makes what the disk says a `StoreError`."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise LockedError(
            f"{directory}: renditions of this job are being made already (wait until it is done)"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{directory}: {error.strerror or error} (free some space, or make it writable)"
        ) from error
    try:
        yield
    finally:
        lock.release()
