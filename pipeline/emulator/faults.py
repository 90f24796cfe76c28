"""The fault plan: which request meets which fault.

Decided by (seed, edit, how often this edit has asked), never by the order of arrival: the same job
with the same seed meets the same faults, however many workers it has.
"""

import random
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pipeline.emulator.faultnames import STICKY
from pipeline.emulator.profile import Profile, Rule


@dataclass(frozen=True)
class Decision:
    """What happens to one request, and the dice for everything else about its answer."""

    fault: str | None
    attempt: int
    """1 for the first request of this edit that was let in."""
    dice: random.Random


class FaultPlan:
    """Decides for each request that was let in; counts requests by edit."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        self._seed = seed
        self._attempts: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._admitted = 0
        self._fired: Counter[int] = Counter()
        self._fired_for: Counter[tuple[int, str]] = Counter()

    def use(self, profile: Profile, *, afresh: bool) -> None:
        """Go on with another profile. Afresh, its script starts anew; edits keep their counts."""
        self._profile = profile
        if not afresh:
            return
        self._admitted = 0
        self._fired.clear()
        self._fired_for.clear()
        self._met.clear()

    def next(self, key: str, *, prompt: str, model: str, client_request_id: str | None) -> Decision:
        """The decision for the next request of the edit `key`."""
        self._admitted += 1
        self._attempts[key] += 1
        attempt = self._attempts[key]
        fault = self._scripted(key, prompt, model, client_request_id) or self._drawn(key, attempt)
        return Decision(fault, attempt, self._dice(key, "answer", attempt))

    def _scripted(
        self, key: str, prompt: str, model: str, client_request_id: str | None
    ) -> str | None:
        for index, rule in enumerate(self._profile.script):
            if not self._matches(rule, prompt, model, client_request_id):
                continue
            if rule.total is not None and self._fired[index] >= rule.total:
                continue
            if rule.times is not None and self._fired_for[index, key] >= rule.times:
                continue
            self._fired[index] += 1
            self._fired_for[index, key] += 1
            return rule.fault
        return None

    def _matches(self, rule: Rule, prompt: str, model: str, client_request_id: str | None) -> bool:
        when = rule.when
        return (
            (when.prompt_contains is None or when.prompt_contains.lower() in prompt.lower())
            and (when.nth is None or when.nth == self._admitted)
            and (when.model is None or when.model == model)
            and (
                when.request_id_glob is None
                or fnmatchcase(client_request_id or "", when.request_id_glob)
            )
        )

    def _drawn(self, key: str, attempt: int) -> str | None:
        chances = self._profile.faults
        if not chances:
            return None
        sticky = {name: chances[name] for name in STICKY if name in chances}
        fault = _pick(sticky, self._dice(key, "sticky", 0).random())
        if fault is not None:
            return fault
        # Whatever passes on the real endpoint passes here: no edit is hit for ever.
        if self._met[key] >= self._profile.max_faulty_attempts:
            return None
        passing = {name: chance for name, chance in chances.items() if name not in sticky}
        fault = _pick(passing, self._dice(key, "passing", attempt).random())
        if fault is not None:
            self._met[key] += 1
        return fault

    def _dice(self, key: str, purpose: str, attempt: int) -> random.Random:
        return random.Random(f"{self._seed}|{key}|{purpose}|{attempt}")


def _pick(chances: dict[str, float], drawn: float) -> str | None:
    for name in sorted(chances):
        drawn -= chances[name]
        if drawn < 0:
            return name
    return None
