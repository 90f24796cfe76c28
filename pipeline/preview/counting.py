"""What a run would do, counted: edits by state, requests, pictures, money, minutes."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from pipeline.endpoints.catalog import model_spec
from pipeline.job import Job
from pipeline.job.checks import with_rerolls
from pipeline.ledger import LedgerReader
from pipeline.manifest import read_once
from pipeline.models import ModelSpec, Problem
from pipeline.planning import Item, Planned, Planner, State
from pipeline.preview.made import Made, Tally
from pipeline.preview.orphans import waiting_redos
from pipeline.preview.reading import PROBLEMS_SHOWN, chosen, read_edits
from pipeline.targets.missing import TargetPlan, TargetTally

ASSUMED_REQUEST_S = 15.0
"""For the time of a first run, where no history says how long the endpoint takes."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do. ``again``: failed before. ``redo``: a person wants another picture.
    ``kept``: refused or rejected before. ``orphaned``: in the ledger, without a row; of these a
    person wants another picture of ``orphaned_redos`` (ids), and no run asks for it.

    ``cost_usd``: of one request an edit; ``None`` where the price is unknown. ``minutes``: at the
    job's limits; ``request_s``: the time a request was taken to need, ``measured`` if the ledger
    knows it. ``made``: the table of what would be made, where it was asked for. ``target``: what is
    missing of the job's `target_accepted`; requests are the fewest that could do then. ``checks``:
    those that are on; ``with_rerolls_usd``: the cost if they turned down every picture.
    """

    new: int
    changed: int
    again: int
    redo: int
    unchanged: int
    kept: int
    orphaned: int
    unreadable: int
    requests: int
    pictures: int
    cost_usd: float | None
    minutes: float
    request_s: float
    measured: bool
    problems: tuple[str, ...]
    orphaned_redos: tuple[str, ...] = ()
    made: Made | None = None
    target: TargetPlan | None = None
    checks: tuple[str, ...] = ()
    with_rerolls_usd: float | None = None


class Within:
    """Items, for ``seconds`` at most; afterwards ``complete`` says whether they were all.

    Counting a million rows takes a minute, and the first request should not wait for it.
    """

    def __init__(self, items: Iterable[Item], seconds: float | None) -> None:
        self._items = items
        self._seconds = seconds
        self.complete = True

    def __iter__(self) -> Iterator[Item]:
        end = None if self._seconds is None else time.monotonic() + self._seconds
        for item in self._items:
            yield item
            if end is not None and time.monotonic() > end:
                self.complete = False
                return


def count_job(
    job: Job,
    planner: Planner,
    reader: LedgerReader | None,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    seconds: float | None = None,
    table: bool = False,
) -> tuple[Plan, bool]:
    """What there is to do, and whether that is all: after ``seconds`` counting is cut short.
    ``table``: also as a table.
    """
    model = model_spec(job.endpoint.model)
    if seconds is not None and read_once(job.manifest):
        return count_plan(job, model, iter(()), reader, whole=False, limit=limit), False
    items = Within(planner.plan(chosen(read_edits(job, model), only)), seconds)
    whole = not only and seconds is None and planner.again is None
    tally = Tally() if table else None
    plan = count_plan(job, model, iter(items), reader, whole=whole, limit=limit, tally=tally)
    return plan, items.complete


def count_plan(
    job: Job,
    model: ModelSpec,
    items: Iterator[Item],
    reader: LedgerReader | None,
    *,
    whole: bool,
    limit: int | None,
    tally: Tally | None = None,
) -> Plan:
    """Folds planned items. ``whole``: they are all of the job's, so orphans can be told."""
    stated = job.target_accepted
    target = TargetTally(stated, reader) if stated.count is not None else None
    states: Counter[State] = Counter()
    requests = pictures = unreadable = 0
    problems: list[str] = []

    def fold() -> Iterator[str]:
        nonlocal requests, pictures, unreadable
        for item in items:
            if not isinstance(item, Planned):
                unreadable += 1
                if len(problems) < PROBLEMS_SHOWN:
                    text = str(item) if isinstance(item, Problem) else item.error
                    place = "" if isinstance(item, Problem) else f"{item.edit.place}: "
                    problems.append(place + text)
                yield item.id if isinstance(item, Problem) else item.edit.id
                continue
            states[item.state] += 1
            asks = item.state not in ("unchanged", "kept") and (limit is None or requests < limit)
            if asks:
                requests += 1
                pictures += model.count(item.edit.parameters)
            if tally is not None:
                tally.add(item.edit, asks=asks)
            yield item.edit.id
            if target is not None:
                yield from target.add(item)

    orphaned = 0
    orphaned_redos: list[str] = []
    if reader is not None and whole:
        wished = waiting_redos(reader)
        for edit_id in reader.orphans(fold()):
            orphaned += 1
            if edit_id in wished:
                orphaned_redos.append(edit_id)
    else:
        deque(fold(), maxlen=0)
    price = job.endpoint.price_usd if job.endpoint.price_usd is not None else model.price_usd
    measured = reader.typical_request_s() if reader is not None else None
    request_s = ASSUMED_REQUEST_S if measured is None else measured
    wanted = None if target is None else target.plan(requests, pictures, price_usd=price)
    if wanted is not None:
        requests, pictures = wanted.fewest_requests, wanted.fewest_pictures
    return Plan(
        new=states["new"],
        changed=states["changed"],
        again=states["again"],
        redo=states["redo"],
        unchanged=states["unchanged"],
        kept=states["kept"],
        orphaned=orphaned,
        orphaned_redos=tuple(orphaned_redos),
        unreadable=unreadable,
        requests=requests,
        pictures=pictures,
        cost_usd=None if price is None else round(price * pictures, 6),
        minutes=_minutes(job, requests, pictures, request_s),
        request_s=request_s,
        measured=measured is not None,
        problems=tuple(problems),
        made=None if tally is None else tally.made(),
        target=wanted,
        checks=job.checks.names,
        with_rerolls_usd=with_rerolls(job.checks, requests, pictures, price_usd=price),
    )


def _minutes(job: Job, requests: int, pictures: int, request_s: float) -> float:
    limits = job.limits
    bounds = [requests * request_s / limits.concurrency / 60, request_s / 60 if requests else 0.0]
    if limits.requests_per_minute:
        bounds.append(requests / limits.requests_per_minute)
    if limits.images_per_minute:
        bounds.append(pictures / limits.images_per_minute)
    return max(bounds)
