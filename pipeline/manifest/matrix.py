"""``matrix:``, as CI systems have it: axes multiply, ``exclude`` removes, ``include`` adds.

An entry of ``include`` adds its values to every combination whose axes it does not contradict; one
that fits none becomes a combination of its own. Excluding comes first, so ``include`` can bring
something back.
"""

import math
from collections.abc import Mapping
from itertools import product
from typing import Any

import msgspec

from pipeline.manifest.columns import template_name
from pipeline.manifest.conditions import Conditions, read_conditions
from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader
from pipeline.manifest.sampling import read_weight
from pipeline.manifest.word_lists import Labels

MAX_CELLS = 100_000
"""Combinations of the axes alone. Image sets, prompts, words and variants come on top, lazily."""

_TARGETS = ("set", "prompt")
_RESERVED = ("id", "images", "image", "prompt", "variant")


class Extra(msgspec.Struct, frozen=True):
    """What an entry of ``include`` adds; ``only``: for these sets and prompts."""

    values: dict[str, Any]
    only: Conditions | None = None


class Cell(msgspec.Struct, frozen=True):
    """One combination of the axes. ``label``: in ids. ``only``: the sets and prompts it is for.
    ``added``: by ``include``, which no ``exclude`` removes.
    """

    values: dict[str, Any] = {}
    label: str = ""
    weight: float = 1.0
    extras: tuple[Extra, ...] = ()
    only: Conditions | None = None
    added: bool = False


class Matrix(msgspec.Struct, frozen=True):
    """``excludes``: those that look at more than the axes, and so at each edit."""

    cells: tuple[Cell, ...] = (Cell(),)
    axes: tuple[str, ...] = ()
    excludes: tuple[Conditions, ...] = ()


class _Value(msgspec.Struct, frozen=True):
    value: Any
    label: str
    weight: float


def read_matrix(value: Any, rows: RowReader) -> Matrix:
    """Raises `RowError`."""
    if value is None:
        return Matrix()
    if not isinstance(value, dict):
        raise RowError("matrix is a mapping (aspect_ratio: ['1:1', '16:9'])")
    axes = {
        _axis_name(name, rows): _axis(name, given)
        for name, given in value.items()
        if name not in ("include", "exclude")
    }
    count = math.prod(len(values) for values in axes.values())
    if count > MAX_CELLS:
        raise RowError(
            f"matrix: {count:,} combinations of its axes, of {MAX_CELLS:,} at most (make some of"
            " them word lists, which are sampled)"
        )
    excludes = tuple([_exclusion(entry) for entry in _entries(value, "exclude")])
    early = [each for each in excludes if {c.column for c in each.columns} <= axes.keys()]
    cells = [cell for cell in _cells(axes) if not any(e.hold(texts(cell.values)) for e in early)]
    cells = _included(cells, [_extra(e, rows) for e in _entries(value, "include")], set(axes))
    late = tuple([each for each in excludes if each not in early])
    return Matrix(tuple(cells), tuple(axes), late)


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """As conditions compare them."""
    return {template_name(name): shown(value) for name, value in values.items()}


def shown(value: Any) -> str:
    """A value as a person writes it: ``1024x768`` for a size."""
    if isinstance(value, dict) and set(value) == {"width", "height"}:
        return f"{value['width']}x{value['height']}"
    return str(value)


def _cells(axes: Mapping[str, tuple[_Value, ...]]) -> list[Cell]:
    if not axes:
        return []
    return [
        Cell(
            values={name: each.value for name, each in zip(axes, chosen, strict=True)},
            label="+".join([each.label for each in chosen]),
            weight=math.prod(each.weight for each in chosen),
        )
        for chosen in product(*axes.values())
    ]


def _included(cells: list[Cell], extras: list[Extra], axes: set[str]) -> list[Cell]:
    own = [list[Extra]() for _ in cells]
    new: list[Cell] = []
    labels = Labels()
    for extra in extras:
        stated = {name: value for name, value in extra.values.items() if name in axes}
        fits = [
            at
            for at, cell in enumerate(cells)
            if all(shown(cell.values[name]) == shown(value) for name, value in stated.items())
        ]
        if fits:
            added = {name: value for name, value in extra.values.items() if name not in axes}
            for at in fits:
                own[at].append(Extra(added, extra.only))
        else:
            label = "+".join([Labels().of(shown(value)) for value in extra.values.values()])
            new.append(
                Cell(values=extra.values, label=labels.of(label), only=extra.only, added=True)
            )
    first = [
        msgspec.structs.replace(cell, extras=tuple(mine))
        for cell, mine in zip(cells, own, strict=True)
    ]
    return first + new


def _axis_name(written: str, rows: RowReader) -> str:
    try:
        column = rows.columns.column(written)
    except RowError as error:
        raise RowError(f"matrix.{written}: {error}") from None
    if column.name in _RESERVED or template_name(written) in _TARGETS:
        raise RowError(
            f"matrix.{written}: this is no axis (parameters and variables are; image sets and"
            " prompts multiply by themselves, and 'variants: 3' stands beside 'matrix')"
        )
    name = column.name if column.role == "parameter" else template_name(written)
    if not name.isidentifier():
        raise RowError(f"matrix: {quoted(written)} cannot name an axis (use letters and _)")
    return name


def _axis(name: str, given: Any) -> tuple[_Value, ...]:
    if not isinstance(given, list) or not given:
        raise RowError(f"matrix.{name} is no list (aspect_ratio: ['1:1', '16:9'])")
    labels = Labels()
    found: dict[str, _Value] = {}
    for each in given:
        weight = None
        if isinstance(each, dict) and "value" in each:
            if set(each) - {"value", "weight"}:
                raise RowError(f"matrix.{name}: {quoted(each)} has more than value and weight")
            weight, each = each.get("weight"), each["value"]
        if each is None or isinstance(each, list):
            raise RowError(f"matrix.{name}: {quoted(each)} is no value")
        text = shown(each)
        if text in found:
            raise RowError(f"matrix.{name}: {quoted(text)} is there twice (remove one)")
        found[text] = _Value(each, labels.of(text), read_weight(weight, f"matrix.{name}"))
    return tuple(found.values())


def _entries(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = value.get(key) or []
    if not isinstance(entries, list) or not all(isinstance(e, dict) and e for e in entries):
        raise RowError(f"matrix.{key} is a list of mappings (- {{aspect_ratio: '16:9'}})")
    return entries


def _exclusion(entry: dict[str, Any]) -> Conditions:
    plain = {name: shown(v) if _is_size(v) else v for name, v in entry.items()}
    found = read_conditions(plain, "matrix.exclude")
    return found or Conditions()


def _is_size(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"width", "height"}


def _extra(entry: dict[str, Any], rows: RowReader) -> Extra:
    targets = {name: entry[name] for name in _TARGETS if name in entry}
    values = {_axis_name(n, rows): v for n, v in entry.items() if n not in _TARGETS}
    if not values:
        raise RowError("matrix.include: an entry has no values beside 'set' and 'prompt'")
    if any(value is None or isinstance(value, list) for value in values.values()):
        raise RowError(f"matrix.include: {quoted(entry)} holds more than single values")
    return Extra(values, read_conditions(targets, "matrix.include") if targets else None)
