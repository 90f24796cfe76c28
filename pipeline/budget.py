"""Money: reserve → settle → unknown. No request leaves without its worst case set aside."""

from pipeline.errors import BudgetReachedError, JobError


class Reservation:
    """The money of one request. Ends exactly once: settled, or kept as unknown."""

    def __init__(self, budget: "Budget", usd: float) -> None:
        self._budget = budget
        self.usd = usd
        self._open = True

    def settle(self, cost_usd: float) -> None:
        """The request cost this much (0: it was not charged)."""
        self._end()
        self._budget.spent_usd += cost_usd

    def keep_unknown(self) -> None:
        """Nobody knows what it cost: its worst case counts until somebody does."""
        self._end()
        self._budget.unknown_usd += self.usd

    def _end(self) -> None:
        if not self._open:
            raise RuntimeError("a reservation ends once")
        self._open = False
        self._budget.reserved_usd -= self.usd


class Budget:
    """The caps of one run. ``spent_today_usd``: what the ledger says earlier runs cost today.

    ``price_usd``: the worst case for a picture. A cap with an unknown price is refused: it could
    not hold.
    """

    def __init__(
        self,
        *,
        price_usd: float | None,
        run_usd: float | None = None,
        day_usd: float | None = None,
        spent_today_usd: float = 0.0,
    ) -> None:
        if price_usd is None and (run_usd is not None or day_usd is not None):
            raise JobError(
                "the budget has a cap but the model's price is unknown, so no cap could hold"
                " (set endpoint.price_usd, or remove the budget)"
            )
        self._price = price_usd
        self._caps = (("run_usd", run_usd, 0.0), ("day_usd", day_usd, spent_today_usd))
        self.spent_usd = 0.0
        self.reserved_usd = 0.0
        self.unknown_usd = 0.0

    def worst_case_usd(self, images: int) -> float | None:
        """What a request for this many pictures may cost; ``None``: unknown."""
        return None if self._price is None else self._price * images

    def reserve(self, images: int) -> Reservation:
        """Sets a request's worst case aside. Raises `BudgetReachedError` if it could pass a cap."""
        usd = self.worst_case_usd(images) or 0.0
        committed = self.spent_usd + self.reserved_usd + self.unknown_usd
        for name, cap, before in self._caps:
            # A hundredth of a cent: sums of 0.042 do not come out even in binary.
            if cap is not None and before + committed + usd > cap + 1e-4:
                raise BudgetReachedError(
                    f"budget.{name} of ${cap:,.2f} is reached: ${before + committed:,.2f} is spent"
                    f" or reserved and the next request may cost ${usd:,.3f}"
                    " (raise the cap and run again: finished edits are not asked for twice)"
                )
        self.reserved_usd += usd
        return Reservation(self, usd)
