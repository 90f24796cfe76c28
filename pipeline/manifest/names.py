"""Names that are safe as file names everywhere, and taken only once, whatever their case."""

import re
import unicodedata
from array import array
from collections.abc import Callable

MAX_CHARACTERS = 120
MAX_BYTES = 200
"""Of one name; file systems allow 255 and the store adds a number and an extension."""

MAX_OUTPUT_CHARACTERS = 400
"""Of an output with its folders: Windows and archive formats have limits on whole paths."""

# Longest first part of a made name: the rest is for its number.
_STEM_CHARACTERS = MAX_CHARACTERS - 10
_STEM_BYTES = MAX_BYTES - 10

_DEVICES = r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:\..*)?"
_RESERVED = re.compile(_DEVICES, re.DOTALL).fullmatch
_ORDINARY = re.compile(
    rf"(?!{_DEVICES}\Z)[A-Za-z0-9_-](?:[A-Za-z0-9_. -]{{0,100}}[A-Za-z0-9_-])?"
).fullmatch
_FORBIDDEN = re.compile(
    # Windows' characters; controls; what changes the direction or the line of a text in a
    # terminal; halves of surrogate pairs, which no file system can encode.
    r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]'
)
_EDGES = re.compile(r"^[\s.]+|[\s.]+$")


def name_problem(name: str) -> str | None:
    """Why ``name`` cannot be one component of a file's path on some system; ``None`` if it can."""
    if _ORDINARY(name):
        return None
    if not name or name.isspace():
        return "it is empty"
    if found := _FORBIDDEN.search(name):
        return f"{found.group()!r} cannot be part of a file name everywhere"
    if name[0] in ". " or name[-1] in ". ":
        return "a dot or space at either end is lost or hidden on some systems"
    if _RESERVED(name):
        return f"{name!r} is a reserved name on Windows"
    if len(name) > MAX_CHARACTERS or len(name.encode()) > MAX_BYTES:
        return f"it is longer than {MAX_CHARACTERS} characters or {MAX_BYTES} bytes"
    return None


def output_problem(output: str) -> str | None:
    """The same for a path with forward slashes below the pictures' folder."""
    if len(output) > MAX_OUTPUT_CHARACTERS:
        return f"it is longer than {MAX_OUTPUT_CHARACTERS} characters"
    for part in output.split("/"):
        if problem := name_problem(part):
            return problem
    return None


def sanitised(text: str) -> str:
    """A safe name made from any text; may be empty. Leaves room for a number behind it."""
    if _ORDINARY(text):
        return text
    name = unicodedata.normalize("NFC", _FORBIDDEN.sub("_", text))
    name = name[:_STEM_CHARACTERS].encode()[:_STEM_BYTES].decode(errors="ignore")
    name = _EDGES.sub("", name)
    return f"_{name}" if _RESERVED(name) else name


def normalised(name: str) -> str:
    """One spelling for what looks the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


_SHARDS = 256


class Claims:
    """Who has which name, by letter case folded: 35 MB for a million names.

    Names are kept as 64-bit hashes in open-addressed tables, each with the place (a number above
    0) of its owner: two different names are taken for one with a chance of 1 in 30 million for a
    million names. Many small tables, so that none makes the reader pause while it grows.
    """

    def __init__(self) -> None:
        self._keys = [array("q", bytes(8 * 16)) for _ in range(_SHARDS)]
        self._places = [array("Q", bytes(8 * 16)) for _ in range(_SHARDS)]
        self._used = [0] * _SHARDS

    def owner(self, name: str) -> int:
        """The place that has the name, or 0."""
        key = hash(_folded(name)) or 1
        keys = self._keys[key % _SHARDS]
        mask = len(keys) - 1
        at = (key >> 8) & mask
        while found := keys[at]:
            if found == key:
                return self._places[key % _SHARDS][at]
            at = (at + 1) & mask
        return 0

    def claim(self, name: str, place: int) -> int:
        """Gives the name to ``place`` and returns 0, or returns the place that has it already."""
        key = hash(_folded(name)) or 1
        shard = key % _SHARDS
        keys = self._keys[shard]
        mask = len(keys) - 1
        at = (key >> 8) & mask
        while found := keys[at]:
            if found == key:
                return self._places[shard][at]
            at = (at + 1) & mask
        keys[at] = key
        self._places[shard][at] = place
        self._used[shard] += 1
        if self._used[shard] * 3 > mask * 2:
            self._grow(shard)
        return 0

    def _grow(self, shard: int) -> None:
        old_keys, old_places = self._keys[shard], self._places[shard]
        size = len(old_keys) * 2
        keys, places = array("q", bytes(8 * size)), array("Q", bytes(8 * size))
        mask = size - 1
        for key, place in zip(old_keys, old_places, strict=True):
            if key:
                at = (key >> 8) & mask
                while keys[at]:
                    at = (at + 1) & mask
                keys[at], places[at] = key, place
        self._keys[shard], self._places[shard] = keys, places


_COUNTERS = 20_000


class MadeNames:
    """``shoe``, ``shoe-2``, ``shoe-3``: the next number of a stem, without counting from the start.

    Only the most recent stems are remembered; a forgotten one is counted again.
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def free(self, stem: str, is_free: Callable[[str], bool]) -> str:
        number = self._next.get(stem, 1)
        name = stem if number == 1 else f"{stem}-{number}"
        while not is_free(name):
            number += 1
            name = f"{stem}-{number}"
        if number > 1:
            if len(self._next) >= _COUNTERS:
                self._next.clear()
            self._next[stem] = number + 1
        return name
