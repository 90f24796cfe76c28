"""The part ``guards`` of a job: what ends an unattended run with a message instead of a bill."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipeline.job.values import Part, size_in_bytes


class Guards(Part):
    """Guard rails. ``None``: that one is down.

    ``max_cost_growth``: times the median cost of the last ``growth_runs`` runs like this one.
    ``max_changed_share``: of the edits that the ledger knows. ``min_free_bytes``: left on the disk
    when all is done; 0: nobody looks. ``model_until``: the last day on which the model may be
    asked, if the provider has announced one; ``warn_days`` before it, runs say so.
    """

    max_cost_growth: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    growth_runs: Annotated[int, Field(ge=1, le=1000)] = 7
    max_changed_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    min_free_bytes: Annotated[int, BeforeValidator(size_in_bytes), Field(ge=0)] = 500 * 10**6
    model_until: date | None = None
    warn_days: Annotated[int, Field(ge=0, le=3650)] = 14
    superseded_model: Literal["warn", "stop"] = "warn"
