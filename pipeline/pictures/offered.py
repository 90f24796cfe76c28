"""The shapes that a model offers, and the one that an edit asks for."""

from collections.abc import Mapping
from typing import Any

from pipeline.models import ModelSpec
from pipeline.pictures.framing import Shape, shapes

_NAMED = {
    "square_hd": "1:1",
    "square": "1:1",
    "portrait_4_3": "3:4",
    "portrait_16_9": "9:16",
    "landscape_4_3": "4:3",
    "landscape_16_9": "16:9",
}
"""Sizes that have a name: their ratios."""


def shape_field(model: ModelSpec) -> str | None:
    """The parameter that says the shape; None where a model answers in a shape of its own."""
    ratio = model.parameters.get("aspect_ratio")
    if ratio is not None and ratio.choices:
        return "aspect_ratio"
    for name, spec in model.parameters.items():
        if spec.type == "size" and any(choice in _NAMED for choice in spec.choices):
            return name
    return None


def offered(model: ModelSpec, parameters: Mapping[str, Any]) -> tuple[Shape, ...]:
    """What an input may be brought to: the shape that ``parameters`` ask for, else all of the
    model's; nothing where it has none.
    """
    field = shape_field(model)
    if field is None:
        return ()
    own = parameters.get(field)
    choices = model.parameters[field].choices if own in (None, "auto") else (own,)
    found = []
    for choice in choices:
        if ratio := _ratio(choice):
            [shape] = shapes([ratio], model.returned)
            name = choice if isinstance(choice, str) else ratio
            found.append(Shape(name, shape.width, shape.height))
    return tuple(found)


def asked_ratio(model: ModelSpec, parameters: Mapping[str, Any]) -> str:
    """``4:5`` or ``896x1152``: the shape that final parameters ask for; empty for none."""
    field = shape_field(model)
    return "" if field is None else _ratio(parameters.get(field))


def _ratio(choice: Any) -> str:
    if isinstance(choice, Mapping):
        return f"{choice.get('width')}x{choice.get('height')}"
    if not isinstance(choice, str):
        return ""
    return _NAMED.get(choice) or (choice if ":" in choice or "x" in choice else "")
