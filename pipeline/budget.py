"""Money: reserve → settle → unknown. No request leaves without its worst case set aside.

Inside, money is whole billionths of a dollar: a thousand times 0.042 is 42 then, to the last
digit, and the provider's own unit (a credit, $0.0000005) has a place. In and out it is US dollars.
"""

import math
from collections.abc import Callable

from pipeline.errors import BudgetReachedError, JobError

NANO_PER_USD = 10**9
DAY_S = 86_400


def midnight_before(when: float) -> float:
    """The start of the UTC day that ``when`` lies in; both in seconds since the epoch."""
    return when - when % DAY_S


class Reservation:
    """The money of one request. Ends exactly once: settled, or kept as unknown."""

    def __init__(self, budget: "Budget", nano: int, day: float) -> None:
        self._budget = budget
        self._nano = nano
        self._day = day
        self._open = True

    @property
    def usd(self) -> float:
        """What is set aside."""
        return self._nano / NANO_PER_USD

    def settle(self, cost_usd: float | None) -> None:
        """The request cost this much (0: it was not charged).

        ``None``: it was answered, may have been charged, and nobody said what. Then its worst case
        counts, if there is one, and the attempt is counted in ``uncosted``: never a silent 0.
        """
        budget = self._budget
        cost = self._nano if cost_usd is None else _nano(cost_usd)
        self._end(cost)
        budget._spent += cost
        budget.uncosted += cost_usd is None

    def keep_unknown(self) -> None:
        """Nobody knows what it cost: its worst case counts until somebody does."""
        self._end(self._nano)
        self._budget._unknown += self._nano

    def _end(self, counted: int) -> None:
        if not self._open:
            raise RuntimeError("a reservation ends once")
        self._open = False
        self._budget._release(self._nano, counted, self._day)


class Budget:
    """The caps of one run. Belongs to one event loop.

    ``price_usd``: the worst case for a picture. A cap with an unknown price is refused: it could
    not hold. ``now``: seconds since the epoch; without it midnight never comes.

    A day is a day in UTC, and a request counts on the one on which it left, as in the ledger: a run
    that crosses midnight has the new day's allowance from then on, and what is still in flight
    belongs to the old one. A clock that is set back gives no day a second time.

    ``spent_today_usd``: what the ledger says that earlier runs cost since midnight. Other ledgers
    are not known here: a cap is one of these outputs, not of the account.

    ``uncosted``: attempts that may have been charged and of which nobody said how much.
    """

    def __init__(
        self,
        *,
        price_usd: float | None,
        now: Callable[[], float] = lambda: 0.0,
        run_usd: float | None = None,
        day_usd: float | None = None,
        spent_today_usd: float = 0.0,
    ) -> None:
        if price_usd is None and (run_usd is not None or day_usd is not None):
            raise JobError(
                "the budget has a cap but the model's price is unknown, so no cap could hold"
                " (set endpoint.price_usd, or remove the budget)"
            )
        self._now = now
        self._price = None if price_usd is None else _nano(price_usd)
        self._run_cap = None if run_usd is None else _nano(run_usd)
        self._day_cap = None if day_usd is None else _nano(day_usd)
        self._day = midnight_before(now())
        # A float sum over a day's attempts: a millionth of a dollar is more exact than it is.
        self._today = _nano(round(spent_today_usd, 6))
        self._spent = 0
        self._reserved = 0
        self._unknown = 0
        self.uncosted = 0

    @property
    def spent_usd(self) -> float:
        return self._spent / NANO_PER_USD

    @property
    def reserved_usd(self) -> float:
        return self._reserved / NANO_PER_USD

    @property
    def unknown_usd(self) -> float:
        return self._unknown / NANO_PER_USD

    def worst_case_usd(self, images: int) -> float | None:
        """What a request for this many pictures may cost; ``None``: unknown."""
        return None if self._price is None else self._price * images / NANO_PER_USD

    def reserve(self, images: int) -> Reservation:
        """Sets a request's worst case aside. Raises `BudgetReachedError` if it could pass a cap."""
        nano = (self._price or 0) * images
        today = midnight_before(self._now())
        if today > self._day:
            self._day, self._today = today, 0
        taken = self._spent + self._reserved + self._unknown
        _refuse_above("run_usd", self._run_cap, taken, nano)
        _refuse_above("day_usd", self._day_cap, self._today, nano)
        self._reserved += nano
        self._today += nano
        return Reservation(self, nano, self._day)

    def _release(self, reserved: int, counted: int, day: float) -> None:
        self._reserved -= reserved
        if day == self._day:
            self._today += counted - reserved


def _refuse_above(name: str, cap: int | None, taken: int, wanted: int) -> None:
    if cap is None or taken + wanted <= cap:
        return
    when = "raise the cap" if name == "run_usd" else "raise the cap or wait for midnight UTC"
    raise BudgetReachedError(
        f"budget.{name} of ${_shown(cap)} is reached: ${_shown(taken)} is spent or reserved and the"
        f" next request may cost ${_shown(wanted)}"
        f" ({when}, and run again: finished edits are not asked for twice)"
    )


def _nano(usd: float) -> int:
    if not math.isfinite(usd) or usd < 0:
        raise ValueError(f"no sum of money: {usd!r}")
    return round(usd * NANO_PER_USD)


def _shown(nano: int) -> str:
    """Cents, and further digits only where they say something."""
    whole, fraction = divmod(nano, NANO_PER_USD)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{whole:,}.{digits:<02}" if len(digits) < 2 else f"{whole:,}.{digits[:4]}"
