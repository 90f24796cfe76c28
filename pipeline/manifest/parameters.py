"""A model's parameters: what a job or manifest writes, checked and made the model's own values.

The server ignores keys that it does not know, and so would ignore a misspelt one in silence.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.models import ModelSpec, ParameterSpec

COUNT_NAMES = frozenset({"num_images", "n"})
"""How the models of the route call the number of pictures; either is understood for each."""

MAX_TEXT = 32_000
"""Characters of a text parameter, such as a negative prompt."""

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_SIZE = re.compile(r"\s*([0-9]{1,6})\s*[x×X*]\s*([0-9]{1,6})\s*").fullmatch


def parse_parameter(model: ModelSpec, name: str, value: Any) -> Any:
    """``value`` as the model takes it under ``name`` (see `own_name`).

    Texts are read by the parameter's type: ``4``, ``0.5``, ``yes``, ``1024x768``; a listed choice
    in any letter case. Raises `RowError`.
    """
    name = own_name(model, name)
    spec = _spec(model, name)
    if isinstance(value, str):
        value = value.strip()
    if name == "aspect_ratio" and isinstance(value, str) and value.casefold() == "auto":
        return "auto"  # the ratio nearest to the first input, chosen when that is read
    try:
        return _READERS[spec.type](spec, value)
    except RowError as error:
        raise RowError(f"{name}: {error}") from None


def own_name(model: ModelSpec, name: str) -> str:
    """The model's own name of a parameter. Raises `RowError` with what there is."""
    if name in model.parameters or name == model.count_field:
        return name
    if name in COUNT_NAMES and model.count_field:
        return model.count_field
    if name in COUNT_NAMES:
        raise RowError(
            f"{name}: {model.id} makes one picture a request (leave {name} out; for more pictures"
            " write more rows, with variant 1, 2, …)"
        )
    names = sorted({*model.parameters, *([model.count_field] if model.count_field else [])})
    raise RowError(
        f"{model.id} takes no {quoted(name)}{did_you_mean(name, names)}; it takes {listed(names)}"
    )


def own_parameters(
    model: ModelSpec, parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """All that can be used, as the model takes them, and what is wrong with the others.

    A parameter without a value (``None`` or an empty text) is left out: the model's default holds.
    """
    own: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in parameters.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        if name in COUNT_NAMES and model.count_field is None and str(value).strip() == "1":
            continue  # one is what it makes
        if name == "aspect_ratio" and name not in model.parameters and value == "auto":
            continue  # "whatever suits": a model without the choice makes it by itself
        try:
            own[own_name(model, name)] = parse_parameter(model, name, value)
        except RowError as error:
            problems.append(str(error))
    return own, problems


def check_parameters(model: ModelSpec, parameters: Mapping[str, Any]) -> list[str]:
    """What is wrong with a job's parameters; empty when nothing is."""
    return own_parameters(model, parameters)[1]


def _spec(model: ModelSpec, name: str) -> ParameterSpec:
    known = model.parameters.get(name)
    if known is not None and name != model.count_field:
        return known
    return ParameterSpec(type="integer", minimum=1, maximum=model.max_count)


def _string(spec: ParameterSpec, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowError(f"{quoted(value)} is no text (write it in quotes)")
    text = str(value)
    if spec.choices:
        return _choice(spec, text)
    if len(text) > MAX_TEXT:
        raise RowError(f"it has {len(text):,} characters (shorten it to {MAX_TEXT:,})")
    return text


def _integer(spec: ParameterSpec, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # spreadsheets turn 3 into 3.0
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}(?:\.0*)?", value):
        value = int(value.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int):
        raise RowError(f"{quoted(value)} is no whole number")
    _check_range(spec, value, quoted(value))
    if spec.choices:
        _choice(spec, str(value))
    return value


def _number(spec: ParameterSpec, value: Any) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise RowError(f"{quoted(value)} is no number (0.5, with a point)") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RowError(f"{quoted(value)} is no number")
    _check_range(spec, value, quoted(value))
    return value


def _boolean(spec: ParameterSpec, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).casefold()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise RowError(f"{quoted(value)} is neither true nor false")


def _size(spec: ParameterSpec, value: Any) -> str | dict[str, int]:
    """A listed name, or ``{width, height}`` in pixels, from ``1024x768`` or a mapping."""
    if isinstance(value, Mapping):
        if set(value) != {"width", "height"}:
            raise RowError("a size has a width and a height, in pixels")
        sides = (_integer(_SIDE, value["width"]), _integer(_SIDE, value["height"]))
    elif found := _SIZE(str(value)):
        sides = (int(found.group(1)), int(found.group(2)))
    elif spec.choices:
        return _choice(spec, str(value), "or WIDTHxHEIGHT in pixels, ")
    else:
        raise RowError(f"{quoted(value)} is no size (WIDTHxHEIGHT in pixels: 1024x768)")
    for side in sides:
        _check_range(spec, side, f"a side of {side} pixels")
    return {"width": sides[0], "height": sides[1]}


def _choice(spec: ParameterSpec, text: str, also: str = "") -> str:
    if text in spec.choices:
        return text
    for choice in spec.choices:
        if choice.casefold() == text.casefold():
            return choice
    raise RowError(f"{quoted(text)} is not among the choices ({also}one of {listed(spec.choices)})")


def _check_range(spec: ParameterSpec, value: float, shown: str) -> None:
    low, high = spec.minimum, spec.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if low is not None and high is not None:
        allowed = f"from {low:g} to {high:g}"
    else:
        allowed = f"at least {low:g}" if high is None else f"at most {high:g}"
    raise RowError(f"{shown} is out of range ({allowed})")


_SIDE = ParameterSpec(type="integer", minimum=1, maximum=999_999)

_READERS = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "size": _size,
}
