"""What jobs of one key share: its money of the day, and its limits."""

import hashlib
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from pipeline.budget import midnight_before
from pipeline.errors import JobError, LedgerError
from pipeline.job import Job, Limits, read_api_key
from pipeline.job.design import single_jobs
from pipeline.ledger import open_reader

LEAST_USD = 0.01
"""With less than this left of the day's money no run is started, if no price is stated."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A run's part of the limits: as ``limits`` of its job, divided. Rates: ``None``, no limit."""

    concurrency: int
    requests_per_minute: float | None
    images_per_minute: float | None


def key_of(job: Job, environ: Mapping[str, str]) -> str:
    """Equal for jobs that ask one endpoint with one key. The key cannot be read from it."""
    try:
        key = read_api_key(job, environ)
    except JobError:
        key = None
    named = f"${job.endpoint.api_key_env}" if key is None else key
    digest = hashlib.sha256(named.encode()).hexdigest()[:16]
    return f"{urlsplit(job.endpoint.base_url).netloc}#{digest}"


def share_of(limits: Limits, runs: int) -> Share:
    """One of ``runs`` runs' fair part. Each job's limits are read as those of the key, so together
    they never come to more than the largest that one of them states.
    """
    return Share(
        concurrency=max(1, limits.concurrency // runs),
        requests_per_minute=_part(limits.requests_per_minute, runs),
        images_per_minute=_part(limits.images_per_minute, runs),
    )


def spent_today(jobs: Iterable[Job], now: float) -> float:
    """USD since midnight UTC over the ledgers of these jobs, each counted once. Blocks.

    What is under way or unknown counts in full. Raises `LedgerError`: nobody may spend on a guess.
    """
    return _spent_since(midnight_before(now), jobs)


def spent_by_run(job: Job, since: float) -> float:
    """USD of a run that began at ``since``, as its ledger has it; 0 where it cannot be read, so
    that more is held back, not less. Blocks.
    """
    try:
        return _spent_since(since, [job])
    except LedgerError:
        return 0.0


def least_usd(job: Job) -> float:
    """What has to be left for a start to make sense: a picture of the cheapest of its models."""
    return min([each.endpoint.price_usd or LEAST_USD for each in single_jobs(job)])


def _spent_since(since: float, jobs: Iterable[Job]) -> float:
    ledgers = {
        one.outputs.directory / "ledger.db"
        for job in jobs
        for one in (job, *single_jobs(job))  # a job that has models now may have had none before
    }
    total = 0.0
    for ledger in sorted(ledgers):
        reader = open_reader(ledger)
        if reader is not None:
            with reader:
                total += reader.spent_since(since)
    return round(total, 6)


def _part(rate: float | None, runs: int) -> float | None:
    return None if rate is None else rate / runs
