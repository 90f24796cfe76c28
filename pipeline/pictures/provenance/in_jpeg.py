"""JPEG: XMP and EXIF in APP1, C2PA in APP11 (JUMBF), legacy IPTC in APP13."""

import struct

from pipeline.models import FileSlice
from pipeline.pictures import jpeg
from pipeline.pictures.provenance.embedded import (
    MAX_MANIFEST_BYTES,
    Embedded,
    Span,
    spliced,
)
from pipeline.pictures.source import Damaged, Source

_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF = b"Exif\0\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_APP0, _APP1, _APP11, _APP13, _COMMENT = 0xE0, 0xE1, 0xEB, 0xED, 0xFE

MAX_SEGMENT_PACKET = 0xFFFF - 2 - len(_XMP)
"""Bytes of a packet that one segment can hold."""


def embedded(source: Source) -> Embedded:
    """Raises `Damaged`."""
    packets: list[bytes] = []
    texts: list[str] = []
    exif, manifest = b"", b""
    manifest_bytes = iptc_bytes = 0
    for marker, at, length in jpeg.segments(source):
        inside, size = at + 4, length - 4
        if marker == _APP1:
            head = source.read(inside, min(size, len(_MORE_XMP)))
            if head.startswith(_XMP):
                packets.append(source.read(inside + len(_XMP), size - len(_XMP)))
            elif head == _MORE_XMP:
                texts.append("extended XMP")
            elif head.startswith(_EXIF):
                exif = exif or source.read(inside + len(_EXIF), size - len(_EXIF))
        elif marker == _APP11 and source.read(inside, 2) == b"JP":
            # Common identifier, box instance, packet number; from the second one on, what follows
            # repeats the box's header.
            skip = 8 if not manifest else 16
            manifest_bytes += max(0, size - skip)
            if len(manifest) < MAX_MANIFEST_BYTES:
                manifest += source.read(inside + skip, max(0, size - skip))
        elif marker == _APP13 and source.read(inside, len(_PHOTOSHOP)) == _PHOTOSHOP:
            iptc_bytes += _iptc_bytes(source.read(inside + len(_PHOTOSHOP), size - len(_PHOTOSHOP)))
        elif marker == _COMMENT:
            texts.append("comment")
    return Embedded(
        xmp=tuple(packets),
        manifest=manifest,
        manifest_bytes=manifest_bytes,
        exif=exif,
        iptc_bytes=iptc_bytes,
        texts=tuple(dict.fromkeys(texts)),
    )


def rewritten(source: Source, packet: bytes) -> tuple[bytes | FileSlice, ...]:
    """The picture with this packet and no other. Raises `Damaged`.

    An extended part of what was there (segments of their own) stays, as the packet still names it.
    """
    if len(packet) > MAX_SEGMENT_PACKET:
        raise Damaged(
            f"would need {len(packet):,} bytes of XMP, and JPEG has room for"
            f" {MAX_SEGMENT_PACKET:,}: shorten description, alt text or prompt"
        )
    drop: list[Span] = []
    place = 2
    leading = True
    for marker, at, length in jpeg.segments(source):
        head = source.read(at + 4, min(length - 4, len(_XMP)))
        if marker == _APP1 and head == _XMP:
            drop.append((at, length))
            continue
        # JFIF and EXIF want to come first.
        leading = leading and (marker == _APP0 or (marker == _APP1 and head.startswith(_EXIF)))
        if leading:
            place = at + length
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(_XMP) + len(packet)) + _XMP + packet
    return spliced(source, drop, {place: segment})


def _iptc_bytes(resources: bytes) -> int:
    """Of the resource 0x0404 among Photoshop's image resources."""
    at = 0
    while resources[at : at + 4] == b"8BIM":
        name = resources[at + 6] if len(resources) > at + 6 else 0
        start = at + 6 + name + 1 + ((name + 1) & 1)
        size = int.from_bytes(resources[start : start + 4], "big")
        if resources[at + 4 : at + 6] == b"\x04\x04":
            return size
        at = start + 4 + size + (size & 1)
    return 0
