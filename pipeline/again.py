"""Asking again for edits that have an outcome: which ones, and what a failing retry may not touch.

A retry is a run with a filter. The old record, and its picture, stay until a new attempt succeeds:
a refusal is not lost to a bad connection, and a picture not to a worse one.
"""

import difflib
from collections.abc import Collection, Sequence
from typing import Protocol, cast

import msgspec

from pipeline.errors import ConfigError
from pipeline.models import Attempt, AttemptEnd, Record, Status

RETRIED: tuple[Status, ...] = ("failed", "refused", "rejected", "unknown")
"""What is asked for again where nobody says otherwise."""


class Outcomes(Protocol):
    """What a retry asks the ledger."""

    def edits_with_status(
        self, statuses: Collection[Status], *, reason: str | None = None
    ) -> frozenset[str]: ...


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Which edits to ask for again, whatever they came to. ``reason``: only with this error code.

    ``unknown`` covers edits that were held, and edits without a record whose request was on its way
    when their process died.
    """

    statuses: tuple[Status, ...] = RETRIED
    reason: str | None = None

    def edits(self, history: Outcomes | None) -> frozenset[str]:
        """Their ids."""
        if history is None:
            return frozenset()
        return history.edits_with_status(self.statuses, reason=self.reason)


def again_for(
    statuses: Sequence[str] = (), *, reason: str | None = None, only: Sequence[str] = ()
) -> Again:
    """Checks what was asked for. ``statuses``: names, or lists of them joined by commas; none:
    `RETRIED`. Raises `ConfigError`.
    """
    names = [name.strip() for listed in statuses for name in listed.split(",") if name.strip()]
    for name in names:
        if name == "succeeded" and only:
            continue  # a person wants another picture of these
        if name == "succeeded":
            raise ConfigError(
                "--status succeeded would pay for every finished edit once more"
                " (name those that you want another picture of: --only ID)"
            )
        if name not in RETRIED:
            near = difflib.get_close_matches(name, RETRIED, n=1)
            guess = f" (did you mean {near[0]!r}?)" if near else ""
            hint = " (`pipeline run` asks for these)" if name in ("pending", "new") else guess
            raise ConfigError(
                f"--status: {name!r} cannot be retried{hint}. There are: {', '.join(RETRIED)}"
            )
    chosen = cast(tuple[Status, ...], tuple(dict.fromkeys(names)))
    return Again(statuses=chosen or RETRIED, reason=reason)


class Records(Protocol):
    """The ledger, as far as a retry stands in front of it."""

    async def start_attempt(self, attempt: Attempt) -> None: ...

    def end_attempt(self, attempt_id: str, end: AttemptEnd) -> None: ...

    async def record(
        self,
        record: Record,
        *,
        attempt_id: str | None = None,
        end: AttemptEnd | None = None,
        keep_answer: bool = False,
    ) -> None: ...


class KeepingAnswers:
    """A ledger in which a failure replaces no answer; what was attempted is noted all the same."""

    def __init__(self, ledger: Records) -> None:
        self._ledger = ledger

    async def start_attempt(self, attempt: Attempt) -> None:
        await self._ledger.start_attempt(attempt)

    def end_attempt(self, attempt_id: str, end: AttemptEnd) -> None:
        self._ledger.end_attempt(attempt_id, end)

    async def record(
        self, record: Record, *, attempt_id: str | None = None, end: AttemptEnd | None = None
    ) -> None:
        await self._ledger.record(record, attempt_id=attempt_id, end=end, keep_answer=True)
