"""A job's edits, as whoever works on them reads them: chosen, sound, and with a planner."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from itertools import chain, islice
from pathlib import Path

from pipeline.again import Again
from pipeline.endpoints.catalog import all_parameter_names, model_spec
from pipeline.errors import ConfigError, JobError, ManifestError
from pipeline.filling import fillable
from pipeline.job import Job
from pipeline.ledger import LedgerReader
from pipeline.manifest import read_manifests, read_once
from pipeline.models import Edit, ModelSpec, Problem
from pipeline.pictures.offered import offered
from pipeline.pictures.prepare import PrepareSettings, digest_file
from pipeline.planning import Planner

PROBLEMS_SHOWN = 50

_WILD = frozenset("*?[")


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
    plain = frozenset(only)  # thousands of ids are looked up, and only globs compared one by one
    globs = [glob for glob in only if not _WILD.isdisjoint(glob)]
    for edit in edits:
        if not only or edit.id in plain or any(fnmatchcase(edit.id, glob) for glob in globs):
            yield edit


def preparation(job: Job) -> PrepareSettings:
    """What inputs are brought to. Raises `JobError` for values that cannot work, and for checks of
    the user's own that cannot be loaded: both before anything is sent.
    """
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


def refuse_pipes(job: Job) -> None:
    """For whoever needs the plan of a run before it starts. Raises `ConfigError`."""
    if read_once(job.manifest):
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


def ledger_path(job: Job) -> Path:
    """Raises `JobError` for a job of several models, which have one each."""
    refuse_several(job)
    return job.outputs.directory / "ledger.db"
