"""Checks run once more over stored pictures: after a limit was moved, or one was added. Free."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from pipeline.best_pictures import Candidate, in_words
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import ConfigError, InputError
from pipeline.exports.results_csv import write_results_csv
from pipeline.finishing import remove_finished, sent_of
from pipeline.job import Job, job_of
from pipeline.labelling import Labelling
from pipeline.ledger import Ledger, LedgerReader, open_ledger, open_reader
from pipeline.ledger.checked import PictureRow, Verdict, picture_row
from pipeline.locking import locked
from pipeline.models import Edit, StoredImage
from pipeline.planning import Planned
from pipeline.preview import ledger_path, make_planner, preparation, read_edits
from pipeline.rendering.sources import Sources
from pipeline.summary import FailedCheck
from pipeline.verdicts.examiner import THREADS, Examiner
from pipeline.verdicts.records import checks_of, finished_of, likenesses_of

BATCH = 100
"""Records that are written together."""


class RecheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What checks say now. ``turned_down``, ``right_now``: edits whose status changed to
    ``rejected``, and back to ``succeeded``. ``decided``: those among ``edits`` on which a person's
    word stands. ``skipped``: records that the manifest does not ask for like that any more;
    ``missing``: whose picture is not there, or not as the ledger says.
    """

    edits: int
    pictures: int
    turned_down: int
    right_now: int
    decided: int
    skipped: int
    missing: int
    checks: tuple[FailedCheck, ...]


async def recheck(
    job: Job | Path | str,
    *,
    rehearse: bool = False,
    observe: Callable[[int], None] = lambda edits: None,
) -> RecheckReport:
    """`recheck_job` of a job or a job file. ``rehearse``: of its rehearsal's pictures."""
    return await recheck_job(job_of(job, rehearse=rehearse), observe=observe)


async def recheck_job(
    job: Job, *, observe: Callable[[int], None] = lambda edits: None
) -> RecheckReport:
    """Looks at all pictures of a job's records, and writes what it finds to the ledger. Sends
    nothing. ``observe``: gets the number of edits so far.

    Raises `ConfigError` (nothing to check, no ledger yet), `LockedError` while a run goes on,
    `ManifestError`, `LedgerError`, `StoreError`.
    """
    preparation(job)
    path = ledger_path(job)
    if not (job.checks.looks or job.finishes):
        raise ConfigError(
            f"{job.path.name}: the job has no checks (write some below 'checks:', then check again)"
        )
    if not path.is_file():
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    async with AsyncExitStack() as opened:
        opened.enter_context(locked(job.outputs.directory))
        ledger = await asyncio.to_thread(open_ledger, path, origin=None)
        opened.push_async_callback(asyncio.to_thread, ledger.close)
        reader = open_reader(path)
        if reader is None:
            raise ConfigError(f"{path}: the ledger is empty (run the job first)")
        opened.enter_context(reader)
        examiner = Examiner(job)
        opened.callback(examiner.close)
        sources = opened.enter_context(Sources(job, reader))
        work = _Recheck(job, ledger, reader, examiner, sources, observe)
        await work.all()
        await asyncio.to_thread(
            write_results_csv,
            reader.columns(),
            reader.results(),
            job.outputs.directory / "results.csv",
        )
        return work.report()


