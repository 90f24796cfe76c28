"""Records and attempts as rows of tables."""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from pipeline.ledger.statements import Row
from pipeline.ledger.text import clean, json_text
from pipeline.models import (
    AttemptEnd,
    Edit,
    FinishedPicture,
    PictureCheck,
    PictureLikeness,
    Record,
)

LONGEST_DATA_SOURCE = 100
"""Characters kept of an input that the manifest spells out as a data URI."""


class ItemRows(NamedTuple):
    """Rows of one kind for one item. Of an edit also its ``images``, what was measured on them and
    made of them, the manifest's new columns (``names``), and the ``end`` of the attempt that made
    it; ``yields``: only if the edit has no answer yet.
    """

    kind: Literal["start", "end", "edit", "input"]
    row: Row
    images: tuple[Row, ...] = ()
    names: tuple[str, ...] = ()
    end: Row | None = None
    yields: bool = False
    checks: tuple[Row, ...] = ()
    finished: tuple[Row, ...] = ()
    likenesses: tuple[Row, ...] = ()


def edit_rows(record: Record, end: Row | None, known: Collection[str]) -> ItemRows:
    """``end``: of the attempt that brought it. ``known``: columns of manifests, by name."""
    edit = record.edit
    names = (
        () if all(name in known for name in edit.variables) else tuple(map(clean, edit.variables))
    )
    row: Row = (
        edit.id,
        record.status,
        record.fingerprint,
        whole(edit.prompt),
        record.model,
        json_text(edit.parameters),
        json_text(edit.variables),
        json_text(_sources(edit)),
        edit.place,
        edit.variant,
        record.attempts,
        record.cost_usd,
        record.error_code,
        whole(record.error_message),
        record.started_at,
        record.finished_at,
        record.run_id,
        record.base,
        record.sent,
    )
    images = tuple(
        (edit.id, n, i.path, i.sha256, i.size, i.width, i.height, i.format)
        for n, i in enumerate(record.images, start=1)
    )
    return ItemRows(
        "edit",
        row,
        images,
        names,
        end,
        checks=check_rows(edit.id, record.checks),
        finished=finished_rows(edit.id, record.finished),
        likenesses=likeness_rows(edit.id, record.likenesses),
    )


def check_rows(edit_id: str, checks: Iterable[PictureCheck]) -> tuple[Row, ...]:
    """Rows of `checks`. A name that comes twice for a picture gets a number."""
    rows: dict[tuple[int, str], Row] = {}
    for one in checks:
        name, number = one.name, 1
        while (one.position, name) in rows:
            number += 1
            name = f"{one.name} {number}"
        rows[one.position, name] = (
            *(edit_id, one.position, name, one.value, one.limit),
            *(int(one.passed), one.message),
        )
    return tuple(rows.values())


def finished_rows(edit_id: str, finished: Iterable[FinishedPicture]) -> tuple[Row, ...]:
    """Rows of `finished`."""
    return tuple(
        [(edit_id, one.position, one.path, one.source_sha256, one.made_as) for one in finished]
    )


def likeness_rows(edit_id: str, likenesses: Iterable[PictureLikeness]) -> tuple[Row, ...]:
    """Rows of `likenesses`."""
    return tuple([(edit_id, one.position, one.sha256, one.packed) for one in likenesses])


def end_row(attempt_id: str, end: AttemptEnd) -> Row:
    """Of `attempts`, as its end is written."""
    return (
        attempt_id,
        end.status,
        end.finished_at,
        end.cost_usd,
        end.cost_source,
        end.http_status,
        end.inference_id,
        end.error_code,
        whole(end.error_message),
    )


def _sources(edit: Edit) -> list[str]:
    return [
        image.source[:LONGEST_DATA_SOURCE] + "…"
        if image.kind == "data" and len(image.source) > LONGEST_DATA_SOURCE
        else image.source
        for image in edit.images
    ]


def whole(text: str | None) -> str | None:
    """Text that no tool cuts off."""
    # A NUL would end the text in many a tool that reads the ledger.
    return clean(text) if text and "\0" in text else text
