"""What a run may spend: the caps of its job, and what was spent today already."""

import time

from pipeline.budget import Budget, midnight_before
from pipeline.errors import JobError
from pipeline.job import Job
from pipeline.job.design import split_model
from pipeline.ledger import LedgerReader, open_reader

_REHEARSAL = "-rehearsal"


def spent_today(job: Job, reader: LedgerReader) -> float:
    """USD since midnight UTC by the job's ledger, and by those of its other models: they share the
    day's money. Raises `LedgerError`.
    """
    since = midnight_before(time.time())
    total = reader.spent_since(since)
    own = job.outputs.directory
    if not split_model(job.path)[1]:
        return total
    for ledger in sorted(own.parent.glob("*/ledger.db")):
        folder = ledger.parent
        rehearsed = folder.name.endswith(_REHEARSAL) == own.name.endswith(_REHEARSAL)
        other = open_reader(ledger) if folder != own and rehearsed else None
        if other is not None:
            with other:
                total += other.spent_since(since)
    return total


def cap_of_run(job: Job, spent_today_usd: float) -> float | None:
    """What a run may come to: the lower of its own cap and what is left of the day's."""
    run, day = job.budget.run_usd, job.budget.day_usd
    left = None if day is None else max(0.0, day - spent_today_usd)
    return min([cap for cap in (run, left) if cap is not None], default=None)


def budget_of_run(job: Job, price_usd: float | None, spent_today_usd: float) -> Budget:
    """``price_usd``: the model's, where the job states none. Raises `JobError`."""
    price = job.endpoint.price_usd if job.endpoint.price_usd is not None else price_usd
    _check_unknown_budget(job, price)
    reroll_budget(job, price_usd)
    return Budget(
        price_usd=price,
        now=time.time,
        run_usd=job.budget.run_usd,
        day_usd=job.budget.day_usd,
        spent_today_usd=spent_today_usd,
    )


def reroll_budget(job: Job, price_usd: float | None) -> Budget | None:
    """What all re-rolls of a run together may cost; ``None``: as much as the run may.

    Raises `JobError` where it could not hold.
    """
    most = job.checks.reroll_budget_usd
    if most is None:
        return None
    price = job.endpoint.price_usd if job.endpoint.price_usd is not None else price_usd
    if price is None:
        raise JobError(
            "checks.reroll_budget_usd is stated but the model's price is unknown, so it could not"
            " hold (set endpoint.price_usd, or leave it to checks.rerolls)"
        )
    return Budget(price_usd=price, now=time.time, run_usd=most)


def _check_unknown_budget(job: Job, price_usd: float | None) -> None:
    """An allowance in dollars needs a price. Raises `JobError`."""
    if job.retry.unknown_budget_usd is not None and price_usd is None:
        raise JobError(
            "retry.unknown_budget_usd is stated but the model's price is unknown, so it could not"
            " hold (set endpoint.price_usd, or say retry.on_unknown: hold)"
        )
