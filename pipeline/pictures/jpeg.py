"""JPEG, by its markers: what it holds, what of it may go out, whether it is whole."""

import re
from collections.abc import Iterator

from pipeline.pictures.layout import MAX_PROFILE_BYTES, Layout, Pieces, exif_orientation
from pipeline.pictures.source import Damaged, Source

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Baseline, extended and progressive with Huffman codes: what everybody can read.
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)
_TABLES = (0xDB, 0xC4, 0xCC, 0xDD)
_STANDALONE = (0x01, *range(0xD0, 0xD8))
_FILL_LIMIT = 4096
_STEP = 1 << 18

_END = re.compile(rb"\xff\xd9")  # three times as fast as bytes.find for so short a needle


def segments(source: Source) -> Iterator[tuple[int, int, int]]:
    """Marker, offset and length (marker included) of each segment, to the first SOS inclusive.

    Raises `Damaged` where they do not lead to one.
    """
    at, fill = 2, 0
    while True:
        head = source.read(at, 4)
        if len(head) < 4:
            raise Damaged("ends inside its header")
        if head[0] != 0xFF or head[1] in (0x00, _SOI, _EOI):
            raise Damaged(f"has no valid JPEG segment at byte {at}")
        if head[1] == 0xFF and fill < _FILL_LIMIT:
            at, fill = at + 1, fill + 1
            continue
        if head[1] in _STANDALONE:
            at += 2
            continue
        length = 2 + int.from_bytes(head[2:4], "big")
        if length < 4:
            raise Damaged(f"has no valid JPEG segment at byte {at}")
        if at + length > source.size:
            raise Damaged("ends inside its header")
        yield head[1], at, length
        if head[1] == _SOS:
            return
        at += length


def is_frame(marker: int) -> bool:
    """Whether it starts a frame: the segment with the size."""
    return marker in _FRAMES


def frame_size(segment: bytes) -> tuple[int, int]:
    """Width and height in pixels of a frame's segment. Raises `Damaged`."""
    if len(segment) < 10:
        raise Damaged("has a broken frame header")
    return int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")


def scan(source: Source) -> Layout:
    """Takes a JPEG apart. Raises `Damaged` when it is not whole."""
    pieces = Pieces(source)
    pieces.keep(0, 2)
    frame = b""
    orientation: int | None = None
    profile: dict[int, bytes] = {}
    camera = False
    for marker, at, length in segments(source):
        if marker in _FRAMES:
            frame = source.read(at, length)
        if marker == _APP1:
            camera = True
            if orientation is None and source.read(at + 4, 6) == b"Exif\0\0":
                orientation = exif_orientation(source.read(at + 4, length - 4))
        elif marker == _APP2:
            head = source.read(at + 4, 14)
            if head.startswith(b"ICC_PROFILE\0") and len(head) == 14:
                profile[head[12]] = source.read(at + 18, length - 18)
            camera = camera or head.startswith(b"MPF\0")
        elif marker == _SOS:
            pieces.keep(at, _end(source, at + length, search=camera) - at)
        elif marker in _FRAMES or marker in _TABLES or _stays(source, marker, at, length):
            pieces.keep(at, length)
    if not frame:
        raise Damaged("has no frame header")
    width, height = frame_size(frame)
    whole = b"".join(profile[number] for number in sorted(profile))
    return Layout(
        format="jpeg",
        width=width,
        height=height,
        parts=pieces.parts(),
        orientation=orientation or 1,
        depth=frame[4],
        redo=_redo(frame),
        profile=whole if 0 < len(whole) <= MAX_PROFILE_BYTES else None,
    )


def _stays(source: Source, marker: int, at: int, length: int) -> bool:
    """Whether an application segment belongs to the picture: JFIF without its thumbnail, Adobe."""
    if marker == _APP0:
        return length == 18 and source.read(at + 4, 5) == b"JFIF\0"
    return marker == _APP14 and source.read(at + 4, 5) == b"Adobe"


def _redo(frame: bytes) -> str:
    if frame[1] not in _COMMON_FRAMES or frame[4] != 8:
        return "a kind of JPEG that few can read"
    return {1: "", 3: "", 4: "CMYK"}.get(frame[9], "a kind of JPEG that few can read")


def _end(source: Source, start: int, *, search: bool) -> int:
    """Where the picture ends: behind its first EOI after ``start``. Raises `Damaged` without one.

    Cameras append videos, gain maps and second pictures, and those carry places and dates again:
    a file with a camera's marks (``search``) is searched from the start, at 0.3 ms a megabyte. One
    without any that ends with an EOI is taken to end there.
    """
    if not search and source.size - start >= 2 and source.read(source.size - 2, 2) == b"\xff\xd9":
        return source.size
    at = start
    while at < source.size:
        # One byte more, for a marker on the border. Inside a scan FF is never followed by D9.
        found = _END.search(source.read(at, _STEP + 1))
        if found is not None:
            return at + found.end()
        at += _STEP
    raise Damaged("is cut off: its end is missing")
