"""What metrics ask of a ledger: totals over all runs, which only grow. Seconds and USD."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import cast

import msgspec

from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.queries import LedgerReader


class Meters(msgspec.Struct, frozen=True, kw_only=True):
    """Over all runs of a ledger.

    ``attempts``: ended ones by outcome, ``succeeded``, ``unknown`` or an error's code.
    ``latency_s``: how many of them took how long, one count for each bucket that was asked for;
    ``latency_sum_s``: all of them together. ``pictures``: of the records; ``retries``: attempts
    that were not the first. ``last_success_at``: when the latest picture came; ``None``: never.
    """

    attempts: dict[str, int]
    latency_s: tuple[int, ...]
    latency_sum_s: float
    pictures: int
    retries: int
    spent_usd: float
    last_success_at: float | None


def meters(reader: LedgerReader, buckets: Sequence[float]) -> Meters:
    """``buckets``: upper ends in seconds, ascending, the last infinite. Raises `LedgerError`."""
    counts = [0] * len(buckets)
    total = 0.0
    # By whole tenths of a second, so that SQLite hands over hundreds of rows and not a million.
    with mapped_errors(reader.path):
        execute = reader._connection.execute
        for tenths, count, seconds in execute(
            "SELECT CAST((finished_at - started_at) * 10 AS INTEGER), count(*), "
            "total(finished_at - started_at) FROM attempts "
            "WHERE finished_at IS NOT NULL AND finished_at >= started_at GROUP BY 1"
        ):
            counts[bisect_left(buckets, tenths / 10)] += count
            total += seconds
        outcomes = dict(
            execute(
                "SELECT coalesce(error_code, status), count(*) FROM attempts "
                "WHERE status != 'started' GROUP BY 1 ORDER BY 1"
            ).fetchall()
        )
        (pictures,) = execute("SELECT count(*) FROM images").fetchone()
        retries, spent, last = execute(
            "SELECT total(number > 1), total(cost_usd), "
            "max(CASE WHEN status = 'succeeded' THEN finished_at END) FROM attempts"
        ).fetchone()
    return Meters(
        attempts=cast(dict[str, int], outcomes),
        latency_s=tuple(counts),
        latency_sum_s=total,
        pictures=pictures,
        retries=int(retries),
        spent_usd=spent,
        last_success_at=last,
    )
