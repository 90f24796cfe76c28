"""Pixels as a file: JPEG, PNG, WebP, AVIF, of a quality, or as good as fits into so many bytes."""

import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pipeline.errors import EditError

if TYPE_CHECKING:
    from PIL.Image import Image

Format = Literal["jpeg", "png", "webp", "avif"]

EXTENSIONS: dict[Format, str] = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "avif": ".avif"}
QUALITIES: dict[Format, int] = {"jpeg": 90, "webp": 82, "avif": 65}
"""Unless a rendition says otherwise. The scales of the formats differ; these look alike."""

LOWEST_QUALITY = 40
"""To which a byte ceiling may lower it, unless a rendition says otherwise."""

_FULL_CHROMA = 85  # JPEG at and over this keeps colour at full resolution: red text stays sharp
_WEBP_EFFORT = 4
_AVIF_SPEED = 6
_PNG_LEVEL = 6


class Encoded(msgspec.Struct, frozen=True):
    """``quality``: of 100; None for PNG, which loses nothing."""

    data: bytes
    quality: int | None


def encoded(
    picture: "Image",
    form: Format,
    *,
    quality: int | None,
    lowest: int = LOWEST_QUALITY,
    max_bytes: int | None = None,
    profile: bytes | None = None,
    finish: Callable[[bytes], bytes] = lambda data: data,
    xmp: bytes = b"",
) -> Encoded:
    """An ``RGB`` or ``RGBA`` picture as a file; the same for the same, with the same libraries.

    ``max_bytes`` is met by the highest quality, between ``lowest`` and ``quality``, that fits; PNG
    has none to give up. ``finish`` is done to the file (metadata), and what it adds counts. ``xmp``
    goes through the encoder, for AVIF. Raises `EditError` where the ceiling cannot be met.
    """
    if form == "png":
        data = finish(_saved(picture, form, {}, profile, xmp))
        if max_bytes is not None and len(data) > max_bytes:
            raise _too_large(len(data), max_bytes, "as a PNG, which has no quality to lower")
        return Encoded(data, None)

    def attempt(tried: int) -> bytes:
        return finish(_saved(picture, form, _options(form, tried), profile, xmp))

    best = QUALITIES[form] if quality is None else quality
    data = attempt(best)
    if max_bytes is None or len(data) <= max_bytes:
        return Encoded(data, best)
    # Files grow with quality, so the best one that fits is found by halving.
    low, high, found = min(lowest, best), best - 1, None
    least = len(data)
    while low <= high:
        middle = (low + high) // 2
        data = attempt(middle)
        least = min(least, len(data))
        if len(data) <= max_bytes:
            found, low = Encoded(data, middle), middle + 1
        else:
            high = middle - 1
    if found is None:
        raise _too_large(least, max_bytes, f"at quality {min(lowest, best)}, the lowest allowed")
    return found


@functools.cache
def srgb_profile() -> bytes:
    """An ICC profile that says sRGB: the same bytes every day."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # Little CMS writes the moment; the profile's identity is 0 where nobody computed one.
    data[24:36] = bytes((7, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))
    data[84:100] = bytes(16)
    return bytes(data)


def _options(form: Format, quality: int) -> dict[str, Any]:
    if form == "jpeg":
        subsampling = 0 if quality >= _FULL_CHROMA else 2
        # Neither "optimize" nor "progressive": they save 2 % and 3 % for two and five times the
        # time, and Pillow fails with them on pictures that hardly compress.
        return {"quality": quality, "subsampling": subsampling}
    if form == "webp":
        return {"quality": quality, "method": _WEBP_EFFORT}
    # One thread: how many there are changes the tiles, and with them the bytes.
    return {"quality": quality, "speed": _AVIF_SPEED, "max_threads": 1, "autotiling": False}


def _saved(
    picture: "Image", form: Format, options: dict[str, Any], profile: bytes | None, xmp: bytes
) -> bytes:
    buffer = io.BytesIO()
    if form == "png":
        options = {"compress_level": _PNG_LEVEL}
    if profile is not None:
        options["icc_profile"] = profile
    if form == "avif" and xmp:
        options["xmp"] = xmp
    picture.info = {}
    try:
        picture.save(buffer, form.upper(), **options)
    # The buffer is in memory: what is raised is the encoder's, and ends this one picture.
    except (OSError, ValueError) as error:
        raise EditError(f"cannot be encoded as {form.upper()}: {error}") from error
    return buffer.getvalue()


def _too_large(least: int, most: int, how: str) -> EditError:
    return EditError(
        f"cannot be made smaller than {least:,} bytes ({how}); the limit is {most:,}:"
        " raise max_bytes, lower min_quality or the size, or choose another format"
    )
