"""A few edits first, spread over the manifest, and what they say about all the others.

A bad prompt, a wrong price or a slow evening show in ten edits as well as in ten thousand. The
canary is the first of two passes of one run, under one lock, with one budget, throttle and ledger:
its edits are done for good, and the second pass leaves them out.
"""

import math
from collections import Counter
from collections.abc import Iterator

import msgspec

from pipeline.errors import BudgetReachedError
from pipeline.estimates import Estimate, median, quantile, ratio, share
from pipeline.models import Record
from pipeline.planning import Item, Planned

REASONS_SHOWN = 3


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary must keep to. ``None``: anything goes.

    ``max_failure_share``: of edits that did not succeed, refusals among them. They hold for what
    was measured, not for the ends of its interval.
    """

    max_failure_share: float | None = None
    max_cost_usd_per_edit: float | None = None
    max_seconds_p95: float | None = None


class CanaryReport(msgspec.Struct, frozen=True, kw_only=True):
    """Event: what the first edits of a run came to, and what that says of the rest.

    Money in USD, times in seconds, intervals of 95 %. ``failed`` holds what is neither succeeded
    nor refused. ``cost_usd``: of these edits. ``uncosted``: edits of which nobody said what they
    cost; the estimates leave them out. ``total_usd``: of these edits and the ``remaining`` ones
    together; its upper end counts requests of unknown outcome as charged. ``failures``: the
    thresholds that were not kept, in words.
    """

    edits: int
    succeeded: int
    refused: int
    failed: int
    refused_share: Estimate
    failed_share: Estimate
    cost_usd: float
    unknown_usd: float
    uncosted: int
    cost_usd_per_edit: Estimate | None
    seconds_p50: Estimate | None
    seconds_p95: float | None
    remaining: int
    total_usd: Estimate | None
    reasons: tuple[str, ...]
    failures: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it, in a line."""
        parts = [f"{self.succeeded} of {self.edits} succeeded"]
        for count, name, found in (
            (self.refused, "refused", self.refused_share),
            (self.failed, "failed", self.failed_share),
        ):
            if count:
                parts.append(f"{count} {name} ({in_percent(found)})")
        if self.cost_usd_per_edit is not None:
            parts.append(f"${self.cost_usd_per_edit.value:.4f} an edit")
        if self.seconds_p50 is not None and self.seconds_p95 is not None:
            parts.append(
                f"{self.seconds_p50.value:.1f} s median, 95 % within {self.seconds_p95:.1f} s"
            )
        if self.total_usd is not None:
            parts.append(f"in all {in_dollars(self.total_usd)}")
        if self.uncosted:
            parts.append(f"cost unknown for {self.uncosted}")
        return f"canary: {', '.join(parts)}"


def in_percent(found: Estimate) -> str:
    return f"{found.value:.0%}, {found.low:.0%} to {found.high:.0%}"


def in_dollars(found: Estimate) -> str:
    return f"${found.value:,.2f} (${found.low:,.2f} to ${found.high:,.2f})"


