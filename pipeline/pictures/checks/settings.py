"""``checks:`` of a job file, read."""

import difflib
from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.errors import JobError
from pipeline.pictures.checks.values import (
    BackgroundWhite,
    CheckSettings,
    MinSize,
    NotBlank,
    NotDuplicate,
    NotUnchanged,
    Ratio,
    SubjectKept,
)

# A check's name, its limits, and the one of them that a bare number means.
_CHECKS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "min_size": (MinSize, "side"),
    "ratio": (Ratio, "tolerance"),
    "not_blank": (NotBlank, "contrast"),
    "not_unchanged": (NotUnchanged, "difference"),
    "not_duplicate": (NotDuplicate, "difference"),
    "background_white": (BackgroundWhite, "share"),
    "subject_kept": (SubjectKept, "structure"),
}

NAMES = ("decodes", *_CHECKS)


def read_settings(checks: Mapping[str, Any]) -> CheckSettings:
    """Each check as ``true`` (its defaults), ``false``, a number (its main limit), or a mapping of
    its limits; ``custom`` as a list of names. Raises `JobError` for anything else.
    """
    found: dict[str, Any] = {}
    for name, value in checks.items():
        if name == "custom":
            found[name] = _names(value)
        elif name == "decodes":
            if value is not True:
                raise JobError("checks.decodes: always on, it cannot be set")
        elif name not in _CHECKS:
            raise JobError(f"checks: unknown check {name!r}{_meant(name, [*NAMES, 'custom'])}")
        elif value is not None and value is not False:
            found[name] = _limits(name, value)
    return CheckSettings(**found)


def _limits(name: str, value: Any) -> msgspec.Struct:
    kind, main = _CHECKS[name]
    if value is True:
        value = {}
    elif isinstance(value, int | float):
        value = {main: value}
    if not isinstance(value, Mapping):
        raise JobError(f"checks.{name}: {value!r}; write true, a number, or its limits")
    known = kind.__struct_fields__
    for key in value:
        if key not in known:
            raise JobError(f"checks.{name}: unknown key {key!r}{_meant(str(key), known)}")
    try:
        return msgspec.convert(dict(value), kind)
    except msgspec.ValidationError as error:
        raise JobError(f"checks.{name}: {_plain(str(error), main)}") from error


def _names(value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
        raise JobError("checks.custom: write a list of names, as [shop_checks:logo_visible]")
    return tuple(names)


def _plain(text: str, main: str) -> str:
    """msgspec's message, in the words of a job file."""
    problem, _, where = text.partition(" - at `$.")
    if problem.startswith("Object missing required field"):
        return f"say how much, as {main}: 1000"
    key = where.rstrip("`")
    return f"{key}: {problem}" if key else problem


def _meant(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f" (did you mean {near[0]!r}?)" if near else f"; there are: {', '.join(known)}"
