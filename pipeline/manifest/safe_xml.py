"""XML from elsewhere, read as it comes: no document types, no entities, everything bounded."""

import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol
from xml.parsers import expat
from zipfile import BadZipFile

from pipeline.errors import ManifestError

_CHUNK = 256 * 1024

MAX_TOKEN = 32 * 1024 * 1024
"""Bytes of one tag or attribute, which the parser holds in memory until it ends."""


class XmlHandler(Protocol):
    """Hears of elements. ``at()`` of `parse` says where."""

    def start(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, data: str) -> None: ...


def parse(
    file: IO[bytes],
    handler: XmlHandler,
    *,
    label: str,
    limit: int,
    where: Callable[[Callable[[], int]], None] = lambda line: None,
) -> Iterator[None]:
    """Feeds the handler and pauses after each piece, so that what was found can be taken.

    Element names come without their prefixes. ``limit``: bytes, unpacked. ``where`` is given a
    function that tells the present line. Raises `ManifestError`: a document type (the door to
    entities and foreign files), no XML, an encoding that is not what it says, a limit.
    """
    # A parser has no way to fetch anything, and without a document type nothing to expand.
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = 64 * 1024
    parser.StartElementHandler = lambda name, found: handler.start(_local(name), found)
    parser.EndElementHandler = lambda name: handler.end(_local(name))
    parser.CharacterDataHandler = handler.text

    def refuse(*_: object) -> None:
        raise ManifestError(
            f"{label}:{parser.CurrentLineNumber}: a document type (<!DOCTYPE …>), which is not"
            " read from files of others (save it without one)"
        )

    parser.StartDoctypeDeclHandler = refuse
    where(lambda: parser.CurrentLineNumber)
    fed = 0
    try:
        while chunk := read(file, _CHUNK, label):
            fed += len(chunk)
            if fed > limit:
                raise ManifestError(
                    f"{label}: more than {limit // 1024 // 1024:,} MB of XML (split it)"
                )
            parser.Parse(chunk, False)
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
    except (LookupError, ValueError) as error:
        # Encodings that Python does not know, or that cannot be used here.
        raise ManifestError(f"{label}: its encoding is not read: {error} (use UTF-8)") from None


def read(file: IO[bytes], size: int, label: str) -> bytes:
    """A piece of a file, or of a part of an archive. Raises `ManifestError`."""
    try:
        return file.read(size)
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ManifestError(f"{label}: the file is damaged: {error} (save it again)") from None
    except OSError as error:
        raise ManifestError(
            f"{label}: {error.strerror or error} (check the path and its permissions)"
        ) from error


def _local(name: str) -> str:
    return name[name.find(":") + 1 :]
