"""Before the first dollar: the key, the balance, the model, its price. Asking costs nothing.

What is told for certain and would end every edit alike refuses the run: a key that is not accepted,
a model that is not offered, a balance below one request. Everything else is a warning, network
trouble included: these pages are not what the pictures come from.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec

from pipeline.endpoints import Account, Balance, ModelState
from pipeline.errors import (
    AuthenticationError,
    ConnectionFailed,
    FatalError,
    ModelGoneError,
    PipelineError,
    QuotaExceededError,
)
from pipeline.job import Job
from pipeline.models import ModelSpec
from pipeline.preview import Plan

T = TypeVar("T")

PATIENCE_S = 10.0
"""For all of it. A run of hours can wait that long, once; it must not wait for ever."""


REFUSALS = (AuthenticationError, QuotaExceededError, ModelGoneError)
"""What `judge` raises: told by the provider, certain, and the same for every edit."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider said. ``balance_usd``, ``price_usd`` (a picture): ``None``: it did not.

    ``offered``: whether it has the model; ``None``: not known. ``troubles``: what could not be
    asked, and why. ``refusal``: the key is not accepted.
    """

    balance_usd: float | None = None
    price_usd: float | None = None
    offered: bool | None = None
    troubles: tuple[str, ...] = ()
    refusal: AuthenticationError | None = None


class Preflight(msgspec.Struct, frozen=True, kw_only=True):
    """Event: what was found before anything was sent. Money in USD.

    ``price_usd``: the worst case for a picture that the run counts with; ``None``: unknown.
    ``cost_usd``: what the run may cost by its plan, its cap considered; ``at_least``: counting was
    cut short, there is more.
    """

    model: str
    key_accepted: bool
    offered: bool | None
    balance_usd: float | None
    price_usd: float | None
    cost_usd: float | None
    at_least: bool
    superseded_by: str | None
    warnings: tuple[str, ...]

    @property
    def line(self) -> str:
        """All of it, in a line."""
        return "; warning: ".join([self.findings, *self.warnings])

    @property
    def findings(self) -> str:
        """All of it but the warnings, in a line."""
        parts = []
        if self.key_accepted:
            parts.append("the key is accepted")
        if self.balance_usd is not None:
            parts.append(f"{_usd(self.balance_usd)} left")
        if self.offered:
            price = "" if self.price_usd is None else f" at {_usd(self.price_usd)} a picture"
            parts.append(f"{self.model} is offered{price}")
        if self.superseded_by is not None:
            parts.append(f"its successor is {self.superseded_by}")
        if self.cost_usd is not None:
            least = "at least " if self.at_least else ""
            parts.append(f"this run may cost {least}{_usd(self.cost_usd)}")
        return f"preflight: {', '.join(parts) or 'nothing could be asked'}"


async def look(account: Account, model_id: str, *, patience_s: float = PATIENCE_S) -> Findings:
    """Asks for the balance and the model at once; raises nothing that a provider can cause."""
    balance, model = await asyncio.gather(
        _answer(account.balance(), patience_s), _answer(account.model(model_id), patience_s)
    )
    troubles = []
    if isinstance(balance, PipelineError) and not isinstance(balance, AuthenticationError):
        troubles.append(f"the balance is not known: {balance}")
    if isinstance(model, PipelineError):
        troubles.append(f"whether {model_id} is offered is not known: {model}")
    state = model if isinstance(model, ModelState) else None
    price = state.price_usd if state is not None else None
    return Findings(
        balance_usd=balance.usd if isinstance(balance, Balance) else None,
        price_usd=price if price is not None and price > 0 else None,
        offered=None if isinstance(model, PipelineError) else state is not None,
        troubles=tuple(troubles),
        refusal=balance if isinstance(balance, AuthenticationError) else None,
    )


def judge(
    found: Findings, job: Job, model: ModelSpec, plan: Plan, *, complete: bool = True
) -> Preflight:
    """What the findings mean for a run. Pure. Raises `FatalError` where nothing could succeed.

    ``complete``: the plan was counted to its end; without that its figures are a lower bound.
    """
    if found.refusal is not None:
        raise found.refusal
    if found.offered is False:
        raise _gone(job, model)
    price, warnings = _price(found, job, model)
    cost = None if price is None else round(price * plan.pictures, 6)
    at_least = not complete
    if job.budget.run_usd is not None and cost is not None and cost >= job.budget.run_usd:
        cost, at_least = job.budget.run_usd, False
    if found.balance_usd is not None and plan.requests:
        if found.balance_usd < (price or 0.0) or found.balance_usd <= 0:
            raise _empty(found.balance_usd, price)
        if cost is not None and found.balance_usd < cost:
            least = "at least " if at_least else ""
            warnings.append(
                f"{_usd(found.balance_usd)} is left and this run may cost {least}{_usd(cost)}: it"
                " ends when the money does, and goes on from there after a top-up"
                " (top up now, or cap it: --max-cost, --limit)"
            )
    return Preflight(
        model=model.id,
        key_accepted=found.balance_usd is not None,
        offered=found.offered,
        balance_usd=found.balance_usd,
        price_usd=price,
        cost_usd=cost,
        at_least=at_least,
        superseded_by=model.superseded_by,
        warnings=(*found.troubles, *warnings),
    )


def _price(found: Findings, job: Job, model: ModelSpec) -> tuple[float | None, list[str]]:
    """The worst case for a picture: as the job states it, else the dearest that is known."""
    listed, stated = found.price_usd, job.endpoint.price_usd
    if stated is not None:
        if listed is None or listed <= stated:
            return stated, []
        return stated, [
            f"{model.id} is listed at {_usd(listed)} a picture and endpoint.price_usd says"
            f" {_usd(stated)}: caps are counted with the lower price and may be passed"
            " (correct endpoint.price_usd, or leave it out)"
        ]
    if listed is None or model.price_usd is None:
        return (model.price_usd if listed is None else listed), []
    if listed <= model.price_usd:
        return model.price_usd, []
    return listed, [
        f"{model.id} is listed at {_usd(listed)} a picture, and the catalog of this version says"
        f" {_usd(model.price_usd)}: counted with {_usd(listed)}"
    ]


def _gone(job: Job, model: ModelSpec) -> FatalError:
    way_out = (
        f"set endpoint.model to {model.superseded_by}, which is documented in its place"
        if model.superseded_by
        else "choose another endpoint.model"
    )
    return ModelGoneError(
        f"{job.endpoint.base_url} does not list {model.id}: it was withdrawn or renamed, and"
        f" every edit would fail alike. Nothing was sent ({way_out}; or run with --no-preflight if"
        " it does answer all the same)"
    )


def _empty(balance: float, price: float | None) -> FatalError:
    costs = "" if price is None else f" and one picture may cost {_usd(price)}"
    return QuotaExceededError(
        f"{_usd(balance)} is left on the account{costs}. Nothing was sent"
        " (top up, then run again: what is done is not asked for twice)"
    )


async def _answer(page: Awaitable[T], patience_s: float) -> T | PipelineError:
    """What a page said, or why it could not be read."""
    try:
        async with asyncio.timeout(patience_s):
            return await page
    except TimeoutError:
        return ConnectionFailed(f"no answer within {patience_s:g} s")
    except PipelineError as error:
        return error


def _usd(amount: float) -> str:
    """Cents, and further digits where a price has them."""
    text = f"{abs(amount):,.6f}".rstrip("0")
    decimals = len(text.partition(".")[2])
    text = f"{abs(amount):,.2f}" if decimals < 2 else text
    return f"-${text}" if amount < 0 else f"${text}"
