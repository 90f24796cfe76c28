"""A Merchant feed as XML: RSS 2.0, RSS 1.0 or Atom, item by item."""

from collections.abc import Callable, Iterator
from typing import IO

from pipeline.errors import ManifestError
from pipeline.manifest.merchant import Item
from pipeline.manifest.problems import quoted
from pipeline.manifest.safe_xml import PIECE, local, parse
from pipeline.manifest.text_lines import cannot_read

MAX_FEED = 4 * 1024 * 1024 * 1024
"""Bytes: Merchant Center itself takes 4 GB."""

MAX_ITEM = 1024 * 1024
"""Characters of one item."""

MAX_DEPTH = 64

_ROOTS = ("rss", "feed", "RDF")
_ITEMS = ("item", "entry")
_BETWEEN = ":"
"""Between the elements of a group, such as shipping: US:5.00 USD."""


def xml_items(file: IO[bytes], label: str) -> Iterator[Item]:
    """The items, as they come. Raises `ManifestError`."""
    handler = _Feed(label)
    pieces = _pieces(file, label)
    for _ in parse(pieces, handler, label=label, limit=MAX_FEED, where=handler.located):
        yield from handler.items
        handler.items.clear()
    if not handler.count:
        raise ManifestError(f"{label}: a feed without items (export it again)")


def _pieces(file: IO[bytes], label: str) -> Iterator[bytes]:
    try:
        while piece := file.read(PIECE):
            yield piece
    except OSError as error:
        raise cannot_read(label, error) from error


class _Feed:
    """``items``: complete ones, for whoever takes them."""

    def __init__(self, label: str) -> None:
        self.items: list[Item] = []
        self.count = 0
        self._label = label
        self._line: Callable[[], int] = lambda: 0
        self._depth = 0
        self._item: Item | None = None
        self._item_depth = 0
        self._name = ""
        self._plain: dict[str, list[str]] = {}  # attributes without Google's prefix
        self._found = self._plain
        self._pieces: list[str] = []
        self._size = 0

    def located(self, line: Callable[[], int]) -> None:
        self._line = line

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        written, name = name, local(name)
        if self._depth == 1 and name not in _ROOTS:
            raise ManifestError(
                f"{self._label}:{self._line()}: no product feed: its root is <{quoted(name)[1:-1]}>"
                " (a Merchant feed is RSS or Atom)"
            )
        if self._depth > MAX_DEPTH:
            raise ManifestError(
                f"{self._label}:{self._line()}: nested too deeply (export it again)"
            )
        if self._item is None:
            if name in _ITEMS:
                self._item = Item(self._line(), {})
                self._item_depth = self._depth
                self._size = 0
                self.count += 1
            return
        if self._depth == self._item_depth + 1:
            self._name = name.lower()
            self._found = self._item.attributes if written.startswith("g:") else self._plain
            self._pieces = []
            if name == "link" and (target := attributes.get("href")):
                self._pieces.append(target)
        elif self._depth == self._item_depth + 2:
            self._drop_space()

    def end(self, name: str) -> None:
        item = self._item
        if item is not None and self._depth == self._item_depth:
            # An entry of Atom has an id of its own, besides the product's: Google's word counts.
            item.attributes.update(
                {n: t for n, t in self._plain.items() if n not in item.attributes}
            )
            self.items.append(item)
            self._item, self._plain = None, {}
        elif item is not None and self._depth == self._item_depth + 1:
            self._drop_space()
            if self._pieces[-1:] == [_BETWEEN]:
                self._pieces.pop()
            if text := "".join(self._pieces).strip():
                self._found.setdefault(self._name, []).append(text)
        elif item is not None and self._depth == self._item_depth + 2:
            self._pieces.append(_BETWEEN)
        self._depth -= 1

    def _drop_space(self) -> None:
        """Between the elements of a group."""
        if self._pieces and self._pieces[-1].isspace():
            self._pieces.pop()

    def text(self, data: str) -> None:
        if self._item is None or self._depth <= self._item_depth:
            return
        self._size += len(data)
        if self._size > MAX_ITEM:
            raise ManifestError(
                f"{self._label}:{self._item.line}: an item of more than {MAX_ITEM // 1024:,} kB"
                " (is it ever closed?)"
            )
        self._pieces.append(data)
