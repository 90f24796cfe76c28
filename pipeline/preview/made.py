"""What a plan would make, as a table: by image set, prompt and parameter, with examples."""

from collections import Counter
from typing import Any

import msgspec

from pipeline.manifest.designed import PROMPT, SET
from pipeline.models import Edit

MOST_KINDS = 2_000
"""Different sets, prompts or values that are counted apart; the rest are counted together."""

ROWS = 200
"""Rows of each part of the table in a `Made`."""

EXAMPLES = 6
LONGEST_LABEL = 60
OTHERS = "(others)"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """``edits``: all of this kind; ``to_ask``: of these, what a run would ask for."""

    name: str
    edits: int
    to_ask: int


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered prompt."""

    id: str
    prompt: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The table, the largest rows first. ``sets``, ``prompts``: how many there are, of which the
    first `ROWS` are in ``by_set`` and ``by_prompt``. ``by_parameter``: by ``name=value``.
    """

    sets: int
    prompts: int
    by_set: tuple[Row, ...]
    by_prompt: tuple[Row, ...]
    by_parameter: tuple[Row, ...]
    examples: tuple[Example, ...]


class _Kind:
    """Counts of one part; in bounded memory."""

    def __init__(self) -> None:
        self.edits: Counter[str] = Counter()
        self.to_ask: Counter[str] = Counter()

    def add(self, name: str, asks: bool) -> None:
        if name not in self.edits and len(self.edits) >= MOST_KINDS:
            name = OTHERS
        self.edits[name] += 1
        self.to_ask[name] += asks

    def rows(self) -> tuple[Row, ...]:
        return tuple(
            [
                Row(name=name, edits=count, to_ask=self.to_ask[name])
                for name, count in self.edits.most_common(ROWS)
            ]
        )


class Tally:
    """Folds edits into a `Made`."""

    def __init__(self) -> None:
        self._sets, self._prompts, self._parameters = _Kind(), _Kind(), _Kind()
        self._examples: dict[str, Example] = {}
        self._labels: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def add(self, edit: Edit, *, asks: bool) -> None:
        """``asks``: a run would ask for it."""
        image_set, prompt = _names(edit)
        self._sets.add(image_set, asks)
        self._prompts.add(prompt, asks)
        for label in self._parameter_labels(edit.parameters):
            self._parameters.add(label, asks)
        if asks and len(self._examples) < EXAMPLES and prompt not in self._examples:
            self._examples[prompt] = Example(id=edit.id, prompt=edit.prompt)

    def made(self) -> Made:
        return Made(
            sets=len(self._sets.edits),
            prompts=len(self._prompts.edits),
            by_set=self._sets.rows(),
            by_prompt=self._prompts.rows(),
            by_parameter=self._parameters.rows(),
            examples=tuple(self._examples.values()),
        )

    def _parameter_labels(self, parameters: dict[str, Any]) -> list[str]:
        # Edits without parameters of their own share one dict: it is put into words once.
        known = self._labels.get(id(parameters))
        if known is not None and known[0] is parameters:
            return known[1]
        labels = [_short(f"{name}={_value(value)}") for name, value in parameters.items()]
        if len(self._labels) >= MOST_KINDS:
            self._labels.clear()
        self._labels[id(parameters)] = parameters, labels
        return labels


def _names(edit: Edit) -> tuple[str, str]:
    """Of its image set and its prompt: as designed, by its id, or by what it is."""
    stated = edit.variables
    image_set = stated.get(SET, "")
    prompt = stated.get(PROMPT, "")
    if not image_set and "/" in edit.id:
        image_set, _, prompt = edit.id.partition("/")
    if not image_set:
        image_set = "|".join([ref.source for ref in edit.images])
    return _short(image_set), _short(prompt or " ".join(edit.prompt.split()))


def _value(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"width", "height"}:
        return f"{value['width']}x{value['height']}"
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1] + "…"
