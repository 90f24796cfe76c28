"""PNG, by its chunks: what it holds, what of it may go out, whether it is whole."""

import struct
import zlib
from collections.abc import Iterator

import msgspec

from pipeline.pictures.layout import MAX_PROFILE_BYTES, Layout, Pieces, exif_orientation
from pipeline.pictures.primaries import SRGB_POINTS, matrix_profile
from pipeline.pictures.source import Damaged, Source

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNKS_LIMIT = 100_000
# Depths that a colour type may have (PNG specification, table 11.1).
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_GREY, _PALETTE, _ALPHA = 0, 3, (4, 6)
_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"sRGB", b"sBIT", b"pHYs"}
# Kept only when nothing overrules them: without the profile beside them they would begin to count.
_COLOUR = {b"gAMA", b"cHRM"}


class Header(msgspec.Struct, frozen=True):
    """Of IHDR: pixels, bits a channel, colour type."""

    width: int
    height: int
    depth: int
    type: int


def read_header(data: bytes) -> Header:
    """Parses the data of IHDR. Raises `Damaged`."""
    if len(data) != 13:
        raise Damaged("has a broken PNG header")
    header = Header(*struct.unpack(">IIBB", data[:10]))
    if header.depth not in _DEPTHS.get(header.type, ()):
        raise Damaged("has a broken PNG header")
    return header


def chunks(source: Source) -> Iterator[tuple[bytes, int, int]]:
    """Type, offset of the data and its length, of each chunk up to IEND. Raises `Damaged`."""
    at = len(SIGNATURE)
    for _ in range(_CHUNKS_LIMIT):
        head = source.read(at, 8)
        if len(head) < 8:
            raise Damaged("is cut off: its end is missing")
        length, kind = struct.unpack(">I4s", head)
        if at + 12 + length > source.size:
            raise Damaged("is cut off: its end is missing")
        yield kind, at + 8, length
        if kind == b"IEND":
            return
        at += 12 + length
    raise Damaged(f"has more than {_CHUNKS_LIMIT:,} chunks")


def scan(source: Source) -> Layout:
    """Takes a PNG apart, without its checksums. Raises `Damaged` when it is not whole."""
    kept: list[tuple[bytes, int, int]] = []
    colours: dict[bytes, bytes] = {}
    header: Header | None = None
    orientation = 1
    pixels = transparent = False
    for kind, at, length in chunks(source):
        if header is None:
            if kind != b"IHDR":
                raise Damaged("has no PNG header")
            header = read_header(source.read(at, length) if length == 13 else b"")
        if kind in _PICTURE or kind in _COLOUR:
            kept.append((kind, at - 8, length + 12))
        if kind in (b"gAMA", b"cHRM", b"sRGB", b"iCCP") and length <= MAX_PROFILE_BYTES:
            colours[kind] = source.read(at, length)
        elif kind == b"eXIf" and length <= 1 << 20:
            orientation = exif_orientation(source.read(at, length))
        pixels = pixels or kind == b"IDAT"
        transparent = transparent or kind == b"tRNS"
    if header is None or not pixels:
        raise Damaged("has no picture data")
    profile = _profile(colours)
    overruled = profile is not None or b"iCCP" in colours or b"sRGB" in colours
    pieces = Pieces(source)
    pieces.keep(0, len(SIGNATURE))
    for kind, at, length in kept:
        if kind in _PICTURE or not overruled:
            pieces.keep(at, length)
    return Layout(
        format="png",
        width=header.width,
        height=header.height,
        parts=pieces.parts(),
        orientation=orientation,
        depth=header.depth,
        alpha=transparent or header.type in _ALPHA,
        redo=_redo(header),
        lossless=True,
        profile=profile,
    )


def _redo(header: Header) -> str:
    if header.type == _PALETTE:
        return "palette"
    return "" if header.depth == 8 else f"{header.depth} bit"


def _profile(colours: dict[bytes, bytes]) -> bytes | None:
    """The ICC profile that the colour chunks amount to; None for sRGB, said or assumed."""
    if b"iCCP" in colours:
        return _unpack(colours[b"iCCP"])
    if b"sRGB" in colours or len(colours.get(b"gAMA", b"")) != 4:
        return None
    gamma = int.from_bytes(colours[b"gAMA"], "big") / 100_000
    points = SRGB_POINTS
    if len(colours.get(b"cHRM", b"")) == 32:
        points = tuple(value / 100_000 for value in struct.unpack(">8I", colours[b"cHRM"]))
    return matrix_profile(points, gamma)


def _unpack(data: bytes) -> bytes | None:
    """The profile inside iCCP: a name, a zero, the method, deflated data."""
    _, _, rest = data.partition(b"\0")
    try:
        profile = zlib.decompressobj().decompress(rest[1:], MAX_PROFILE_BYTES + 1)
    except zlib.error:
        return None
    return profile if 0 < len(profile) <= MAX_PROFILE_BYTES else None
