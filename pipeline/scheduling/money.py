"""How much of the day's money of a key a run may have."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from pipeline.errors import LedgerError
from pipeline.job import Job
from pipeline.scheduling.going import Supervised
from pipeline.scheduling.sharing import least_usd, spent_by_run, spent_today


class Allowance(msgspec.Struct, frozen=True):
    """``cap_usd``: for the run; ``None``: the job has no ``day_usd``. ``why``: in words, where it
    has to wait for other runs to end, or may not start today.
    """

    verdict: Literal["go", "wait", "no"]
    cap_usd: float | None = None
    why: str = ""


def allowance(
    job: Job,
    *,
    jobs: Iterable[Job],
    going: Iterable[Supervised],
    alike: int,
    now: float,
    more_than_usd: float = 0.0,
) -> Allowance:
    """Reads the ledgers. ``jobs``: all of the key. ``going``: its runs that go on; what each may
    still spend of its cap is held back for it. ``alike``: so many runs of the key, this one
    included, could start now, and share what is left evenly; who needs more than its part goes on
    when the others have ended.
    """
    day = job.schedule.day_usd
    if day is None:
        return Allowance("go")
    try:
        spent = spent_today(jobs, now)
    except LedgerError as error:
        return Allowance("wait", why=f"what was spent today cannot be read: {error}")
    held = 0.0
    for run in going:
        if run.cap_usd is not None:
            held += max(0.0, run.cap_usd - spent_by_run(run.job, run.began))
    left = day - spent - held
    least = more_than_usd + least_usd(job)
    for cap in (round(left / max(1, alike), 6), round(left, 6)):
        if cap >= least:
            return Allowance("go", cap_usd=cap)
    if held > 0:
        free = f"${max(0.0, left):,.2f} of the day's ${day:,.2f} is neither spent nor held"
        return Allowance("wait", why=f"{free} by runs that go on")
    return Allowance("no", why=f"${spent:,.2f} of the day's ${day:,.2f} is spent (UTC)")
