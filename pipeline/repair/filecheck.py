"""The ledger held against the files: what is missing, damaged, left over, or can be saved.

Nothing is thrown away: pictures that no record knows are moved aside, only half-written temporary
files are removed, and what a person may have changed on purpose is left to that person.
"""

import asyncio
import hashlib
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from pipeline.endpoints.catalog import model_spec
from pipeline.errors import BadResponseError, ConfigError, StoreError
from pipeline.exports.results_csv import write_results_csv
from pipeline.finishing import FOLDER as FINISHED
from pipeline.job import Job
from pipeline.ledger import (
    Holding,
    Ledger,
    LedgerReader,
    open_decisions,
    open_ledger,
    open_reader,
)
from pipeline.ledger.marking import TAKES
from pipeline.locking import locked
from pipeline.pictures.verify import inspect_picture
from pipeline.preview import ledger_path
from pipeline.repair.adoption import SUFFIXES, Adoption, adoptions
from pipeline.repair.copies import copies
from pipeline.repair.findings import SHOWN, Finding, FsckReport, Kind

THREADS = 4
ASIDE = "orphaned"

PLACES = ("images", TAKES)
"""Where pictures lie, in the outputs folder."""


async def fsck_job(job: Job, *, repair: bool = False) -> FsckReport:
    """Checks a job's outputs, and with ``repair`` mends what can be mended without losing anything.

    Raises `ConfigError` where there is no ledger, `LockedError` while a run goes on, `LedgerError`
    for a ledger that cannot even be read, and `StoreError`.
    """
    path = ledger_path(job)
    if not path.is_file():
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    with ExitStack() as opened:
        opened.enter_context(locked(job.outputs.directory))
        reader = await asyncio.to_thread(open_reader, path)
        if reader is None:
            raise ConfigError(f"{path}: the ledger is empty (run the job first)")
        opened.enter_context(reader)
        check = _Check(job, reader)
        sound = await asyncio.to_thread(check.look)
        if repair and sound:
            ledger = await asyncio.to_thread(open_ledger, path, origin=None)
            try:
                await check.repair(ledger)
            finally:
                await asyncio.to_thread(ledger.close)
        return check.report()


