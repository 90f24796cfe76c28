"""One export, from the ledger to what is published."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import filelock
import msgspec

from pipeline.errors import ConfigError, LockedError
from pipeline.exporting.asked import Wish
from pipeline.exporting.beside import put, put_card, put_examples, put_sums
from pipeline.exporting.card import Facts, card
from pipeline.exporting.choosing import Chosen, Layout
from pipeline.exporting.filing import PictureFolder
from pipeline.exporting.originals import Originals, Pictures
from pipeline.exporting.publishing import (
    STATE,
    SUMS,
    LocalFolder,
    Target,
    store_errors,
)
from pipeline.exporting.reading import LeftOut, Missing, read
from pipeline.exporting.remote import RemoteFolder, is_url, opened, remote_errors, upload
from pipeline.exporting.scratch import Scratch
from pipeline.exporting.selection import Selection, check_wish, layout_of, table_rows
from pipeline.exporting.sharding import ShardFolder, Shards
from pipeline.exporting.sources import Sources
from pipeline.exports import exporter, shard_writer
from pipeline.exports.samples import Sample
from pipeline.job import Job
from pipeline.ledger import LedgerReader, open_reader
from pipeline.ledger.material import spent, why_not
from pipeline.preview import ledger_path, preparation

VERSION = 1
"""Of what `STATE` says, and of how samples are packed: another one packs everything anew."""


class Progress(msgspec.Struct, frozen=True):
    """``stage``: the edits are being chosen, or samples written. ``total``: 0 if not known."""

    stage: str
    done: int
    total: int


class ExportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an export came to.

    ``samples``: examples by split (of a table: its rows, as ``rows``). ``written``, ``kept``,
    ``rewritten``, ``removed``: shards, or picture files of the format ``folder``. ``missing``:
    samples that are not in it because a picture is away or not what it was, the first 1,000 named;
    ``missing_count``: all of them. ``straddling``: edits left out because their source looks like
    pictures of two splits; ``without_source``: because they have none. ``changed``: whether
    anything was published. ``notes``: what a person should know.
    """

    output: str
    format: str
    edits: int
    samples: dict[str, int]
    written: int = 0
    kept: int = 0
    rewritten: int = 0
    removed: int = 0
    bytes_written: int = 0
    changed: bool = True
    straddling: int = 0
    without_source: int = 0
    missing_count: int = 0
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """3 if a picture was missing."""
        return 3 if self.missing_count else 0


class _State(msgspec.Struct, frozen=True, kw_only=True):
    """What is published, for the next export into the same place. ``layout``: a signature;
    ``card``: the card's SHA-256, as it was made.
    """

    version: int
    job: str
    format: str
    layout: str
    card: str
    shards: dict[str, int]


Observe = Callable[[Progress], None]


def export_job(job: Job, wish: Wish, *, observe: Observe = lambda progress: None) -> ExportResult:
    """Exports a job's results. Blocks; sends nothing; works while a run goes on.

    Raises `ConfigError` (no ledger, a column that there is not, nothing to export, an output that
    holds something else), `LedgerError`, `LockedError`, `StoreError`.
    """
    path = ledger_path(job)
    reader = open_reader(path)
    if reader is None:
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    with reader, _alone(job.outputs.directory):
        check_wish(wish, reader)
        if wish.table:
            return _table(wish, reader)
        with tempfile.TemporaryDirectory(prefix="pipeline-export-") as folder:
            return _data_set(job, wish, reader, Path(folder), observe)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    lock = filelock.FileLock(directory / "export.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise LockedError(
            f"another export of this job is going on: it holds {directory / 'export.lock'}"
        ) from None
    except OSError:  # a folder that cannot be written: nobody else can export from it either
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _table(wish: Wish, reader: LedgerReader) -> ExportResult:
    write = exporter(wish.format)
    rows = table_rows(wish, reader)
    if is_url(wish.output):
        files, key = opened(wish.output)
        with tempfile.TemporaryDirectory(prefix="pipeline-export-") as folder:
            path = Path(folder) / "table"
            count = write(reader.columns(), rows, path)
            size = path.stat().st_size
            with remote_errors(wish.output):
                upload(files, path, key)
    else:
        path = Path(wish.output)
        if path.is_dir():
            raise ConfigError(
                f"--output {path}: is a folder: name a file, as in {path / 'results'}.{wish.format}"
            )
        count = write(reader.columns(), rows, path)
        size = path.stat().st_size
    return ExportResult(
        output=wish.output,
        format=wish.format,
        edits=count,
        samples={"rows": count},
        written=1,
        bytes_written=size,
    )


