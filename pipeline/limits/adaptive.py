"""What a provider that states no limits lets us do, learned from its answers.

Two limits are learned side by side, because a 429 does not say which one it means: how many
requests may be at work at once, and how many may leave per second. Pure: times come in as
arguments, in seconds of any steady clock; nothing here waits.

Which of the two a 429 means:

- Nothing else was at work: the rate.
- As many were at work as lately passed at most, or were refused before: the concurrency.
- Fewer than lately passed: the rate. But after a long time without contradiction, and no rate
  ever met, the provider has changed: what had passed is forgotten and the concurrency suspected
  first. That suspicion is cheap: once a number passes that was refused, its cuts are undone.

What it does then: the number at once is cut to `CUT` of what was at work, the rate to `CUT` of
what passed between two refusals. Both soon come back to just below the refused point and stay;
to go beyond is paid for with `PROBE_EVERY` successes, so that hardly one in a hundred is wasted.
A number at once that was refused only once is tried again for nothing: it may have been chance.
Some providers refuse by chance, whatever the load: what is known to pass is left as it is then
(`chance.py`).
"""

from collections import deque
from collections.abc import Collection
from math import sqrt

from pipeline.limits.chance import Chance
from pipeline.limits.latency import Latency
from pipeline.limits.passing_rate import passing_rate
from pipeline.limits.state import Learned, Sent

START = 4
"""At once in the first round: nearly every token bucket lets a burst of four in."""

CUT = 0.8
"""What remains of a limit after a 429 (inspect_ai's factor; TCP's half costs goodput)."""

USED_ENOUGH = 0.8
"""Growth only while this share of the limit is in use: an unused limit teaches nothing."""

PROBE_EVERY, PROBE_EVERY_MAX = 100, 800
"""Successes that pay for one wasted request, and what that doubles up to while going beyond the
same point fails again and again."""
PROBE_EVERY_PLACE = 12
"""For each place, while they are few: one more is worth more beside two than beside forty."""
DEBT_MAX = 1.0
"""Wasted requests that are remembered: a storm must not forbid growth for the whole night."""

SETTLED = 60
"""Requests without contradiction that turn a suspicion into knowledge: by then a token bucket's
saved-up burst is behind us."""
LATELY = 30
"""What passed is forgotten after so many to twice as many answers: it may pass no more."""
IN_TRANSIT_FROM = 2
"""With so many others at work, our count may be one too high: an answer is on its way back."""

MARGIN = 0.98
"""Share of the measured rate that is used: the measurement's own error is one request in 50."""
TRUST_MIN, TRUST_MAX = 8, 60
"""Requests for which a measured rate is kept before more is tried: twice as many as it was
measured with, within these bounds."""
STEEPNESS = 0.2
"""The cubic's scale: rate = measured × (1 + 0.2 × ((n - trust) / trust)³), n requests after the
cut. It starts at `CUT`, is flat around the measured rate, then opens: botocore's CUBIC, but in
requests instead of seconds, so that it fits six a minute and six hundred alike."""
UNNEEDED = 200
"""Successes in a row during which a learned rate held nobody back: it is forgotten."""

COOLDOWN_CONCURRENCY_S = 0.05
"""A place that frees up is all it takes, and the cut limit waits for one by itself."""
COOLDOWN_UNKNOWN_RATE_S = 1.0
CLOSED_AFTER = 3
"""Cuts in a row, with nothing let in between."""
COOLDOWN_MAX_S = 60.0


