"""YAML from people, read safely: no tags, bounded aliases, a line number for every value.

Values are read as YAML 1.2's core does, not 1.1: ``16:9`` is a ratio and no number of seconds,
``no`` is a word, ``0123`` keeps its zero as text.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import ConfigError
from pipeline.manifest.text_lines import cannot_read, decoded

MAX_BYTES = 64 * 1024 * 1024
MAX_NODES = 4_000_000
"""Values of one file: 1.5 GB of memory at most, far beyond what a person writes in YAML."""
MAX_EXPANDED = 1_000_000
"""Values that aliases may add."""
MAX_DEPTH = 50

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,18})").fullmatch
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
).fullmatch
_WORDS: dict[str, Any] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_TAGS = ("!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_HINT = "a text that starts with a brace, bracket, quote, * or &, or holds ': ', stands in quotes"


class YamlScalar(msgspec.Struct, frozen=True):
    """``text`` as written; ``value`` what it means: a text, number, truth value or ``None``."""

    line: int
    text: str
    value: Any


class YamlList(msgspec.Struct, frozen=True):
    """``size``: values in it, aliases expanded."""

    line: int
    items: list["YamlNode"]
    size: int


class YamlMap(msgspec.Struct, frozen=True):
    """``lines``: of the keys."""

    line: int
    entries: dict[str, "YamlNode"]
    lines: dict[str, int]
    size: int


YamlNode = YamlScalar | YamlList | YamlMap


def load_yaml(path: Path, label: str, *, error: type[ConfigError]) -> YamlMap:
    """The file's mapping. ``label``: what messages call the file. Raises ``error``."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as cause:
        raise error(str(cannot_read(label, cause))) from cause
    if len(data) > MAX_BYTES:
        raise error(
            f"{label}: larger than {MAX_BYTES // 1024 // 1024} MB (large manifests are CSV or"
            " JSONL, which stream)"
        )
    try:
        text = decoded(data, label)
    except ConfigError as cause:
        raise error(str(cause)) from None
    root = _Builder(label, error).document(text)
    if not isinstance(root, YamlMap):
        raise error(f"{label}: no mapping (it has 'key: value' lines)")
    return root


def plain(node: YamlNode) -> Any:
    """The node's Python value."""
    if isinstance(node, YamlScalar):
        return node.value
    if isinstance(node, YamlList):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.entries.items()}


def as_text(node: YamlNode) -> Any:
    """The same with texts as written: a date, ``007`` or ``1.50`` stays what it looks like."""
    if isinstance(node, YamlScalar):
        return None if node.value is None else node.text
    if isinstance(node, YamlList):
        return [as_text(item) for item in node.items]
    return {key: as_text(value) for key, value in node.entries.items()}


class _Builder:
    def __init__(self, label: str, error: type[ConfigError]) -> None:
        self._label = label
        self._error = error
        self._anchors: dict[str, YamlNode] = {}
        self._count = 0
        self._expanded = 0
        self._events: Iterator[Any] = iter(())

    def document(self, text: str) -> YamlNode | None:
        import yaml

        self._events = iter(yaml.parse(text, Loader=yaml.CBaseLoader))
        root = None
        try:
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        raise self._refused(event, "a second document (one file, one document)")
                    root = self._node(next(self._events), 0)
        except yaml.MarkedYAMLError as cause:
            mark = cause.problem_mark or cause.context_mark
            line = (mark.line if mark else 0) + 1
            what = cause.problem or cause.context or "cannot be read"
            raise self._error(f"{self._label}:{line}: {what} ({_HINT})") from None
        except yaml.YAMLError as cause:
            raise self._error(f"{self._label}: no YAML: {str(cause).splitlines()[0]}") from None
        return root

    def _node(self, event: Any, depth: int) -> YamlNode:
        from yaml import AliasEvent, ScalarEvent, SequenceStartEvent

        if isinstance(event, AliasEvent):
            return self._alias(event)
        self._count += 1
        if self._count > MAX_NODES:
            raise self._refused(event, f"more than {MAX_NODES:,} values (use CSV or JSONL)")
        if depth > MAX_DEPTH:
            raise self._refused(event, f"nested deeper than {MAX_DEPTH} (flatten it)")
        if event.tag is not None and event.tag not in _TAGS:
            raise self._refused(event, f"the tag {event.tag!r} is not read (remove it)")
        line: int = event.start_mark.line + 1
        node: YamlNode
        if isinstance(event, ScalarEvent):
            typed = event.tag is None and not event.style
            value = _meaning(event.value) if typed else event.value
            node = YamlScalar(line, event.value, value)
        elif isinstance(event, SequenceStartEvent):
            node = self._list(event, depth)
        else:
            node = self._map(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> YamlNode:
        node = self._anchors.get(event.anchor)
        if node is None:  # unknown, or the collection that it stands in
            raise self._refused(event, f"'*{event.anchor}' stands for nothing before it")
        self._expanded += _size(node)
        if self._expanded > MAX_EXPANDED:
            raise self._refused(
                event, f"aliases add more than {MAX_EXPANDED:,} values (write them out)"
            )
        return node

    def _list(self, event: Any, depth: int) -> YamlList:
        from yaml import SequenceEndEvent

        items: list[YamlNode] = []
        size = 1
        while not isinstance(next_event := next(self._events), SequenceEndEvent):
            items.append(self._node(next_event, depth + 1))
            size += _size(items[-1])
        return YamlList(event.start_mark.line + 1, items, size)

    def _map(self, event: Any, depth: int) -> YamlMap:
        from yaml import MappingEndEvent

        entries: dict[str, YamlNode] = {}
        lines: dict[str, int] = {}
        merged: list[YamlMap] = []
        size = 1
        while not isinstance(next_event := next(self._events), MappingEndEvent):
            key = self._node(next_event, depth + 1)
            if not isinstance(key, YamlScalar):
                raise self._refused(next_event, f"a key that is no text ({_HINT})")
            value = self._node(next(self._events), depth + 1)
            size += 1 + _size(value)
            if key.text == "<<":
                merged += self._sources(next_event, value)
                continue
            if key.text in entries:
                raise self._refused(
                    next_event,
                    f"the key {key.text!r} is there twice, first in line {lines[key.text]}"
                    " (remove one)",
                )
            entries[key.text], lines[key.text] = value, key.line
        for source in merged:  # what is written here wins, then the first source
            for name, value in source.entries.items():
                if name not in entries:
                    entries[name], lines[name] = value, source.lines[name]
        return YamlMap(event.start_mark.line + 1, entries, lines, size)

    def _sources(self, event: Any, value: YamlNode) -> list[YamlMap]:
        nodes = value.items if isinstance(value, YamlList) else [value]
        sources = [node for node in nodes if isinstance(node, YamlMap)]
        if len(sources) != len(nodes):
            raise self._refused(event, "'<<' takes a mapping, or a list of mappings")
        return sources

    def _refused(self, event: Any, what: str) -> ConfigError:
        return self._error(f"{self._label}:{event.start_mark.line + 1}: {what}")


def _size(node: YamlNode) -> int:
    return 1 if isinstance(node, YamlScalar) else node.size


def _meaning(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER(text):
        return int(text)
    if _FLOAT(text):
        return float(text)
    return text
