"""YAML manifests: image sets × prompts, or explicit pairs (`edits`)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.errors import ManifestError
from pipeline.manifest.cells import Cells
from pipeline.manifest.designed import KEYS as DESIGN
from pipeline.manifest.designed import TWO_PROMPTS, Design, is_designed
from pipeline.manifest.images import stem_of
from pipeline.manifest.names import MadeNames, name_problem, normalised, sanitised
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.manifest.rows import ManifestDefaults, Reading, RowReader
from pipeline.manifest.safe_yaml import YamlMap, YamlNode, YamlScalar, load_yaml
from pipeline.manifest.sampling import read_weight
from pipeline.manifest.yaml_header import Header, ImageSet, Prompt, cells_of, values_of
from pipeline.models import Edit, ImageRef, Problem

_KEYS = ("image_sets", "prompts", "defaults", "edits", *DESIGN)


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
    header = Header(top, RowReader(reading, number, label, path=path, root=root, mapped=False))
    defaults = ManifestDefaults(
        prompt=header.default_prompt or reading.defaults.prompt,
        parameters={**reading.defaults.parameters, **header.parameters},
    )
    rows = RowReader(reading, number, label, path=path, root=root, defaults=defaults, mapped=False)
    sets, pairs = header.items("image_sets"), header.items("edits")
    if not sets and not pairs:
        raise header.wrong(
            top.line, "no image sets (add 'image_sets:', a list with 'images:' in each)"
        )
    products = Products(rows, header)
    if is_designed(top, header):
        if pairs:
            raise header.wrong(
                pairs[0].line,
                f"'edits' are explicit pairs, and {listed(DESIGN)} and 'when' multiply (use one of"
                " the two; two manifests may stand in one job)",
            )
        text = defaults.prompt or ""
        design = Design(top, header, rows, path=path, default_prompt=text)
        return design.edits(products.sets(sets))
    return products.pairs(pairs, sets) if pairs else products.edits(sets)


class Products:
    """Image sets with prompts to edits."""

    def __init__(self, rows: RowReader, header: Header) -> None:
        self._rows = rows
        self._prompts = header.prompts
        self._variables = header.variables

    def edits(self, sets: Sequence[YamlNode]) -> Iterator[Edit | Problem]:
        """Every set meets every prompt."""
        for image_set in self.sets(sets):
            if isinstance(image_set, Problem):
                yield image_set
                continue
            own = image_set.cells.text("prompt")
            if own and self._prompts:
                yield self._rows.problem(image_set.line, TWO_PROMPTS)
                continue
            for prompt in self._prompts or [Prompt("", own)]:
                yield self._edit(image_set, prompt)

    def pairs(
        self, pairs: Sequence[YamlNode], sets: Sequence[YamlNode]
    ) -> Iterator[Edit | Problem]:
        """The pairs under 'edits' alone."""
        known: dict[str, ImageSet] = {}
        for image_set in self.sets(sets):
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
        self, node: YamlNode, known: Mapping[str, ImageSet], prompts: Mapping[str, Prompt]
    ) -> Edit | Problem:
        values = values_of(node)
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
        cells = cells_of(self._rows, values)
        text = cells.text("prompt")
        if not text and image_set:
            text = image_set.cells.text("prompt")
        prompt = prompts.get(text) or Prompt("", text)
        return self._edit(image_set, prompt, line=node.line, pair=cells)

    def _edit(
        self,
        image_set: ImageSet | None,
        prompt: Prompt,
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

    def sets(self, nodes: Sequence[YamlNode]) -> Iterator[ImageSet | Problem]:
        """The image sets, each with an id of its own where it states none."""
        ids = _SetIds(nodes)
        for node in nodes:
            values = values_of(node, "images")
            if values is None:
                yield self._rows.problem(node.line, "an image set is a mapping (id: …, images: …)")
                continue
            pattern = values.pop("each", None)
            named = values.pop("ids", None) if pattern is not None else None
            try:
                weight = read_weight(values.pop("sample_weight", None), "sample_weight")
            except RowError as error:
                yield self._rows.problem(node.line, str(error))
                continue
            cells = cells_of(self._rows, values)
            name = normalised(cells.text("id"))
            if pattern is not None:
                if named not in (None, "path", "name"):
                    message = f"ids: {quoted(named)} is neither 'name' nor 'path'"
                    yield self._rows.problem(node.line, message)
                    continue
                by_path = named == "path"
                yield from self._each(
                    node.line, pattern, cells, ids, by_path=by_path, weight=weight
                )
            elif name and (problem := name_problem(name)):
                yield self._rows.problem(
                    node.line, f"the id {quoted(name)} cannot name a file: {problem} (change it)"
                )
            elif name:
                yield ImageSet(node.line, name, False, cells, cells.entries, weight)
            else:
                stem = self._stem(cells)
                yield ImageSet(node.line, ids.new(stem), True, cells, cells.entries, weight)

    def _each(
        self,
        line: int,
        pattern: Any,
        cells: Cells,
        ids: "_SetIds",
        *,
        by_path: bool,
        weight: float,
    ) -> Iterator[ImageSet | Problem]:
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
            stem = _path_name(ref) if by_path else stem_of(ref)
            yield ImageSet(line, ids.new(stem), True, cells, [source, *cells.entries], weight)

    def _stem(self, cells: Cells) -> str:
        try:
            refs: Sequence[ImageRef] = [*self._rows.images.refs(cells.entries[0])]
        except (RowError, IndexError):
            return ""  # the edit's own message says what is wrong
        return stem_of(refs[0])


def _path_name(ref: ImageRef) -> str:
    """``shoes-red`` for ``shoes/red.jpg``: no other file's coming or going changes it."""
    return "-".join(PurePosixPath(ref.source.removeprefix("./")).with_suffix("").parts)


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
