"""What a YAML manifest says for all of its image sets: defaults and prompts."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from pipeline.errors import ManifestError
from pipeline.manifest.cells import Cells
from pipeline.manifest.conditions import Conditions, read_conditions
from pipeline.manifest.names import name_problem, normalised
from pipeline.manifest.parameters import own_parameters
from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader
from pipeline.manifest.safe_yaml import YamlList, YamlMap, YamlNode, YamlScalar, as_text
from pipeline.manifest.sampling import read_weight


class Prompt(msgspec.Struct, frozen=True):
    """``name``: empty for one that needs none. ``when``: the image sets that it is for. ``line``:
    where it stands; 0: nowhere, an image set's own.
    """

    name: str
    text: str
    parameters: dict[str, Any] = {}
    variables: dict[str, str] = {}
    when: Conditions | None = None
    weight: float = 1.0
    line: int = 0


class ImageSet(msgspec.Struct, frozen=True):
    """``made``: the id comes from a picture's name, so a number may be added to it."""

    line: int
    id: str
    made: bool
    cells: Cells
    entries: Sequence[str]
    weight: float = 1.0


def values_of(node: YamlNode, alone: str = "") -> dict[str, Any] | None:
    """A mapping's values, as written; with ``alone``, a text for itself is that key's value."""
    if isinstance(node, YamlMap):
        return {key: as_text(value) for key, value in node.entries.items()}
    return {alone: as_text(node)} if alone and isinstance(node, YamlScalar) else None


def cells_of(rows: RowReader, values: dict[str, Any]) -> Cells:
    """``parameters: {…}`` and plain keys that are a parameter's name mean the same."""
    parameters = values.pop("parameters", None) or {}
    cells = Cells(rows, values)
    if isinstance(parameters, dict):
        cells.parameters.update(parameters)
    else:
        cells.problems.append("'parameters' is no mapping (parameters: {seed: 1})")
    return cells


class Header:
    """What holds for the whole file: defaults and prompts. Raises `ManifestError`."""

    def __init__(self, top: YamlMap, rows: RowReader) -> None:
        self._top = top
        self._rows = rows
        self.default_prompt = ""
        self.parameters: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        if (node := self._given("defaults")) is not None:
            self.default_prompt, self.parameters, self.variables = self._said(
                node, values_of(node), "defaults is a mapping (prompt: …)"
            )
        self.prompts = self._read_prompts()

    def wrong(self, line: int, message: str) -> ManifestError:
        return ManifestError(f"{self._rows.label}:{line}: {message}")

    def items(self, key: str) -> list[YamlNode]:
        node = self._given(key)
        if node is None:
            return []
        if not isinstance(node, YamlList):
            raise self.wrong(node.line, f"{key!r} is no list (start each entry with '- ')")
        return node.items

    def _given(self, key: str) -> YamlNode | None:
        node = self._top.entries.get(key)
        empty = isinstance(node, YamlScalar) and node.value is None
        return None if empty else node

    def _read_prompts(self) -> list[Prompt]:
        node = self._given("prompts")
        if node is None:
            return []
        prompts: dict[str, Prompt] = {}
        for name, line, prompt in self._named(node):
            if problem := name_problem(name) if name else None:
                raise self.wrong(
                    line, f"the prompt's name {quoted(name)} cannot name a file: {problem}"
                )
            if name.casefold() in prompts:
                raise self.wrong(line, f"the prompt {quoted(name)} is there twice (rename one)")
            prompts[name.casefold()] = prompt
        return list(prompts.values())

    def _named(self, node: YamlNode) -> Iterator[tuple[str, int, Prompt]]:
        if isinstance(node, YamlScalar):
            yield "", node.line, self._prompt("", node, values_of(node, "prompt"))
        elif isinstance(node, YamlList):
            for number, item in enumerate(node.items, start=1):
                values = values_of(item, "prompt")
                name = normalised(str((values or {}).pop("name", None) or ""))
                if not name and len(node.items) > 1:
                    name = str(number)
                yield name, item.line, self._prompt(name, item, values)
        else:
            for written, item in node.entries.items():
                name = normalised(written)
                line = node.lines[written]
                yield name, line, self._prompt(name, item, values_of(item, "prompt"))

    def _prompt(self, name: str, node: YamlNode, values: dict[str, Any] | None) -> Prompt:
        try:
            when = read_conditions((values or {}).pop("when", None), "when")
            weight = read_weight((values or {}).pop("sample_weight", None), "sample_weight")
        except RowError as error:
            raise self.wrong(node.line, str(error)) from None
        form = "a prompt is a text, or a mapping (name: …, prompt: …)"
        text, parameters, variables = self._said(node, values, form)
        if not text.strip():
            raise self.wrong(node.line, f"no prompt ({form})")
        return Prompt(name, text, parameters, variables, when, weight, node.line)

    def _said(
        self, node: YamlNode, values: dict[str, Any] | None, form: str
    ) -> tuple[str, dict[str, Any], dict[str, str]]:
        """Prompt, parameters and variables."""
        if values is None:
            raise self.wrong(node.line, form)
        cells = cells_of(self._rows, values)
        text = cells.text("prompt")
        problems = list(cells.problems)
        if "id" in cells.one or "variant" in cells.one or cells.entries:
            problems.append("id, images and variant belong to an image set (move them there)")
        parameters, wrong = own_parameters(self._rows.model, cells.parameters)
        if problems := problems + wrong:
            raise self.wrong(node.line, "; ".join(problems))
        return text, parameters, cells.variables