class _Recheck:
    def __init__(
        self,
        job: Job,
        ledger: Ledger,
        reader: LedgerReader,
        examiner: Examiner,
        sources: Sources,
        observe: Callable[[int], None],
    ) -> None:
        self._job = job
        self._ledger = ledger
        self._reader = reader
        self._examiner = examiner
        self._sources = sources
        self._observe = observe
        self._label = Labelling(
            job.provenance, model=job.endpoint.model, now=time.time, observe=lambda _: None
        )
        self._count: Counter[str] = Counter()
        self._failed: dict[str, FailedCheck] = {}

    async def all(self) -> None:
        found = await asyncio.to_thread(lambda: list(self._to_look_at()))
        # Held against each other, the first of the manifest is the one that stays.
        at_once = 1 if self._examiner.remembers_run else THREADS
        for at in range(0, len(found), BATCH):
            some = found[at : at + BATCH]
            gate = asyncio.Semaphore(at_once)
            verdicts = await asyncio.gather(*[self._verdict(*one, gate) for one in some])
            written = [
                (verdict, row)
                for verdict, (_, row) in zip(verdicts, some, strict=True)
                if verdict is not None
            ]
            await self._ledger.recheck([verdict for verdict, _ in written])
            await asyncio.to_thread(self._tidy, written)
            self._count["edits"] += len(written)
            self._observe(self._count["edits"])

    def report(self) -> RecheckReport:
        count = self._count
        return RecheckReport(
            edits=count["edits"],
            pictures=count["pictures"],
            turned_down=count["turned_down"],
            right_now=count["right_now"],
            decided=count["decided"],
            skipped=count["skipped"],
            missing=count["missing"],
            checks=tuple(sorted(self._failed.values(), key=lambda one: (-one.edits, one.name))),
        )

    def _to_look_at(self) -> Iterator[tuple[Planned, PictureRow]]:
        job = self._job
        planner = make_planner(job, model_spec(job.endpoint.model), self._reader, lambda *_: None)
        edits = (
            one for one in read_edits(job, model_spec(job.endpoint.model)) if isinstance(one, Edit)
        )
        for item in planner.plan(edits):
            if not isinstance(item, Planned):
                continue
            row = picture_row(self._reader, item.edit.id)
            if row is None or row.status not in ("succeeded", "rejected"):
                continue
            if row.fingerprint != item.fingerprint:
                self._count["skipped"] += 1
                continue
            yield item, row

    async def _verdict(
        self, planned: Planned, row: PictureRow, gate: asyncio.Semaphore
    ) -> Verdict | None:
        async with gate:
            try:
                pictures = await self._pictures(planned, row)
            except InputError:
                self._count["missing"] += 1
                return None
        self._count["pictures"] += len(pictures)
        self._count["decided"] += bool(row.decision)
        right = all(one.right for one in pictures)
        if not row.decision and right != (row.status == "succeeded"):
            self._count["right_now" if right else "turned_down"] += 1
        self._note(planned.edit.id, pictures)
        return Verdict(
            edit_id=planned.edit.id,
            fingerprint=row.fingerprint,
            status="succeeded" if right else "rejected",
            message=in_words(pictures),
            checks=checks_of(pictures),
            finished=finished_of(pictures, self._examiner.made_as),
            likenesses=likenesses_of(pictures),
        )

    async def _pictures(self, planned: Planned, row: PictureRow) -> list[Candidate]:
        """Each picture with what is said of it. Raises `InputError` where one is not there."""
        refs = planned.edit.images
        inputs = [ref.path if ref.kind == "file" else None for ref in refs]
        first = inputs[0] if inputs else None
        sent = await asyncio.to_thread(sent_of, row.sent, first, self._job)
        label = None
        if self._examiner.finishes:
            label = self._label(planned, created=row.finished_at)
        found: list[Candidate] = []
        for image in row.images:
            siblings = [one.claim for one in found if one.claim is not None and one.right]
            async with self._file(image) as file:
                examined = await self._examiner.examine(
                    planned.edit,
                    str(file),
                    image,
                    sent=sent,
                    inputs=inputs,
                    digests=planned.digests,
                    siblings=siblings,
                    label=label,
                )
            found.append(
                Candidate(
                    image=image,
                    checks=examined.checks,
                    finished=examined.finished,
                    claim=examined.likeness,
                )
            )
        return found

    @asynccontextmanager
    async def _file(self, image: StoredImage) -> AsyncIterator[Path]:
        with ExitStack() as held:
            yield await asyncio.to_thread(held.enter_context, self._sources.original(image))

    def _tidy(self, written: Sequence[tuple[Verdict, PictureRow]]) -> None:
        """Removes finished pictures that the ledger names no more. In a thread."""
        for verdict, row in written:
            named = frozenset([one.path for one in verdict.finished])
            for image in row.images:
                remove_finished(self._job.outputs.directory, image.path, but=named)

    def _note(self, edit_id: str, pictures: list[Candidate]) -> None:
        for check in {check.name: check for one in pictures for check in one.failed}.values():
            before = self._failed.get(check.name)
            if before is None:
                before = FailedCheck(
                    name=check.name, edits=0, example=check.message, edit_id=edit_id
                )
            self._failed[check.name] = msgspec.structs.replace(before, edits=before.edits + 1)
