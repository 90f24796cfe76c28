"""A picture file as pixels that can be compared with any other's: upright, 8-bit sRGB."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.pictures import colour, jpeg, pixels, png, webp
from pipeline.pictures.framing import Size
from pipeline.pictures.layout import Layout
from pipeline.pictures.sniff import HEAD, Kind, describe, sniff
from pipeline.pictures.source import Damaged, PartsReader, Source, open_source

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_DECODED_FILE_BYTES = 512 << 20
"""Larger files are not decoded: some decoders hold the whole file in memory."""

_SCANS: dict[Kind, Callable[[Source], Layout]] = {
    "png": png.scan,
    "jpeg": jpeg.scan,
    "webp": webp.scan,
}


class Decoded:
    """Pixels (``L``, ``LA``, ``RGB`` or ``RGBA``) and what they came from.

    ``size``: of the whole picture as displayed; the pixels are fewer where ``wanted`` allowed it.
    """

    __slots__ = ("kind", "picture", "size")

    def __init__(self, picture: "Image", *, kind: Kind, size: Size) -> None:
        self.picture = picture
        self.kind: Kind = kind
        self.size = size


def decode(source: str | Path | bytes, *, name: str = "", wanted: int | None = None) -> Decoded:
    """All pixels of a file or of bytes, in every format that `prepare` reads.

    ``wanted``: pixels of the long side that are enough; a JPEG is then decoded smaller, others
    are not. ``name``: for messages. Raises `InputError` for what is damaged, cut off, no picture,
    or of more than `MAX_PIXELS`.
    """
    name = name or ("picture" if isinstance(source, bytes) else str(source))
    with open_source(source, name) as data:
        kind = kind_of(data, name)
        layout = taken_apart(data, kind, name)
        check_bytes(data.size, name)
        # The decoder gets the pixels without the metadata, so that none can upset it.
        stream = (
            io.BufferedReader(PartsReader(data, layout.parts))
            if layout is not None and layout.parts
            else data.stream()
        )
        with stream, pixels.decoding(name, kind):
            enough = None
            if layout is not None and wanted is not None:
                enough = _enough((layout.width, layout.height), wanted)
            picture = pixels.load(stream, kind, wanted=enough, name=name)
            if layout is None:
                stored, orientation = picture.size, pixels.orientation_of(picture, kind)
                profile = picture.info.get("icc_profile")
            else:
                stored, orientation = (layout.width, layout.height), layout.orientation
                profile = layout.profile
            if not isinstance(profile, bytes) or colour.verdict(profile) != "other":
                profile = None
            picture = pixels.eight_bit(picture, layout.depth if layout is not None else 8)
            picture = pixels.turned(pixels.in_srgb(picture, profile), orientation)
    picture.info = {}
    return Decoded(picture, kind=kind, size=pixels.upright(stored, orientation))


def kind_of(data: Source, name: str) -> Kind:
    """The format, by the first bytes. Raises `InputError` for what is none that can be read."""
    head = data.read(0, HEAD)
    kind = sniff(head)
    if kind is None:
        raise InputError(
            f"{name}: is not a picture that can be read ({describe(head)}); "
            "use JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF or BMP"
        )
    return kind


def taken_apart(data: Source, kind: Kind, name: str) -> Layout | None:
    """The structure of a PNG, JPEG or WebP; None for other formats.

    Raises `InputError` for what is damaged, or has too many pixels.
    """
    scan = _SCANS.get(kind)
    if scan is None:
        return None
    try:
        layout = scan(data)
    except Damaged as error:
        raise InputError(f"{name}: {error}; copy or export it again") from error
    pixels.check_pixels(layout.width, layout.height, name)
    return layout


def check_bytes(size: int, name: str) -> None:
    """Raises `InputError` for a file that is too large to be decoded."""
    if size > MAX_DECODED_FILE_BYTES:
        raise InputError(
            f"{name}: has {size >> 20} MB, more than {MAX_DECODED_FILE_BYTES >> 20}; "
            "export it smaller"
        )


def _enough(size: Size, wanted: int) -> Size:
    scale = min(1.0, wanted / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
