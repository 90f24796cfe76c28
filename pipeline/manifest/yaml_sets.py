"""YAML manifests: image sets × prompts, or explicit pairs (`edits`)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import ManifestError
from pipeline.manifest.images import stem_of
from pipeline.manifest.jsonl_rows import Cells
from pipeline.manifest.names import MadeNames, name_problem, normalised, sanitised
from pipeline.manifest.parameters import own_parameters
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.manifest.rows import ManifestDefaults, Reading, RowReader
from pipeline.manifest.safe_yaml import (
    YamlList,
    YamlMap,
    YamlNode,
    YamlScalar,
    as_text,
    load_yaml,
)
from pipeline.models import Edit, ImageRef, Problem

_KEYS = ("image_sets", "prompts", "defaults", "edits")


class _Prompt(msgspec.Struct, frozen=True):
    """``name``: empty for one that needs none."""

    name: str
    text: str
    parameters: dict[str, Any] = {}
    variables: dict[str, str] = {}


class _Set(msgspec.Struct, frozen=True):
    """``made``: the id comes from a picture's name, so a number may be added to it."""

    line: int
    id: str
    made: bool
    cells: Cells
    entries: Sequence[str]


def open_yaml(
    path: Path, reading: Reading, *, number: int, label: str, root: Path
) -> Iterator[Edit | Problem]:
    """Reads the whole file; the edits come lazily. Raises `ManifestError`."""
    top = load_yaml(path, label, error=ManifestError)
    for key, line in top.lines.items():
        if key not in _KEYS:
            raise ManifestError(
                f"{label}:{line}: unknown key {quoted(key)}{did_you_mean(key, _KEYS)} (a manifest"
                f" has {listed(_KEYS)})"
            )
    header = _Header(top, RowReader(reading, number, label, root=root))
    defaults = ManifestDefaults(
        prompt=header.default_prompt or reading.defaults.prompt,
        parameters={**reading.defaults.parameters, **header.parameters},
    )
    rows = RowReader(reading, number, label, root=root, defaults=defaults)
    sets, pairs = header.items("image_sets"), header.items("edits")
    if not sets and not pairs:
        raise header.wrong(
            top.line, "no image sets (add 'image_sets:', a list with 'images:' in each)"
        )
    products = _Products(rows, header)
    return products.pairs(pairs, sets) if pairs else products.edits(sets)


def _values(node: YamlNode, alone: str = "") -> dict[str, Any] | None:
    """A mapping's values, as written; with ``alone``, a text for itself is that key's value."""
    if isinstance(node, YamlMap):
        return {key: as_text(value) for key, value in node.entries.items()}
    return {alone: as_text(node)} if alone and isinstance(node, YamlScalar) else None


def _cells(rows: RowReader, values: dict[str, Any]) -> Cells:
    """``parameters: {…}`` and plain keys that are a parameter's name mean the same."""
    parameters = values.pop("parameters", None) or {}
    cells = Cells(rows, values)
    if isinstance(parameters, dict):
        cells.parameters.update(parameters)
    else:
        cells.problems.append("'parameters' is no mapping (parameters: {seed: 1})")
    return cells


