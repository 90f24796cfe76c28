"""What the emulator charged: exact, in whole credits, one line a charge."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

CREDITS_PER_USD = 2_000_000
"""The provider's rate: $1 = 2,000,000 credits (API.md, "Cost and tracing")."""


def stamp(moment: datetime) -> str:
    """A UTC moment as the provider writes it: `2026-08-17T10:00:00.000Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@dataclass(frozen=True, slots=True)
class Charge:
    """One request that was charged: it produced pictures, whether or not its answer arrived."""

    created_at: datetime
    inference_id: str
    client_request_id: str | None
    model: str
    pictures: int
    credits: int

    @property
    def usd(self) -> float:
        """The charge in USD."""
        return self.credits / CREDITS_PER_USD

    def to_json(self) -> dict[str, Any]:
        """The charge as plain values, with `usd` beside the exact `credits`."""
        return {**asdict(self), "created_at": stamp(self.created_at), "usd": self.usd}


class Bill:
    """A list of charges that only grows. Reading it from another thread is safe."""

    def __init__(self, charges: Iterable[Charge] = ()) -> None:
        self._charges = list(charges)

    def add(self, charge: Charge) -> None:
        """Append one charge."""
        self._charges.append(charge)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every charge so far, oldest first."""
        return tuple(self._charges)

    @property
    def total_credits(self) -> int:
        """The exact sum, in credits."""
        return sum(charge.credits for charge in self.charges)

    @property
    def total_usd(self) -> float:
        """The sum in USD, divided once at the end so that no rounding adds up."""
        return self.total_credits / CREDITS_PER_USD

    @property
    def pictures(self) -> int:
        """How many pictures were charged."""
        return sum(charge.pictures for charge in self.charges)

    def of_request(self, client_request_id: str) -> tuple[Charge, ...]:
        """The charges of one `X-Client-Request-Id`; more than one means paid twice."""
        return tuple(c for c in self.charges if c.client_request_id == client_request_id)

    def snapshot(self) -> "Bill":
        """A copy that no longer grows."""
        return Bill(self.charges)

    def to_json(self) -> dict[str, Any]:
        """Totals and charges as plain values: what `GET /emulator/bill` answers."""
        snapshot = self.charges
        total = sum(charge.credits for charge in snapshot)
        return {
            "total_usd": total / CREDITS_PER_USD,
            "total_credits": total,
            "pictures": sum(charge.pictures for charge in snapshot),
            "charges": [charge.to_json() for charge in snapshot],
        }
