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
    "DeliveryResult",
    "DeliverySettings",
    "Edit",
    "ExportResult",
    "Job",
    "JobStatus",
    "PastRun",
    "Plan",
    "Problem",
    "QuickJob",
    "RecheckReport",
    "Record",
    "RenderResult",
    "ReviewResult",
    "RunResult",
    "Snapshot",
    "StoredImage",
    "check",
    "deliver",
    "export",
    "fsck",
    "history",
    "inspect",
    "load_job",
    "notify_test",
    "pause",
    "plan",
    "quick_job",
    "read_ledger",
    "recheck",
    "reconcile",
    "render",
    "report",
    "resume",
    "retry",
    "review",
    "roll_back",
    "run",
    "schedule",
    "status",
    "stop",
    "tune",
]

_HOMES = {
    "pipeline.api": (
        "JobStatus",
        "check",
        "export",
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
    "pipeline.delivery": ("DeliveryResult", "DeliverySettings"),
    "pipeline.exporting.writing": ("ExportResult",),
    "pipeline.job": ("Job",),
    "pipeline.models": ("Attempt", "Decision", "Edit", "Problem", "Record", "StoredImage"),
    "pipeline.notifying": ("notify_test",),
    "pipeline.past_runs": ("PastRun", "history"),
    "pipeline.preview": ("Plan",),
    "pipeline.publishing": ("deliver", "render", "roll_back"),
    "pipeline.quick": ("QuickJob", "quick_job"),
    "pipeline.rechecking": ("RecheckReport", "recheck"),
    "pipeline.rendering.result": ("RenderResult",),
    "pipeline.running": ("RunResult",),
    "pipeline.scheduling": ("schedule",),
    "pipeline.snapshot": ("Snapshot",),
}

if TYPE_CHECKING:
    from pipeline.api import (
        JobStatus,
        check,
        export,
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
    from pipeline.delivery import DeliveryResult, DeliverySettings
    from pipeline.exporting.writing import ExportResult
    from pipeline.job import Job
    from pipeline.models import Attempt, Decision, Edit, Problem, Record, StoredImage
    from pipeline.notifying import notify_test
    from pipeline.past_runs import PastRun, history
    from pipeline.preview import Plan
    from pipeline.publishing import deliver, render, roll_back
    from pipeline.quick import QuickJob, quick_job
    from pipeline.rechecking import RecheckReport, recheck
    from pipeline.rendering.result import RenderResult
    from pipeline.running import RunResult
    from pipeline.scheduling import schedule
    from pipeline.snapshot import Snapshot


def __getattr__(name: str) -> Any:
    # On first use: `pipeline --help` must not wait for aiohttp and pydantic.
    for home, names in _HOMES.items():
        if name in names:
            from importlib import import_module

            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
