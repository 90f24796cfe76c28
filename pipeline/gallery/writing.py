"""The gallery as a folder that opens from disk.

Previews are named by what they show, and data lie in a folder of their own for each report, so
whatever cuts a report off, the old page keeps all it needs. ``index.html`` is replaced last.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import filelock
import msgspec

from pipeline.durable import replacing, sync_folder
from pipeline.errors import ConfigError, LockedError, StoreError
from pipeline.gallery import data, rendering
from pipeline.gallery.charting import charts_of
from pipeline.gallery.disk import DiskLinks, Inputs
from pipeline.gallery.links import Picture, is_local
from pipeline.gallery.sheet import statuses_in, write_contact_sheet
from pipeline.gallery.shelf import Shelf
from pipeline.job import Job
from pipeline.ledger import LedgerReader, open_reader, timeline
from pipeline.pictures.contact_sheet import sheet_format
from pipeline.pictures.thumbnails import Wanted, thumbnails
from pipeline.preview import ledger_path, shown_orphaned_redos

ROUNDS = 3
"""How often pictures are collected: a run that goes on brings new ones while previews are made."""


class ReportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a report came to. ``made``: previews made now; ``kept``: from before; ``unreadable``:
    pictures, of inputs and outputs, that have none; ``removed``: previews nobody needs any more.
    ``index``: the page to open; ``sheet``: the contact sheet, if one was asked for.
    ``orphaned_redos``: edits that wait for a redo, and whose row left the manifest.
    """

    index: Path
    edits: int
    made: int
    kept: int
    unreadable: int
    removed: int
    sheet: Path | None = None
    orphaned_redos: tuple[str, ...] = ()


class Progress(msgspec.Struct, frozen=True):
    """Previews that are done, of those to be made now."""

    done: int
    total: int


def write_report(
    job: Job,
    *,
    now: float,
    only: Sequence[str] = (),
    sheet: Path | None = None,
    statuses: Sequence[str] = (),
    rehearsal: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
    workers: int | None = None,
) -> ReportResult:
    """Writes ``<outputs>/report/``, also while a run goes on. Blocks; sends nothing.

    ``now``: epoch seconds. ``only``: ids or globs; previews of others stay. ``sheet``: also draw a
    contact sheet, a .jpg or .pdf, of edits with one of ``statuses`` (empty: any). ``rehearsal``:
    the job's outputs are a rehearsal's, which the page says. ``workers``: threads for previews.

    Raises `ConfigError` (no ledger yet, no such edit, no format for the sheet), `LedgerError`,
    `LockedError` (another report of this job is being made), `StoreError` (it cannot be written).
    """
    report = job.outputs.directory / "report"
    chosen = statuses_in(statuses)
    title = f"{job.name} (rehearsal)" if rehearsal else job.name
    if sheet is not None:
        sheet_format(sheet)  # before minutes of previews
    with opened(job) as reader, _writing(report):
        if only and not data.wanted_ids(reader, only):
            raise ConfigError(f"--only: no edit of the ledger is called {', '.join(only)}")
        shelf = Shelf(report / "thumbs")
        links = disk_links(job, reader, shelf)
        looked = _previews(reader, links, shelf, only, observe, workers)
        with reader.snapshot():
            version = _write_data(
                *(report, reader, links),
                job=str(job.path),
                title=title,
                now=now,
                only=only,
                options=("--rehearse",) if rehearsal else (),
            )
            charts = charts_of(reader, cap_usd=job.budget.run_usd, now=now)
        for asset in rendering.assets():
            with replacing(report / asset.name) as file:
                file.write(asset.read_bytes())
        text = rendering.page(title=title, charts=charts, data=f"data/{version}/")
        with replacing(report / "index.html") as file:
            file.write(text.encode("utf-8"))
        _sweep_data(report / "data", version)
        if sheet is not None:
            write_contact_sheet(
                *(reader, links, shelf.folder, sheet),
                title=title,
                now=now,
                only=only,
                statuses=chosen,
            )
        return ReportResult(
            index=report / "index.html",
            edits=looked.edits,
            made=looked.made,
            kept=looked.kept,
            unreadable=looked.unreadable,
            # Of a part of the job nobody knows what the rest still needs.
            removed=0 if only else shelf.sweep(looked.keys),
            sheet=sheet,
            orphaned_redos=shown_orphaned_redos(job, reader),
        )