def _data_set(
    job: Job, wish: Wish, reader: LedgerReader, folder: Path, observe: Observe
) -> ExportResult:
    settings = preparation(job)
    layout = layout_of(wish, reader)
    originals = Originals(job, reader)
    selection = Selection(wish, layout, reader, originals)
    left_out = LeftOut()
    with ExitStack() as opened_here:
        scratch = opened_here.enter_context(Scratch(folder))
        # Opened before the hours of work: what cannot be written is said at once.
        if not is_url(wish.output):  # before anything of another job's export is tidied up
            _state(_bytes(Path(wish.output) / STATE), job, wish)
        target: Target = (
            RemoteFolder(wish.output) if is_url(wish.output) else LocalFolder(Path(wish.output))
        )
        opened_here.callback(target.discard)
        state = _state(target.old(STATE), job, wish)
        with ExitStack() as looking:
            sources = None
            if wish.splits and wish.split_by == "source":
                sources = looking.enter_context(Sources(job.outputs.directory / "sources.db"))
            selection.fill(scratch, sources, reader, _counting(observe, "choosing", 0))
        total = scratch.wanted_count()
        if not total:
            raise ConfigError(_nothing(wish, selection))
        for line in target.old_lines(SUMS):
            scratch.old_file(line[66:], line[:64])
        pictures = Pictures(job, settings)
        with store_errors(wish.output):
            done, signature = _update(
                *(wish, target, scratch, layout, pictures, left_out, state, settings.key()),
                each=_counting(observe, "writing", total),
            )
            if not done.samples:
                one = left_out.named[0]
                raise ConfigError(
                    f"nothing to export: no picture of {left_out.count:,} is what the ledger says,"
                    f" as {one.id}: {one.why}; what was there before is untouched"
                )
            facts = Facts(
                job=job.name,
                format=wish.format,
                samples=done.samples,
                columns=layout.columns,
                tally=selection.tally,
                splits=wish.splits,
                split_by=wish.split_by,
                straddling=selection.straddling,
                left_out=left_out.count,
                reasons=why_not(reader),
                spent_usd=spent(reader),
                examples=put_examples(target, scratch, pictures),
            )
            text = card(facts).encode("utf-8")
            notes = put_card(target, scratch, text, before="" if state is None else state.card)
            now = _State(
                version=VERSION,
                job=job.name,
                format=wish.format,
                layout=signature,
                card=hashlib.sha256(text).hexdigest(),
                shards=dict(sorted(done.sizes.items())),
            )
            put(target, scratch, STATE, msgspec.json.format(msgspec.json.encode(now)) + b"\n")
            changed = done.repaired or scratch.changed()
            if changed:
                put_sums(target, scratch)
                target.publish(
                    scratch.fresh_files(),
                    scratch.gone_files(),
                    lambda name: name == SUMS or scratch.old_sha256(name) is not None,
                )
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
        missing_count=left_out.count,
        missing=tuple(left_out.named),
        notes=notes,
    )


def _update(
    wish: Wish,
    target: Target,
    scratch: Scratch,
    layout: Layout,
    pictures: Pictures,
    left_out: LeftOut,
    state: _State | None,
    prepared: str,
    *,
    each: Callable[[], None],
) -> tuple[Shards, str]:
    """Writes what is new; what became of it, and the signature of how it is packed."""
    signature = f"{layout.signature} {prepared}"
    if wish.format == "folder":
        folder = PictureFolder(target, scratch, layout)
        folder.update(pictures, left_out, prepared, each)
        return folder.done, signature

    def read_one(chosen: Chosen) -> Sample:
        each()
        return read(pictures, chosen)

    writer, extension = shard_writer(wish.format)
    shards = ShardFolder(target, scratch, layout, writer, extension, limit=wish.shard_bytes)
    fits = state is not None and (state.version, state.layout) == (VERSION, signature)
    shards.update(dict(state.shards) if state is not None and fits else {}, read_one, left_out)
    return shards.done, signature


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _state(text: bytes | None, job: Job, wish: Wish) -> _State | None:
    if text is None:
        return None
    try:
        state = msgspec.json.decode(text, type=_State)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"--output {wish.output}: its {STATE} cannot be read ({error}): choose another folder"
        ) from error
    if (state.job, state.format) != (job.name, wish.format):
        raise ConfigError(
            f"--output {wish.output}: holds an export of {state.job} as {state.format} (choose"
            " another folder, or delete it)"
        )
    return state


def _nothing(wish: Wish, selection: Selection) -> str:
    if wish.format == "preferences":
        why = (
            "no edit has an approved picture beside one that was redone or rejected (decide first:"
            " pipeline review)"
        )
    elif selection.straddling:
        why = f"the sources of all {selection.straddling:,} edits look like pictures of two splits"
    elif selection.without_source:
        why = "no edit has an input picture"
    elif wish.where or wish.only:
        why = "no edit that succeeded is as --where and --only say"
        if any(one.column == "status" for one in wish.where):
            why = "no edit with a picture is as --where and --only say"
    else:
        why = "no edit has succeeded yet"
    return f"nothing to export: {why}; what was there before is untouched"


def _counting(observe: Observe, stage: str, total: int) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        observe(Progress(stage, done, total))

    return count


def _in_order(samples: dict[str, int], wish: Wish) -> dict[str, int]:
    """As the splits were written."""
    names = [name for name, _ in wish.splits] or sorted(samples)
    return {name: samples[name] for name in names if name in samples}
