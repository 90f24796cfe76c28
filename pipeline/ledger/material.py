"""What exports ask of a ledger. Times: seconds since the epoch (UTC). Each raises `LedgerError`."""

# ruff: noqa: S608 - every part of these statements is from this file

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.queries import MANIFEST_ORDER, LedgerReader
from pipeline.models import StoredImage

_FIELDS = StoredImage.__struct_fields__
_CHECKS = "(SELECT json_group_array(json_array(name, value)) FROM checks WHERE edit_id = e.id)"


class ExportRow(msgspec.Struct, frozen=True, kw_only=True):
    """One edit with all that an export may want.

    ``values``: its row of the view `results`. ``inputs``: as the manifest spells them. ``checks``:
    what each measured, by name, a value for each picture (``None``: not measured). ``takes``: how
    many earlier pictures were set aside.
    """

    values: dict[str, Any]
    place: str
    inputs: tuple[str, ...]
    parameters: str
    images: tuple[StoredImage, ...]
    checks: dict[str, tuple[float | None, ...]]
    takes: int

    @property
    def id(self) -> str:
        return str(self.values["id"])


def export_rows(reader: LedgerReader, *, in_manifest_order: bool = False) -> Iterator[ExportRow]:
    """All edits with a record, in the order in which the ledger first heard of them: one that comes
    later comes later here, too, and one that is done again keeps its place. Streams.
    """
    order = MANIFEST_ORDER if in_manifest_order else "rowid"
    checks = _CHECKS if has_checks(reader) else "'[]'"
    statement = f"""
    SELECT e.place, e.inputs, e.parameters,
        (SELECT json_group_array(json_array({", ".join(_FIELDS)})) FROM
            (SELECT * FROM images WHERE edit_id = e.id ORDER BY position)),
        {checks}, (SELECT count(*) FROM takes WHERE edit_id = e.id), results.*
    FROM (SELECT id, place, inputs, parameters FROM edits ORDER BY {order} LIMIT -1) AS e
    CROSS JOIN results ON results.id = e.id
    """
    images_of = msgspec.json.Decoder(list[tuple[str, str, int, int, int, str]]).decode
    checks_of = msgspec.json.Decoder(list[tuple[str, float | None]]).decode
    texts = msgspec.json.Decoder(tuple[str, ...]).decode
    with mapped_errors(reader.path):
        cursor = reader._connection.execute(statement)
        names = [column[0] for column in cursor.description][6:]
        for place, inputs, parameters, images, checked, takes, *values in cursor:
            measured: dict[str, tuple[float | None, ...]] = {}
            for name, value in checks_of(checked):
                measured[name] = (*measured.get(name, ()), value)
            yield ExportRow(
                values=dict(zip(names, values, strict=True)),
                place=place,
                inputs=texts(inputs),
                parameters=parameters,
                images=tuple([_image(one) for one in images_of(images)]),
                checks=measured,
                takes=takes,
            )


def _image(values: tuple[Any, ...]) -> StoredImage:
    return StoredImage(**dict(zip(_FIELDS, values, strict=True)))


def has_checks(reader: LedgerReader) -> bool:
    """Whether this ledger keeps what checks measured."""
    with mapped_errors(reader.path):
        found = reader._connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'checks'"
        ).fetchone()
    return found is not None


def most_inputs(reader: LedgerReader) -> int:
    """The most inputs that any edit has."""
    with mapped_errors(reader.path):
        (most,) = reader._connection.execute(
            "SELECT coalesce(max(json_array_length(inputs)), 0) FROM edits"
        ).fetchone()
    return int(most)


def remembered_digests(reader: LedgerReader, path: str) -> tuple[tuple[int, int, str], ...]:
    """Size, mtime (nanoseconds) and digest of an input file when it was last sent."""
    with mapped_errors(reader.path):
        return tuple(
            reader._connection.execute(
                "SELECT size, mtime_ns, digest FROM inputs WHERE path = ?", (path,)
            ).fetchall()
        )


def spent(reader: LedgerReader) -> float:
    """USD that all attempts cost, as far as known."""
    with mapped_errors(reader.path):
        (total,) = reader._connection.execute("SELECT total(cost_usd) FROM attempts").fetchone()
    return float(total)


def why_not(reader: LedgerReader) -> Sequence[tuple[str, str | None, int]]:
    """Status, error code and number of the edits that did not succeed, the most frequent first."""
    with mapped_errors(reader.path):
        return reader._connection.execute(
            "SELECT status, error_code, count(*) AS n FROM edits WHERE status <> 'succeeded' "
            "GROUP BY status, error_code ORDER BY n DESC, status, error_code"
        ).fetchall()
