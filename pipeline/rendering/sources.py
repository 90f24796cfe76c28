"""The picture that renditions are made from, as a file of this machine: the stored one, fetched
where it lies elsewhere; or, where the job wants its shape or transparency back, what is made of it.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pipeline.endpoints.catalog import model_spec
from pipeline.errors import InputError
from pipeline.finishing import Sent, finish, is_finished, made_as, sent_of
from pipeline.job import Job
from pipeline.ledger import LedgerReader
from pipeline.ledger.checked import finished_pictures
from pipeline.ledger.pictured import Pictured
from pipeline.models import Edit, StoredImage
from pipeline.pictures.finish import Finished
from pipeline.preview import read_edits
from pipeline.stores import Shelf, open_shelf

_KEPT = 64
"""Temporary pictures at once: more than are given out to workers."""


class Sources:
    """Finds or makes them; what it made for the moment is gone at its end. `original` and `finish`
    are for any thread, the others for one.
    """

    def __init__(self, job: Job, reader: LedgerReader) -> None:
        self._job = job
        self._reader = reader
        self._outputs = job.outputs.directory
        self._shelf: Shelf | None = None
        self._made: dict[str, Path] = {}
        self._folder = Path()
        self._inputs: dict[str, str] | None = None
        self._reading = threading.Lock()

    def __enter__(self) -> Self:
        if self._job.outputs.store is not None:
            self._shelf = open_shelf(self._outputs, self._job.outputs.store)
        self._folder = Path(tempfile.mkdtemp(prefix="pipeline-renditions-"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def digest_of(self, edit: Pictured, image: StoredImage) -> str:
        """What its bytes depend on, without making it."""
        if not self._job.finishes:
            return image.sha256
        outputs = self._job.outputs
        wanted = [outputs.finished_size, outputs.alpha, self._job.inputs.background, edit.sent]
        return f"{image.sha256} {msgspec.json.encode(wanted).decode()}"

    def file_of(self, edit: Pictured, position: int) -> Path:
        """Raises `EditError` where the picture is not what the ledger says, or does not allow what
        the job wants of it; `StoreError`.
        """
        image = edit.images[position - 1]
        if not self._job.finishes:
            return self._stored(image)
        there = finished_pictures(self._reader, [edit.id]).get(edit.id, {}).get(position)
        if there is not None and is_finished(self._outputs, image, there, made_as(self._job)):
            return self._stored(image) if there.path == image.path else self._outputs / there.path
        return self._finished(edit, image)

    @contextmanager
    def original(self, image: StoredImage) -> Iterator[Path]:
        """A stored picture as a file of this machine, until the context ends. Raises `InputError`
        where it is not there, or not as the ledger says; `StoreError`.
        """
        if self._shelf is None:
            yield _sound(self._outputs / image.path, image)
            return
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            yield _fetch(self._shelf, image, Path(folder) / Path(image.path).name)

    def finish(self, edit: Pictured, stored: Path) -> Finished:
        """What the job wants made of one of its pictures. Raises as `finishing.finish`."""
        sent = Sent.read(edit.sent)
        source = None
        if sent.framing is None or self._job.outputs.alpha == "restore":
            source = self._first_input(edit.id)
            sent = sent_of(edit.sent, source, self._job)
        return finish(self._job, stored, sent=sent, source=source)

    def _first_input(self, edit_id: str) -> str | None:
        """The file that the edit began with, as its manifest says today; None: it is no file."""
        with self._reading:
            if self._inputs is None:
                model = model_spec(self._job.endpoint.model)
                self._inputs = {
                    edit.id: edit.images[0].path or edit.images[0].source
                    for edit in read_edits(self._job, model)
                    if isinstance(edit, Edit) and edit.images and edit.images[0].kind == "file"
                }
            return self._inputs.get(edit_id)

    def _finished(self, edit: Pictured, image: StoredImage) -> Path:
        """Made for the moment: beside a run. Else `refinish` was here before."""
        if found := self._made.get(f"finished {image.path}"):
            return found
        stored = self._stored(image)
        made = self.finish(edit, stored)
        if not made.changed:
            return stored
        suffix = ".jpg" if made.format == "jpeg" else f".{made.format}"
        target = self._place(f"finished {image.path}", image, suffix)
        target.write_bytes(made.image)
        return target

    def _stored(self, image: StoredImage) -> Path:
        if self._shelf is None:
            return _sound(self._outputs / image.path, image)
        if found := self._made.get(image.path):
            return found
        return _fetch(self._shelf, image, self._place(image.path, image, Path(image.path).suffix))

    def _place(self, key: str, image: StoredImage, suffix: str) -> Path:
        """Where to put a picture for the moment, under its own name, which renditions state."""
        while len(self._made) >= _KEPT:
            shutil.rmtree(self._made.pop(next(iter(self._made))).parent, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        self._made[key] = folder / f"{Path(image.path).stem}{suffix}"
        return self._made[key]


def _fetch(shelf: Shelf, image: StoredImage, target: Path) -> Path:
    data = shelf.read(image.path)
    if data is None:
        raise _missing(image)
    target.write_bytes(data)
    return _sound(target, image)


def _sound(path: Path, image: StoredImage) -> Path:
    try:
        size = path.stat().st_size
    except OSError:
        raise _missing(image) from None
    if size != image.size:
        raise InputError(
            f"{image.path}: has {size:,} bytes, and the ledger says {image.size:,}"
            " (see: pipeline fsck)"
        )
    return path


def _missing(image: StoredImage) -> InputError:
    return InputError(f"{image.path}: is not there (see: pipeline fsck)")
