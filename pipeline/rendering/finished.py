"""Finished pictures as the job wants them now: those that were made otherwise, or are gone, again.

Beside a run nothing is done, because it writes the same files and rows; it comes by here itself
when it has ended. Nothing is sent.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from pipeline.errors import EditError, LedgerError, LockedError
from pipeline.exports.results_csv import write_results_csv
from pipeline.finishing import FOLDER, is_finished, keep_finished, made_as, remove_finished
from pipeline.job import Job
from pipeline.job.provenance import Labels
from pipeline.labelling import label_of
from pipeline.ledger import LedgerReader, open_decisions
from pipeline.ledger.checked import finished_pictures
from pipeline.ledger.pictured import Pictured, pictured
from pipeline.ledger.queries import CHUNK
from pipeline.locking import locked
from pipeline.manifest.problems import RowError
from pipeline.models import FinishedPicture
from pipeline.pictures.provenance import Provenance
from pipeline.rendering.result import PROBLEMS_KEPT, FinishedResult, RenderProblem
from pipeline.rendering.sources import Sources

NAME = "finished"
"""What their problems are listed under; those of renditions are listed under the rendition."""

THREADS = 4
"""Each holds a picture's pixels."""

_WRITTEN_TOGETHER = 16

Rows = Mapping[int, FinishedPicture]
"""By position."""


def refinish(
    job: Job,
    reader: LedgerReader,
    ids: Sequence[str],
    *,
    force: bool = False,
    observe: Callable[[int, int], None] = lambda done, total: None,
    stop: threading.Event | None = None,
) -> FinishedResult | None:
    """Brings the finished pictures of these edits up to date, and ``results.csv`` with them.

    None where the job wants none and there are none. ``force``: also those that are as they should
    be. ``observe``: edits done, and of how many. Blocks. Raises `LedgerError`, `StoreError`.
    """
    work = _Refinishing(job, reader, force=force)
    due = list(work.due(ids))
    if not due:
        return work.result() if job.finishes else None
    try:
        with locked(job.outputs.directory), Sources(job, reader) as sources:
            work.all(due, sources, observe, stop or threading.Event())
    except LockedError:
        return FinishedResult(left_to_run=len(due))
    return work.result()


def has_finished(job: Job) -> bool:
    """Whether a job wants its pictures finished, or did once."""
    return job.finishes or (job.outputs.directory / FOLDER).is_dir()


def facts_of(labels: Labels, edit: Pictured) -> Provenance | None:
    """What an edit's pictures say; None where the job wants nothing said. Raises `RowError`."""
    return labels.facts(
        edit.id,
        edit.variables,
        model=edit.model,
        fingerprint=edit.fingerprint,
        prompt=edit.prompt,
        created=edit.finished_at,
    )


class _Made(msgspec.Struct, frozen=True):
    """What came of an edit: all rows that it is to have, how many of them are new, and why others
    are not there.
    """

    rows: tuple[FinishedPicture, ...]
    made: int
    problems: tuple[str, ...]


class _Refinishing:
    def __init__(self, job: Job, reader: LedgerReader, *, force: bool) -> None:
        self._job = job
        self._outputs = job.outputs.directory
        self._reader = reader
        self._force = force
        self._made_as = made_as(job)
        self._labels = Labels(job.provenance)
        self._problems: list[RenderProblem] = []
        self._made = self._unchanged = self._removed = self._failed = 0
        self._stopped = False

    def due(self, ids: Sequence[str]) -> Iterator[str]:
        """Edits that lack a finished picture, or are to have another. The rest is counted."""
        for first in range(0, len(ids), CHUNK):
            some = ids[first : first + CHUNK]
            there = finished_pictures(self._reader, some)
            for edit in pictured(self._reader, some):
                rows = there.get(edit.id, {})
                if not self._job.finishes:
                    if rows:
                        yield edit.id
                elif all(self._is_right(edit, position, rows) for position in _positions(edit)):
                    self._unchanged += len(edit.images)
                else:
                    yield edit.id

    def all(
        self,
        due: Sequence[str],
        sources: Sources,
        observe: Callable[[int, int], None],
        stop: threading.Event,
    ) -> None:
        decisions = open_decisions(self._reader.path)
        if decisions is None:
            raise LedgerError(f"{self._reader.path}: the ledger is gone (restore it)")
        done = 0
        with decisions, ThreadPoolExecutor(THREADS, thread_name_prefix="finish") as threads:
            for first in range(0, len(due), _WRITTEN_TOGETHER):
                if stop.is_set():
                    self._stopped = True
                    break
                some = due[first : first + _WRITTEN_TOGETHER]
                there = finished_pictures(self._reader, some)
                edits = pictured(self._reader, some)
                rows = [there.get(edit.id, {}) for edit in edits]
                found = list(threads.map(lambda *one: self._edit(sources, *one), edits, rows))
                decisions.finish(
                    {edit.id: made.rows for edit, made in zip(edits, found, strict=True)}
                )
                for edit, before, made in zip(edits, rows, found, strict=True):
                    self._take(edit, before, made)
                done += len(some)
                observe(done, len(due))
        write_results_csv(
            self._reader.columns(), self._reader.results(), self._outputs / "results.csv"
        )

    def result(self) -> FinishedResult:
        return FinishedResult(
            made=self._made,
            unchanged=self._unchanged,
            removed=self._removed,
            failed=self._failed,
            problems=tuple(self._problems),
            stopped=self._stopped,
        )

    def _edit(self, sources: Sources, edit: Pictured, rows: Rows) -> _Made:
        """In a thread."""
        if not self._job.finishes:
            return _Made((), 0, ())
        kept: list[FinishedPicture] = []
        problems: list[str] = []
        made = 0
        for position in _positions(edit):
            if self._is_right(edit, position, rows):
                kept.append(rows[position])
                continue
            try:
                kept.append(self._picture(sources, edit, position))
                made += 1
            except (EditError, RowError) as error:
                problems.append(str(error))
        return _Made(tuple(kept), made, tuple(problems))

    def _picture(self, sources: Sources, edit: Pictured, position: int) -> FinishedPicture:
        image = edit.images[position - 1]
        facts = facts_of(self._labels, edit)
        with sources.original(image) as stored:
            made = sources.finish(edit, stored)
        kept = keep_finished(
            self._outputs, image.path, made, None if facts is None else label_of(facts)
        )
        return FinishedPicture(
            position=position, path=kept, source_sha256=image.sha256, made_as=self._made_as
        )

    def _take(self, edit: Pictured, before: Rows, made: _Made) -> None:
        # Only now: until the rows were written, the ledger named what lay there.
        named = frozenset([row.path for row in made.rows])
        for image in edit.images:
            remove_finished(self._outputs, image.path, but=named)
        self._made += made.made
        self._unchanged += len(made.rows) - made.made
        self._failed += len(made.problems)
        if not self._job.finishes:
            self._removed += len(before)
        for problem in made.problems:
            if len(self._problems) < PROBLEMS_KEPT:
                self._problems.append(RenderProblem(id=edit.id, rendition=NAME, message=problem))

    def _is_right(self, edit: Pictured, position: int, rows: Rows) -> bool:
        image, row = edit.images[position - 1], rows.get(position)
        return not self._force and is_finished(self._outputs, image, row, self._made_as)


def _positions(edit: Pictured) -> range:
    return range(1, len(edit.images) + 1)
