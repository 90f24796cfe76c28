"""What a job would do: its manifests read, its edits held against the ledger. Spends nothing."""

from collections.abc import Sequence

import msgspec

from pipeline.endpoints.catalog import model_spec
from pipeline.job import Job
from pipeline.ledger import open_reader
from pipeline.manifest import missing_inputs
from pipeline.models import Problem
from pipeline.preview.counting import Plan, count_job
from pipeline.preview.orphans import orphaned_redos, shown_orphaned_redos
from pipeline.preview.reading import (
    PROBLEMS_SHOWN,
    chosen,
    ledger_path,
    make_planner,
    preparation,
    problem_list,
    read_edits,
    refuse_pipes,
    refuse_several,
    sound_edits,
)

__all__ = [
    "CheckReport",
    "Plan",
    "check",
    "chosen",
    "count_job",
    "ledger_path",
    "make_planner",
    "orphaned_redos",
    "plan",
    "preparation",
    "problem_list",
    "read_edits",
    "refuse_pipes",
    "refuse_several",
    "shown_orphaned_redos",
    "sound_edits",
]


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What reading a whole job found. ``problems``: the first `PROBLEMS_SHOWN`, as text."""

    edits: int
    images: int
    problems: tuple[str, ...]
    problem_count: int


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
