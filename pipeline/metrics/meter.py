"""One job at one moment: what its metrics say, before it is put into Prometheus' words."""

import msgspec

from pipeline.ledger import LedgerReader, RunRow
from pipeline.ledger.metering import meters
from pipeline.pulse import LATENCY_BUCKETS_S
from pipeline.snapshot import Snapshot


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """``live``: the run that goes on; ``None``: none does. What only grows (``attempts`` by
    outcome, ``latency_s`` by bucket, ``pictures``, ``retries``, ``spent_usd``) counts from the
    first run on where it comes from a ledger, and from the run's start where it comes from a run.

    ``edits``: records by status. ``last_run``: the latest; ``None``: none, or nobody looked.
    """

    job: str
    live: Snapshot | None
    edits: dict[str, int]
    attempts: dict[str, int]
    latency_s: tuple[int, ...]
    latency_sum_s: float
    pictures: int
    retries: int
    spent_usd: float
    unknown_usd: float
    last_run: RunRow | None = None
    last_success_at: float | None = None


def meter_of_run(snapshot: Snapshot) -> Meter:
    """Of one run, for its own address."""
    return Meter(
        job=snapshot.job,
        live=snapshot,
        edits=snapshot.counts,
        attempts=snapshot.attempts,
        latency_s=snapshot.latency_s,
        latency_sum_s=snapshot.latency_sum_s,
        pictures=snapshot.pictures,
        retries=snapshot.retries,
        spent_usd=snapshot.spent_usd,
        unknown_usd=snapshot.unknown_usd,
    )


def meter_of_ledger(reader: LedgerReader, *, job: str, live: Snapshot | None) -> Meter:
    """Of a job over all its runs; ``live``: the one that goes on. Raises `LedgerError`."""
    with reader.snapshot():
        found = meters(reader, LATENCY_BUCKETS_S)
        totals = reader.edit_totals()
        attempts = reader.attempt_totals()
        last_run = reader.last_run()
    return Meter(
        job=job,
        live=live,
        edits={total.status: total.count for total in totals},
        attempts=found.attempts,
        latency_s=found.latency_s,
        latency_sum_s=found.latency_sum_s,
        pictures=found.pictures,
        retries=found.retries,
        spent_usd=found.spent_usd,
        unknown_usd=sum(one.reserved_usd for one in attempts if one.status == "unknown"),
        last_run=last_run,
        last_success_at=found.last_success_at,
    )
