"""The customer's account: the balance in whole credits, every movement of it, a log of requests."""

from dataclasses import dataclass
from datetime import datetime

from pipeline.emulator.bill import CREDITS_PER_USD, Bill, Charge


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of the balance, as `/v2/billing/transactions` lists it."""

    number: int
    created_at: datetime
    direction: str
    type: str
    credits: int
    model: str | None = None
    reference_id: str | None = None


@dataclass(frozen=True, slots=True)
class LogRow:
    """One request, as `/v2/logs` lists it."""

    created: datetime
    ended: datetime
    status: str
    model: str
    credits: int
    request_id: str
    inference_id: str
    client_request_id: str | None


def to_credits(usd: float) -> int:
    """USD to whole credits."""
    return round(usd * CREDITS_PER_USD)


class Account:
    """Balance, bill, movements and log of the one customer."""

    def __init__(self, balance_usd: float, *, now: datetime) -> None:
        self.bill = Bill()
        self.entries: list[Entry] = []
        self.log: list[LogRow] = []
        self._balance = 0
        self._reserved = 0
        self.set_balance(balance_usd, now=now)

    @property
    def balance_usd(self) -> float:
        """What is left, in USD; what requests at work may still cost is not taken off."""
        return self._balance / CREDITS_PER_USD

    def set_balance(self, usd: float, *, now: datetime) -> None:
        """Bring the balance to `usd` by one movement: the first payment, or an adjustment."""
        change = to_credits(usd) - self._balance
        if change == 0:
            return
        first = not self.entries
        self._record(
            now,
            direction="TOPUP" if change > 0 else "CHARGE",
            type="PAYMENT" if first else "ADJUSTMENT",
            amount=abs(change),
            reference_id="payment-1" if first else None,
        )
        self._balance += change

    def reserve(self, amount: int) -> bool:
        """Hold credits for a request; `False` when the balance does not cover them."""
        if self._balance - self._reserved < amount:
            return False
        self._reserved += amount
        return True

    def release(self, amount: int) -> None:
        """Give back what `reserve` held, whether or not a charge followed."""
        self._reserved -= amount

    def charge(self, charge: Charge) -> None:
        """Take the money of one request off the balance and put it on the bill."""
        self._balance -= charge.credits
        self.bill.add(charge)
        self._record(
            charge.created_at,
            direction="CHARGE",
            type="MODEL_USAGE",
            amount=charge.credits,
            model=charge.model,
            reference_id=charge.inference_id,
        )

    def _record(
        self,
        now: datetime,
        *,
        direction: str,
        type: str,  # noqa: A002 - the provider's word
        amount: int,
        model: str | None = None,
        reference_id: str | None = None,
    ) -> None:
        self.entries.append(
            Entry(len(self.entries) + 1, now, direction, type, amount, model, reference_id)
        )
