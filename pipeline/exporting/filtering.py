"""``--where``: which edits an export takes, by status, column or what a check measured."""

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any, Literal, cast

import msgspec

from pipeline.errors import ConfigError
from pipeline.ledger.material import ExportRow

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]

CHECK = "check:"
"""Before the name of a check: what it measured."""

_PARTS = re.compile(r"\s*([^<>=!]+?)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL).fullmatch


class Condition(msgspec.Struct, frozen=True):
    """A column, how it is compared, and with what: of several values any may be equal."""

    column: str
    comparison: Comparison
    values: tuple[str, ...]


def condition(text: str) -> Condition:
    """``status=succeeded|rejected``, ``check:not_blank>=12``. Raises `ConfigError`."""
    parts = _PARTS(text)
    if parts is None:
        raise ConfigError(
            f"--where {text!r}: write a column, a comparison and a value, as in"
            " 'status=succeeded|rejected' or 'check:not_blank>=12'"
        )
    column, comparison, value = parts.groups()
    values = tuple([one.strip() for one in value.split("|")])
    if len(values) > 1 and comparison not in ("=", "!="):
        raise ConfigError(f"--where {text!r}: {comparison} takes one value")
    return Condition(column, cast(Comparison, comparison), values)


def check_columns(
    conditions: Sequence[Condition], columns: Collection[str], *, checks: bool
) -> None:
    """Raises `ConfigError` for a condition about a column that the ledger does not have."""
    for one in conditions:
        if one.column.startswith(CHECK):
            if not checks:
                raise ConfigError(
                    f"--where {one.column}: this ledger has no checks (add `checks:` to the job,"
                    " and run it)"
                )
        elif one.column not in columns:
            near = get_close_matches(one.column, columns, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(columns)}"
            raise ConfigError(f"--where: the results have no column {one.column!r} ({hint})")


def holds(one: Condition, row: ExportRow) -> bool:
    """Whether an edit is as a condition says. What is not there equals only the empty text. What a
    check measured has to be so for every picture of the edit.
    """
    if not one.column.startswith(CHECK):
        return _holds(one, row.values[one.column])
    measured = row.checks.get(one.column.removeprefix(CHECK), (None,))
    return all(_holds(one, value) for value in measured)


def _holds(one: Condition, value: Any) -> bool:
    if one.comparison == "=":
        return _equal(value, one.values)
    if one.comparison == "!=":
        return not _equal(value, one.values)
    return value is not None and _ordered(value, one.comparison, one.values[0])


def _equal(value: Any, wanted: Sequence[str]) -> bool:
    if value is None:
        return "" in wanted
    if str(value) in wanted:
        return True
    number = _number(value)
    return number is not None and number in [_number(one) for one in wanted]


def _ordered(value: Any, comparison: Comparison, wanted: str) -> bool:
    left, right = _number(value), _number(wanted)
    if left is None or right is None:
        if left is not right:  # a number and a text have no order
            return False
        return _compared(str(value), comparison, wanted)
    return _compared(left, comparison, right)


def _compared(left: Any, comparison: Comparison, right: Any) -> bool:
    match comparison:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
