"""XML from elsewhere, read as it comes: no document types, no entities, everything bounded."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol
from xml.parsers import expat

from pipeline.errors import ManifestError
from pipeline.manifest.problems import quoted

PIECE = 256 * 1024
"""Bytes to give at a time: what was found in a piece is taken before the next one is read."""

_BUILT_IN = frozenset({"UTF-8", "UTF-16", "UTF-16BE", "UTF-16LE", "ISO-8859-1", "US-ASCII"})

MAX_TOKEN = 32 * 1024 * 1024
"""Bytes of one tag or attribute, which the parser holds in memory until it ends."""


class XmlHandler(Protocol):
    """Hears of elements, by their names with prefixes (see `local`)."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, data: str) -> None: ...


def parse(
    pieces: Iterable[bytes],
    handler: XmlHandler,
    *,
    label: str,
    limit: int,
    where: Callable[[Callable[[], int]], None] = lambda line: None,
) -> Iterator[None]:
    """Feeds the handler and pauses after each piece, so that what was found can be taken.

    ``limit``: bytes, unpacked. ``where`` is given a function that tells the present line. Raises
    `ManifestError`: a document type (the door to entities and foreign files), no XML, an encoding
    that is not what it says, a limit.
    """
    # A parser has no way to fetch anything, and without a document type nothing to expand.
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = 64 * 1024
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text

    def refuse(*_: object) -> None:
        raise ManifestError(
            f"{label}:{parser.CurrentLineNumber}: a document type (<!DOCTYPE …>), which is not"
            " read from files of others (save it without one)"
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.XmlDeclHandler = lambda _version, encoding, _alone: _check_encoding(encoding, label)
    where(lambda: parser.CurrentLineNumber)
    fed = 0
    try:
        for piece in pieces:
            fed += len(piece)
            if fed > limit:
                raise ManifestError(
                    f"{label}: more than {limit // 1024 // 1024:,} MB of XML (split it)"
                )
            parser.Parse(piece, False)
            if fed - max(parser.CurrentByteIndex, 0) > MAX_TOKEN:
                raise ManifestError(
                    f"{label}:{parser.CurrentLineNumber}: one tag is longer than"
                    f" {MAX_TOKEN // 1024 // 1024} MB (the file is damaged)"
                )
            yield
        parser.Parse(b"", True)
        yield
    except expat.ExpatError as error:
        what = expat.errors.messages.get(error.code, "cannot be read")
        raise ManifestError(
            f"{label}:{error.lineno}: no well-formed XML: {what} (export the file again, as UTF-8)"
        ) from None


def local(name: str) -> str:
    """An element's name without its prefix."""
    return name[name.find(":") + 1 :]


def _check_encoding(encoding: str | None, label: str) -> None:
    """Raises `ManifestError` for one that the parser, which asks Python for a table of 256 letters,
    could not read.
    """
    if encoding is None or encoding.upper() in _BUILT_IN:
        return
    try:
        letters = len(bytes(range(256)).decode(encoding, "replace"))
    except (LookupError, ValueError):  # no such codec; one that is for no texts
        letters = 0
    if letters != 256:
        raise ManifestError(
            f"{label}: its encoding is not read: {quoted(encoding)} (save it as UTF-8)"
        )
