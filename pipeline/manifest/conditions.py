"""Which image sets something is for: conditions on their columns."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from pipeline.manifest.columns import template_name
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted

FORM = "a mapping of columns to what they hold (category: shoe), or an expression in quotes"


class Condition(msgspec.Struct, frozen=True):
    """One column. ``wanted``: texts or patterns, any of which is enough; case does not count."""

    column: str
    wanted: tuple[str, ...]
    negated: bool = False

    def holds(self, values: Mapping[str, str]) -> bool:
        value = values.get(self.column, "").strip().casefold()
        found = any(value == each or fnmatchcase(value, each) for each in self.wanted)
        return found != self.negated


class Conditions(msgspec.Struct, frozen=True):
    """All of them have to hold. ``expression``: as in a template's ``if``; empty: none."""

    columns: tuple[Condition, ...] = ()
    expression: str = ""

    def hold(self, values: Mapping[str, str]) -> bool:
        """But for the expression, which a template renders."""
        return all(condition.holds(values) for condition in self.columns)

    @property
    def template(self) -> str:
        """Renders to a text where the expression holds, and to nothing where it does not."""
        return f"{{% if {self.expression} %}}1{{% endif %}}" if self.expression else ""

    def check(self, known: Iterable[str], what: str) -> None:
        """Raises `RowError` about a column that no image set has: it would never hold."""
        names = sorted(set(known))
        for condition in self.columns:
            if condition.column not in names:
                raise RowError(
                    f"{what}: there is no {quoted(condition.column)}"
                    f"{did_you_mean(condition.column, names)} (there are {listed(names)})"
                )


def read_conditions(value: Any, what: str) -> Conditions | None:
    """``{category: [shoe, bag], brand: {not: acme}}``, or ``"price | float > 20"``.

    Raises `RowError`.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.strip():
        if "%}" in value or "{%" in value:
            raise RowError(f"{what}: {quoted(value)} is more than an expression (leave {{% out)")
        return Conditions(expression=value.strip())
    if not isinstance(value, dict) or not value:
        raise RowError(f"{what} is {FORM}")
    return Conditions(tuple([_condition(key, wanted, what) for key, wanted in value.items()]))


def _condition(key: str, wanted: Any, what: str) -> Condition:
    negated = isinstance(wanted, dict) and list(wanted) == ["not"]
    if negated:
        wanted = wanted["not"]
    texts = wanted if isinstance(wanted, list) else [wanted]
    if not texts or not all(isinstance(text, str) or text is None for text in texts):
        raise RowError(
            f"{what}.{key}: {quoted(wanted)} is no value (a text, a list of texts, or {{not: …}})"
        )
    folded = tuple([(text or "").strip().casefold() for text in texts])
    return Condition(template_name(key), folded, negated)
