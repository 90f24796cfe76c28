"""WebP: XMP in a chunk of that name behind the pixels, announced in the extended header (VP8X)."""

import struct

from pipeline.models import FileSlice
from pipeline.pictures import webp
from pipeline.pictures.provenance.embedded import (
    MAX_EXIF_BYTES,
    MAX_MANIFEST_BYTES,
    Embedded,
    Span,
    packet_of,
    spliced,
)
from pipeline.pictures.source import Damaged, Source

_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10
_LARGEST_RIFF = 0xFFFFFFFF - 1


def embedded(source: Source) -> Embedded:
    """Raises `Damaged`."""
    packets: list[bytes] = []
    exif, manifest, manifest_bytes = b"", b"", 0
    for kind, at, length in webp.chunks(source, webp.riff_end(source)):
        if kind == b"XMP ":
            packets.append(packet_of(source, at, length))
        elif kind == b"EXIF" and length <= MAX_EXIF_BYTES:
            exif = exif or source.read(at, length).removeprefix(b"Exif\0\0")
        elif kind == b"C2PA":
            manifest_bytes += length
            manifest += source.read(at, min(length, MAX_MANIFEST_BYTES - len(manifest)))
    return Embedded(xmp=tuple(packets), exif=exif, manifest=manifest, manifest_bytes=manifest_bytes)


def rewritten(source: Source, packet: bytes) -> tuple[bytes | FileSlice, ...]:
    """The picture with this packet and no other. Raises `Damaged`."""
    end = webp.riff_end(source)
    drop: list[Span] = [(0, 12)]
    extended = first = b""
    size = (0, 0)
    alpha = 0
    last = 12
    for kind, at, length in webp.chunks(source, end):
        whole = min(8 + length + (length & 1), end - at + 8)
        head = source.read(at, min(length, 10))
        if not first:
            first, size = kind, webp.frame_size(kind, head)
            if kind == b"VP8L" and head[4] & 0x10:
                alpha = _ALPHA_FLAG
        if kind == b"VP8X":
            extended = source.read(at, length)
            drop.append((at - 8, whole))
        elif kind == b"XMP ":
            drop.append((at - 8, whole))
        last = at - 8 + whole
    if extended:
        header = bytes((extended[0] | _XMP_FLAG,)) + extended[1:]
    else:
        width, height = (side - 1 for side in size)
        flags = bytes((_XMP_FLAG | alpha, 0, 0, 0))
        header = flags + width.to_bytes(3, "little") + height.to_bytes(3, "little")
    kept = last - sum(span[1] for span in drop)
    # A last chunk of odd length may come without its padding.
    padding = bytes(kept % 2)
    chunk = padding + b"XMP " + struct.pack("<I", len(packet)) + packet + bytes(len(packet) & 1)
    body = b"VP8X" + struct.pack("<I", len(header)) + header + bytes(len(header) & 1)
    total = 4 + len(body) + kept + len(chunk)
    if total > _LARGEST_RIFF:
        raise Damaged("is too large to hold more")
    riff = b"RIFF" + struct.pack("<I", total) + b"WEBP" + body
    if end > last:
        drop.append((last, end - last))
    return spliced(source, drop, {0: riff, last: chunk})
