"""Edits by design: image sets × prompts × matrix × words × variants, and a sample of them.

Nothing is kept but the image sets: a product of millions is walked through, and walked through
twice where ``count`` chooses some of it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from pipeline.errors import ManifestError
from pipeline.manifest.cells import Cells
from pipeline.manifest.columns import template_name
from pipeline.manifest.matrix import Cell, read_matrix, texts
from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader
from pipeline.manifest.safe_yaml import YamlMap, as_text
from pipeline.manifest.sampling import highest_chosen, rank, read_sample
from pipeline.manifest.templates import Templates
from pipeline.manifest.word_lists import WordList, read_word_lists
from pipeline.manifest.yaml_header import Header, ImageSet, Prompt, cells_of
from pipeline.models import Edit, Problem

T = TypeVar("T")

KEYS = ("matrix", "words", "variants", "count")

MAX_VARIANTS = 1000
SET, PROMPT = "image_set", "prompt_name"
"""Variables that every designed edit has: columns of the results, to group by."""

TWO_PROMPTS = (
    "the image set has a prompt, and 'prompts' are for every set (remove one of the two, or write"
    " pairs under 'edits')"
)


class _Spelled(msgspec.Struct, frozen=True):
    """A word of a list, as a combination has it."""

    list: str
    text: str
    label: str
    weight: float
    identity: str


class Combination(msgspec.Struct, frozen=True):
    """What one edit is made of. ``identity``: its name for the sample, whatever else there is."""

    image_set: ImageSet
    prompt: Prompt
    cell: Cell
    words: tuple["_Spelled", ...]
    variant: int
    identity: str
    weight: float


def is_designed(top: YamlMap, header: Header) -> bool:
    """Whether a manifest asks for more than every set with every prompt."""
    return any(key in top.entries for key in KEYS) or any(p.when for p in header.prompts)


class Design:
    """What a manifest says beside its image sets and prompts. Raises `ManifestError`.

    ``default_prompt``: for sets without prompts.
    """

    def __init__(
        self, top: YamlMap, header: Header, rows: RowReader, *, path: Path, default_prompt: str
    ) -> None:
        self._rows = rows
        self._header = header
        self._default_prompt = default_prompt
        self._templates = Templates(path.parent / "prompts")
        self._line = {key: top.lines.get(key, top.line) for key in KEYS}
        given = {key: as_text(top.entries[key]) for key in KEYS if key in top.entries}
        self._matrix = self._read("matrix", lambda: read_matrix(given.get("matrix"), rows))
        self._lists: Mapping[str, WordList] = self._read(
            "words",
            lambda: {w.name: w for w in read_word_lists(given.get("words"), rows, path.parent)},
        )
        self._sample = self._read("count", lambda: read_sample(given.get("count")))
        self._variants = self._read("variants", lambda: _variants(given.get("variants")))
        if both := sorted(set(self._matrix.axes) & self._lists.keys()):
            raise self._wrong("words", f"{quoted(both[0])} is an axis of the matrix, too")
        self._blank: dict[str, str] = {}
        self._all_words: dict[str, list[_Spelled]] = {}
        self._in_prompt: dict[str, tuple[WordList, ...]] = {}
        self._shared: dict[tuple[int, tuple[int, ...]], Cells] = {}

    def edits(self, sets: Iterator[ImageSet | Problem]) -> Iterator[Edit | Problem]:
        """The chosen edits, in the manifest's order. Raises `ManifestError` about the whole."""
        known: list[ImageSet] = []
        for item in sets:
            if isinstance(item, Problem):
                yield item
            elif item.cells.text("prompt") and self._header.prompts:
                yield self._rows.problem(item.line, TWO_PROMPTS)
            else:
                known.append(item)
        self._check_conditions(known)
        seed, total = self._sample.seed, self._sample.total
        limit = math.inf
        if total is not None:
            ranks = (rank(seed, each.identity, each.weight) for each in self._chosen(known))
            limit = highest_chosen(ranks, total)
        for each in self._chosen(known):
            if limit == math.inf or rank(seed, each.identity, each.weight) <= limit:
                yield self._edit(each)

    def _chosen(self, sets: Sequence[ImageSet]) -> Iterator[Combination]:
        """All, or of each set the ``count.per_set`` with the lowest ranks."""
        for image_set in sets:
            if self._sample.per_set is None:
                yield from self._combinations(image_set)
                continue
            ranked = (
                (rank(self._sample.seed, each.identity, each.weight), at, each)
                for at, each in enumerate(self._combinations(image_set))
            )
            first = nsmallest(self._sample.per_set, ranked, key=lambda item: item[:2])
            yield from [each for _, _, each in sorted(first, key=lambda item: item[1])]

    def _combinations(self, image_set: ImageSet) -> Iterator[Combination]:
        columns = self._columns(image_set)
        prompts = self._header.prompts or [Prompt("", image_set.cells.text("prompt"))]
        excludes = self._matrix.excludes
        for prompt in prompts:
            values = {**columns, "prompt": prompt.name}
            values |= {template_name(name): text for name, text in prompt.variables.items()}
            if not self._suits(prompt, values):
                continue
            lists = self._lists_of(prompt.text)
            for cell in self._matrix.cells:
                if cell.only is not None and not cell.only.hold(values):
                    continue
                stated = texts(cell.values)
                axes = "\x1f".join([f"{name}={text}" for name, text in stated.items()])
                identity = f"{image_set.id}\x1f{prompt.name}\x1f{axes}"
                weight = image_set.weight * prompt.weight * cell.weight
                chosen = [self._words(each, identity) for each in lists]
                for words in product(*chosen):
                    named, heavy = identity, weight
                    for word in words:
                        named += word.identity
                        heavy *= word.weight
                    for variant in range(1, self._variants + 1):
                        if excludes and not cell.added:
                            said = {word.list: word.text for word in words}
                            whole = {**values, **stated, **said, "variant": str(variant)}
                            if any(rule.hold(whole) for rule in excludes):
                                continue
                        name = named if variant == 1 else f"{named}\x1fv{variant}"
                        yield Combination(image_set, prompt, cell, words, variant, name, heavy)

    def _edit(self, made: Combination) -> Edit | Problem:
        image_set, prompt = made.image_set, made.prompt
        values = {**self._columns(image_set), "prompt": prompt.name}
        cells = self._cells(made.cell, values)
        labels = [made.cell.label, *[word.label for word in made.words]]
        labels += [f"v{made.variant}"] if made.variant > 1 else []
        tail = "+".join([label for label in labels if label])
        name = "/".join([part for part in (image_set.id, prompt.name, tail) if part])
        variables = {SET: image_set.id, **({PROMPT: prompt.name} if prompt.name else {})}
        variables |= {**self._header.variables, **prompt.variables, **image_set.cells.variables}
        variables |= {**cells.variables, **{word.list: word.text for word in made.words}}
        stated = image_set.cells.one.get("variant", "")
        return self._rows.edit(
            image_set.line,
            name="" if image_set.made else name,
            made=name if image_set.made else "",
            folders=not image_set.made,
            entries=[*image_set.entries],
            prompt=prompt.text,
            variant=str(made.variant) if made.variant > 1 else stated,
            parameters={**prompt.parameters, **image_set.cells.parameters, **cells.parameters},
            variables=variables,
            problems=[*image_set.cells.problems, *cells.problems],
        )

    def _columns(self, image_set: ImageSet) -> dict[str, str]:
        """What conditions may look at."""
        cells = image_set.cells
        found = {template_name(name): text for name, text in self._header.variables.items()}
        found |= {template_name(name): text for name, text in cells.variables.items()}
        found |= {name: str(value) for name, value in cells.parameters.items()}
        return {**found, "set": image_set.id}

    def _cells(self, cell: Cell, values: Mapping[str, str]) -> Cells:
        """The values of a cell and of what ``include`` adds to it; the same few again and again."""
        extras = tuple(
            [
                at
                for at, extra in enumerate(cell.extras)
                if extra.only is None or extra.only.hold(values)
            ]
        )
        key = (id(cell), extras)
        if key not in self._shared:
            said = dict(cell.values)
            for at in extras:
                said |= cell.extras[at].values
            self._shared[key] = cells_of(self._rows, said)
        return self._shared[key]

    def _words(self, words: WordList, identity: str) -> list[_Spelled]:
        if words.pick is not None:
            return _spelled(words, self._sample.seed, identity)
        if words.name not in self._all_words:
            self._all_words[words.name] = _spelled(words, self._sample.seed, identity)
        return self._all_words[words.name]

    def _lists_of(self, prompt: str) -> tuple[WordList, ...]:
        if not self._lists:
            return ()
        text = prompt or self._default_prompt
        if text not in self._in_prompt:
            named = self._read("words", lambda: self._templates.variables(text))
            found = tuple([words for name, words in self._lists.items() if name in named])
            self._in_prompt[text] = found
        return self._in_prompt[text]

    def _suits(self, prompt: Prompt, values: Mapping[str, str]) -> bool:
        """Whether it is for the image set with these values."""
        when = prompt.when
        if when is None:
            return True
        if not when.hold(values):
            return False
        if not when.expression:
            return True
        try:
            said = {**self._blank, **values}
            return bool(self._templates.render(when.template, {**said, "row": said}))
        except RowError as error:
            message = f"'when' fails for image set {quoted(values.get('set', ''))}: {error}"
            raise self._header.wrong(prompt.line, message) from None

    def _check_conditions(self, sets: Sequence[ImageSet]) -> None:
        """A misspelt column would never hold, and a prompt would be missing in silence."""
        known = {"set", "prompt"}.union(*[self._columns(each) for each in sets])
        prompts = self._header.prompts
        mine = {template_name(name) for prompt in prompts for name in prompt.variables}
        every = {*known, *mine, *self._matrix.axes, *self._lists, "variant"}
        for rule in self._matrix.excludes:
            self._read("matrix", partial(rule.check, every, "exclude"))
        self._blank = dict.fromkeys(known | mine, "")
        sample = self._columns(sets[0]) if sets else {}
        for prompt in prompts:
            if prompt.when is None:
                continue
            try:
                prompt.when.check(known | mine, "when")
                self._templates.check(prompt.when.template)
            except RowError as error:
                raise self._header.wrong(prompt.line, str(error)) from None
            if sample:
                self._suits(prompt, {**sample, "prompt": prompt.name})
        if self._lists and not any(self._lists_of(text) for text in self._texts(sets)):
            raise self._wrong(
                "words", "no prompt mentions any of the word lists (write {{ colour }} in one)"
            )

    def _texts(self, sets: Sequence[ImageSet]) -> set[str]:
        prompts = [prompt.text for prompt in self._header.prompts]
        return {*(prompts or [each.cells.text("prompt") for each in sets])}

    def _read(self, key: str, read: Callable[[], T]) -> T:
        try:
            return read()
        except RowError as error:
            raise self._wrong(key, str(error)) from None

    def _wrong(self, key: str, message: str) -> ManifestError:
        return self._header.wrong(self._line[key], message)


def _spelled(words: WordList, seed: str, identity: str) -> list[_Spelled]:
    return [
        _Spelled(words.name, w.text, w.label, w.weight, f"\x1f{words.name}={w.text}")
        for w in words.chosen(seed, identity)
    ]


def _variants(value: Any) -> int:
    if value is None:
        return 1
    text = str(value)
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_VARIANTS:
        return int(text)
    raise RowError(f"variants: {quoted(value)} is no whole number from 1 to {MAX_VARIANTS:,}")
