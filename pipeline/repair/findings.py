"""What holding a ledger against its files can find, and what came of it."""

from pathlib import Path
from typing import Literal

import msgspec

SHOWN = 50
"""Findings of each kind that a report names."""

Kind = Literal[
    "damaged_ledger",
    "open_attempt",
    "missing",
    "damaged",
    "changed",
    "unreadable",
    "unrecorded",
    "orphaned",
    "leftover",
    "rejected_missing",
    "take_missing",
]
"""
- ``damaged_ledger``: SQLite's own check finds fault with the file
- ``open_attempt``: a process died while a request was under way; repaired: it becomes unknown
- ``missing``, ``damaged``: a record's picture is gone, or no whole picture any more; repaired: the
  edit is pending, and the next run asks, and pays, for it again
- ``changed``: a whole picture, but not the one that came; left to a person
- ``unreadable``: the system does not let us read it
- ``unrecorded``: paid for and stored, and no record of it; repaired: it gets its record
- ``orphaned``: a picture that no record knows; repaired: moved to ``orphaned/``
- ``leftover``: a temporary file of a process that died, or a picture that it left in two places;
  repaired: removed
- ``rejected_missing``: the picture of a rejected edit is gone, or no whole picture any more;
  nothing is asked again for it; repaired: the record stays and forgets it
- ``take_missing``: a picture that was set aside for a redo is gone; repaired: forgotten
"""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it should be. ``path``: from the outputs folder."""

    kind: Kind
    path: str | None = None
    edit_id: str | None = None
    detail: str = ""


class FsckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. ``pictures``, ``bytes``: read and compared. ``findings``: the first `SHOWN`
    of each kind, ``counts`` all of them, ``repaired`` those that are as they should be now.

    ``asked_again``: edits that the next run will ask for again, or would after a repair, for
    ``asked_again_usd`` together (``None``: the price is unknown). ``unknown_attempts``: for
    `reconcile`.
    """

    outputs: Path
    pictures: int
    bytes: int
    counts: dict[Kind, int]
    repaired: dict[Kind, int]
    left: int
    findings: tuple[Finding, ...]
    asked_again: int
    asked_again_usd: float | None
    unknown_attempts: int
    notes: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """3 where something is not as it should be, still."""
        return 3 if self.left else 0