class Canary:
    """Chooses the edits of the first pass and measures them.

    ``requests`` and ``pictures``: what the whole run would ask for, by its plan.
    """

    def __init__(self, edits: int, *, requests: int, pictures: int, thresholds: Thresholds) -> None:
        self._requests = requests
        self._pictures = pictures
        self._thresholds = thresholds
        self._places = spread(requests, edits)
        self._records: list[tuple[Record, int]] = []
        self.chosen: set[str] = set()

    def first(self, items: Iterator[Item]) -> Iterator[Item]:
        """Those of the plan that go first. Ends with the last of them."""
        left = iter(sorted(self._places))
        wanted = next(left, None)
        place = 0
        for item in items:
            if wanted is None:
                return
            if not isinstance(item, Planned) or item.state in ("unchanged", "kept"):
                continue
            if place == wanted:
                wanted = next(left, None)
                self.chosen.add(item.edit.id)
                yield item
            place += 1

    def others(self, items: Iterator[Item]) -> Iterator[Item]:
        """The rest of the plan: what went first comes up as done, or as failed, and is left out."""
        for item in items:
            if not (isinstance(item, Planned) and item.edit.id in self.chosen):
                yield item

    def add(self, record: Record, *, asked: int) -> None:
        """``asked``: how many pictures the edit asked for."""
        self._records.append((record, asked))

    def report(self, *, unknown_usd: float) -> CanaryReport:
        """``unknown_usd``: reserved for requests of the first pass whose outcome is unknown."""
        records = [record for record, _ in self._records]
        n = len(records)
        succeeded = sum([record.status == "succeeded" for record in records])
        refused = sum([record.status == "refused" for record in records])
        # Nothing was sent for an edit without attempts: that is known to be free.
        costed = [
            (0.0 if record.cost_usd is None else record.cost_usd, asked)
            for record, asked in self._records
            if record.cost_usd is not None or not record.attempts
        ]
        amounts = [amount for amount, _ in costed]
        seconds = [r.finished_at - r.started_at for r in records if r.attempts]
        report = CanaryReport(
            edits=n,
            succeeded=succeeded,
            refused=refused,
            failed=n - succeeded - refused,
            refused_share=share(refused, n),
            failed_share=share(n - succeeded - refused, n),
            cost_usd=round(math.fsum(amounts), 9),
            unknown_usd=unknown_usd,
            uncosted=n - len(costed),
            cost_usd_per_edit=ratio(amounts, [1] * len(amounts)),
            seconds_p50=median(seconds),
            seconds_p95=quantile(sorted(seconds), 0.95) if seconds else None,
            remaining=max(0, self._requests - n),
            total_usd=self._total(costed, unknown_usd),
            reasons=_reasons(records),
            failures=(),
        )
        return msgspec.structs.replace(report, failures=_failures(report, self._thresholds))

    def _total(self, costed: list[tuple[float, int]], unknown_usd: float) -> Estimate | None:
        per_picture = ratio([amount for amount, _ in costed], [asked for _, asked in costed])
        if per_picture is None:
            return None
        spent = math.fsum([amount for amount, _ in costed])
        rest = max(0, self._pictures - sum([asked for _, asked in self._records]))
        # What is unknown now will be as frequent among the rest.
        unsure = unknown_usd * (1 + rest / max(1, sum([asked for _, asked in self._records])))
        return Estimate(
            value=spent + per_picture.value * rest,
            low=spent + per_picture.low * rest,
            high=spent + per_picture.high * rest + unsure,
        )


def spread(total: int, wanted: int) -> frozenset[int]:
    """``wanted`` of the places 0 to ``total`` - 1, as evenly as can be and none at the very ends:
    the first and the last rows of a manifest are seldom like the others.
    """
    wanted = min(total, wanted)
    return frozenset([(2 * n + 1) * total // (2 * wanted) for n in range(wanted)])


def refusal(report: CanaryReport) -> BudgetReachedError:
    """Why the run ends here, for a report with failures."""
    return BudgetReachedError(
        f"the canary of {report.edits} edits did not keep to the job's thresholds:"
        f" {'; '.join(report.failures)} (look at its pictures and reasons, then change the job or"
        " canary.max_…, and run again: its edits are not asked for twice)"
    )


def _failures(report: CanaryReport, limits: Thresholds) -> tuple[str, ...]:
    found: list[str] = []
    bad = report.edits - report.succeeded
    if limits.max_failure_share is not None and bad > limits.max_failure_share * report.edits:
        found.append(
            f"{bad} of {report.edits} did not succeed, and canary.max_failure_share allows"
            f" {limits.max_failure_share:.0%}"
        )
    cost = report.cost_usd_per_edit
    if limits.max_cost_usd_per_edit is not None:
        if report.uncosted:
            found.append(
                f"nobody said what {report.uncosted} of {report.edits} cost, so"
                " canary.max_cost_usd_per_edit could not be held"
            )
        elif cost is not None and cost.value > limits.max_cost_usd_per_edit + 1e-9:
            found.append(
                f"an edit cost ${cost.value:.4f}, and canary.max_cost_usd_per_edit allows"
                f" ${limits.max_cost_usd_per_edit:.4f}"
            )
    p95 = report.seconds_p95
    if limits.max_seconds_p95 is not None and p95 is not None and p95 > limits.max_seconds_p95:
        found.append(
            f"95 % of the edits took up to {p95:.1f} s, and canary.max_seconds_p95 allows"
            f" {limits.max_seconds_p95:.1f} s"
        )
    return tuple(found)


def _reasons(records: list[Record]) -> tuple[str, ...]:
    codes = Counter([record.error_code for record in records if record.error_code])
    examples = {r.error_code: f"{r.edit.id}: {r.error_message}" for r in reversed(records)}
    return tuple(
        [
            f"{count} × {code}, as in {examples[code]}"
            for code, count in codes.most_common(REASONS_SHOWN)
        ]
    )
