"""Small real pictures, and what is done to them."""

import io
import itertools
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.models import PreparedImage
from pipeline.pictures.primaries import matrix_profile
from pipeline.pictures.source import read_parts

SIZE = (96, 64)
P3_POINTS = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
ADOBE_POINTS = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference"


def profile(points: tuple[float, ...], gamma: float = 1 / 2.2) -> bytes:
    data = matrix_profile(points, gamma)
    assert data is not None
    return data


def printing_profile() -> bytes:
    """A CMYK profile, by hand: the Lab of each corner of full inks, as ICC's smallest table."""
    inks = {(1, 0, 0): (55, -37, -50), (0, 1, 0): (48, 74, -3), (0, 0, 1): (89, -5, 93)}
    inks |= {(1, 1, 0): (24, 22, -46), (1, 0, 1): (50, -65, 27), (0, 1, 1): (47, 68, 48)}
    inks |= {(0, 0, 0): (100, 0, 0), (1, 1, 1): (22, 0, 0)}
    corners = b""
    for corner in itertools.product((0, 1), repeat=4):
        lightness, a, b = (0, 0, 0) if corner[3] else inks[corner[:3]]
        corners += bytes((round(lightness * 2.55), a + 128, b + 128))
    straight = bytes(range(256))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + straight * 4 + corners
    table += straight * 3
    tags = [(b"A2B0", table), (b"wtpt", b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061))]
    index, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        index += struct.pack(">4sII", name, 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4xI", 132 + 12 * len(tags) + len(body), 0x02100000)
    head += b"prtrCMYKLab " + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp"
    head += bytes(68 - len(head)) + struct.pack(">3i", 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + index + body


def photo(size: tuple[int, int] = SIZE) -> Image.Image:
    """Smooth, coloured, and different in each corner: no turn or flip leaves it as it was."""
    across = Image.linear_gradient("L").rotate(90).resize(size)
    down = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (across, down, Image.radial_gradient("L").resize(size)))


def noise(size: tuple[int, int]) -> Image.Image:
    """What compresses worst."""
    return Image.merge("RGB", [Image.effect_noise(size, 90) for _ in range(3)])


def exif(orientation: int = 1) -> Image.Exif:
    """Camera, orientation and a place."""
    tags = Image.Exif()
    tags[0x010F] = "SecretCamera"
    tags[0x0112] = orientation
    tags.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return tags


def saved(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path


def sent(prepared: PreparedImage) -> bytes:
    data = read_parts(prepared.parts, "sent")
    assert len(data) == prepared.size
    return data


def seen(prepared: PreparedImage) -> Image.Image:
    """What the endpoint decodes: the type must be true, and nothing but pixels inside."""
    data = sent(prepared)
    image = Image.open(io.BytesIO(data))
    image.load()
    assert image.get_format_mimetype() == prepared.mime
    assert image.size == (prepared.width, prepared.height)
    assert not {"exif", "xmp", "icc_profile", "photoshop", "comment"} & image.info.keys()
    assert b"SecretCamera" not in data
    return image


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean absolute difference of two pictures of one size, of 255."""
    assert one.size == other.size
    a, b = one.convert("RGB").tobytes(), other.convert("RGB").tobytes()
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk, right behind its header."""
    return png[:33] + png_chunk(kind, data) + png[33:]


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG of raw rows (a filter byte each); ``more``: finished chunks before the pixels."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + pixels + png_chunk(b"IEND", b"")
