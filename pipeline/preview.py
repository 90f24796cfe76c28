"""What a job would do: its manifests read, its edits held against the ledger. Spends nothing."""

import fnmatch
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path

import msgspec

from pipeline.again import Again
from pipeline.endpoints.catalog import all_parameter_names, model_spec
from pipeline.errors import ConfigError, JobError, ManifestError
from pipeline.filling import fillable
from pipeline.job import Job
from pipeline.job.checks import with_rerolls
from pipeline.ledger import LedgerReader, open_reader
from pipeline.made import Made, Tally
from pipeline.manifest import missing_inputs, read_manifests
from pipeline.models import Edit, ModelSpec, Problem
from pipeline.pictures.offered import offered
from pipeline.pictures.prepare import PrepareSettings, digest_file
from pipeline.planning import Item, Planned, Planner, State
from pipeline.target_plan import TargetPlan, TargetTally

PROBLEMS_SHOWN = 50

ASSUMED_REQUEST_S = 15.0
"""For the time of a first run, where no history says how long the endpoint takes."""


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a whole job found. ``problems``: the first `PROBLEMS_SHOWN`, as text."""

    edits: int
    images: int
    problems: tuple[str, ...]
    problem_count: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do. ``again``: failed before. ``redo``: a person wants another picture.
    ``kept``: refused or rejected before.

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


def read_edits(job: Job, model: ModelSpec) -> Iterator[Edit | Problem]:
    """The job's edits, lazily. Raises `ManifestError`, and `JobError` about the job's values."""
    refuse_several(job)
    edits = read_manifests(
        job.manifest,
        model=model,
        root=job.inputs.root,
        prompt=job.prompt,
        parameters=job.parameters,
        output=job.outputs.image,
        known_parameters=all_parameter_names(),
        columns=job.columns,
        format=job.format,
    )
    return fillable(edits, job.provenance, job.renditions)


def refuse_several(job: Job) -> None:
    """For what can be done with one model only. Raises `JobError`."""
    if job.models:
        names = ", ".join([f"{job.path.name}@{use.alias}" for use in job.models])
        raise JobError(
            f"{job.path.name}: the job has several models, each with a ledger of its own (name one:"
            f" {names})"
        )


def chosen(edits: Iterable[Edit | Problem], only: Sequence[str]) -> Iterator[Edit | Problem]:
    """Those whose id matches one of ``only`` (ids or globs); all of them if that is empty."""
    for edit in edits:
        if not only or any(fnmatch.fnmatchcase(edit.id, glob) for glob in only):
            yield edit


def preparation(job: Job) -> PrepareSettings:
    """What inputs are brought to. Raises `JobError` for values that cannot work."""
    settings = PrepareSettings(
        max_side=job.inputs.max_side,
        max_bytes=job.inputs.max_bytes,
        background=job.inputs.background,
        fit=job.inputs.fit,
        fill=job.inputs.fill,
    )
    settings.check()
    if job.inputs.fit != "none" and not offered(model_spec(job.endpoint.model), {}):
        raise JobError(
            f"inputs.fit: {job.endpoint.model} has no list of shapes, so there is none that inputs"
            " could be brought to (remove inputs.fit, or choose a model with aspect_ratio)"
        )
    if job.checks.custom:
        from pipeline.pictures.checks.custom import load_checks

        load_checks(job.checks.custom)
    return settings


def make_planner(
    job: Job,
    model: ModelSpec,
    history: LedgerReader | None,
    remember: Callable[[str, int, int, str], None],
    again: Again | None = None,
) -> Planner:
    return Planner(
        model=model,
        preparation=preparation(job).key(),
        history=history,
        digest_file=lambda path: digest_file(Path(path)),
        remember=remember,
        hold_unknown=job.retry.on_unknown != "retry",
        again=None if again is None else partial(again.edits, history),
    )


def refuse_problems(items: Iterable[Edit | Problem]) -> None:
    """Raises one `ManifestError` that names every problem among the items."""
    problems = [item for item in items if isinstance(item, Problem)]
    if problems:
        raise ManifestError(problem_list([str(p) for p in problems], len(problems)))


def read_once(job: Job) -> bool:
    """Whether a manifest is a pipe: counted, it would be gone before it is worked on."""
    return any(path.exists() and not path.is_file() for path in job.manifest)


def refuse_pipes(job: Job) -> None:
    """For whoever needs the plan of a run before it starts. Raises `ConfigError`."""
    if read_once(job):
        raise ConfigError(
            "the manifest is a pipe, which can be read only once, so its edits cannot be counted"
            " first (save it as a file; or run with --yes and without a canary)"
        )


def sound_edits(
    job: Job, model: ModelSpec, only: Sequence[str], ahead: int
) -> Iterator[Edit | Problem]:
    """The edits to hold against the ledger, of which the first ``ahead`` rows were read and are in
    order. Raises `ManifestError` with what is wrong in those, `ConfigError` if none is chosen.
    """
    edits = read_edits(job, model)
    head = list(islice(edits, ahead))
    refuse_problems(chosen(head, only))
    found = chosen(chain(head, edits), only)
    if not only:
        return found
    first = list(islice(found, 1))
    if not first:
        raise ConfigError(
            f"no edit's id matches --only {' '.join(only)} (ids are in the manifest's column"
            " 'id'; quote globs, as in --only 'shoe-*')"
        )
    return chain(first, found)


def problem_list(problems: Sequence[str], count: int) -> str:
    lines = list(problems[:PROBLEMS_SHOWN])
    if count > len(lines):
        lines.append(f"... and {count - len(lines):,} more")
    return "\n".join(lines)


def check(job: Job) -> CheckReport:
    """Reads everything, offline: every row, every input's presence. Raises `ManifestError` only
    where a manifest cannot be read at all.
    """
    model = model_spec(job.endpoint.model)
    preparation(job)
    edits = images = count = 0
    problems: list[str] = []
    for item in read_edits(job, model):
        if isinstance(item, Problem):
            found = [str(item)]
        else:
            edits += 1
            images += model.count(item.parameters)
            found = [f"{item.place}: {missing}" for missing in missing_inputs(item)]
        count += len(found)
        problems += found[: PROBLEMS_SHOWN - len(problems)]
    return CheckReport(edits=edits, images=images, problems=tuple(problems), problem_count=count)


def plan(job: Job, *, only: Sequence[str] = (), limit: int | None = None) -> Plan:
    """Holds the job against its ledger. Raises `ManifestError`, `LedgerError`."""
    model = model_spec(job.endpoint.model)
    reader = open_reader(ledger_path(job))
    try:
        planner = make_planner(job, model, reader, lambda *_: None)
        return count_job(job, planner, reader, only=only, limit=limit, table=True)[0]
    finally:
        if reader is not None:
            reader.close()


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
    if seconds is not None and read_once(job):
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

    if reader is not None and whole:
        orphaned = sum(1 for _ in reader.orphans(fold()))
    else:
        orphaned = sum(0 for _ in fold())
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


def ledger_path(job: Job) -> Path:
    """Raises `JobError` for a job of several models, which have one each."""
    refuse_several(job)
    return job.outputs.directory / "ledger.db"


def _minutes(job: Job, requests: int, pictures: int, request_s: float) -> float:
    limits = job.limits
    bounds = [requests * request_s / limits.concurrency / 60, request_s / 60 if requests else 0.0]
    if limits.requests_per_minute:
        bounds.append(requests / limits.requests_per_minute)
    if limits.images_per_minute:
        bounds.append(pictures / limits.images_per_minute)
    return max(bounds)
