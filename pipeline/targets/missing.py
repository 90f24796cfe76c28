"""What is missing of a target, and what that may take: for plans."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Protocol

import msgspec

from pipeline.job.design import Target
from pipeline.manifest.columns import template_name
from pipeline.models import Edit, Status
from pipeline.planning import Planned
from pipeline.targets.tries import variant


class TargetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """``wanted``: of each of ``groups``. ``fewest_requests``: if everything passes;
    ``most_requests``: if nothing does, further variants included. ``most_usd``: of those; ``None``:
    the price is unknown.
    """

    wanted: int
    per: str | None
    groups: int
    accepted: int
    missing: int
    fewest_requests: int
    fewest_pictures: int
    most_requests: int
    most_usd: float | None


class History(Protocol):
    """What is asked of the ledger."""

    def fingerprint_of(self, edit_id: str) -> tuple[str, Status] | None: ...


class TargetTally:
    """Folds planned items by group."""

    def __init__(self, target: Target, history: History | None) -> None:
        self._target = target
        self._history = history
        self._per = template_name(target.per) if target.per else ""
        self._accepted = Counter[str]()
        self._new = Counter[str]()
        self._open = Counter[str]()

    def add(self, item: Planned) -> Iterator[str]:
        """Gives the ids of the candidate's further tries, which are not orphaned."""
        group = self._group(item.edit)
        passed = int(item.state == "unchanged")
        for number in range(2, self._target.variants + 1):
            name = variant(item.edit, number).id
            known = self._history.fingerprint_of(name) if self._history is not None else None
            if known is not None:
                passed += known[1] == "succeeded"
                yield name
        self._accepted[group] += passed
        if passed < self._target.per_candidate:
            self._new[group] += item.state not in ("unchanged", "kept")
            self._open[group] += 1

    def plan(self, requests: int, pictures: int, *, price_usd: float | None) -> TargetPlan:
        """``requests``, ``pictures``: of all candidates, once."""
        wanted = self._target.count or 0
        groups = {*self._accepted, *self._open} or {""}
        missing = {group: max(0, wanted - self._accepted[group]) for group in groups}
        further = self._target.variants - 1
        most = {g: self._new[g] + further * self._open[g] for g in groups if missing[g]}
        fewest = sum([min(missing[group], most.get(group, 0)) for group in groups])
        each = pictures / requests if requests else 1.0
        at_most = sum(most.values())
        return TargetPlan(
            wanted=wanted,
            per=self._target.per,
            groups=len(groups),
            accepted=sum(self._accepted.values()),
            missing=sum(missing.values()),
            fewest_requests=fewest,
            fewest_pictures=math.ceil(fewest * each),
            most_requests=at_most,
            most_usd=None if price_usd is None else round(price_usd * math.ceil(at_most * each), 6),
        )

    def _group(self, edit: Edit) -> str:
        if not self._per:
            return ""
        names = {template_name(name): text for name, text in edit.variables.items()}
        return names.get(self._per, "").strip()
