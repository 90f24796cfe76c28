"""Bulk image editing: a manifest in, pictures and a results ledger out.

>>> import asyncio, pipeline
>>> job = pipeline.load_job("jobs/catalog.yaml")      # doctest: +SKIP
>>> pipeline.plan(job).cost_usd                       # doctest: +SKIP
>>> result = asyncio.run(pipeline.run(job))           # doctest: +SKIP
>>> pipeline.read_ledger(job)                         # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Attempt",
    "Decision",
    "Edit",
    "Job",
    "JobStatus",
    "Plan",
    "Problem",
    "Record",
    "ReviewResult",
    "RunResult",
    "Snapshot",
    "StoredImage",
    "check",
    "fsck",
    "inspect",
    "load_job",
    "pause",
    "plan",
    "read_ledger",
    "reconcile",
    "report",
    "resume",
    "retry",
    "review",
    "run",
    "status",
    "stop",
    "tune",
]

_HOMES = {
    "pipeline.api": (
        "JobStatus",
        "check",
        "fsck",
        "inspect",
        "load_job",
        "pause",
        "plan",
        "read_ledger",
        "reconcile",
        "report",
        "resume",
        "retry",
        "review",
        "run",
        "status",
        "stop",
        "tune",
    ),
    "pipeline.decisions.deciding": ("ReviewResult",),
    "pipeline.job": ("Job",),
    "pipeline.models": ("Attempt", "Decision", "Edit", "Problem", "Record", "StoredImage"),
    "pipeline.preview": ("Plan",),
    "pipeline.running": ("RunResult",),
    "pipeline.snapshot": ("Snapshot",),
}

if TYPE_CHECKING:
    from pipeline.api import (
        JobStatus,
        check,
        fsck,
        inspect,
        load_job,
        pause,
        plan,
        read_ledger,
        reconcile,
        report,
        resume,
        retry,
        review,
        run,
        status,
        stop,
        tune,
    )
    from pipeline.decisions.deciding import ReviewResult
    from pipeline.job import Job
    from pipeline.models import Attempt, Decision, Edit, Problem, Record, StoredImage
    from pipeline.preview import Plan
    from pipeline.running import RunResult
    from pipeline.snapshot import Snapshot


def __getattr__(name: str) -> Any:
    # On first use: `pipeline --help` must not wait for aiohttp and pydantic.
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
