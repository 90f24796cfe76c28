"""What the ledger says, as frozen values. Times: seconds since the epoch (UTC); money: USD."""

from typing import Any

import msgspec

from pipeline.models import AttemptStatus, CostSource, Status, StoredImage


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a job, as it starts. ``pid`` on ``host`` is the process that drives it."""

    id: str
    started_at: float
    pid: int
    host: str
    version: str
    job: str


class RunRow(Run, frozen=True, kw_only=True):
    """A run as the ledger has it; ``ended`` is ``None`` while it goes on or after a crash."""

    finished_at: float | None = None
    ended: str | None = None
    exit_code: int | None = None
    totals: dict[str, Any] = {}


class AttemptRow(msgspec.Struct, frozen=True):
    """One attempt as the ledger has it."""

    id: str
    edit_id: str
    run_id: str
    number: int
    fingerprint: str
    status: AttemptStatus
    started_at: float
    finished_at: float | None
    images: int
    reserved_usd: float | None
    cost_usd: float | None
    cost_source: CostSource
    http_status: int | None
    inference_id: str | None
    error_code: str | None
    error_message: str | None


ATTEMPT_FIELDS = ", ".join(AttemptRow.__struct_fields__)
"""What to select, so that ``AttemptRow(*row)`` cannot mix up columns."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt, as the provider's books say it. ``inference_id`` ``None``: as it
    was."""

    attempt_id: str
    edit_id: str
    status: AttemptStatus
    cost_usd: float | None
    cost_source: CostSource
    inference_id: str | None
    error_code: str | None
    error_message: str | None


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that a record says it has, with that record's status."""

    edit_id: str
    status: Status
    image: StoredImage


class EditTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many edits have a status, and what all their attempts cost together."""

    status: Status
    count: int
    cost_usd: float


class AttemptTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that ended alike. ``example``: the message of the latest of them."""

    status: AttemptStatus
    error_code: str | None
    count: int
    cost_usd: float
    reserved_usd: float
    example: str | None
