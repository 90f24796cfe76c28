"""WebP, by its RIFF chunks: what it holds, what of it may go out, whether it is whole."""

import struct
from collections.abc import Iterator

from pipeline.models import FileSlice
from pipeline.pictures.layout import MAX_PROFILE_BYTES, Layout, Pieces, exif_orientation
from pipeline.pictures.source import Damaged, Source

_CHUNKS_LIMIT = 10_000
_ANIMATION, _ALPHA = 0x02, 0x10


def riff_end(source: Source) -> int:
    """Where the RIFF container ends, by its own word. Raises `Damaged` beyond the file's end."""
    end = 8 + int.from_bytes(source.read(4, 4), "little")
    if end > source.size or end < 20:
        raise Damaged("is cut off: its end is missing")
    return end


def chunks(source: Source, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, offset of the data and its length, of each chunk. Raises `Damaged`."""
    at = 12
    for _ in range(_CHUNKS_LIMIT):
        if at >= end - 1:  # a lone byte is padding that was counted twice
            return
        head = source.read(at, 8)
        if len(head) < 8:
            raise Damaged("is cut off: its end is missing")
        kind, length = struct.unpack("<4sI", head)
        if at + 8 + length > end:
            raise Damaged("is cut off: its end is missing")
        yield kind, at + 8, length
        at += 8 + length + (length & 1)
    raise Damaged(f"has more than {_CHUNKS_LIMIT:,} chunks")


def frame_size(kind: bytes, head: bytes) -> tuple[int, int]:
    """Width and height in pixels by the first bytes of a VP8X, VP8L or VP8 chunk.

    Raises `Damaged` when they are none.
    """
    if kind == b"VP8X" and len(head) >= 10:
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8L" and len(head) >= 5 and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(head) >= 10 and head[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[6:10])
        return width & 0x3FFF, height & 0x3FFF
    raise Damaged("has a broken WebP header")


def scan(source: Source) -> Layout:
    """Takes a WebP apart. Raises `Damaged` when it is not whole."""
    end = riff_end(source)
    size: tuple[int, int] | None = None
    kept: list[tuple[int, int]] = []
    extended = b""
    profile: bytes | None = None
    orientation = 1
    alpha = animated = lossless = pixels = False
    for kind, at, length in chunks(source, end):
        if size is None:
            size = frame_size(kind, source.read(at, min(length, 10)))
        if kind == b"VP8X":
            extended = source.read(at, length)
            animated = bool(extended[0] & _ANIMATION)
        elif kind == b"ICCP" and length <= MAX_PROFILE_BYTES:
            profile = source.read(at, length)
        elif kind == b"EXIF" and length <= 1 << 20:
            orientation = exif_orientation(source.read(at, length))
        elif kind in (b"ALPH", b"VP8 ", b"VP8L") and not pixels:
            head = source.read(at, min(length, 10))
            pixels = kind != b"ALPH"
            if pixels and frame_size(kind, head) != size:
                raise Damaged("has a frame of another size than its canvas")
            # The bit after the two sides of VP8L says whether alpha is used.
            lossless = kind == b"VP8L"
            alpha = alpha or kind == b"ALPH" or (lossless and bool(head[4] & 0x10))
            kept.append((at - 8, min(8 + length + (length & 1), end - at + 8)))
    if size is None or not (pixels or animated):
        raise Damaged("has no picture data")
    return Layout(
        format="webp",
        width=size[0],
        height=size[1],
        parts=() if animated else _stripped(source, end, kept, extended),
        orientation=orientation,
        alpha=alpha,
        redo="animated" if animated else "",
        lossless=lossless,
        profile=profile,
    )


def _stripped(
    source: Source, end: int, kept: list[tuple[int, int]], extended: bytes
) -> tuple[bytes | FileSlice, ...]:
    """The pixels alone, in a container of their own; the file itself where that is all it holds."""
    pieces = Pieces(source)
    body = sum(length for _, length in kept)
    around = end - body
    if around == 12 or (around == 30 and extended and not extended[0] & ~_ALPHA):
        pieces.keep(0, end)
        return pieces.parts()
    # Without metadata only an alpha plane beside lossy pixels needs the long header.
    header = b""
    if len(kept) > 1:
        header = b"VP8X" + struct.pack("<I", 10) + bytes((_ALPHA, 0, 0, 0)) + extended[4:10]
    pieces.insert(b"RIFF" + struct.pack("<I", 4 + len(header) + body) + b"WEBP" + header)
    for at, length in kept:
        pieces.keep(at, length)
    return pieces.parts()
