"""Records folded into counts, reasons, percentiles and money."""

from array import array
from collections import Counter
from collections.abc import Sequence

import msgspec

from pipeline.models import Record, Status


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why some edits did not succeed. ``example``: the first such message, with its edit."""

    code: str
    count: int
    example: str
    edit_id: str


class FailedCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check that turned edits down, and how many. ``example``: its first message, with its
    edit.
    """

    name: str
    edits: int
    example: str
    edit_id: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did. Durations are seconds; ``kept`` are refused or rejected earlier.

    ``uncosted``: attempts that may have been charged, of which nobody said how much. ``rerolls``:
    requests for pictures in the place of wrong or missing ones; they are among the ``retries``.
    """

    succeeded: int
    failed: int
    refused: int
    rejected: int
    unknown: int
    unchanged: int
    kept: int
    images: int
    short: int
    retries: int
    cost_usd: float
    unknown_usd: float
    uncosted: int
    duration_s: float
    edit_s_p50: float | None
    edit_s_p95: float | None
    reasons: tuple[Reason, ...]
    rerolls: int = 0
    checks: tuple[FailedCheck, ...] = ()

    @property
    def finished(self) -> int:
        """Edits that this run asked for and brought to an end."""
        return self.succeeded + self.failed + self.refused + self.rejected + self.unknown

    @property
    def all_done(self) -> bool:
        return self.finished == self.succeeded


class Summary:
    """Folds one run's records as they come, in memory that does not grow with their text."""

    def __init__(self) -> None:
        self._status: Counter[Status] = Counter()
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, tuple[str, str]] = {}
        self._seconds = array("d")
        self._checks: Counter[str] = Counter()
        self._check_examples: dict[str, tuple[str, str]] = {}
        self.rerolls = 0
        self.unchanged = 0
        self.kept = 0
        self.images = 0
        self.short = 0
        self.retries = 0

    def add(self, record: Record, *, asked: int) -> None:
        """``asked``: how many pictures the edit asked for."""
        self._status[record.status] += 1
        self.images += len(record.images)
        self.short += record.status == "succeeded" and len(record.images) < asked
        if record.attempts:
            self.retries += record.attempts - 1
            self._seconds.append(record.finished_at - record.started_at)
        self.rerolls += record.rerolls
        if record.status == "rejected":
            failed = {check.name: check for check in record.checks if not check.passed}
            self._checks.update(failed.keys())
            for name, check in failed.items():
                self._check_examples.setdefault(name, (check.message, record.edit.id))
        if record.error_code is not None:
            self._reasons[record.error_code] += 1
            self._examples.setdefault(
                record.error_code, (record.error_message or "", record.edit.id)
            )

    def count(self, status: Status) -> int:
        return self._status[status]

    def totals(
        self, *, cost_usd: float, unknown_usd: float, duration_s: float, uncosted: int = 0
    ) -> Totals:
        seconds = sorted(self._seconds)
        return Totals(
            succeeded=self._status["succeeded"],
            failed=self._status["failed"],
            refused=self._status["refused"],
            rejected=self._status["rejected"],
            unknown=self._status["unknown"],
            unchanged=self.unchanged,
            kept=self.kept,
            images=self.images,
            short=self.short,
            retries=self.retries,
            cost_usd=round(cost_usd, 6),
            unknown_usd=round(unknown_usd, 6),
            uncosted=uncosted,
            duration_s=duration_s,
            edit_s_p50=_quantile(seconds, 0.50),
            edit_s_p95=_quantile(seconds, 0.95),
            reasons=tuple(
                Reason(
                    code=code,
                    count=count,
                    example=self._examples[code][0],
                    edit_id=self._examples[code][1],
                )
                for code, count in self._reasons.most_common()
            ),
            rerolls=self.rerolls,
            checks=tuple(
                FailedCheck(
                    name=name,
                    edits=edits,
                    example=self._check_examples[name][0],
                    edit_id=self._check_examples[name][1],
                )
                for name, edits in self._checks.most_common()
            ),
        )


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
