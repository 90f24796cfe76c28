"""One export, from the ledger to what is published."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.exporting.beside import put, put_card, put_examples, put_sums
from pipeline.exporting.card import Facts, card
from pipeline.exporting.filing import PictureFolder
from pipeline.exporting.originals import Originals, Pictures
from pipeline.exporting.publishing import STATE, SUMS, LocalFolder, Target, store_errors
from pipeline.exporting.reading import LeftOut
from pipeline.exporting.remote import RemoteFolder, is_url, put_table
from pipeline.exporting.result import ExportResult, NothingToExportError, Observe, Progress
from pipeline.exporting.scratch import Scratch
from pipeline.exporting.selection import Selection, check_wish, layout_of, table_rows
from pipeline.exporting.sharding import ShardFolder, Shards
from pipeline.exporting.sources import Sources
from pipeline.exporting.state import VERSION, State, read_state
from pipeline.exporting.workplace import workplace
from pipeline.exports import exporter
from pipeline.job import Job
from pipeline.job.design import split_model
from pipeline.job.exports import Export
from pipeline.ledger import LedgerReader, open_reader
from pipeline.ledger.material import spent, why_not
from pipeline.preview import ledger_path, preparation


def export_job(job: Job, wish: Export, *, observe: Observe = lambda progress: None) -> ExportResult:
    """Exports a job's results. Blocks; sends nothing; works while a run goes on.

    Raises `ConfigError` (a column that there is not, an output that holds something else),
    `NothingToExportError`, `LedgerError`, `LockedError`, `StoreError`.
    """
    path = ledger_path(job)
    reader = open_reader(path)
    if reader is None:
        raise NothingToExportError(f"{path}: there is no ledger yet (run the job first)")
    with reader, workplace(_home(job)) as folder:
        check_wish(wish, reader)
        if wish.table:
            return _table(wish, reader, folder)
        with ExitStack() as stack:
            return _DataSet(job, wish, reader, folder, stack).made(observe)


def _home(job: Job) -> Path:
    """Where exports remember sources, and exclude each other: one place for all models of a job, so
    that what one of them is trained on is never what another is tested on.
    """
    outputs = job.outputs.directory
    _, model = split_model(job.path)
    return outputs.parent if model and outputs.name == model else outputs


def _table(wish: Export, reader: LedgerReader, folder: Path) -> ExportResult:
    write = exporter(wish.format)
    remote = is_url(wish.output)
    path = folder / "table" if remote else Path(wish.output)
    if path.is_dir():
        raise ConfigError(
            f"{path}: is a folder: name a file, as in {path / 'results'}.{wish.format}"
        )
    count = write(wish.columns or reader.columns(), table_rows(wish, reader), path)
    if remote:
        put_table(wish.output, path)
    return ExportResult(
        output=wish.output,
        format=wish.format,
        edits=count,
        samples={"rows": count},
        written=1,
        bytes_written=path.stat().st_size,
    )


class _DataSet:
    """A folder of pictures and what is said of them, brought up to date: once."""

    def __init__(
        self, job: Job, wish: Export, reader: LedgerReader, folder: Path, stack: ExitStack
    ) -> None:
        """``stack``: closes what is opened here, before hours of work: what cannot be written is
        said at once.
        """
        self._job = job
        self._wish = wish
        self._reader = reader
        self._rehearsed = reader.origin() == "emulator"
        settings = preparation(job)
        self._prepared = settings.key()
        self._pictures = Pictures(job, settings)
        self._layout = layout_of(wish, reader)
        self._selection = Selection(wish, self._layout, reader, Originals(job, reader))
        self._left_out = LeftOut()
        self._scratch = stack.enter_context(Scratch(folder))
        self._target = self._opened(folder)
        stack.callback(self._target.discard)
        self._state = self._read_state(self._target.old(STATE))

    def _opened(self, folder: Path) -> Target:
        if is_url(self._wish.output):
            return RemoteFolder(self._wish.output, folder / "new")
        path = Path(self._wish.output)
        with store_errors(path):  # looked at before what another job's export left is tidied up
            present = path / STATE
            self._read_state(present.read_bytes() if present.is_file() else None)
        return LocalFolder(path)

    def _read_state(self, text: bytes | None) -> State | None:
        return read_state(text, self._wish, job=self._job.name, rehearsed=self._rehearsed)

    def made(self, observe: Observe) -> ExportResult:
        wish, scratch, selection = self._wish, self._scratch, self._selection
        self._choose(_counting(observe, "choosing", 0))
        total = scratch.wanted_count()
        if not total:
            raise NothingToExportError(_nothing(wish, selection))
        with store_errors(wish.output):
            done = self._packed(_counting(observe, "writing", total))
            if not done.samples:
                one = self._left_out.named[0]
                raise NothingToExportError(
                    f"nothing to export: no picture of {self._left_out.count:,} is what the ledger"
                    f" says, as {one.id}: {one.why}; what was there before is untouched"
                )
            notes = self._describe(done)
            changed = done.repaired or scratch.changed()
            if changed:
                self._publish()
        return ExportResult(
            output=wish.output,
            format=wish.format,
            edits=selection.tally.edits,
            samples=_in_order(done.samples, wish),
            written=done.written,
            kept=done.kept,
            rewritten=done.rewritten,
            removed=done.removed,
            bytes_written=done.bytes_written,
            changed=changed,
            straddling=selection.straddling,
            without_source=selection.without_source,
            missing_count=self._left_out.count,
            missing=tuple(self._left_out.named),
            notes=notes,
            exit_code=3 if self._left_out.count else 0,
        )

    def _choose(self, each: Callable[[int], None]) -> None:
        with ExitStack() as looking:
            sources = None
            if self._wish.split and self._wish.split_by == "source":
                sources = looking.enter_context(Sources(_home(self._job) / "sources.db"))
            self._selection.fill(self._scratch, sources, each)

    def _packed(self, each: Callable[[int], None]) -> Shards:
        """Writes what is new; what became of it."""
        scratch, target, wish = self._scratch, self._target, self._wish
        for line in target.old_lines(SUMS):
            scratch.old_file(line[66:], line[:64])
        if wish.format == "folder":
            folder = PictureFolder(target, scratch, self._layout, prepared=self._prepared)
            folder.update(self._pictures, self._left_out, each)
            return folder.done
        shards = ShardFolder(target, scratch, self._layout, wish)
        shards.update(self._present(), self._pictures, self._left_out, each)
        return shards.done

    @property
    def _signature(self) -> str:
        """Of how samples are packed."""
        return f"{self._layout.signature} {self._prepared}"

    def _present(self) -> dict[str, int]:
        """The shards that are there and may be kept, with their sizes."""
        state = self._state
        if state is None or (state.version, state.layout) != (VERSION, self._signature):
            return {}
        return dict(state.shards)

    def _describe(self, done: Shards) -> tuple[str, ...]:
        """The card, and the state for the next export; what there is to say about them."""
        text = card(
            Facts(
                job=self._job.name,
                format=self._wish.format,
                samples=done.samples,
                columns=self._layout.columns,
                tally=self._selection.tally,
                splits=self._wish.split,
                split_by=self._wish.split_by,
                straddling=self._selection.straddling,
                left_out=self._left_out.count,
                reasons=why_not(self._reader),
                spent_usd=spent(self._reader),
                examples=put_examples(self._target, self._scratch, self._pictures),
            )
        ).encode("utf-8")
        before = "" if self._state is None else self._state.card
        notes = put_card(self._target, self._scratch, text, before=before)
        now = State(
            version=VERSION,
            job=self._job.name,
            format=self._wish.format,
            rehearsed=self._rehearsed,
            layout=self._signature,
            card=hashlib.sha256(text).hexdigest(),
            shards=dict(sorted(done.sizes.items())),
        )
        put(self._target, self._scratch, STATE, now.encoded())
        return notes

    def _publish(self) -> None:
        scratch = self._scratch
        put_sums(self._target, scratch)
        self._target.publish(
            scratch.fresh_files(),
            scratch.gone_files(),
            lambda name: name == SUMS or scratch.old_sha256(name) is not None,
        )


def _nothing(wish: Export, selection: Selection) -> str:
    if wish.format == "preferences":
        why = (
            "no edit has an approved picture beside one that was redone or rejected (decide first:"
            " pipeline review)"
        )
    elif selection.straddling:
        why = f"the sources of all {selection.straddling:,} edits look like pictures of two splits"
    elif selection.without_source:
        why = "no edit has an input picture"
    elif any(one.column == "status" for one in wish.where):
        why = "no edit with a picture is as `where` and `only` say"
    elif wish.where or wish.only:
        why = "no edit that succeeded is as `where` and `only` say"
    else:
        why = "no edit has succeeded yet"
    return f"nothing to export: {why}; what was there before is untouched"


def _counting(observe: Observe, stage: str, total: int) -> Callable[[int], None]:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        observe(Progress(stage, done, total))

    return count


def _in_order(samples: dict[str, int], wish: Export) -> dict[str, int]:
    """As the splits were written."""
    names = [name for name, _ in wish.split] or sorted(samples)
    return {name: samples[name] for name in names if name in samples}
