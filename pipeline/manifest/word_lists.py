"""Word lists: what a prompt's variables may say, here or in a file of one word a line."""

import os
from collections.abc import Iterator, Sequence
from heapq import nsmallest
from pathlib import Path
from typing import Any

import msgspec

from pipeline.manifest.columns import template_name
from pipeline.manifest.names import normalised, sanitised
from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader
from pipeline.manifest.sampling import rank, read_weight
from pipeline.manifest.templates import is_template
from pipeline.manifest.text_lines import small_text

MAX_BYTES = 16 * 1024 * 1024
MAX_WORDS = 100_000
"""Of one list: a product of two such lists is a matter of sampling, not of reading."""

LONGEST_LABEL = 40
"""Characters of a value in an id; a longer one is cut and gets a few digits of its hash."""

_KEYS = ("file", "list", "pick")


class Word(msgspec.Struct, frozen=True):
    """``text``: as templates get it. ``label``: as ids have it."""

    text: str
    label: str
    weight: float = 1.0


class WordList(msgspec.Struct, frozen=True, kw_only=True):
    """``name``: the variable. ``pick``: so many words for each combination of everything else."""

    name: str
    words: tuple[Word, ...]
    pick: int | None = None

    def chosen(self, seed: str, identity: str) -> Sequence[Word]:
        """All words; with ``pick`` those with the lowest ranks for this combination."""
        if self.pick is None or self.pick >= len(self.words):
            return self.words
        place = f"{identity}\x1f{self.name}\x1f"
        ranks = {word: rank(seed, place + word.text, word.weight) for word in self.words}
        first = {*nsmallest(self.pick, ranks, key=ranks.__getitem__)}
        return [word for word in self.words if word in first]


class Labels:
    """Short names for values, safe in a file name and unlike each other within one list.

    A value keeps its label when others are added behind it.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, text: str) -> str:
        label = sanitised(normalised(text).replace("\n", " ")).strip() or "_"
        if len(label) > LONGEST_LABEL:
            label = f"{label[: LONGEST_LABEL - 5].rstrip(' .')}-{_digits(text)}"
        if label.casefold() in self._taken:
            label = f"{label}-{_digits(text)}"
        self._taken.add(label.casefold())
        return label


def read_word_lists(value: Any, rows: RowReader, folder: Path) -> tuple[WordList, ...]:
    """``words: {colour: [red, {word: gold, weight: 0.2}], scene: {file: scenes.txt, pick: 2}}``.

    ``folder``: of the manifest; files lie in it or below. Raises `RowError`.
    """
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise RowError("words is a mapping (colour: [red, green])")
    return tuple([_word_list(name, given, rows, folder) for name, given in value.items()])


def _word_list(written: str, given: Any, rows: RowReader, folder: Path) -> WordList:
    what = f"words.{written}"
    name = template_name(written)
    if not name.isidentifier() or rows.columns.column(written).role != "variable":
        raise RowError(
            f"{what}: {quoted(written)} cannot name a word list (a variable's name; parameters of"
            " the model stand under 'matrix')"
        )
    pick = None
    if isinstance(given, dict):
        for key in given:
            if key not in _KEYS:
                raise RowError(f"{what}: unknown key {quoted(key)} (file, list, pick)")
        if ("file" in given) == ("list" in given):
            raise RowError(f"{what}: it has either a 'file' or a 'list'")
        pick = _pick(given.get("pick"), what)
        given = list(_lines(str(given["file"]), folder, what)) if "file" in given else given["list"]
    if not isinstance(given, list) or not given:
        raise RowError(f"{what}: no words (a list, or {{file: words.txt}})")
    labels = Labels()
    words: dict[str, Word] = {}
    for each in given:
        text, weight = _word(each, what)
        if text in words:
            raise RowError(f"{what}: {quoted(text)} is there twice (for more of it, a weight)")
        words[text] = Word(text, labels.of(text), weight)
    return WordList(name=name, words=tuple(words.values()), pick=pick)


def _word(value: Any, what: str) -> tuple[str, float]:
    weight = None
    if isinstance(value, dict):
        if set(value) - {"word", "weight"} or "word" not in value:
            raise RowError(
                f"{what}: {quoted(value)} is no word (gold, or {{word: gold, weight: 2}})"
            )
        value, weight = value["word"], value.get("weight")
    if not isinstance(value, str) or not value.strip():
        raise RowError(f"{what}: {quoted(value)} is no word (write it in quotes)")
    if is_template(value):
        raise RowError(f"{what}: {quoted(value)} is a template (words are used as they are)")
    return value.strip(), read_weight(weight, what)


def _lines(name: str, folder: Path, what: str) -> Iterator[Any]:
    """One word a line, perhaps a tab and its weight; ``#`` starts a comment line."""
    root = os.path.realpath(folder)
    path = Path(os.path.realpath(folder / name))
    if not path.is_relative_to(root):
        raise RowError(f"{what}: {quoted(name)} lies outside the manifest's folder (put it there)")
    lines = [line.strip() for line in small_text(path, f"{what}: {name}", MAX_BYTES).splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) > MAX_WORDS:
        raise RowError(f"{what}: {name}: more than {MAX_WORDS:,} words (split it)")
    for line in lines:
        word, tab, weight = line.partition("\t")
        yield {"word": word, "weight": weight.strip()} if tab else line


def _pick(value: Any, what: str) -> int | None:
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_WORDS):
        raise RowError(f"{what}.pick: {quoted(value)} is no whole number from 1")
    return int(text)


def _digits(text: str) -> str:
    import hashlib

    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=2).hexdigest()
