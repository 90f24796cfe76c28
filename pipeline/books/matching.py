"""The ledger's attempts held against the provider's books. Pure: time comes in as an argument.

An attempt is found in the log by its id, which went out as the client request id, and on the bill
by the inference id that either side noted. What the books say decides; only where they say nothing
does time: rows appear after a delay, so an attempt that ended longer ago and has none was not
charged.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from pipeline.endpoints import LogEntry, Transaction
from pipeline.ledger import AttemptRow, Settlement
from pipeline.models import CostSource

NOT_BILLED = "reconciled_not_billed"
BILLED_LOST = "reconciled_billed_lost"

SHOWN = 50
"""Items of each class that a report names."""

Verdict = Literal[
    "billed_have", "billed_lost", "not_billed", "billed_unknown", "undecided", "unconfirmed"
]

WINDOW_SLACK_S = 900.0
"""Around what is asked of the provider: its clock is not ours, and work may outlast a request."""

FOREIGN_SLACK_S = 120.0
"""Around our attempts: a charge outside of it cannot be one of them."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a class. ``id``: the attempt's; of a charge without one, the provider's."""

    id: str
    edit_id: str | None
    usd: float | None
    at: float


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """One class: how many, how many dollars together, and the first `SHOWN` of them."""

    count: int
    usd: float
    items: tuple[Item, ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one attempt. ``settlement``: where the ledger does not say so yet."""

    verdict: Verdict
    item: Item
    settlement: Settlement | None = None


class Windows:
    """Stretches of time, merged where they lie less than twice `WINDOW_SLACK_S` apart."""

    def __init__(self) -> None:
        self._found: list[tuple[float, float]] = []

    def add(self, start: float, end: float) -> None:
        self._found.append((start, max(start, end)))
        if len(self._found) > 10_000:
            self._found = self._merged()

    def __iter__(self) -> Iterator[tuple[float, float]]:
        self._found = self._merged()
        return iter(self._found)

    def _merged(self) -> list[tuple[float, float]]:
        merged: list[tuple[float, float]] = []
        for start, end in sorted(self._found):
            if merged and start <= merged[-1][1] + 2 * WINDOW_SLACK_S:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return merged


class Charge(msgspec.Struct, kw_only=True):
    """What one inference cost in the end: its charges without its refunds."""

    usd: float
    at: float
    model: str | None


class Books:
    """What the provider says, as far as it was read; reading a page again adds nothing."""

    def __init__(self) -> None:
        self.by_attempt: dict[str, LogEntry] = {}
        self.by_inference: dict[str, LogEntry] = {}
        self.charges: dict[str, Charge] = {}
        self._seen: set[Transaction] = set()

    def note_entries(self, entries: Iterable[LogEntry]) -> None:
        for entry in entries:
            if entry.client_request_id:
                self.by_attempt[entry.client_request_id] = entry
            if entry.inference_id:
                self.by_inference[entry.inference_id] = entry

    def note_transactions(self, transactions: Iterable[Transaction]) -> None:
        for one in transactions:
            if one in self._seen or (one.direction == "topup" and one.kind != "REFUND"):
                continue
            self._seen.add(one)
            if one.direction == "charge" and one.kind not in ("MODEL_USAGE", ""):
                continue  # an adjustment, credits that expired: no request's
            usd = one.usd if one.direction == "charge" else -one.usd
            key = one.reference_id or f"(no id) {len(self.charges)}"
            known = self.charges.get(key)
            if known is None:
                self.charges[key] = Charge(usd=usd, at=one.created_at, model=one.model)
            else:
                known.usd = round(known.usd + usd, 9)
                known.model = known.model or one.model

    def entry_of(self, attempt: AttemptRow) -> LogEntry | None:
        entry = self.by_attempt.get(attempt.id)
        if entry is None and attempt.inference_id:
            entry = self.by_inference.get(attempt.inference_id)
        return entry

    def inference_of(self, attempt: AttemptRow) -> str | None:
        entry = self.entry_of(attempt)
        return attempt.inference_id or (entry.inference_id if entry else None)

    def charge_of(self, attempt: AttemptRow) -> Charge | None:
        inference_id = self.inference_of(attempt)
        return self.charges.get(inference_id) if inference_id else None


class Matching:
    """One look at all attempts. ``now``: seconds since the epoch; ``delay_s``: after so long the
    books are complete; ``longest_s``: no request lasts longer.
    """

    def __init__(self, books: Books, *, now: float, delay_s: float, longest_s: float) -> None:
        self._books = books
        self._now = now
        self._delay_s = delay_s
        self._longest_s = longest_s
        self._caught_up_to = float("inf")
        self._anonymous: list[float] = []
        self.lagging = 0
        self.ambiguous = 0

    def ended(self, attempt: AttemptRow) -> float:
        """When it was over. Of a process that died only the next start is noted, much later."""
        last = attempt.started_at + self._longest_s
        return min(self._now if attempt.finished_at is None else attempt.finished_at, last)

    def is_due(self, attempt: AttemptRow) -> bool:
        """Whether the books would show it by now."""
        return self.ended(attempt) + self._delay_s <= self._now

    def needs_log(self, attempt: AttemptRow) -> bool:
        """Whether only the log can say what became of it."""
        return _may_cost(attempt) and self._books.charge_of(attempt) is None

    def unexplained(
        self, attempts: Iterable[AttemptRow], windows: Windows, models: frozenset[str]
    ) -> Iterator[tuple[str, Charge]]:
        """Charges in the attempts' time, for their models, that none of them explains."""
        ours = {self._books.inference_of(attempt) for attempt in attempts}
        names = {model.rpartition("/")[2] for model in models}
        times = [(start - FOREIGN_SLACK_S, end + FOREIGN_SLACK_S) for start, end in windows]
        for inference_id, charge in self._books.charges.items():
            if (
                inference_id not in ours
                and charge.usd > 0
                and (not names or not charge.model or charge.model.rpartition("/")[2] in names)
                and any(start <= charge.at <= end for start, end in times)
            ):
                yield inference_id, charge

    def note_anonymous(self, unexplained: Iterable[tuple[str, Charge]]) -> None:
        """Charges that carry no id of ours, and might be of any attempt at that time: while there
        are such, an attempt that the log does not name is not taken for not charged.
        """
        entries = self._books.by_inference
        self._anonymous = sorted(
            charge.at
            for inference_id, charge in unexplained
            if (entry := entries.get(inference_id)) is None or not entry.client_request_id
        )

    def _may_be_anonymous(self, attempt: AttemptRow) -> bool:
        first = bisect_left(self._anonymous, attempt.started_at - FOREIGN_SLACK_S)
        end = self.ended(attempt) + FOREIGN_SLACK_S
        return first < len(self._anonymous) and self._anonymous[first] <= end

    def look_for_lag(self, attempts: Iterable[AttemptRow]) -> None:
        """Finds how far the books have come, by what is known to have been answered and charged.

        If the latest of that is not on them, though it is due, they are behind (or another
        account's), and what they do not show from then on proves nothing.
        """
        seen_until = float("-inf")
        missing: list[float] = []
        for attempt in attempts:  # the oldest first
            if attempt.status != "succeeded" or not attempt.cost_usd or not self.is_due(attempt):
                continue
            if self._books.charge_of(attempt) or self._books.entry_of(attempt):
                seen_until = attempt.started_at
                missing.clear()
            else:
                missing.append(attempt.started_at)
        self.lagging = len(missing)
        self._caught_up_to = seen_until if missing else float("inf")

    def judge(self, attempt: AttemptRow) -> Judgement | None:
        """What became of an attempt; ``None``: it cost nothing, and nobody says otherwise."""
        entry, charge = self._books.entry_of(attempt), self._books.charge_of(attempt)
        if charge is not None:
            return self._judge_by_books(attempt, charge.usd, "log")
        if entry is not None and not entry.succeeded:
            return self._judge_by_books(attempt, 0.0, "log")
        if entry is not None and entry.cost_usd is not None:
            return self._judge_by_books(attempt, entry.cost_usd, "log")
        return self._judge_by_time(attempt, succeeded=entry is not None)

    def _judge_by_books(
        self, attempt: AttemptRow, usd: float, source: CostSource
    ) -> Judgement | None:
        if attempt.status in ("unknown", "started"):
            verdict: Verdict = "billed_lost" if usd > 0 else "not_billed"
            return self._settled(attempt, verdict, usd, source)
        if attempt.status == "succeeded" and usd > 0:
            verdict = "billed_have"
        elif usd > 0:
            verdict = "billed_lost"
        elif attempt.cost_usd or attempt.error_code == NOT_BILLED:
            verdict = "not_billed"
        else:
            return None
        return self._corrected(attempt, verdict, usd, source)

    def _judge_by_time(self, attempt: AttemptRow, *, succeeded: bool) -> Judgement | None:
        if attempt.error_code == NOT_BILLED:
            return Judgement(verdict="not_billed", item=_item(attempt, attempt.reserved_usd))
        if not _may_cost(attempt):
            return None
        most = attempt.cost_usd if attempt.cost_usd is not None else attempt.reserved_usd
        if not self.is_due(attempt) or attempt.started_at > self._caught_up_to:
            return Judgement(verdict="undecided", item=_item(attempt, most))
        if attempt.status not in ("unknown", "started"):
            return Judgement(verdict="unconfirmed", item=_item(attempt, most))
        if not succeeded and self._may_be_anonymous(attempt):
            self.ambiguous += 1
            return Judgement(verdict="undecided", item=_item(attempt, most))
        if succeeded:  # the log has it as done and nobody ever says for how much
            return self._settled(attempt, "billed_lost", most, "catalog" if most else "none")
        return self._settled(attempt, "not_billed", 0.0, "log")

    def _settled(
        self, attempt: AttemptRow, verdict: Verdict, usd: float | None, source: CostSource
    ) -> Judgement:
        before = f" (before: {attempt.error_code}: {attempt.error_message})"
        if verdict == "not_billed":
            code, words, shown = NOT_BILLED, "not charged, by the provider's log", None
        else:
            cost = "at an unknown price" if usd is None else f"${usd:.6g}"
            code, words, shown = BILLED_LOST, f"charged {cost}, and no picture came", usd
        return Judgement(
            verdict=verdict,
            item=_item(attempt, attempt.reserved_usd if shown is None else shown),
            settlement=Settlement(
                attempt_id=attempt.id,
                edit_id=attempt.edit_id,
                status="failed",
                cost_usd=usd,
                cost_source=source,
                inference_id=self._books.inference_of(attempt),
                error_code=code,
                error_message=words + (before if attempt.error_code else ""),
            ),
        )

    def _corrected(
        self, attempt: AttemptRow, verdict: Verdict, usd: float, source: CostSource
    ) -> Judgement:
        """Of an attempt that was closed already the outcome stands; its cost is what is billed."""
        inference_id = self._books.inference_of(attempt)
        as_billed = attempt.cost_usd is not None and abs(attempt.cost_usd - usd) < 1e-9
        correct = not as_billed or attempt.inference_id != inference_id
        return Judgement(
            verdict=verdict,
            item=_item(attempt, usd if usd else attempt.reserved_usd),
            settlement=Settlement(
                attempt_id=attempt.id,
                edit_id=attempt.edit_id,
                status=attempt.status,
                cost_usd=usd,
                cost_source=attempt.cost_source if as_billed else source,
                inference_id=inference_id,
                error_code=attempt.error_code,
                error_message=attempt.error_message,
            )
            if correct
            else None,
        )


class Shares:
    """Collects the classes of one look."""

    def __init__(self) -> None:
        self._counts: dict[Verdict, int] = {}
        self._nano_usd: dict[Verdict, int] = {}
        self._items: dict[Verdict, list[Item]] = {}

    def add(self, verdict: Verdict, item: Item) -> None:
        self._counts[verdict] = self._counts.get(verdict, 0) + 1
        usd = round((item.usd or 0.0) * 1e9)  # whole numbers: sums of cents come out even
        self._nano_usd[verdict] = self._nano_usd.get(verdict, 0) + usd
        items = self._items.setdefault(verdict, [])
        if len(items) < SHOWN:
            items.append(item)

    def share(self, verdict: Verdict) -> Share:
        return Share(
            count=self._counts.get(verdict, 0),
            usd=self._nano_usd.get(verdict, 0) / 1e9,
            items=tuple(self._items.get(verdict, ())),
        )


def _may_cost(attempt: AttemptRow) -> bool:
    if attempt.status in ("unknown", "started"):
        return True
    if attempt.cost_usd is None:  # answered, and nobody said for how much
        return attempt.error_code != "not_sent"
    return attempt.cost_usd > 0


def _item(attempt: AttemptRow, usd: float | None) -> Item:
    return Item(id=attempt.id, edit_id=attempt.edit_id, usd=usd, at=attempt.started_at)
