"""PNG: XMP in an iTXt chunk, C2PA in caBX, EXIF in eXIf."""

import struct

from zlib_ng.zlib_ng import crc32

from pipeline.models import FileSlice
from pipeline.pictures import png
from pipeline.pictures.provenance.embedded import (
    MAX_EXIF_BYTES,
    MAX_MANIFEST_BYTES,
    Embedded,
    Span,
    inflated,
    packet_of,
    spliced,
)
from pipeline.pictures.provenance.xmp import MAX_PACKET_BYTES
from pipeline.pictures.source import Damaged, Source

_KEYWORD = b"XML:com.adobe.xmp"
_LONGEST_HEAD = 79 + 3 + 512
"""Of a text chunk: keyword, flags, and what language and translation may sensibly take."""


def embedded(source: Source) -> Embedded:
    """Raises `Damaged`."""
    packets: list[bytes] = []
    texts: list[str] = []
    manifest, exif, manifest_bytes, iptc_bytes = b"", b"", 0, 0
    for kind, at, length in png.chunks(source):
        if kind == b"caBX":
            manifest_bytes += length
            manifest += source.read(at, min(length, MAX_MANIFEST_BYTES - len(manifest)))
        elif kind == b"eXIf" and length <= MAX_EXIF_BYTES:
            exif = exif or source.read(at, length)
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword = source.read(at, min(length, 80)).partition(b"\0")[0]
            if kind == b"iTXt" and keyword == _KEYWORD:
                packets.append(_packet(source, at, length))
            elif keyword.startswith(b"Raw profile type iptc"):
                iptc_bytes += length
            elif len(texts) < 100:
                texts.append(keyword.decode("latin-1"))
    return Embedded(
        xmp=tuple(packets),
        manifest=manifest,
        manifest_bytes=manifest_bytes,
        exif=exif.removeprefix(b"Exif\0\0"),
        iptc_bytes=iptc_bytes,
        texts=tuple(texts),
    )


def rewritten(source: Source, packet: bytes) -> tuple[bytes | FileSlice, ...]:
    """The picture with this packet and no other. Raises `Damaged`."""
    drop: list[Span] = []
    behind_header = 0
    for kind, at, length in png.chunks(source):
        if kind == b"IHDR":
            behind_header = at + length + 4
        if kind == b"iTXt" and source.read(at, len(_KEYWORD) + 1) == _KEYWORD + b"\0":
            drop.append((at - 8, length + 12))
    # Before the pixels, so that whoever reads only the beginning finds it.
    data = _KEYWORD + b"\0\0\0\0\0" + packet
    body = b"iTXt" + data
    chunk = struct.pack(">I", len(data)) + body + struct.pack(">I", crc32(body))
    return spliced(source, drop, {behind_header: chunk})


def check_sums(source: Source) -> None:
    """Raises `Damaged` where a chunk is not what its checksum says."""
    step = 1 << 18
    for _, at, length in png.chunks(source):
        total = 0
        for offset in range(at - 4, at + length, step):
            total = crc32(source.read(offset, min(step, at + length - offset)), total)
        if total != int.from_bytes(source.read(at + length, 4), "big"):
            raise Damaged(f"has a wrong checksum at byte {at - 8}")


def _packet(source: Source, at: int, length: int) -> bytes:
    head = source.read(at, min(length, _LONGEST_HEAD))
    flags = head[len(_KEYWORD) + 1 : len(_KEYWORD) + 3]
    texts = head[len(_KEYWORD) + 3 :].split(b"\0", 2)
    if len(flags) < 2 or len(texts) < 3 or flags[0] > 1:
        raise Damaged("has a broken text chunk with XMP")
    start = len(_KEYWORD) + 3 + len(texts[0]) + len(texts[1]) + 2
    if not flags[0]:
        return packet_of(source, at + start, length - start)
    # More than that compressed is not less unfolded.
    if length - start > MAX_PACKET_BYTES:
        raise Damaged(f"has XMP of {length >> 20} MB, more than {MAX_PACKET_BYTES >> 20}")
    return inflated(source.read(at + start, length - start))
