"""One delivery, from the ledger to the switched folder."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.delivery.feeds import Feed, check_base_url, make_feed
from pipeline.delivery.folder import DeliveryFolder
from pipeline.delivery.products import Choice, Picture, choose
from pipeline.delivery.staging import Piece, fill, same, sums
from pipeline.delivery.values import Delivery, DeliveryResult, DeliverySettings, File
from pipeline.errors import ConfigError, IncompleteError
from pipeline.job import Job
from pipeline.ledger import LedgerReader, open_reader
from pipeline.preview import ledger_path
from pipeline.rendering.journal import Made, read_journal
from pipeline.rendering.making import FOLDER, Progress, render_job
from pipeline.rendering.result import RenderResult
from pipeline.rendering.wanted import Chosen, chosen_renditions

_SHOWN = 20


def deliver_job(
    job: Job,
    to: Path,
    *,
    presets: Sequence[str] = (),
    renditions: Sequence[str] = (),
    settings: DeliverySettings,
    dry_run: bool = False,
    observe: Callable[[Progress], None] = lambda progress: None,
    stop: threading.Event | None = None,
) -> DeliveryResult:
    """Makes what renditions are missing, then a delivery of them, and switches ``to`` to it.

    Blocks. If anything cannot be delivered, nothing is switched. Where nothing has changed since
    the delivery before, there is none. Raises `ConfigError` before anything is written,
    `IncompleteError` where a rendition cannot be made, `LedgerError`, `LockedError`,
    `StoreError`.
    """
    rendition = _one(job, chosen_renditions(job, presets=presets, renditions=renditions))
    check_base_url(settings.base_url, settings.feeds)
    if settings.approved_only and settings.undecided_too:
        raise ConfigError("--approved-only and --undecided-too contradict each other")
    folder = DeliveryFolder(Path(os.path.abspath(to)))  # noqa: PTH100 - links are not followed
    outputs = job.outputs.directory.name
    folder.check(outputs)
    with _reader(job) as reader:
        choice = choose(job, reader, rendition, settings)
    if dry_run:
        return _would(job, folder, rendition, choice, settings)
    with folder.held(outputs):
        asked = {"presets": presets} if presets else {"renditions": [rendition.name]}
        rendered = render_job(job, only=settings.only, observe=observe, stop=stop, **asked)
        if rendered.stopped:
            raise IncompleteError("interrupted: nothing was switched")
        pieces = _pieces(job, rendition, choice.pictures, rendered)
        return _delivered(job, folder, rendition, choice, pieces, settings)


def roll_back_job(job: Job, to: Path) -> DeliveryResult:
    """Switches to the delivery whose place the present one took. Raises `ConfigError` where there
    is none, `LockedError`, `StoreError`.
    """
    folder = DeliveryFolder(Path(os.path.abspath(to)))  # noqa: PTH100
    outputs = job.outputs.directory.name
    if not folder.behind.is_dir():
        raise ConfigError(f"{folder.to}: nothing was delivered there yet")
    with folder.held(outputs):
        present = folder.read(folder.current)
        target = folder.read(present.before) if present is not None else None
        if present is None or target is None:
            raise ConfigError(
                f"{folder.to}: there is no delivery before {folder.current or 'the first'}"
            )
        folder.switch(target.name)
        folder.log(
            {"at": time.time(), "did": "rolled back", "from": present.name, "to": target.name}
        )
    there = {file.path for file in target.files}
    pictures = [file for file in target.files if file.sku]
    return DeliveryResult(
        to=folder.to,
        delivery=target.name,
        previous=present.name,
        rendition=target.rendition,
        products=len({file.sku for file in pictures}),
        pictures=len(pictures),
        removed=sum(file.path not in there for file in present.files),
        size=sum([file.size for file in pictures]),
        switched=True,
        rolled_back=True,
    )


def _one(job: Job, found: Sequence[Chosen]) -> Chosen:
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError(
            f"{job.path.name}: the job has no renditions: name a preset (--preset shopify-product)"
        )
    names = ", ".join([one.name for one in found])
    raise ConfigError(f"a delivery has one rendition: say which (--rendition; there are {names})")


def _reader(job: Job) -> LedgerReader:
    path = ledger_path(job)
    reader = open_reader(path)
    if reader is None:
        raise ConfigError(f"{path}: there is no ledger yet (run the job first)")
    return reader


def _pieces(
    job: Job, rendition: Chosen, pictures: Sequence[Picture], rendered: RenderResult
) -> list[Piece]:
    """The pictures' renditions. Raises `IncompleteError` with those that are missing."""
    directory = job.outputs.directory / FOLDER
    made = _made(directory, rendition)
    why = {one.id: one.message for one in rendered.problems}
    pieces = []
    missing = []
    for picture in pictures:
        found = made.get((picture.edit_id, picture.position))
        if found is None or found.source != picture.image.sha256:
            otherwise = "its rendition is not there" if found is None else "its picture has changed"
            reason = why.get(picture.edit_id, f"{otherwise} (see: pipeline render; deliver again)")
            missing.append(f"{picture.place}: {picture.edit_id}: {reason}")
            continue
        pieces.append(_piece(directory, picture, found))
    if missing:
        more = len(missing) - _SHOWN
        shown = missing[:_SHOWN] + ([f"and {more:,} more"] if more > 0 else [])
        raise IncompleteError(
            "nothing was switched, because pictures would be missing (mend them, or reject them"
            " with pipeline review)\n" + "\n".join(shown)
        )
    return pieces