class Learner:
    """``limit``: how many may be at work, at most ``ceiling``. ``gap``: seconds between departures
    by the learned rate, 0 without one; ``smooth``: in any case."""

    def __init__(self, ceiling: int, start: Learned | None = None) -> None:
        self.ceiling = ceiling
        self.limit = min(START, ceiling)
        self.gap = 0.0
        # Concurrency. `_size` is `limit` with its fraction; `_size_before`: under a higher ceiling.
        self._size, self._size_before = float(self.limit), 0.0
        self._slow_start = True
        self._refused_at: int | None = None
        self._one_witness, self._frozen = False, 0
        # One burst, one cut.
        self._cut_at = float("-inf")
        self._in_a_row = 0
        self._refusals = 0
        self._before: tuple[float, int | None, float, float] = (self._size, None, 0.0, 0.0)
        # What passed, and what was suspected: `_undo` is what the first suspicion cut.
        self._most_passed = self._most_lately = -1
        self._lately = LATELY
        self._since = float("-inf")
        self._suspected_from = 0
        self._undo: tuple[float, int | None] | None = None
        self._suspected: list[tuple[float, int]] = []
        # The allowance for going beyond.
        self._credit = 1.0
        self._probe_every = PROBE_EVERY
        # Rate. `_anchors`: refusals, each with how many requests had passed by then.
        self._rate = 0.0
        self._trust = TRUST_MIN
        self._paced = 0
        self._unneeded = 0
        self._rate_why = "an earlier run learned it"
        self._anchors: deque[tuple[float, int]] = deque(maxlen=64)
        self._successes: deque[float] = deque(maxlen=16)
        self._trial, self._next_trial, self._trial_pause = False, 1, 3
        self._latency = Latency()
        self._chance = Chance()
        if start is not None:
            self._resume(start)

    def _resume(self, start: Learned) -> None:
        self._size = float(max(1, min(start.concurrency, self.ceiling)))
        self.limit = int(self._size)
        if start.limited and start.concurrency <= self.ceiling:
            self._slow_start = False
            self._refused_at = self.limit + 1
        if start.requests_per_minute:
            self._rate = start.requests_per_minute / 60 / MARGIN
            self._paced = self._trust = TRUST_MAX
            self._pace()

    @property
    def smooth(self) -> float:
        return self._latency.apart

    # What a person does

    def within(self, ceiling: int) -> None:
        """Learns on below another ceiling. What a lower one cuts off comes back with a higher."""
        known = max(self._size, self._size_before)
        if ceiling > self.ceiling == self.limit and self._refused_at is None:
            self._slow_start = True  # nothing is known beyond where it was
        self.ceiling = ceiling
        self._size_before = known if known > ceiling else 0.0
        self._size = min(known, float(ceiling))
        self.limit = int(self._size)

    def was_away(self) -> None:
        """Nothing was sent for a while: times before it say nothing about rates after it."""
        self._anchors.clear()
        self._suspected.clear()
        self._successes.clear()

    # What came back

    def succeeded(self, now: float, sent: Sent, *, in_use: int, held_back: bool) -> None:
        """``in_use``: places taken, this one's included. ``held_back``: requests wait although
        places are free."""
        entered_at, others = sent.entered_at, sent.others
        after_cut = entered_at > self._cut_at
        self._successes.append(now)
        self._latency.add(now - entered_at, self.limit)
        self._chance.passed(below=self._well_below(others))
        if after_cut:
            self._in_a_row = 0
        if others > self._most_lately and entered_at > self._since:
            self._most_lately = others
            self._most_passed = max(self._most_passed, others)
        self._lately -= 1
        if not self._lately:
            self._lately = LATELY
            self._most_passed, self._most_lately = self._most_lately, -1
        if self._credit < 1.0:
            self._credit = min(1.0, self._credit + 1 / self._probe_every)
        if self._refused_at is not None and after_cut and others + 1 >= self._refused_at:
            self._refused_at = None
            self._probe_every = PROBE_EVERY
        frozen = self._frozen > 0
        self._frozen -= frozen
        if self.gap and (not frozen or self._paced < self._trust):
            self._grow_rate(held_back)  # back to what has passed is no growth
        if frozen:
            return
        used = in_use >= USED_ENOUGH * self.limit
        if used and after_cut and self._size < self.ceiling and not self._latency.slowed_down:
            self._grow()

    def troubled(self) -> None:
        """A timeout or a 5xx: no growth until as many answers have come as may be at work. Others
        meanwhile prolong nothing: where one in six fails all night, it would never grow."""
        self._frozen = self._frozen or max(self.limit, START)

    def refused(
        self, now: float, sent: Sent, *, returned: int, out: Collection[Sent]
    ) -> float | None:
        """A 429. ``returned``: how many came back so far, with whatever; ``out``: those at work.

        Returns the seconds to hold everyone; ``None``: it left before the last cut, nothing new, or
        was chance.
        """
        self._refusals += 1
        after_cut = sent.entered_at > self._cut_at
        chance = after_cut and self._chance.explains(below=self._well_below(sent.others))
        if chance and (self._refused_at is None or sent.others + 1 < self._refused_at):
            return None
        self._credit = max(self._credit - 1, -DEBT_MAX)
        if not after_cut:
            return None
        # Refusals come at once: what left a good while longer ago and is still out was let in.
        long_ago = now - 1.5 * (now - sent.entered_at)
        let_in = [other for other in out if other.entered_at <= long_ago]
        since = [other.others for other in let_in if other.entered_at > self._since]
        self._most_passed = max(self._most_passed, -1, *since)
        passed = returned - self._refusals + len(let_in)
        if not self._in_a_row:
            self._before = (self._size, self._refused_at, self._rate, self.gap)
        if self._in_a_row >= CLOSED_AFTER and sent.others == 0:
            hold = self._wait_outside()
        elif self._means_rate(sent.others, passed):
            hold = self._cut_rate(now, sent.others, passed)
        else:
            hold = self._cut_concurrency(now, sent.others, passed)
        self._slow_start, self._size_before = False, 0.0
        self._cut_at = now
        self._in_a_row += 1
        return min(hold * 2.0 ** min(self._in_a_row - 1, 30), COOLDOWN_MAX_S)

    # What is known

    def learned(self, now: float) -> Learned:
        known = max(self._size, self._size_before)
        return Learned(
            concurrency=int(known) if self._refused_at is None else max(1, self._refused_at - 1),
            limited=self._refused_at is not None,
            requests_per_minute=self._rate * MARGIN * 60 if self.gap else None,
            learned_at=now,
        )

    def concurrency_in_words(self) -> str:
        if self._latency.slowed_down:
            why = f"answers take {self._latency.recent:.1f} s, at best {self._latency.best:.1f} s"
        elif self._frozen:
            why = "no growth while requests time out or meet a 5xx"
        elif self._refused_at is not None:
            why = f"request number {self._refused_at} at once met a 429"
        else:
            why = "still growing"
        return f"at most {self.limit} at once (stated: {self.ceiling}), learned: {why}"

    def rate_in_words(self) -> str:
        return f"{60 / self.gap:.3g} requests a minute, learned: {self._rate_why}"

    # Which limit a 429 means

    def _means_rate(self, others: int, passed: int) -> bool:
        if others == 0:
            return True
        if self._refused_at is not None and others + 1 >= self._refused_at:
            return False
        if not self._contradicts(others):
            return False
        return self.gap > 0 or passed - self._suspected_from < SETTLED

    def _contradicts(self, others: int) -> bool:
        """More were at work and it passed. While a higher rate is tried, that is the likelier
        reason, and our count's error gets no benefit of the doubt."""
        trying = self.gap > 0 and self._paced > self._trust
        in_transit = 0 if trying or others < IN_TRANSIT_FROM else 1
        return others + in_transit <= self._most_passed

    def _well_below(self, others: int) -> bool:
        """What has passed leaves room: a limit would not refuse here."""
        if self._refused_at is not None and others + 1 >= self._refused_at:
            return False
        return self._paced <= self._trust / 2 if self.gap else 2 * others <= self._most_passed

    def _wait_outside(self) -> float:
        """Alone and after a long wait, and refused again: no pace is slow enough for a door that
        is closed. What was learned before it closed holds again when it opens."""
        size, self._refused_at, self._rate, self.gap = self._before
        self._size = min(size, float(self.ceiling))
        self.limit = int(self._size)
        self._paced = self._trust
        self._undo = None
        self._anchors.clear()
        self._successes.clear()
        return COOLDOWN_UNKNOWN_RATE_S

    # Concurrency

    def _grow(self) -> None:
        size = self._size + (1.0 if self._slow_start else 1 / self.limit)
        if self._refused_at is not None and size >= self._refused_at:
            beyond = self._credit >= 1.0 or self._one_witness
            self._one_witness = False
            size = float(self._refused_at) if beyond else max(self._size, self._refused_at - 0.01)
        self._size = min(size, float(self.ceiling))
        self.limit = int(self._size)

    def _cut_concurrency(self, now: float, others: int, passed: int) -> float:
        again = self._refused_at == others + 1
        if self._contradicts(others):
            # It has passed, and for long: the provider has changed.
            self._since = now
            self._undo = None
            self._most_passed = self._most_lately = -1
        else:
            self._most_passed = min(self._most_passed, others - 1)
            self._most_lately = min(self._most_lately, others - 1)
        if self._undo is None:
            self._undo = (self._size, self._refused_at)
            self._suspected_from = passed
            self._suspected.clear()
        self._suspected.append((now, passed))
        self._refused_at = others + 1
        self._one_witness = not again
        every = self._probe_every * 2 if again else PROBE_EVERY_PLACE * self._refused_at
        self._probe_every = min(every, PROBE_EVERY_MAX if again else PROBE_EVERY)
        self._size = max(1.0, min(self._size, others + 1) * CUT)
        self.limit = int(self._size)
        if self.gap and self._paced > self._trust:
            # It may have been the rate that was being tried.
            self._paced = self._trust
            self._pace()
        return COOLDOWN_CONCURRENCY_S

    # Rate

    def _grow_rate(self, held_back: bool) -> None:
        if not held_back:
            self._unneeded += 1
            if self._unneeded >= UNNEEDED:
                self.gap = 0.0
                self._anchors.clear()
            return
        self._unneeded = 0
        sure = self._trust >= TRUST_MAX / 2
        if self._paced < self._trust or self._credit >= 1.0 or not sure:
            self._paced += 1
            self._pace()

    def _pace(self) -> None:
        x = (self._paced - self._trust) / self._trust
        self.gap = 1 / (self._rate * MARGIN * (1 + STEEPNESS * x * x * x))

    def _cut_rate(self, now: float, others: int, passed: int) -> float:
        first = not self.gap
        doubtful = False
        if self._undo is not None and passed - self._suspected_from < SETTLED:
            # It was not the concurrency: those were refusals of the rate too, though the cut
            # concurrency may have held it back since.
            self._size = max(self._size, min(self._undo[0], float(self.ceiling)))
            self._refused_at = self._undo[1]
            self.limit = int(self._size)
            self._anchors.extend(self._suspected)
            doubtful = first
        self._undo = None
        self._suspected.clear()
        measured, requests = passing_rate(
            now, passed, anchors=self._anchors, successes=self._successes, enough=TRUST_MAX
        )
        self._anchors.append((now, passed))
        if measured is None:
            return COOLDOWN_UNKNOWN_RATE_S
        if not first:
            measured, requests = self._weighed(measured, requests)
        self._rate = measured
        self._trust = max(TRUST_MIN, min(2 * requests, TRUST_MIN * 2 if doubtful else TRUST_MAX))
        self._paced = 0
        self._unneeded = 0
        self._pace()
        self._rate_why = f"a 429 came with {others} others at work, and more had passed"
        return 1 / measured

    def _weighed(self, measured: float, requests: int) -> tuple[float, int]:
        """The measured rate against the one in use, which was refused.

        A bucket that saves up a burst lets more than its rate pass for a while: what was measured
        is right. One that saves nothing loses what the plateau did not ask for: what was in use
        is nearer. Once in a while a trial at the rate between the two decides.
        """
        used = 1 / self.gap
        tried = self._paced > self._trust
        if self._trial and not tried:
            self._trial, self._next_trial = False, self._trial_pause
            self._trial_pause *= 2
        elif used <= measured:
            # Refused at what was safe: it fell, or it was not the rate. Not for long, then.
            return used, TRUST_MIN
        elif used > 1.5 * measured:
            return sqrt(used * measured), TRUST_MIN
        elif tried and self._trust == TRUST_MAX:
            self._trial = self._next_trial == 0
            if self._trial:
                return sqrt(used * measured), requests
            self._next_trial -= 1
        return measured, requests
