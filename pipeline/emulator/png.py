"""PNG files written by hand: plain ones in microseconds, full ones in half of Pillow's time.

A plain picture has a palette of two colours: the pixels are the same for every picture of a size
and are packed once, the colours are the picture's own.
"""

import hashlib
import struct
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def plain_png(size: tuple[int, int], seed: str, *, weight: int = 0) -> bytes:
    """A PNG of `size` pixels whose two colours come from `seed`, padded to `weight` bytes."""
    width, height = size
    colours = hashlib.sha256(seed.encode()).digest()[:6]
    head = _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0))
    palette = _chunk(b"PLTE", colours)
    tail = _pixels(width, height) + _chunk(b"IEND", b"")
    padding = weight - len(head) - len(palette) - len(tail) - 12
    if padding <= 0:
        return head + palette + tail
    return head + palette + _chunk(b"paDs", _noise(padding)) + tail


def blank_png(size: tuple[int, int]) -> bytes:
    """A PNG of `size` pixels, all of them white."""
    width, height = size
    rows = (b"\0" + b"\xff" * ((width + 7) // 8)) * height
    head = _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return head + _chunk(b"IDAT", zlib.compress(rows, 6)) + _chunk(b"IEND", b"")


def quick_png(picture: "Image.Image") -> bytes:
    """An RGB picture as PNG.

    Pillow tries every filter on every row, which takes longer than the packing. Here each row
    is stored as its difference to the one above, which Pillow's own arithmetic gives in one go.
    """
    from PIL import ImageChops

    width, height = picture.size
    rows = ImageChops.subtract_modulo(picture, ImageChops.offset(picture, 0, 1))
    rows.paste(picture.crop((0, 0, width, 1)), (0, 0))
    raw, stride = rows.tobytes(), width * 3
    filtered = b"".join(b"\2" + raw[at : at + stride] for at in range(0, len(raw), stride))
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    packed = packer.compress(filtered) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


@lru_cache(maxsize=32)
def _pixels(width: int, height: int) -> bytes:
    """A diagonal, so that a mirrored or turned picture is seen to be one."""
    row_bytes = (width + 7) // 8
    rows = bytearray()
    for y in range(height):
        ones = (y + 1) * width // height
        bits = ((1 << ones) - 1) << (row_bytes * 8 - ones)
        rows += b"\0" + bits.to_bytes(row_bytes, "big")
    return _chunk(b"IDAT", zlib.compress(bytes(rows), 6))


@lru_cache(maxsize=4)
def _noise(size: int) -> bytes:
    # Incompressible and the same each time, as the weight of a photograph is.
    return hashlib.shake_128(b"padding").digest(size)
