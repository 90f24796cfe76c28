"""What the ledger says, as frozen values. Times: seconds since the epoch (UTC); money: USD."""

from typing import Any, Literal

import msgspec

from pipeline.models import (
    AttemptStatus,
    CostSource,
    DecisionWord,
    PromptMode,
    Status,
    StoredImage,
)


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
    """Attempts that ended alike. ``reserved_usd``: of those whose cost nobody said. ``example``:
    the message of the latest of them.
    """

    status: AttemptStatus
    error_code: str | None
    count: int
    cost_usd: float
    reserved_usd: float
    example: str | None


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was set aside because a person wanted another picture.

    ``number``: 1 is the first of its edit. ``variant``: as it was asked for. ``base``: the
    fingerprint of what the manifest asked for. ``decision``, ``note``, ``prompt_mode``,
    ``decided_at``: what was said of it. ``images``: where they lie now, below ``takes/``.
    """

    edit_id: str
    number: int
    status: Status
    fingerprint: str
    base: str
    prompt: str
    model: str
    parameters: dict[str, Any]
    variant: int
    attempts: int
    cost_usd: float | None
    error_code: str | None
    error_message: str | None
    started_at: float
    finished_at: float
    run_id: str
    decision: DecisionWord
    note: str
    prompt_mode: PromptMode
    decided_at: float
    images: tuple[StoredImage, ...] = ()


LeftWhy = Literal[
    "stale",
    "busy",
    "unsettled",
    "picture_missing",
    "unknown_edit",
    "no_picture",
    "no_prompt",
    "prompt_too_long",
    "no_take",
    "row_changed",
]
"""
- ``stale``: it is about a picture that is not there any more
- ``busy``: the edit is being asked for at this moment
- ``unsettled``: there is no outcome that could be decided about
- ``picture_missing``: the picture is not where the ledger says, so it cannot be set aside or back
- ``row_changed``: the take is of what the row said before, and the next run would ask anew
- ``unknown_edit``, ``no_picture``, ``no_prompt``, ``prompt_too_long``, ``no_take``: the decision
  itself is wrong
"""

WRONG: frozenset[LeftWhy] = frozenset(
    {"unknown_edit", "no_picture", "no_prompt", "prompt_too_long", "no_take"}
)
"""What no waiting and no second look can mend."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that was not taken, and why; ``message`` has the way out."""

    id: str
    why: LeftWhy
    message: str


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of decisions. ``unchanged``: the ledger had them already; ``redone``: those among
    them that want a picture which was asked for, by the same words, before.
    """

    approved: int = 0
    rejected: int = 0
    redo: int = 0
    undecided: int = 0
    restored: int = 0
    unchanged: int = 0
    redone: int = 0
    left: tuple[Left, ...] = ()

    @property
    def changed(self) -> int:
        """How many changed anything."""
        return self.approved + self.rejected + self.redo + self.undecided + self.restored
