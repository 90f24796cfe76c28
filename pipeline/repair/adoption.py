"""Pictures that were paid for and stored, but whose process died before it could say so.

A picture is adopted only where everything agrees: a request of this edit was under way whose
outcome nobody knows; it asked for exactly what the manifest asks for today; the file lies under the
edit's name, is no picture that a record knows, was written while that request was the edit's
latest, and is whole; and there are as many as were asked for. Anything less is asked for again.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec

from pipeline.books.matching import BILLED_LOST
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import BadResponseError
from pipeline.job import Job
from pipeline.ledger import AttemptRow, LedgerReader
from pipeline.models import AttemptEnd, Edit, Record, StoredImage
from pipeline.pictures.verify import inspect_picture
from pipeline.planning import Planned
from pipeline.preview import make_planner, read_edits

SUFFIXES = (".png", ".jpg", ".webp")

CLOCK_TICK_S = 0.02
"""A file's time comes from the kernel's coarse clock, which lags behind the one attempts have."""


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt and the pictures that it must have brought, as a record to write."""

    attempt: AttemptRow
    record: Record
    end: AttemptEnd


def adoptions(
    job: Job, reader: LedgerReader, loose: Collection[str], remember: Callable[..., None]
) -> Iterator[Adoption]:
    """``loose``: paths, from the outputs folder, of pictures that are not as any record has them.

    Reads the manifest, if there is anything to look for. Raises `ManifestError`, `JobError`.
    """
    waiting = {one.edit_id for one in reader.attempts_without_outcome(BILLED_LOST)}
    if not (waiting and loose):
        return
    model = model_spec(job.endpoint.model)
    edits = (
        edit
        for edit in read_edits(job, model)
        if isinstance(edit, Edit) and edit.id in waiting and _lies_there(edit, loose)
    )
    for planned in make_planner(job, model, reader, remember).plan(edits):
        if isinstance(planned, Planned):
            found = _adoption(job, planned, reader.attempts_of(planned.edit.id), loose)
            if found is not None:
                yield found


def _lies_there(edit: Edit, loose: Collection[str]) -> bool:
    return any(f"images/{edit.output}{suffix}" in loose for suffix in SUFFIXES)


def _adoption(
    job: Job, planned: Planned, attempts: tuple[AttemptRow, ...], loose: Collection[str]
) -> Adoption | None:
    until = float("inf")
    for attempt in reversed(attempts):
        if attempt.status == "succeeded":
            return None  # what it brought has a record; what lies here since then is no answer
        if attempt.fingerprint == planned.fingerprint and _has_no_outcome(attempt):
            ended = until if attempt.finished_at is None else min(until, attempt.finished_at)
            images, written_at = _pictures(
                job.outputs.directory, planned.edit, attempt, ended, loose
            )
            if images:
                return _as_record(job, planned, attempt, images, written_at)
        until = attempt.started_at
    return None


def _has_no_outcome(attempt: AttemptRow) -> bool:
    return attempt.status in ("started", "unknown") or attempt.error_code == BILLED_LOST


def _pictures(
    outputs: Path, edit: Edit, attempt: AttemptRow, until: float, loose: Collection[str]
) -> tuple[tuple[StoredImage, ...], float]:
    """All pictures of one attempt and when the last was written; none, if any is missing."""
    images: list[StoredImage] = []
    written_at = attempt.started_at
    for number in range(1, attempt.images + 1):
        name = edit.output if number == 1 else f"{edit.output}-{number}"
        found = [
            (path, moment)
            for suffix in SUFFIXES
            if (path := f"images/{name}{suffix}") in loose
            and attempt.started_at - CLOCK_TICK_S
            <= (moment := (outputs / path).stat().st_mtime)
            <= until + CLOCK_TICK_S
        ]
        if len(found) != 1:
            return (), 0.0
        [(path, moment)] = found
        image = _whole(outputs, path)
        if image is None:
            return (), 0.0
        images.append(image)
        written_at = max(written_at, moment)
    return tuple(images), written_at


def _whole(outputs: Path, path: str) -> StoredImage | None:
    data = (outputs / path).read_bytes()
    try:
        facts = inspect_picture(memoryview(data))
    except BadResponseError:
        return None
    return StoredImage(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        width=facts.width,
        height=facts.height,
        format=facts.format,
    )


def _as_record(
    job: Job,
    planned: Planned,
    attempt: AttemptRow,
    images: tuple[StoredImage, ...],
    written_at: float,
) -> Adoption:
    """What it cost stays as unsure as it is: counted as reserved until `reconcile` knows."""
    return Adoption(
        attempt=attempt,
        record=Record(
            edit=planned.edit,
            model=job.endpoint.model,
            fingerprint=planned.fingerprint,
            run_id=attempt.run_id,
            status="succeeded",
            attempts=attempt.number,
            started_at=attempt.started_at,
            finished_at=written_at,
            images=images,
            cost_usd=attempt.cost_usd,
            base=planned.base,
        ),
        end=AttemptEnd(
            status="succeeded",
            finished_at=written_at,
            cost_usd=attempt.cost_usd,
            cost_source=attempt.cost_source,
            http_status=attempt.http_status,
            inference_id=attempt.inference_id,
        ),
    )
