"""What the past of a job says, beside its runs' own rows: figures of runs that left none, sizes."""

import msgspec

from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.queries import LedgerReader
from pipeline.ledger.rows import RunRow

SIZES_OF = 2000
"""Pictures that say how large one is."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of one run came to. ``succeeded``: edits; ``images``: pictures asked for
    in attempts that succeeded.
    """

    attempts: int
    succeeded: int
    images: int
    cost_usd: float


def asked_by(reader: LedgerReader, run: RunRow) -> Asked:
    """For a run that goes on, or was cut off and so has no totals. Raises `LedgerError`."""
    with mapped_errors(reader.path):
        # By the start, which has an index: a run's attempts are not older than the run.
        row = reader._connection.execute(
            "SELECT count(*), count(DISTINCT CASE WHEN status = 'succeeded' THEN edit_id END), "
            "total(CASE WHEN status = 'succeeded' THEN images END), total(cost_usd) "
            "FROM attempts WHERE started_at >= ? AND run_id = ?",
            (run.started_at, run.id),
        ).fetchone()
    attempts, succeeded, images, cost = row
    return Asked(attempts=attempts, succeeded=succeeded, images=int(images), cost_usd=cost)


def picture_bytes(reader: LedgerReader) -> float | None:
    """How large a picture of this ledger is, on average; ``None`` without any. Raises
    `LedgerError`.
    """
    with mapped_errors(reader.path):
        (size,) = reader._connection.execute(
            "SELECT avg(size) FROM (SELECT size FROM images LIMIT ?)", (SIZES_OF,)
        ).fetchone()
    return None if size is None else float(size)


def model_asked(reader: LedgerReader) -> str | None:
    """The model of the newest edit; ``None`` without any. Raises `LedgerError`."""
    with mapped_errors(reader.path):
        row = reader._connection.execute(
            "SELECT model FROM edits ORDER BY rowid DESC LIMIT 1"
        ).fetchone()
    return None if row is None else str(row[0])