@contextmanager
def opened(job: Job) -> Iterator[LedgerReader]:
    """The job's ledger. Raises `ConfigError` if there is none, `LedgerError`."""
    path = ledger_path(job)
    reader = open_reader(path)
    if reader is None:
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    with reader:
        yield reader


def disk_links(job: Job, reader: LedgerReader, shelf: Shelf) -> DiskLinks:
    """Links from a page in the job's report folder."""
    return DiskLinks(
        report=job.outputs.directory / "report",
        outputs=job.outputs.directory,
        store=job.outputs.store,
        inputs=Inputs(job.manifest, job.inputs.root, reader.input_digest),
        shelf=shelf,
    )


class _Looked(msgspec.Struct):
    """What making previews came to. ``keys``: of all pictures that are to be seen."""

    keys: set[str]
    edits: int = 0
    made: int = 0
    kept: int = 0
    unreadable: int = 0


def _previews(
    reader: LedgerReader,
    links: DiskLinks,
    shelf: Shelf,
    only: Sequence[str],
    observe: Callable[[Progress], None],
    workers: int | None,
) -> _Looked:
    looked = _Looked(keys=set())
    failed: set[str] = set()
    missing: set[str] = set()
    for _ in range(ROUNDS):
        ids = data.wanted_ids(reader, only)
        looked.edits = len(ids)
        new: dict[str, Wanted] = {}
        for picture in _pictures(reader, ids):
            found = links.find(picture)
            if found is None:
                if is_local(picture):
                    missing.add(picture.source)
                continue
            looked.keys.add(found.key)
            if found.key not in shelf and found.key not in failed:
                new.setdefault(found.key, Wanted(found.key, found.original))
        if not new:
            break
        for done, made in enumerate(thumbnails(new.values(), workers=workers), start=1):
            if made.preview is not None:
                shelf.put(made.key, made.preview)
                looked.made += 1
            elif made.damaged:
                shelf.put_none(made.key, made.problem)
            else:  # away, or not to be had just now: next time it may be there
                failed.add(made.key)
            observe(Progress(done, len(new)))
    shown = sum(bool((kept := shelf.get(key)) and kept.path) for key in looked.keys)
    looked.kept = shown - looked.made
    looked.unreadable = len(looked.keys) - shown + len(missing)
    return looked


def _pictures(reader: LedgerReader, ids: Sequence[str]) -> Iterator[Picture]:
    for row in timeline.detail_rows(reader, ids):
        yield from data.pictures_of(row)


def _write_data(
    report: Path,
    reader: LedgerReader,
    links: DiskLinks,
    *,
    job: str,
    title: str,
    now: float,
    only: Sequence[str],
    options: Sequence[str],
) -> str:
    """Writes the data into a folder of its own, and gives that folder's name."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    version = f"{stamp}-{secrets.token_hex(3)}"
    folder = report / "data" / version
    folder.mkdir(parents=True)
    index = data.index_of(
        *(reader, links),
        job=job,
        title=title,
        generated_at=now,
        only=only,
        options=options,
    )
    ids = index["edits"]["id"]
    with replacing(folder / "index.js") as file:
        file.write(rendering.index_script(index).encode("utf-8"))
    del index
    for number in range(-(-len(ids) // data.DETAILS_PER_FILE)):
        first = number * data.DETAILS_PER_FILE
        details = data.details_for(reader, links, ids[first : first + data.DETAILS_PER_FILE])
        text = rendering.details_script(number, details)
        with replacing(folder / rendering.details_name(number)) as file:
            file.write(text.encode("utf-8"))
    sync_folder(folder)  # before there is a page that names it
    return version


def _sweep_data(folder: Path, version: str) -> None:
    """Removes the data of older reports, but for the one before: a page may still be open."""
    others = sorted(path.name for path in folder.iterdir() if path.name != version)
    for name in others[:-1]:
        shutil.rmtree(folder / name, ignore_errors=True)


@contextmanager
def _writing(report: Path) -> Iterator[None]:
    """Holds the folder against a second report, and makes what the disk says a `StoreError`."""
    try:
        report.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(report / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise LockedError(
            f"{report}: another report of this job is being made (wait until it is done)"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{report}: {error.strerror or error} (free some space, or make it writable; the report"
            " that was there is still whole)"
        ) from error
