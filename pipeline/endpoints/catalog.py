"""The model catalog: what each model of the route takes, as data (``catalog.yaml``)."""

import difflib
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from pipeline.errors import JobError
from pipeline.models import ModelSpec, ParameterSpec


class _Images(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    field: str
    list: bool
    min: int
    max: int


class _Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    field: str
    max: int


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    images: _Images
    count: _Count | None = None
    parameters: dict[str, ParameterSpec] = {}
    returned: dict[str, tuple[int, int]] = {}
    prompt_max_length: int | None = None
    price_usd: float | None = None
    superseded_by: str | None = None


@cache
def load_catalog() -> dict[str, ModelSpec]:
    """Every model by its id, in the file's order. Read once; treat it as frozen.

    A model's count field is among its ``parameters`` too, so that one table says which names and
    values a manifest may use.
    """
    import yaml

    text = resources.files("pipeline.endpoints").joinpath("catalog.yaml").read_text("utf-8")
    entries = msgspec.convert(yaml.safe_load(text), dict[str, _Entry])
    return {model_id: _spec(model_id, entry) for model_id, entry in entries.items()}


def model_spec(model_id: str) -> ModelSpec:
    """The catalog's entry. Raises `JobError` with the nearest id and the list of all."""
    catalog = load_catalog()
    if model_id in catalog:
        return catalog[model_id]
    near = difflib.get_close_matches(model_id, catalog, n=1, cutoff=0.6)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    raise JobError(
        f"endpoint.model: unknown model {model_id!r}{guess}. Known models: {', '.join(catalog)}"
    )


@cache
def all_parameter_names() -> frozenset[str]:
    """Every parameter of every model, count fields included: these columns of a manifest are
    meant for a model, whichever the job uses.
    """
    return frozenset(name for spec in load_catalog().values() for name in spec.parameters)


def _spec(model_id: str, entry: _Entry) -> ModelSpec:
    parameters: dict[str, Any] = dict(entry.parameters)
    if entry.count is not None:
        parameters[entry.count.field] = ParameterSpec(
            type="integer", minimum=1, maximum=entry.count.max, default=1
        )
    return ModelSpec(
        id=model_id,
        image_field=entry.images.field,
        image_list=entry.images.list,
        min_images=entry.images.min,
        max_images=entry.images.max,
        count_field=entry.count.field if entry.count else None,
        max_count=entry.count.max if entry.count else 1,
        parameters=parameters,
        returned=entry.returned,
        prompt_max_length=entry.prompt_max_length,
        price_usd=entry.price_usd,
        superseded_by=entry.superseded_by,
    )
