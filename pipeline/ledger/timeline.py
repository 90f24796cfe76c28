"""What the gallery and its charts ask of a ledger. Everything streams, or is asked in chunks.

Times: seconds since the epoch (UTC); money: USD. Each function raises `LedgerError`.
"""

# ruff: noqa: S608 - every part of these statements is from this package

from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.queries import CHUNK, MANIFEST_ORDER, LedgerReader
from pipeline.ledger.rows import ATTEMPT_FIELDS, AttemptRow
from pipeline.ledger.view import known_columns
from pipeline.models import AttemptStatus, Status, StoredImage

_IN_ORDER = f"SELECT id FROM edits ORDER BY {MANIFEST_ORDER}"
_IMAGE_FIELDS = ", ".join(StoredImage.__struct_fields__)


class GalleryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One edit as the overview shows it. ``inputs``: as the manifest spells them (data URIs cut);
    ``image``: the first of ``images`` stored pictures; ``decision``: "" for none yet.
    """

    id: str
    fingerprint: str
    status: Status
    error_code: str | None
    prompt: str
    cost_usd: float | None
    started_at: float
    finished_at: float
    attempts: int
    variant: int
    place: str
    inputs: tuple[str, ...]
    variables: dict[str, Any]
    decision: str
    note: str | None
    images: int
    image: StoredImage | None


class DetailRow(msgspec.Struct, frozen=True, kw_only=True):
    """The rest of one edit: what is looked at one by one. ``history``: its attempts in all runs,
    the oldest first; ``takes``: what it was before it was redone.
    """

    id: str
    place: str
    model: str
    run_id: str
    started_at: float
    finished_at: float
    parameters: dict[str, Any]
    error_message: str | None
    prompt: str
    inputs: tuple[str, ...]
    images: tuple[StoredImage, ...]
    history: tuple[AttemptRow, ...]
    takes: tuple["TakeRow", ...]


class TakeRow(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier variant of an edit. ``number``: what ``restore`` calls it by."""

    number: int
    variant: int
    prompt: str
    decision: str
    note: str | None
    cost_usd: float | None
    images: tuple[StoredImage, ...]


class ChartRow(msgspec.Struct, frozen=True):
    """One attempt as charts see it. ``finished_at``: ``None`` while it is under way."""

    started_at: float
    finished_at: float | None
    status: AttemptStatus
    images: int
    reserved_usd: float | None
    cost_usd: float | None
    http_status: int | None
    error_code: str | None


def manifest_columns(reader: LedgerReader) -> tuple[str, ...]:
    """The names of the manifest's own columns, in the order of their first appearance."""
    with mapped_errors(reader.path):
        return tuple(known_columns(reader._connection))


def ids_in_order(reader: LedgerReader, *, first: int = 0, count: int = -1) -> tuple[str, ...]:
    """Ids of edits in the manifest's order, ``count`` of them from ``first``; -1: all."""
    rows = reader._rows(f"{_IN_ORDER} LIMIT ? OFFSET ?", count, first)
    return tuple(edit_id for (edit_id,) in rows)


def gallery_rows(reader: LedgerReader) -> Iterator[GalleryRow]:
    """All edits with a record, in the manifest's order. Streams."""
    image = ", ".join(f"i.{name}" for name in StoredImage.__struct_fields__)
    statement = f"""
    SELECT e.id, e.fingerprint, e.status, e.error_code, e.prompt, e.cost_usd, e.started_at,
        e.finished_at, e.attempts, e.variant, e.place, e.inputs, e.variables,
        d.decision, d.note,
        (SELECT count(*) FROM images WHERE edit_id = e.id), {image}
    FROM ({_IN_ORDER} LIMIT -1) CROSS JOIN edits AS e USING (id)
    LEFT JOIN images AS i ON i.edit_id = e.id AND i.position = 1
    LEFT JOIN decisions AS d ON d.edit_id = e.id
    """
    with mapped_errors(reader.path):
        for row in reader._connection.execute(statement):
            yield GalleryRow(
                id=row[0],
                fingerprint=row[1],
                status=row[2],
                error_code=row[3],
                prompt=row[4],
                cost_usd=row[5],
                started_at=row[6],
                finished_at=row[7],
                attempts=row[8],
                variant=row[9],
                place=row[10],
                inputs=_texts(row[11]),
                variables=msgspec.json.decode(row[12], type=dict[str, Any]),
                decision=row[13] or "",
                note=row[14],
                images=row[15],
                image=_image(row[16:]) if row[16] is not None else None,
            )


def detail_rows(reader: LedgerReader, ids: Sequence[str]) -> Iterator[DetailRow]:
    """These edits, in this order; an id without a record is left out. In chunks of `CHUNK`."""
    for at in range(0, len(ids), CHUNK):
        yield from _chunk_of_details(reader, ids[at : at + CHUNK])


def run_attempts(reader: LedgerReader, run_id: str) -> Iterator[ChartRow]:
    """The attempts of a run in the order of their starts. Streams."""
    fields = ", ".join(ChartRow.__struct_fields__)
    with mapped_errors(reader.path):
        for row in reader._connection.execute(
            f"SELECT {fields} FROM attempts WHERE run_id = ? ORDER BY started_at", (run_id,)
        ):
            yield ChartRow(*row)


