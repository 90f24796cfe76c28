"""Outcome, cost, latency and checks of each model, over the edits that all of them have had."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from pipeline.errors import ConfigError
from pipeline.estimates import Estimate, median, quantile, ratio, share
from pipeline.job import Job
from pipeline.job.design import by_model
from pipeline.ledger import LedgerReader, open_reader

REASONS_SHOWN = 5


class ModelFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model, over the ``edits`` that all models have a record of; intervals are of 95 %.

    Money in USD, times in seconds. ``own``: edits in its ledger, others included. ``uncosted``:
    edits of which nobody said what they cost. ``cost_per_success``: all that was spent, by edits
    that succeeded. ``attempts``: requests an edit took. ``failed_checks``: edits that each check
    turned down. ``reasons``: the most frequent error codes. ``reviewed``: of people's decisions.
    """

    name: str
    model: str
    own: int
    edits: int
    succeeded: int
    failed: int
    refused: int
    rejected: int
    unknown: int
    succeeded_share: Estimate
    cost_usd: float
    uncosted: int
    cost_per_edit: Estimate | None
    cost_per_success: float | None
    seconds_p50: Estimate | None
    seconds_p95: float | None
    attempts: float
    failed_checks: dict[str, int]
    reasons: dict[str, int]
    reviewed: dict[str, int]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """``common``: edits that every model has a record of; ``partial``: only some have it."""

    job: str
    common: int
    partial: int
    models: tuple[ModelFigures, ...]


def models_of(job: Job, *, rehearse: bool = False) -> dict[str, Job]:
    """The job of each model, by its name. Raises `ConfigError` for a job of one model."""
    if not job.models:
        raise ConfigError(
            f"{job.path.name}: there is nothing to compare (list the job's 'models'; a single one"
            " stands under endpoint.model)"
        )
    return {name: one.for_rehearsal() if rehearse else one for name, one in by_model(job).items()}


def readers_of(jobs: dict[str, Job], stack: ExitStack) -> dict[str, LedgerReader]:
    """The ledgers, open until ``stack`` ends. Raises `ConfigError` if one is not there yet."""
    found = {}
    for name, job in jobs.items():
        path = job.outputs.directory / "ledger.db"
        reader = open_reader(path)
        if reader is None:
            raise ConfigError(f"{path}: {name} has no ledger yet (pipeline run {job.path} first)")
        found[name] = stack.enter_context(reader)
    return found


def compare(job: Job, *, rehearse: bool = False) -> Comparison:
    """Reads the ledgers of all models of a job. Raises `ConfigError`, `LedgerError`."""
    jobs = models_of(job, rehearse=rehearse)
    with ExitStack() as stack:
        readers = readers_of(jobs, stack)
        seen = Counter[str]()
        for reader in readers.values():
            seen.update(edits_of(reader))
        common = {edit_id for edit_id, times in seen.items() if times == len(readers)}
        return Comparison(
            job=job.name,
            common=len(common),
            partial=len(seen) - len(common),
            models=tuple(
                [
                    _figures(name, jobs[name].endpoint.model, reader, common)
                    for name, reader in readers.items()
                ]
            ),
        )


def edits_of(reader: LedgerReader) -> Iterator[str]:
    """The ids of all that has a record, in the manifest's order."""
    for row in reader.results():
        if row["status"] != "pending":
            yield row["id"]


def _figures(name: str, model: str, reader: LedgerReader, common: set[str]) -> ModelFigures:
    statuses, checks, reasons, reviewed = (Counter[str]() for _ in range(4))
    costs: list[float] = []
    seconds: list[float] = []
    own = attempts = uncosted = 0
    for row in reader.results():
        if row["status"] == "pending":
            continue
        own += 1
        if row["id"] not in common:
            continue
        statuses[row["status"]] += 1
        attempts += row["attempts"]
        if row["cost_usd"] is not None:
            costs.append(row["cost_usd"])
        elif row["attempts"]:
            uncosted += 1
        if row["attempts"] and row["duration_s"] is not None:
            seconds.append(row["duration_s"])
        checks.update(row["checks"].split(";") if row["checks"] else ())
        reasons.update([row["error_code"]] if row["error_code"] else ())
        reviewed.update([row["decision"]] if row["decision"] else ())
    edits, succeeded = statuses.total(), statuses["succeeded"]
    return ModelFigures(
        name=name,
        model=model,
        own=own,
        edits=edits,
        succeeded=succeeded,
        failed=statuses["failed"],
        refused=statuses["refused"],
        rejected=statuses["rejected"],
        unknown=statuses["unknown"],
        succeeded_share=share(succeeded, edits),
        cost_usd=round(sum(costs), 9),
        uncosted=uncosted,
        cost_per_edit=ratio(costs, [1] * len(costs)),
        cost_per_success=round(sum(costs) / succeeded, 9) if succeeded else None,
        seconds_p50=median(seconds),
        seconds_p95=quantile(sorted(seconds), 0.95) if seconds else None,
        attempts=round(attempts / edits, 2) if edits else 0.0,
        failed_checks=dict(checks.most_common()),
        reasons=dict(reasons.most_common(REASONS_SHOWN)),
        reviewed=dict(reviewed.most_common()),
    )
