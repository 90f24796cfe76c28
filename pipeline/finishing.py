"""Finished pictures: what is made of an answer by `inputs.fit`, `outputs.size` and `outputs.alpha`.

Each lies in ``finished`` beside ``images``, under the same name, and can be made again from the
picture that came, the input and what the ledger says of how it was sent.
"""

from pathlib import Path

import msgspec

from pipeline.durable import replacing
from pipeline.errors import InputError
from pipeline.job import Job
from pipeline.models import FinishedPicture, StoredImage
from pipeline.pictures.decode import decode
from pipeline.pictures.finish import Finished, Source, finish_picture
from pipeline.pictures.framing import Framing, whole
from pipeline.stores.drafts import store_errors
from pipeline.stores.labels import Label

FOLDER = "finished"
"""Beside ``images``. Always in the outputs folder, also where ``outputs.store`` is a URL."""

_EXTENSIONS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How an edit's first input went out: the shape that was asked for (``4:5``; empty for none),
    and its framing, where it was seen here.
    """

    ratio: str = ""
    framing: Framing | None = None

    def text(self) -> str:
        """As the ledger keeps it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> "Sent":
        """What `text` gave; nothing is known where it is empty, as in older ledgers."""
        return msgspec.json.decode(text, type=cls) if text else cls()


def sent_of(text: str, source: str | None, job: Job) -> Sent:
    """`Sent.read`, for records that may be older than that: they do not say how the input went
    out. Whole, as all did then; its size is asked of ``source``, the input's file.
    """
    sent = Sent.read(text)
    if sent.framing is not None or source is None:
        return sent
    try:
        size = decode(source, wanted=1).size
    except InputError:
        return sent  # `finish` says so, where it matters
    return msgspec.structs.replace(sent, framing=whole(size, max_side=job.inputs.max_side))


def made_as(job: Job) -> str:
    """What a job's finished pictures are made as, short and stable: one that was made as something
    else has to be made again. The ``1`` is for the way they are made, should that change.
    """
    outputs, size = job.outputs, job.outputs.finished_size
    shown = size if isinstance(size, str) else f"{size[0]}x{size[1]}"
    return f"1 size={shown} alpha={outputs.alpha} background={job.inputs.background}"


def is_finished(
    outputs: Path, image: StoredImage, finished: FinishedPicture | None, wanted: str
) -> bool:
    """Whether that was made of this picture, as wanted (`made_as`), and is still there."""
    if finished is None or (finished.source_sha256, finished.made_as) != (image.sha256, wanted):
        return False
    return finished.path == image.path or (outputs / finished.path).is_file()


def finish(job: Job, original: Source, *, sent: Sent, source: Source | None) -> Finished:
    """The finished picture of a stored one, as the job wants it now. Costs nothing; blocks.

    ``original``: as it came, a path or bytes. ``sent``: of its record, see `Sent.read`. ``source``:
    the edit's first input, needed for ``outputs.alpha: restore``. Raises `CheckFailedError` where
    the picture does not allow it, `InputError` where the input is missing.
    """
    return finish_picture(
        original,
        framing=sent.framing,
        source=source,
        size=job.outputs.finished_size,
        alpha=job.outputs.alpha,
        background=job.inputs.background,
    )


def finished_path(image_path: str, finished: Finished) -> str:
    """``finished/a.png`` for ``images/a.jpg``; where nothing had to be done, the picture itself."""
    if not finished.changed:
        return image_path
    stem = image_path.removeprefix("images/").rpartition(".")[0]
    return f"{FOLDER}/{stem}{_EXTENSIONS[finished.format]}"


def keep_finished(
    outputs: Path, image_path: str, finished: Finished, label: Label | None = None
) -> str:
    """Writes it, whole or not at all; its path below ``outputs``. Raises `StoreError`."""
    path = finished_path(image_path, finished)
    if not finished.changed:
        return path
    data = memoryview(finished.image)
    pieces = None if label is None else label(data)
    target = outputs / path
    with store_errors(f"cannot write {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Its name is not flushed: what a power cut takes is made again, see `is_finished`.
        with replacing(target) as file:
            for piece in (data,) if pieces is None else pieces:
                file.write(piece)
    return path


def move_finished(outputs: Path, path: str, image_path: str) -> str:
    """Gives a finished picture the name of the picture it was made of. Raises `StoreError`."""
    if not path.startswith(f"{FOLDER}/"):
        return image_path if path else ""
    stem = image_path.removeprefix("images/").rpartition(".")[0]
    goal = f"{FOLDER}/{stem}{Path(path).suffix}"
    if goal != path:
        with store_errors(f"cannot move {outputs / path}"):
            (outputs / goal).parent.mkdir(parents=True, exist_ok=True)
            (outputs / path).replace(outputs / goal)
    return goal


def remove_finished(outputs: Path, image_path: str, but: frozenset[str] = frozenset()) -> None:
    """Removes what was made of a picture; missing is fine. Raises `StoreError`."""
    stem = image_path.removeprefix("images/").rpartition(".")[0]
    for extension in _EXTENSIONS.values():
        path = f"{FOLDER}/{stem}{extension}"
        if path not in but:
            remove_file(outputs, path)


def remove_file(outputs: Path, path: str) -> None:
    """Removes one finished picture; missing is fine. Raises `StoreError`."""
    with store_errors(f"cannot remove {outputs / path}"):
        (outputs / path).unlink(missing_ok=True)