class _Header:
    """What holds for the whole file: defaults and prompts. Raises `ManifestError`."""

    def __init__(self, top: YamlMap, rows: RowReader) -> None:
        self._top = top
        self._rows = rows
        self.default_prompt = ""
        self.parameters: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        if (node := self._given("defaults")) is not None:
            self.default_prompt, self.parameters, self.variables = self._said(
                node, _values(node), "defaults is a mapping (prompt: …)"
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

    def _read_prompts(self) -> list[_Prompt]:
        node = self._given("prompts")
        if node is None:
            return []
        prompts: dict[str, _Prompt] = {}
        for name, line, prompt in self._named(node):
            if problem := name_problem(name) if name else None:
                raise self.wrong(
                    line, f"the prompt's name {quoted(name)} cannot name a file: {problem}"
                )
            if name.casefold() in prompts:
                raise self.wrong(line, f"the prompt {quoted(name)} is there twice (rename one)")
            prompts[name.casefold()] = prompt
        return list(prompts.values())

    def _named(self, node: YamlNode) -> Iterator[tuple[str, int, _Prompt]]:
        if isinstance(node, YamlScalar):
            yield "", node.line, self._prompt("", node, _values(node, "prompt"))
        elif isinstance(node, YamlList):
            for number, item in enumerate(node.items, start=1):
                values = _values(item, "prompt")
                name = normalised(str((values or {}).pop("name", None) or ""))
                if not name and len(node.items) > 1:
                    name = str(number)
                yield name, item.line, self._prompt(name, item, values)
        else:
            for written, item in node.entries.items():
                name = normalised(written)
                line = node.lines[written]
                yield name, line, self._prompt(name, item, _values(item, "prompt"))

    def _prompt(self, name: str, node: YamlNode, values: dict[str, Any] | None) -> _Prompt:
        form = "a prompt is a text, or a mapping (name: …, prompt: …)"
        text, parameters, variables = self._said(node, values, form)
        if not text.strip():
            raise self.wrong(node.line, f"no prompt ({form})")
        return _Prompt(name, text, parameters, variables)

    def _said(
        self, node: YamlNode, values: dict[str, Any] | None, form: str
    ) -> tuple[str, dict[str, Any], dict[str, str]]:
        """Prompt, parameters and variables."""
        if values is None:
            raise self.wrong(node.line, form)
        cells = _cells(self._rows, values)
        text = cells.text("prompt")
        problems = list(cells.problems)
        if "id" in cells.one or "variant" in cells.one or cells.entries:
            problems.append("id, images and variant belong to an image set (move them there)")
        parameters, wrong = own_parameters(self._rows.model, cells.parameters)
        if problems := problems + wrong:
            raise self.wrong(node.line, "; ".join(problems))
        return text, parameters, cells.variables


class _Products:
    """Image sets with prompts to edits."""

    def __init__(self, rows: RowReader, header: _Header) -> None:
        self._rows = rows
        self._prompts = header.prompts
        self._variables = header.variables

    def edits(self, sets: Sequence[YamlNode]) -> Iterator[Edit | Problem]:
        """Every set meets every prompt."""
        for image_set in self._sets(sets):
            if isinstance(image_set, Problem):
                yield image_set
                continue
            own = image_set.cells.text("prompt")
            if own and self._prompts:
                yield self._rows.problem(
                    image_set.line,
                    "the image set has a prompt, and 'prompts' are for every set (remove one of"
                    " the two, or write pairs under 'edits')",
                )
                continue
            for prompt in self._prompts or [_Prompt("", own)]:
                yield self._edit(image_set, prompt)

    def pairs(
        self, pairs: Sequence[YamlNode], sets: Sequence[YamlNode]
    ) -> Iterator[Edit | Problem]:
        """The pairs under 'edits' alone."""
        known: dict[str, _Set] = {}
        for image_set in self._sets(sets):
            if isinstance(image_set, Problem):
                yield image_set
            elif image_set.id in known:
                yield self._rows.problem(
                    image_set.line,
                    f"image set {quoted(image_set.id)} is there already, in line"
                    f" {known[image_set.id].line} (change one of the two)",
                )
            else:
                known[image_set.id] = image_set
        prompts = {prompt.name: prompt for prompt in self._prompts if prompt.name}
        for node in pairs:
            yield self._pair(node, known, prompts)

    def _pair(
        self, node: YamlNode, known: Mapping[str, _Set], prompts: Mapping[str, _Prompt]
    ) -> Edit | Problem:
        values = _values(node)
        if values is None:
            return self._rows.problem(node.line, "an edit is a mapping (set: …, prompt: …)")
        wanted = values.pop("set", None)
        image_set = None
        if wanted is not None:
            image_set = known.get(normalised(wanted)) if isinstance(wanted, str) else None
            if image_set is None:
                return self._rows.problem(
                    node.line,
                    f"no image set has the id {quoted(wanted)}{did_you_mean(str(wanted), known)}"
                    f" (there are {listed(known)})",
                )
        cells = _cells(self._rows, values)
        text = cells.text("prompt")
        if not text and image_set:
            text = image_set.cells.text("prompt")
        prompt = prompts.get(text) or _Prompt("", text)
        return self._edit(image_set, prompt, line=node.line, pair=cells)

    def _edit(
        self,
        image_set: _Set | None,
        prompt: _Prompt,
        *,
        line: int = 0,
        pair: Cells | None = None,
    ) -> Edit | Problem:
        """``pair``: what an entry of 'edits' says over its set; its id may be made."""
        layers = [image_set.cells if image_set else None, pair]
        parameters: dict[str, Any] = dict(prompt.parameters)
        variables = {**self._variables, **prompt.variables}
        problems: list[str] = []
        entries = [*image_set.entries] if image_set else []
        variant: Any = ""
        for cells in layers:
            if cells is not None:
                parameters |= cells.parameters
                variables |= cells.variables
                problems += cells.problems
                variant = cells.one.get("variant", variant)
        if pair:
            entries += pair.entries
        name = pair.text("id") if pair else ""
        made = ""
        folders = False
        if not name and image_set:
            composed = f"{image_set.id}/{prompt.name}" if prompt.name else image_set.id
            if pair or image_set.made:
                made = composed
            else:
                name, folders = composed, True
        return self._rows.edit(
            line or (image_set.line if image_set else 0),
            name=name,
            made=made,
            folders=folders,
            entries=entries,
            prompt=prompt.text,
            variant=variant,
            parameters=parameters,
            variables=variables,
            problems=problems,
        )

    def _sets(self, nodes: Sequence[YamlNode]) -> Iterator[_Set | Problem]:
        """The image sets, each with an id of its own where it states none."""
        ids = _SetIds(nodes)
        for node in nodes:
            values = _values(node, "images")
            if values is None:
                yield self._rows.problem(node.line, "an image set is a mapping (id: …, images: …)")
                continue
            pattern = values.pop("each", None)
            cells = _cells(self._rows, values)
            name = normalised(cells.text("id"))
            if pattern is not None:
                yield from self._each(node.line, pattern, cells, ids)
            elif name and (problem := name_problem(name)):
                yield self._rows.problem(
                    node.line, f"the id {quoted(name)} cannot name a file: {problem} (change it)"
                )
            elif name:
                yield _Set(node.line, name, False, cells, cells.entries)
            else:
                yield _Set(node.line, ids.new(self._stem(cells)), True, cells, cells.entries)

    def _each(
        self, line: int, pattern: Any, cells: Cells, ids: "_SetIds"
    ) -> Iterator[_Set | Problem]:
        """A set per file that the glob finds; the entry's own images come behind it."""
        if "id" in cells.one or not isinstance(pattern, str):
            yield self._rows.problem(
                line, "'each' takes a pattern and makes the ids from the files (remove the id)"
            )
            return
        try:
            refs = self._rows.images.matches(pattern)
        except RowError as error:
            yield self._rows.problem(line, str(error))
            return
        for ref in refs:
            # A file 'a:b.jpg' is no URL.
            source = f"./{ref.source}" if ":" in ref.source else ref.source
            yield _Set(line, ids.new(stem_of(ref)), True, cells, [source, *cells.entries])

    def _stem(self, cells: Cells) -> str:
        try:
            refs: Sequence[ImageRef] = [*self._rows.images.refs(cells.entries[0])]
        except (RowError, IndexError):
            return ""  # the edit's own message says what is wrong
        return stem_of(refs[0])


class _SetIds:
    """Ids for image sets that state none: unlike each other and unlike all that are stated."""

    def __init__(self, nodes: Sequence[YamlNode]) -> None:
        self._made = MadeNames()
        stated = [node.entries.get("id") for node in nodes if isinstance(node, YamlMap)]
        self._taken = {node.text.casefold() for node in stated if isinstance(node, YamlScalar)}

    def new(self, stem: str) -> str:
        name = self._made.free(
            sanitised(stem) or "edit", lambda name: name.casefold() not in self._taken
        )
        self._taken.add(name.casefold())
        return name
