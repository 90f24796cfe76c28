"""``where``: which edits an export takes, by status, column or what a check measured."""

from collections.abc import Collection, Sequence
from typing import Any

from pipeline.errors import ConfigError
from pipeline.job.exports import Comparison, Condition, Export
from pipeline.ledger.material import ExportRow
from pipeline.manifest.problems import did_you_mean, listed

CHECK = "check:"
"""Before the name of a check: what it measured."""


def check_columns(
    wish: Export, columns: Collection[str], exported: Collection[str], *, checks: bool
) -> None:
    """Raises `ConfigError` for a column that there is not. ``columns``: of the results;
    ``exported``: that this format can have.
    """
    asked = [("where", one.column) for one in wish.where if not one.column.startswith(CHECK)]
    if wish.split_by != "source":
        asked.append(("split by", wish.split_by))
    for what, name, known in (
        *[(*one, columns) for one in asked],
        *[("columns", name, exported) for name in wish.columns],
    ):
        if name not in known:
            hint = did_you_mean(name, known) or f" (there are {listed(known)})"
            raise ConfigError(f"{what}: there is no column {name!r}{hint}")
    for one in wish.where if not checks else ():
        if one.column.startswith(CHECK):
            raise ConfigError(
                f"where: {one.column}: this ledger has no checks (add `checks:` to the job, and run"
                " it)"
            )


def check_measured(wish: Export, measured: Collection[str]) -> None:
    """Raises `ConfigError` for a condition about a check that nothing was ``measured`` by: it would
    leave out everything, or nothing.
    """
    for one in wish.where:
        name = one.column.removeprefix(CHECK)
        if one.column.startswith(CHECK) and name not in measured:
            hint = did_you_mean(name, measured) or f" (there are {listed(sorted(measured))})"
            raise ConfigError(f"where: no picture was measured by a check {name!r}{hint}")


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