def attempts_by_run(reader: LedgerReader, *, runs: int = 20) -> tuple[tuple[str, int], ...]:
    """Ids of the latest runs that sent anything, and how many attempts: the latest first."""
    rows = reader._rows(
        "SELECT run_id, count(*) FROM attempts GROUP BY run_id ORDER BY max(started_at) DESC "
        "LIMIT ?",
        runs,
    )
    return tuple((run_id, count) for run_id, count in rows)


class RunSpan(msgspec.Struct, frozen=True, kw_only=True):
    """When the attempts of a run began and ended. ``open``: some have not ended; ``goes_on``: the
    run has no end either.
    """

    start: float
    end: float
    attempts: int
    open: bool
    goes_on: bool


def run_span(reader: LedgerReader, run_id: str) -> RunSpan | None:
    """When a run's attempts were; ``None`` if it sent nothing."""
    start, end, attempts, ended = reader._rows(
        "SELECT min(started_at), max(max(started_at), coalesce(max(finished_at), 0)), count(*), "
        "count(finished_at) FROM attempts WHERE run_id = ?",
        run_id,
    )[0]
    if start is None:
        return None
    open_runs = reader._rows("SELECT 1 FROM runs WHERE id = ? AND ended IS NULL", run_id)
    return RunSpan(
        start=start, end=end, attempts=attempts, open=ended < attempts, goes_on=bool(open_runs)
    )


def outcomes(reader: LedgerReader) -> tuple[tuple[Status, str | None, int], ...]:
    """How many edits have a status and a reason (error code), the most frequent first."""
    rows = reader._rows(
        "SELECT status, error_code, count(*) AS n FROM edits "
        "GROUP BY status, error_code ORDER BY n DESC, status, error_code",
    )
    return tuple(rows)


def picture_count(reader: LedgerReader) -> int:
    """Stored pictures of all records."""
    return cast(int, reader._rows("SELECT count(*) FROM images")[0][0])


def first_run_id(reader: LedgerReader) -> str | None:
    """The id of the ledger's first run: no other ledger has it."""
    rows = reader._rows("SELECT id FROM runs ORDER BY started_at, rowid LIMIT 1")
    return rows[0][0] if rows else None


def _chunk_of_details(reader: LedgerReader, ids: Sequence[str]) -> Iterator[DetailRow]:
    marks = ", ".join("?" * len(ids))
    rows = {
        row[0]: row
        for row in reader._rows(
            "SELECT id, place, model, run_id, started_at, finished_at, parameters, error_message, "
            f"prompt, inputs FROM edits WHERE id IN ({marks})",
            *ids,
        )
    }
    images: dict[str, list[StoredImage]] = {}
    for edit_id, *image in reader._rows(
        f"SELECT edit_id, {_IMAGE_FIELDS} FROM images WHERE edit_id IN ({marks}) "
        "ORDER BY edit_id, position",
        *ids,
    ):
        images.setdefault(edit_id, []).append(_image(image))
    history: dict[str, list[AttemptRow]] = {}
    for attempt in reader._rows(
        f"SELECT {ATTEMPT_FIELDS} FROM attempts WHERE edit_id IN ({marks}) "
        "ORDER BY edit_id, started_at, number",
        *ids,
    ):
        history.setdefault(attempt[1], []).append(AttemptRow(*attempt))
    takes = _takes(reader, ids)
    for edit_id in ids:
        if (row := rows.get(edit_id)) is None:
            continue
        yield DetailRow(
            id=edit_id,
            place=row[1],
            model=row[2],
            run_id=row[3],
            started_at=row[4],
            finished_at=row[5],
            parameters=msgspec.json.decode(row[6], type=dict[str, Any]),
            error_message=row[7],
            prompt=row[8],
            inputs=_texts(row[9]),
            images=tuple(images.get(edit_id, ())),
            history=tuple(history.get(edit_id, ())),
            takes=tuple(takes.get(edit_id, ())),
        )


def _takes(reader: LedgerReader, ids: Sequence[str]) -> dict[str, list[TakeRow]]:
    marks = ", ".join("?" * len(ids))
    images: dict[tuple[str, int], list[StoredImage]] = {}
    for edit_id, number, *image in reader._rows(
        f"SELECT edit_id, number, {_IMAGE_FIELDS} FROM take_images WHERE edit_id IN ({marks}) "
        "ORDER BY edit_id, number, position",
        *ids,
    ):
        images.setdefault((edit_id, number), []).append(_image(image))
    takes: dict[str, list[TakeRow]] = {}
    for edit_id, number, variant, prompt, decision, note, cost in reader._rows(
        "SELECT edit_id, number, variant, prompt, decision, note, cost_usd FROM takes "
        f"WHERE edit_id IN ({marks}) ORDER BY edit_id, number",
        *ids,
    ):
        take = TakeRow(
            number=number,
            variant=variant,
            prompt=prompt,
            decision=decision,
            note=note,
            cost_usd=cost,
            images=tuple(images.get((edit_id, number), ())),
        )
        takes.setdefault(edit_id, []).append(take)
    return takes


def _image(values: Sequence[Any]) -> StoredImage:
    return StoredImage(**dict(zip(StoredImage.__struct_fields__, values, strict=True)))


def _texts(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])
