"""Before an unattended run spends: is this the night that was meant?

A template was edited and everything would be asked for again; a folder of sources was copied twice;
the disk is nearly full; the model is about to go. None of these is an error, and each is found in
the morning, on the bill. So a run holds its plan against the job's ``guards`` and the runs before
it; where nobody can be asked it ends before the first request.
"""

import asyncio
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec

from pipeline.caps import cap_of_run, spent_today
from pipeline.endpoints.catalog import model_spec
from pipeline.engine import Stop
from pipeline.errors import GuardError
from pipeline.estimates import quantile
from pipeline.job import Job, job_of
from pipeline.ledger import LedgerReader, RunRow, open_reader
from pipeline.ledger.past import model_asked, picture_bytes
from pipeline.models import ModelSpec
from pipeline.preview import Plan

ASSUMED_PICTURE_BYTES = 2_000_000.0
"""Of a first run: about what a PNG of one megapixel has."""

FEWEST_RUNS = 3
"""Two nights are no habit."""

RUNS_LOOKED_AT = 200
DISK_LOOK_S = 5.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A guard rail that was met. ``rail``: its key in ``guards``."""

    rail: str
    message: str


class GuardReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event: what the guard rails say of a plan. ``stops``: why it should not be run as it is;
    ``warnings``: what somebody should know.
    """

    stops: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """All of it, in a line."""
        return "guard rails: " + "; ".join([*[one.message for one in self.stops], *self.warnings])

    def __bool__(self) -> bool:
        return bool(self.stops or self.warnings)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan is held against. ``costs``: USD of the runs before that it can be compared with,
    the latest first; ``cap_usd``: what the caps leave to this one; ``model_before``: who was asked
    for what the ledger holds; ``picture_bytes``: of one picture, as measured; ``free_bytes``: on
    the disk of the outputs; ``None``: not known.
    """

    costs: Sequence[float] = ()
    cap_usd: float | None = None
    model_before: str | None = None
    picture_bytes: float | None = None
    free_bytes: int | None = None
    today: date


def needs_whole_plan(job: Job) -> bool:
    """Whether a plan that was cut short would not do."""
    return job.guards.max_cost_growth is not None or job.guards.max_changed_share is not None


def look(
    job: Job,
    plan: Plan,
    model: ModelSpec,
    reader: LedgerReader | None,
    *,
    cap_usd: float | None = None,
) -> GuardReport:
    """Looks around, then judges. Blocks. Raises `LedgerError`."""
    costs: list[float] = []
    size = before = None
    if reader is not None:
        if job.guards.max_cost_growth is not None:
            costs = comparable_costs(reader.runs(RUNS_LOOKED_AT))[: job.guards.growth_runs]
        size, before = picture_bytes(reader), model_asked(reader)
    around = Surroundings(
        costs=costs,
        cap_usd=cap_usd,
        model_before=before,
        picture_bytes=size,
        free_bytes=free_bytes(job.outputs.directory) if job.guards.min_free_bytes else None,
        today=datetime.now(UTC).date(),
    )
    return judge(job, plan, model, around)


def foresee(job: Job | Path | str, plan: Plan, *, rehearse: bool = False) -> GuardReport:
    """What a run of this plan would meet. Raises `JobError`, `LedgerError`."""
    loaded = job_of(job, rehearse=rehearse)
    reader = open_reader(loaded.outputs.directory / "ledger.db")
    with reader or nullcontext():
        cap = cap_of_run(loaded, 0.0 if reader is None else spent_today(loaded, reader))
        return look(loaded, plan, model_spec(loaded.endpoint.model), reader, cap_usd=cap)


def judge(job: Job, plan: Plan, model: ModelSpec, around: Surroundings) -> GuardReport:
    """Pure. A plan with nothing to ask for meets no rail."""
    if not plan.requests:
        return GuardReport()
    ends, warnings = _model(job, model, around.today)
    changed = _changed(job, plan, model, around)
    found = (_growth(job, plan, around), changed, _disk(job, plan, around), ends)
    return GuardReport(stops=tuple([one for one in found if one]), warnings=tuple(warnings))


def comparable_costs(runs: Sequence[RunRow]) -> list[float]:
    """USD of the runs that say what a run of this job costs, in their order: whole ones that came
    to their end, or to their cap, and cost something.
    """
    return [
        float(run.totals["cost_usd"])
        for run in runs
        if run.ended in ("finished", "budget")
        and not run.totals.get("partial", False)
        and run.totals.get("cost_usd", 0.0) > 0
    ]


async def passes(
    job: Job,
    plan: Plan,
    model: ModelSpec,
    reader: LedgerReader | None,
    *,
    cap_usd: float | None,
    observe: Callable[[GuardReport], None],
    allow: Callable[[GuardReport], bool] | None,
) -> bool:
    """Whether the run may go on. ``allow``: a person who is asked. Raises `GuardError` where there
    is nobody, and `LedgerError`.
    """
    report = await asyncio.to_thread(look, job, plan, model, reader, cap_usd=cap_usd)
    if report:
        observe(report)
    if report.stops and allow is None:
        raise refusal(job, report)
    return not report.stops or allow is None or allow(report)


def refusal(job: Job, report: GuardReport) -> GuardError:
    """Why the run ends here, for a report with ``stops``."""
    path = shlex.quote(str(job.path))
    return GuardError(
        "; ".join([one.message for one in report.stops])
        + f". Nothing was sent (what it would ask for: pipeline plan {path}; if that is meant:"
        f" pipeline run {path} --no-guards, which goes past them once)",
        rails=tuple([one.rail for one in report.stops]),
    )


def _growth(job: Job, plan: Plan, around: Surroundings) -> Finding | None:
    most = job.guards.max_cost_growth
    fewest = min(FEWEST_RUNS, job.guards.growth_runs)
    if most is None or plan.cost_usd is None or len(around.costs) < fewest:
        return None
    usual = _median(around.costs)
    cost = plan.cost_usd if around.cap_usd is None else min(plan.cost_usd, around.cap_usd)
    if cost <= most * usual + 1e-9:
        return None
    return Finding(
        rail="max_cost_growth",
        message=(
            f"this run may cost ${cost:,.2f}, {cost / usual:,.1f} times the ${usual:,.2f} that is"
            f" usual (the median of the last {len(around.costs)} runs), and guards.max_cost_growth"
            f" allows {most:g} times"
        ),
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return quantile(ordered, 0.5)
    return (ordered[middle - 1] + ordered[middle]) / 2


def _changed(job: Job, plan: Plan, model: ModelSpec, around: Surroundings) -> Finding | None:
    most = job.guards.max_changed_share
    known = plan.changed + plan.again + plan.redo + plan.unchanged + plan.kept
    changed = min(plan.changed, plan.requests)  # with --limit no more than that are asked for
    if most is None or not changed or changed <= most * known:
        return None
    why = "a prompt, a parameter or the pictures"
    if around.model_before not in (None, model.id):
        why = f"the model was {around.model_before} and is {model.id} now"
    usd = ""
    if plan.cost_usd is not None:
        usd = f", for about ${plan.cost_usd * changed / plan.requests:,.2f}"
    return Finding(
        rail="max_changed_share",
        message=(
            f"{changed:,} of {known:,} edits that were asked for before have changed"
            f" ({changed / known:.0%}: {why}) and would be paid for again{usd};"
            f" guards.max_changed_share allows {most:.0%}"
        ),
    )


def _disk(job: Job, plan: Plan, around: Surroundings) -> Finding | None:
    reserve, free = job.guards.min_free_bytes, around.free_bytes
    if not reserve or free is None:
        return None
    size = around.picture_bytes or ASSUMED_PICTURE_BYTES
    need = 0 if job.outputs.store is not None else round(plan.pictures * size)
    if free >= need + reserve:
        return None
    pictures = "" if not need else f" {_pictures(plan.pictures)} about {in_bytes(need)}, and"
    return Finding(
        rail="min_free_bytes",
        message=(
            f"{in_bytes(free)} is free on the disk of {job.outputs.directory}:{pictures}"
            f" guards.min_free_bytes keeps {in_bytes(reserve)} (free some space, move"
            " outputs.directory, or ask for less with --limit)"
        ),
    )


def _pictures(count: int) -> str:
    return "1 picture needs" if count == 1 else f"{count:,} pictures need"


def _model(job: Job, model: ModelSpec, today: date) -> tuple[Finding | None, list[str]]:
    guards, until = job.guards, job.guards.model_until
    instead = f" (its successor is {model.superseded_by})" if model.superseded_by else ""
    if until is not None and today > until:
        message = f"guards.model_until: {until} was the last day for {model.id}{instead}"
        return Finding(rail="model_until", message=message), []
    if guards.superseded_model == "stop" and model.superseded_by is not None:
        message = (
            f"{model.id} has a successor, {model.superseded_by}, and guards.superseded_model says"
            " stop (set endpoint.model, or say warn)"
        )
        return Finding(rail="superseded_model", message=message), []
    if until is not None and until - today <= timedelta(days=guards.warn_days):
        left = (until - today).days
        when = "today" if not left else "tomorrow" if left == 1 else f"in {left} days"
        return None, [f"{model.id} may be asked until {until}, {when}{instead}"]
    return None, []


@asynccontextmanager
async def disk_watch(job: Job, stop: Stop, *, on: bool = True) -> AsyncIterator[None]:
    """While this lasts, the run is asked to stop as soon as less than ``guards.min_free_bytes`` is
    free. What is in flight is finished and kept: the reserve is for that. Where less is free from
    the beginning, somebody let the run pass, and nobody looks.
    """
    directory, reserve = job.outputs.directory, job.guards.min_free_bytes if on else 0

    async def watch() -> None:
        left = await asyncio.to_thread(free_bytes, directory)
        if left is None or left < reserve:
            return
        while stop.reason is None:
            left = await asyncio.to_thread(free_bytes, directory)
            if left is not None and left < reserve:
                message = (
                    f"only {in_bytes(left)} is free on the disk of {directory}, and"
                    f" guards.min_free_bytes keeps {in_bytes(reserve)}. What was in flight is kept,"
                    " everything else is pending (free some space, then run again)"
                )
                stop.request(GuardError(message, rails=("min_free_bytes",)))
                return
            await asyncio.sleep(DISK_LOOK_S)

    if not reserve:
        yield
        return
    task = asyncio.create_task(watch(), name="disk watch")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def free_bytes(directory: Path) -> int | None:
    """On the disk that a folder is on, or will be; ``None``: the system does not say. Blocks."""
    for folder in (directory, *directory.parents):
        try:
            return shutil.disk_usage(folder).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def in_bytes(size: float) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size:.0f} bytes"
