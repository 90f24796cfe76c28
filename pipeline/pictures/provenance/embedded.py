"""What formats have in common: what lies in a picture beside its pixels, and putting XMP there."""

import zlib
from collections.abc import Iterable

import msgspec

from pipeline.models import FileSlice
from pipeline.pictures.layout import Pieces
from pipeline.pictures.provenance.xmp import MAX_PACKET_BYTES
from pipeline.pictures.source import Damaged, Source

MAX_MANIFEST_BYTES = 16 << 20
"""Of a C2PA manifest, what is looked at; the rest is counted."""

MAX_EXIF_BYTES = 1 << 20


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """``xmp``: packets, whole. ``manifest``: of C2PA (JUMBF), its first `MAX_MANIFEST_BYTES`, and
    its ``manifest_bytes`` in all. ``exif``: TIFF structure without its header. ``iptc_bytes``: of
    legacy IPTC (IIM). ``texts``: keywords of PNG's text chunks, kinds of JPEG's comments.
    """

    xmp: tuple[bytes, ...] = ()
    manifest: bytes = b""
    manifest_bytes: int = 0
    exif: bytes = b""
    iptc_bytes: int = 0
    texts: tuple[str, ...] = ()


Span = tuple[int, int]
"""Offset and length."""


def spliced(
    source: Source, drop: Iterable[Span], insert: dict[int, bytes]
) -> tuple[bytes | FileSlice, ...]:
    """The source without some spans, and with something before some offsets.

    Everything else is taken as it lies, byte for byte, behind the picture's end too.
    """
    gone = sorted(drop)
    pieces = Pieces(source)
    at = 0
    for edge in sorted({*insert, *(span[0] for span in gone), source.size}):
        if edge > at:
            pieces.keep(at, edge - at)
            at = edge
        if edge in insert:
            pieces.insert(insert[edge])
        for offset, length in gone:
            if offset == edge:
                at = max(at, offset + length)
    return pieces.parts()


def packet_of(source: Source, at: int, length: int) -> bytes:
    """An uncompressed packet. Raises `Damaged` for one that is too large."""
    if length > MAX_PACKET_BYTES:
        raise Damaged(f"has XMP of {length >> 20} MB, more than {MAX_PACKET_BYTES >> 20}")
    return source.read(at, length)


def inflated(data: bytes) -> bytes:
    """A compressed packet. Raises `Damaged` for a broken one, and for one that unfolds too far."""
    unfolding = zlib.decompressobj()
    try:
        packet = unfolding.decompress(data, MAX_PACKET_BYTES + 1)
    except zlib.error as error:
        raise Damaged(f"has compressed XMP that is broken ({error})") from error
    if len(packet) > MAX_PACKET_BYTES:
        raise Damaged(f"has compressed XMP of more than {MAX_PACKET_BYTES >> 20} MB")
    if not unfolding.eof:
        raise Damaged("has compressed XMP that is cut off")
    return packet
