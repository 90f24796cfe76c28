"""What renditions and deliveries ask of a ledger: edits that have pictures, with all about them.

Asked in chunks, so that no reader holds back the log's clean-up while pictures are made. Each
function raises `LedgerError`.
"""

# ruff: noqa: S608 - every part of these statements is from this package

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from pipeline.ledger.queries import MANIFEST_ORDER, LedgerReader
from pipeline.models import DecisionWord, StoredImage

_IMAGE = StoredImage.__struct_fields__


class Pictured(msgspec.Struct, frozen=True, kw_only=True):
    """An edit that succeeded. ``decision``: what a person said of it, if anybody did.

    ``finished_at``: seconds since the epoch (UTC). ``images``: in the provider's order. ``sent``:
    how its first input went out, as `Record.sent`.
    """

    id: str
    fingerprint: str
    model: str
    prompt: str
    place: str
    variables: dict[str, Any]
    finished_at: float
    decision: DecisionWord | None
    images: tuple[StoredImage, ...]
    sent: str = ""


def pictured_ids(reader: LedgerReader) -> tuple[str, ...]:
    """Ids of the edits that succeeded and have pictures, in the manifest's order."""
    rows = reader._rows(
        "SELECT id FROM edits WHERE status = 'succeeded' AND id IN (SELECT edit_id FROM images) "
        f"ORDER BY {MANIFEST_ORDER}"
    )
    return tuple([edit_id for (edit_id,) in rows])


def pictured(reader: LedgerReader, ids: Sequence[str]) -> list[Pictured]:
    """These edits, in the order given; those that have no picture any more are left out.

    At most `queries.CHUNK` at once.
    """
    marks = ", ".join("?" * len(ids))
    images: dict[str, list[StoredImage]] = {}
    found: dict[str, tuple[Any, ...]] = {}
    with reader.snapshot():
        for edit_id, *values in reader._rows(
            f"SELECT edit_id, {', '.join(_IMAGE)} FROM images "
            f"WHERE edit_id IN ({marks}) ORDER BY edit_id, position",
            *ids,
        ):
            image = StoredImage(**dict(zip(_IMAGE, values, strict=True)))
            images.setdefault(edit_id, []).append(image)
        for row in reader._rows(
            "SELECT e.id, e.fingerprint, e.model, e.prompt, e.place, e.variables, e.finished_at, "
            "(SELECT decision FROM decisions WHERE edit_id = e.id), e.sent "
            f"FROM edits AS e WHERE e.status = 'succeeded' AND e.id IN ({marks})",
            *ids,
        ):
            found[row[0]] = row
    rows = []
    for edit_id in ids:
        if edit_id in found and edit_id in images:
            row = found[edit_id]
            rows.append(
                Pictured(
                    id=edit_id,
                    fingerprint=row[1],
                    model=row[2],
                    prompt=row[3],
                    place=row[4],
                    variables=msgspec.json.decode(row[5]),
                    finished_at=row[6],
                    decision=row[7],
                    sent=row[8],
                    images=tuple(images[edit_id]),
                )
            )
    return rows


def decided(reader: LedgerReader) -> dict[str, int]:
    """How many edits that succeeded were ``approved``, and how many have no decision (``""``)."""
    rows = reader._rows(
        "SELECT coalesce((SELECT decision FROM decisions WHERE edit_id = e.id), ''), count(*) "
        "FROM edits AS e WHERE status = 'succeeded' GROUP BY 1",
    )
    return dict(cast(list[tuple[str, int]], rows))