def _made(directory: Path, rendition: Chosen) -> dict[tuple[str, int], Made]:
    return {
        (made.edit_id, made.position): made
        for made in read_journal(directory).values()
        if made.rendition == rendition.name
    }


def _piece(directory: Path, picture: Picture, made: Made) -> Piece:
    return Piece(
        path=picture.path,
        source=directory / made.path,
        key=made.key,
        edit_id=picture.edit_id,
        sku=picture.sku,
        number=picture.number,
    )


def _delivered(
    job: Job,
    folder: DeliveryFolder,
    rendition: Chosen,
    choice: Choice,
    pieces: Sequence[Piece],
    settings: DeliverySettings,
) -> DeliveryResult:
    present = folder.read(folder.current)
    known = {file.path: file for file in present.files} if present is not None else {}
    before = folder.behind / present.name if present is not None else None
    staged = folder.staging()
    try:
        filled = list(fill(staged, pieces, before=before, known=known))
        files = [file for file, _ in filled]
        feeds = [
            make_feed(feed, choice.pictures, files, settings.base_url) for feed in settings.feeds
        ]
        tables = [Piece(path=feed.file, data=feed.data) for feed in feeds]
        _check_names(files, feeds)
        filled += fill(staged, tables, before=before, known=known)
        filled += fill(staged, sums([file for file, _ in filled]), before=before, known=known)
        everything = tuple([file for file, _ in filled])
        there = {file.path for file in everything}
        new = sum(is_new for _, is_new in filled)
        removed = sum(path not in there for path in known)
        changed = present is None or new > 0 or removed > 0
        name = folder.next_name() if changed or present is None else present.name
        if changed:
            delivery = Delivery(
                name=name,
                job=job.name,
                rendition=rendition.name,
                made_at=time.time(),
                before=present.name if present is not None else "",
                files=everything,
            )
            folder.publish(staged, delivery)
            folder.log(
                {
                    "at": delivery.made_at,
                    "did": "delivered",
                    "from": delivery.before,
                    "to": name,
                    "pictures": len(files),
                    "new": new,
                    "removed": removed,
                }
            )
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return DeliveryResult(
        to=folder.to,
        delivery=name,
        previous=present.name if present is not None else "",
        rendition=rendition.name,
        products=len({picture.sku for picture in choice.pictures}),
        pictures=len(files),
        new=new,
        unchanged=len(everything) - new,
        removed=removed,
        undecided=choice.undecided,
        approved_only=choice.approved_only,
        size=sum([file.size for file in files]),
        feeds=tuple([feed.file for feed in feeds]),
        notes=tuple([note for feed in feeds for note in feed.notes]),
        switched=changed,
    )


def _would(
    job: Job,
    folder: DeliveryFolder,
    rendition: Chosen,
    choice: Choice,
    settings: DeliverySettings,
) -> DeliveryResult:
    """As far as it can be said without making renditions: pictures alone are counted."""
    directory = job.outputs.directory / FOLDER
    made = _made(directory, rendition)
    present = folder.read(folder.current)
    known = {file.path: file for file in present.files if file.sku} if present else {}
    unchanged = 0
    for picture in choice.pictures:
        found, old = made.get((picture.edit_id, picture.position)), known.get(picture.path)
        if found is None or old is None or found.source != picture.image.sha256:
            continue
        before = folder.behind / folder.current
        unchanged += same(_piece(directory, picture, found), old, before)
    there = {picture.path for picture in choice.pictures}
    return DeliveryResult(
        to=folder.to,
        delivery="",
        previous=folder.current,
        rendition=rendition.name,
        products=len({picture.sku for picture in choice.pictures}),
        pictures=len(choice.pictures),
        new=len(choice.pictures) - unchanged,
        unchanged=unchanged,
        removed=sum(path not in there for path in known),
        undecided=choice.undecided,
        approved_only=choice.approved_only,
        feeds=tuple(settings.feeds),
        dry_run=True,
    )


def _check_names(files: Sequence[File], feeds: Sequence[Feed]) -> None:
    own = {"md5sums", "sha256sums", *[feed.file.casefold() for feed in feeds]}
    for file in files:
        if file.path.casefold() in own:
            raise ConfigError(f"{file.path}: a picture cannot have this name (change --name)")
