"""Everything one running emulator knows: settings, limits, plan, account, pictures, visitors."""

import asyncio
import math
import re
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from pipeline.emulator.account import Account, LogRow, to_credits
from pipeline.emulator.bill import Charge, stamp
from pipeline.emulator.faults import FaultPlan
from pipeline.emulator.hosting import Hosting
from pipeline.emulator.limits import Gate
from pipeline.emulator.models import MODELS, Model
from pipeline.emulator.pictures import Painter
from pipeline.emulator.profile import Profile

_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_OF_THE_PLAN = ("script", "faults", "max_faulty_attempts", "extends")
_REMEMBERED = 20_000
"""So many requests are kept for tests to look at; older ones are forgotten."""


@dataclass
class Seen:
    """One request as it was met, and what came of it."""

    number: int
    at: str
    arrived_s: float
    """Loop time in seconds, for intervals between requests."""
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case; the key itself is not kept."""
    client_request_id: str | None = None
    body: dict[str, Any] | None = None
    """The valid body, with every input described instead of carried."""
    attempt: int | None = None
    """The how-manieth request of this edit it was, from 1."""
    fault: str | None = None
    inference_id: str | None = None
    status: int | None = None
    """`None` while it is at work, and when no answer was sent."""

    def to_json(self) -> dict[str, Any]:
        """The record as plain values."""
        return asdict(self)


class Hold:
    """Lets so many answers out and keeps the others back, until it lets out more."""

    def __init__(self) -> None:
        self._left = math.inf
        self._changed = asyncio.Event()

    def let_out(self, count: float) -> None:
        """From now on so many more answers go out, kept back ones among them."""
        self._left = count
        self._changed.set()  # wakes who waits now
        self._changed.clear()

    async def passed(self, request: web.Request) -> None:
        """Waits until its answer may go out. One that nobody waits for any more does not count."""
        while self._left <= 0:
            await self._changed.wait()
        if request.transport is not None and not request.transport.is_closing():
            self._left -= 1


class World:
    """The state of one emulator. Lives on one event loop; `clock` is that loop's time."""

    def __init__(self, profile: Profile, *, seed: int, clock: Callable[[], float]) -> None:
        self.profile = profile
        self.seed = seed
        self.clock = clock
        self.url = ""
        self.pictures_url = ""
        self.gate = Gate(profile.limits, now=clock())
        self.hold = Hold()
        self.plan = FaultPlan(profile, seed)
        self.account = Account(profile.balance_usd, now=utc_now())
        self.hosting = Hosting()
        self.painter = Painter()
        self.requests: deque[Seen] = deque(maxlen=_REMEMBERED)
        self.downloads: deque[Seen] = deque(maxlen=_REMEMBERED)
        self._numbers: Counter[str] = Counter()
        self._made: Counter[str] = Counter()

    def use(self, overrides: Mapping[str, Any]) -> Profile:
        """Change settings while running.

        Raises:
            ProfileError: an unknown key or a value out of range; nothing changes then.
        """
        profile = self.profile.with_overrides(overrides)
        self.profile = profile
        self.plan.use(profile, afresh=not overrides.keys().isdisjoint(_OF_THE_PLAN))
        if "limits" in overrides or "extends" in overrides:
            self.gate.change(profile.limits, now=self.clock())
        if "balance_usd" in overrides:
            self.account.set_balance(profile.balance_usd, now=utc_now())
        return profile

    def note(self, kind: str, method: str, path: str, headers: Mapping[str, str]) -> Seen:
        """Remember a request; `kind` is `requests` or `downloads`."""
        self._numbers[kind] += 1
        kept = {name.lower(): value for name, value in headers.items()}
        if "authorization" in kept:
            kept["authorization"] = kept["authorization"].partition(" ")[0] + " ***"
        sent_id = kept.get("x-client-request-id", "")
        seen = Seen(
            number=self._numbers[kind],
            at=stamp(utc_now()),
            arrived_s=self.clock(),
            method=method,
            path=path,
            headers=kept,
            client_request_id=sent_id if _CLIENT_REQUEST_ID.fullmatch(sent_id) else None,
        )
        (self.downloads if kind == "downloads" else self.requests).append(seen)
        return seen

    def key_is_right(self, authorization: str | None) -> bool:
        """Whether an Authorization header carries an accepted key."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        if self.profile.accepted_key is not None:
            return key == self.profile.accepted_key
        return key.strip() not in ("", "wrong")

    def price_credits(self, model: Model) -> int:
        """What one picture of a model costs now, in credits."""
        usd = self.profile.prices.get(model.id)
        return model.price_credits if usd is None else to_credits(usd)

    def is_withdrawn(self, model: Model) -> bool:
        """Whether the model has made all the pictures that it may."""
        most = self.profile.withdraw_after
        return most is not None and self._made[model.id] >= most

    def living_models(self) -> list[Model]:
        """The models that still answer."""
        return [model for model in MODELS.values() if not self.is_withdrawn(model)]

    def charge(self, seen: Seen, model: Model, pictures: int) -> Charge:
        """Put the pictures of one request on the bill."""
        charge = Charge(
            created_at=utc_now(),
            inference_id=seen.inference_id or "",
            client_request_id=seen.client_request_id,
            model=model.id,
            pictures=pictures,
            credits=pictures * self.price_credits(model),
        )
        self._made[model.id] += pictures
        self.account.charge(charge)
        return charge

    def log(self, seen: Seen, model: Model, *, created: datetime, spent: int | None) -> None:
        """Log the end of one request; `spent`, in credits, is `None` when it failed."""
        self.account.log.append(
            LogRow(
                created=created,
                ended=utc_now(),
                status="failed" if spent is None else "succeeded",
                model=model.id,
                credits=spent or 0,
                request_id=new_id(),
                inference_id=seen.inference_id or "",
                client_request_id=seen.client_request_id,
            )
        )


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC)


def new_id() -> str:
    """A new identifier of an inference or a request."""
    return uuid.uuid4().hex
