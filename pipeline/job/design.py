"""The parts ``models`` and ``target_accepted`` of a job: who is asked, and until when."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
)

from pipeline.errors import JobError
from pipeline.job.exports import of_model
from pipeline.job.values import Part
from pipeline.manifest.names import name_problem
from pipeline.manifest.problems import did_you_mean, listed, quoted

AT = "@"
"""Between a job file and one of its models: ``jobs/shop.yaml@flash``."""


class Target(Part):
    """How many edits are to pass. ``count``: ``None``: everything is asked for, once.

    ``per``: of each value of this column. ``variants``: how often a candidate is tried, at most.
    ``per_candidate``: how many may pass of one. ``extra_in_flight``: requests beyond what is
    missing, for speed: so many may pass too much.
    """

    count: Annotated[int, Field(ge=1)] | None = None
    per: str | None = None
    variants: Annotated[int, Field(ge=1, le=1000)] = 3
    per_candidate: Annotated[int, Field(ge=1, le=1000)] = 1
    extra_in_flight: Annotated[int, Field(ge=0, le=4096)] = 0


class ModelUse(Part):
    """One of several models. ``name``: in addresses and reports; default: the id's last part."""

    model: str
    name: str = ""
    parameters: dict[str, Any] = Field({})
    price_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @property
    def alias(self) -> str:
        return self.name or self.model.rpartition("/")[2]


def _target(value: Any) -> Any:
    return {"count": value} if isinstance(value, int | str) else value


def _uses(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("it is no list (- google/gemini-2.5-flash-image-edit)")
    return tuple([{"model": each} if isinstance(each, str) else each for each in value])


def _distinct(uses: tuple[ModelUse, ...], info: ValidationInfo) -> tuple[ModelUse, ...]:
    endpoint = info.data.get("endpoint")
    if uses and endpoint is not None and {"model", "price_usd"} & endpoint.model_fields_set:
        raise ValueError(
            "endpoint.model or endpoint.price_usd is there, too (each model states its own under"
            " 'models')"
        )
    seen = set[str]()
    for use in uses:
        why = f"{AT!r} is in it" if AT in use.alias else name_problem(use.alias)
        if use.alias.casefold().startswith("compare") or use.alias.endswith("-rehearsal"):
            why = "a folder of the outputs is called like that"
        if why:
            raise ValueError(f"{quoted(use.alias)} cannot name a model: {why} (give it a 'name')")
        if use.alias.casefold() in seen:
            raise ValueError(f"two models are called {quoted(use.alias)} (give one a 'name')")
        seen.add(use.alias.casefold())
    return uses


class Asking(Protocol):
    """A job, as far as it says which models are asked."""

    @property
    def models(self) -> tuple[ModelUse, ...]: ...

    def model_copy(self, *, update: dict[str, Any] | None = None) -> Any: ...


J = TypeVar("J", bound=Asking)

TargetPart = Annotated[Target, BeforeValidator(_target)]
Models = Annotated[tuple[ModelUse, ...], BeforeValidator(_uses), AfterValidator(_distinct)]


def split_model(path: Path) -> tuple[Path, str]:
    """``jobs/shop.yaml@flash`` → the job file and ``flash``; empty where none is named."""
    file, at, alias = path.name.rpartition(AT)
    if at and file and not path.exists():
        return path.with_name(file), alias
    return path, ""


def with_model(path: Path, alias: str) -> Path:
    """The other way round."""
    return path.with_name(f"{path.name}{AT}{alias}") if alias else path


def by_model(job: J) -> dict[str, J]:
    """The job of each of its models, by name; empty for a job of one."""
    found = {}
    for use in job.models:
        one = job.model_copy(update=for_model(job, use.alias))
        one._path = with_model(one._path, use.alias)
        found[use.alias] = one
    return found


def single_jobs(job: J) -> tuple[J, ...]:
    """The jobs that are run, each with a ledger of its own: one for each model, or the job."""
    return tuple(by_model(job).values()) or (job,)


def for_model(job: Any, alias: str) -> dict[str, Any]:
    """What differs in a job that asks one of its models: it has outputs, and a ledger, of its own.

    Raises `JobError` if there is no such model.
    """
    uses: Sequence[ModelUse] = job.models
    names = [use.alias for use in uses]
    if alias not in names:
        if not uses:
            raise JobError(f"{job.path.name}: the job has no 'models' (leave {AT}{alias} out)")
        raise JobError(
            f"{job.path.name}: no model is called {quoted(alias)}{did_you_mean(alias, names)}"
            f" (there are {listed(names)})"
        )
    use = uses[names.index(alias)]
    store = job.outputs.store
    outputs = {
        "directory": job.outputs.directory / alias,
        "store": None if store is None else f"{store.rstrip('/')}/{alias}",
    }
    endpoint = {"model": use.model, "price_usd": use.price_usd}
    return {
        "name": f"{job.name}{AT}{alias}",
        "parameters": {**job.parameters, **use.parameters},
        "endpoint": job.endpoint.model_copy(update=endpoint),
        "outputs": job.outputs.model_copy(update=outputs),
        "exports": of_model(job.exports, alias),
        "models": (),
    }
