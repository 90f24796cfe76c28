"""Finished pictures: what is made of an answer by `inputs.fit`, `outputs.size` and `outputs.alpha`.

Each lies in ``finished`` beside ``images``, under the same name, and can be made again from the
picture that came, the input and what the ledger says of how it was sent.
"""

import os
import secrets
from pathlib import Path

import msgspec

from pipeline.job import Job
from pipeline.pictures.finish import Finished, Source, finish_picture
from pipeline.pictures.framing import Framing
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
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    with store_errors(f"cannot write {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                for piece in (data,) if pieces is None else pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
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
            with store_errors(f"cannot remove {outputs / path}"):
                (outputs / path).unlink(missing_ok=True)
