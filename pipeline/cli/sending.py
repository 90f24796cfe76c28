"""The options of the commands that send requests (`run`, `retry`, `quick`), each stated once."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from pipeline.cli.options import (
    AcceptOrigin,
    BaseUrl,
    Limit,
    MaxCost,
    MetricsPort,
    NoGuards,
    NoPreflight,
    RehearsalProfile,
    Rehearse,
)


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and where. The fields are options, in the order in which help shows them."""

    limit: Limit = None
    rehearse: Rehearse = False
    profile: RehearsalProfile = "calm"
    base_url: BaseUrl = None
    no_preflight: NoPreflight = False

    def asked(self) -> dict[str, Any]:
        """The same as arguments of `api.run`."""
        return {
            "limit": self.limit,
            "rehearse": self.rehearse,
            "profile": self.profile,
            "base_url": self.base_url,
            "preflight": not self.no_preflight,
        }


class Running(Sending, frozen=True, kw_only=True):
    """The same for a job that somebody wrote."""

    max_cost: MaxCost = None
    no_guards: NoGuards = False
    accept_origin: AcceptOrigin = False
    metrics_port: MetricsPort = None

    def asked(self) -> dict[str, Any]:
        return {
            **super().asked(),
            "max_cost_usd": self.max_cost,
            "guards": not self.no_guards,
            "accept_origin": self.accept_origin,
            "metrics_port": self.metrics_port,
        }


def unfolded(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters may be groups of options: structs, of which Typer is shown the
    fields, in the group's place, and of which the command gets the whole.
    """
    groups: dict[str, type[msgspec.Struct]] = {}
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            groups[parameter.name] = kind
            options += inspect.signature(kind).parameters.values()
        else:
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(command)
    def called(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field: given.pop(field) for field in kind.__struct_fields__})
        command(**given)

    called.__dict__["__signature__"] = inspect.Signature(options)
    return called