class _Check:
    def __init__(self, job: Job, reader: LedgerReader) -> None:
        self._job = job
        self._outputs = job.outputs.directory
        self._reader = reader
        self._counts: Counter[Kind] = Counter()
        self._repaired: Counter[Kind] = Counter()
        self._findings: dict[Kind, list[Finding]] = {}
        self._notes: list[str] = []
        self._pictures = self._bytes = 0
        self._unknown = 0
        self._pending: dict[str, tuple[Kind, str]] = {}  # edit → why it must be asked for again
        self._asked_for: Counter[str] = Counter()  # pictures of those edits
        self._adoptions: list[Adoption] = []
        self._orphans: list[str] = []
        self._orphans_are_sure = True
        self._leftovers: list[Path] = []
        self._replaced: list[Path] = []
        self._gone: list[str] = []  # pictures of takes and of rejected edits, to be forgotten
        self._damaged: list[str] = []  # those of the rejected ones that still lie there

    def look(self) -> bool:
        """Finds everything, changes nothing. False: the ledger is damaged, so nothing follows."""
        for line in self._reader.damage():
            self._find("damaged_ledger", detail=line)
        if self._counts:
            self._notes.append(
                f"keep a copy of {self._reader.path} and of the '-wal' file beside it, then try"
                f" `sqlite3 {self._reader.path} .recover | sqlite3 recovered.db` and put the result"
                " in its place"
            )
            return False
        for attempt in self._reader.open_attempts():
            self._find(
                "open_attempt",
                edit_id=attempt.edit_id,
                detail=f"{attempt.id}: its process died; it may have been charged",
            )
        self._unknown = len(self._reader.unknown_attempts())
        if self._job.outputs.store is not None:
            self._notes.append(
                f"pictures are kept at {self._job.outputs.store}, which this command does not read:"
                " only the ledger and this folder were checked"
            )
        else:
            self._look_at_pictures()
        self._look_for_leftovers()
        return True

    async def repair(self, ledger: Ledger) -> None:
        if self._counts["open_attempt"]:
            await ledger.close_orphaned_attempts("", finished_at=time.time())
            self._repaired["open_attempt"] = self._counts["open_attempt"]
        for adoption in self._adoptions:
            await self._adopt(ledger, adoption)
        for first in range(0, len(self._pending), 500):
            some = list(islice(self._pending.items(), first, first + 500))
            await ledger.set_pending({edit_id: why for edit_id, (_, why) in some})
        for kind in ("missing", "damaged"):
            self._repaired[kind] = self._counts[kind]
        if self._gone:
            await asyncio.to_thread(self._forget)
        await asyncio.to_thread(self._tidy)
        self._unknown = len(await asyncio.to_thread(self._reader.unknown_attempts))
        if self._adoptions or self._pending or self._gone:
            await asyncio.to_thread(self._write_table)

    def report(self) -> FsckReport:
        settings = self._job.endpoint
        price = settings.price_usd
        if price is None:
            price = model_spec(settings.model).price_usd
        pictures = sum(max(1, self._asked_for[edit_id]) for edit_id in self._pending)
        return FsckReport(
            outputs=self._outputs,
            pictures=self._pictures,
            bytes=self._bytes,
            counts=dict(self._counts),
            repaired={kind: count for kind, count in self._repaired.items() if count},
            left=self._counts.total() - self._repaired.total(),
            findings=tuple([one for some in self._findings.values() for one in some]),
            asked_again=len(self._pending),
            asked_again_usd=None if price is None else round(price * pictures, 6),
            unknown_attempts=self._unknown,
            notes=tuple(self._notes),
        )

    def _find(
        self, kind: Kind, *, path: str | None = None, edit_id: str | None = None, detail: str = ""
    ) -> None:
        self._counts[kind] += 1
        some = self._findings.setdefault(kind, [])
        if len(some) < SHOWN:
            some.append(Finding(kind=kind, path=path, edit_id=edit_id, detail=detail))

    def _look_at_pictures(self) -> None:
        known: set[str] = set()
        held: Counter[str] = Counter()
        wrong: list[tuple[Holding, Kind, str]] = []
        with ThreadPoolExecutor(THREADS, thread_name_prefix="fsck") as threads:
            for some in _batches(self._reader.holdings(), 64):
                known.update(one.image.path for one in some)
                held.update(one.edit_id for one in some)
                due = [one for one in some if one.status in ("succeeded", "rejected")]
                for one, (kind, detail, size) in zip(
                    due, threads.map(self._compared, due), strict=True
                ):
                    self._pictures += 1
                    self._bytes += size
                    if kind is not None:
                        wrong.append((one, kind, detail))
        known.update(self._look_at_takes())
        loose = {path for path in self._stored() if path not in known}
        for path in sorted(set(copies(self._outputs, self._reader, loose))):
            loose.discard(path)
            self._leftovers.append(self._outputs / path)
            self._find("leftover", path=path, detail="its copy is where the ledger says")
        changed = {one.image.path for one, kind, _ in wrong if kind in ("changed", "damaged")}
        self._look_for_unrecorded(loose | changed)
        adopted = {one.record.edit.id for one in self._adoptions}
        for one, kind, detail in wrong:
            if one.status == "rejected" and kind in ("missing", "damaged"):
                self._find(
                    "rejected_missing", path=one.image.path, edit_id=one.edit_id, detail=detail
                )
                self._gone.append(one.image.path)
                if kind == "damaged":
                    self._damaged.append(one.image.path)
            elif one.edit_id not in adopted:
                self._find(kind, path=one.image.path, edit_id=one.edit_id, detail=detail)
                if kind in ("missing", "damaged"):
                    self._ask_again(one.edit_id, kind, detail, held[one.edit_id])
        for edit_id in self._reader.successes_without_pictures():
            if edit_id not in adopted:
                self._find("missing", edit_id=edit_id, detail="its record names no picture")
                self._ask_again(edit_id, "missing", "its record names no picture", 1)
        taken = {image.path for one in self._adoptions for image in one.record.images}
        for path in sorted(loose - taken):
            self._orphans.append(path)
            self._find("orphaned", path=path, detail="no record knows it")

    def _look_at_takes(self) -> Iterator[str]:
        """Every picture that was set aside: whether it is there, not what is in it."""
        for one in self._reader.take_holdings():
            yield one.image.path
            if not (self._outputs / one.image.path).is_file():
                self._gone.append(one.image.path)
                self._find("take_missing", path=one.image.path, edit_id=one.edit_id)

    def _compared(self, holding: Holding) -> tuple[Kind | None, str, int]:
        """What is wrong with a recorded picture, if anything, and how many bytes were read."""
        image = holding.image
        try:
            with (self._outputs / image.path).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == image.sha256:
                    return None, "", image.size
            data = (self._outputs / image.path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return "missing", "the file is gone", 0
        except OSError as error:
            return "unreadable", error.strerror or str(error), 0
        try:
            inspect_picture(memoryview(data))
        except BadResponseError as error:
            detail = (
                f"cut off: {len(data):,} of {image.size:,} bytes"
                if len(data) < image.size
                else str(error).removeprefix("answer is ")
            )
            return "damaged", detail, len(data)
        return "changed", "a whole picture, but not the one that came", len(data)

    def _look_for_unrecorded(self, loose: set[str]) -> None:
        try:
            # Digests are not remembered: looking changes nothing.
            self._adoptions = list(
                adoptions(self._job, self._reader, loose, remember=lambda *_: None)
            )
        except (ConfigError, OSError) as error:
            # One of the orphans may be a picture that was paid for: they stay where they are.
            self._orphans_are_sure = False
            self._notes.append(f"whether a paid picture can be saved was not looked for: {error}")
        for one in self._adoptions:
            self._find(
                "unrecorded",
                path=one.record.images[0].path,
                edit_id=one.record.edit.id,
                detail=f"brought by attempt {one.attempt.id}, whose process died",
            )

    def _ask_again(self, edit_id: str, kind: Kind, detail: str, pictures: int) -> None:
        self._pending.setdefault(edit_id, (kind, f"its picture is {kind}: {detail}"))
        self._asked_for[edit_id] = pictures

    def _stored(self) -> Iterator[str]:
        """Pictures below ``images/`` and ``takes/``, as the ledger spells them."""
        for place in PLACES:
            for folder, _, names in os.walk(self._outputs / place):
                for name in names:
                    if name.endswith(SUFFIXES) and not name.startswith("."):
                        yield (Path(folder) / name).relative_to(self._outputs).as_posix()

    def _look_for_leftovers(self) -> None:
        outputs = self._outputs
        found = [
            *(path for path in (outputs / ".drafts").glob("*") if path.is_file()),
            *outputs.glob(".results.*.part"),
            *(
                path
                for place in (*PLACES, FINISHED)
                for path in (outputs / place).glob("**/.*.part")
            ),
        ]
        for path in sorted(found):
            self._leftovers.append(path)
            self._find("leftover", path=path.relative_to(outputs).as_posix())

    async def _adopt(self, ledger: Ledger, adoption: Adoption) -> None:
        record = adoption.record
        before = await asyncio.to_thread(self._reader.images_of, record.edit.id)
        await ledger.record(record, attempt_id=adoption.attempt.id, end=adoption.end)
        # As after any newer answer: what it replaced goes away.
        replaced = {one.path for one in before}.difference(one.path for one in record.images)
        self._replaced += [self._outputs / path for path in replaced]
        self._repaired["unrecorded"] += 1

    def _tidy(self) -> None:
        try:
            for path in self._replaced:
                path.unlink(missing_ok=True)
            for path in self._leftovers:
                path.unlink(missing_ok=True)
                self._repaired["leftover"] += 1
            for name in self._damaged:
                self._move_aside(name)
            for name in self._orphans if self._orphans_are_sure else ():
                self._move_aside(name)
                self._repaired["orphaned"] += 1
        except OSError as error:
            raise StoreError(
                f"{error.filename}: cannot be moved or removed: {error.strerror or error}"
                " (check who may write there, and run this again)"
            ) from error

    def _move_aside(self, name: str) -> None:
        target = _free_name(self._outputs / ASIDE / name)
        target.parent.mkdir(parents=True, exist_ok=True)
        (self._outputs / name).replace(target)

    def _forget(self) -> None:
        opened = open_decisions(self._reader.path)
        if opened is not None:
            with opened as decisions:
                decisions.forget(self._gone)
            for kind in ("take_missing", "rejected_missing"):
                self._repaired[kind] = self._counts[kind]

    def _write_table(self) -> None:
        write_results_csv(
            self._reader.columns(), self._reader.results(), self._outputs / "results.csv"
        )


def _free_name(path: Path) -> Path:
    number = 1
    free = path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}~{number}{path.suffix}")
    return free


def _batches(holdings: Iterable[Holding], size: int) -> Iterator[list[Holding]]:
    given = iter(holdings)
    while some := list(islice(given, size)):
        yield some
