"""Pixels: decoded, brought to 8-bit sRGB without alpha, turned, shrunk, encoded. All of Pillow.

Worst case of memory: 4 bytes a pixel for what Pillow decodes, as much again while it is converted
(1.6 GB at `MAX_PIXELS`), and for WebP, HEIC and AVIF a third copy and the file itself. Measured
for a moment of a 24-megapixel photograph shrunk to 2048: JPEG 50 MB (it is decoded at half size),
PNG 140, HEIC 170, WebP 370. Callers bound how many are prepared at once.
"""

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Literal

from pipeline.errors import InputError
from pipeline.pictures import colour
from pipeline.pictures.framing import Framing, Size, fitting
from pipeline.pictures.layout import MAX_PIXELS
from pipeline.pictures.sniff import Kind

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

# Quality and chroma subsampling (0: none, 2: halved), tried in order until a picture fits.
_LADDER = ((95, 0), (90, 0), (85, 2), (75, 2))
_STEP_DOWN = 0.75
_PNG_LEVEL = 4  # half the time of Pillow's default, 3 % more bytes

_CLASSES: dict[Kind, str] = {
    "png": "PIL.PngImagePlugin:PngImageFile",
    "jpeg": "PIL.JpegImagePlugin:JpegImageFile",
    "webp": "PIL.WebPImagePlugin:WebPImageFile",
    "gif": "PIL.GifImagePlugin:GifImageFile",
    "bmp": "PIL.BmpImagePlugin:BmpImageFile",
    "tiff": "PIL.TiffImagePlugin:TiffImageFile",
    "heic": "pillow_heif:HeifImageFile",
    "avif": "PIL.AvifImagePlugin:AvifImageFile",
}
# What EXIF's orientation asks for, as members of Pillow's Image.Transpose.
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}

_DNG_VERSION, _SUBFILE_TYPE = 50706, 254


@contextmanager
def decoding(name: str, kind: str) -> Iterator[None]:
    """Translates whatever a decoder stumbles over into `InputError`."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: does not fit into memory; make it smaller") from error
    # Decoders fed with damaged files raise nearly every type there is, and their bugs too end
    # one edit, not the run. The cause is kept.
    except Exception as error:
        text = str(error).split("\n")[0][:200] or type(error).__name__
        raise InputError(
            f"{name}: cannot be decoded as {kind.upper()} ({text}); export it again"
        ) from error


def check_pixels(width: int, height: int, name: str) -> None:
    """Raises `InputError` for a header that states no pixels, or too many to decode safely."""
    if width < 1 or height < 1:
        raise InputError(f"{name}: has no pixels ({width} x {height}); export it again")
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name}: is {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} million; "
            "make it smaller"
        )


def opened(stream: BinaryIO, kind: Kind, *, name: str) -> "ImageFile":
    """The first picture of a stream, its header read, no pixel decoded.

    By the format's own class, not ``Image.open``: that one compares sizes with a global of the
    process, which is not this package's to change, and warns. (Pillow's TIFF and WebP look at it
    all the same: of those, 179 million pixels are the limit.) Raises anything: see `decoding`.
    """
    module, _, attribute = _CLASSES[kind].partition(":")
    picture: ImageFile = getattr(importlib.import_module(module), attribute)(stream)
    check_pixels(*picture.size, name)
    return picture


def load(stream: BinaryIO, kind: Kind, *, wanted: Size | None = None, name: str) -> "Image":
    """The first picture of a stream, decoded as it is stored.

    ``wanted``: pixels (before orientation) that are enough; a JPEG is then decoded at a half, a
    quarter or an eighth where that leaves as many. Raises anything: see `decoding`.
    """
    picture = opened(stream, kind, name=name)
    if kind == "tiff" and _is_preview(picture):
        raise InputError(f"{name}: is a camera's raw file; develop it and export a JPEG or TIFF")
    if kind == "jpeg" and wanted is not None:
        # Never below what is wanted: faster, and a fraction of the memory.
        picture.draft(None, wanted)
    picture.load()
    if kind == "jpeg" and picture.mode == "CMYK" and "adobe" not in picture.info:
        # Adobe stores CMYK inverted, and Pillow takes every such JPEG for one of Adobe's.
        from PIL import ImageChops

        return ImageChops.invert(picture)
    return picture


def orientation_of(picture: "Image", kind: Kind) -> int:
    """What is still to be turned in a picture that has no `Layout`.

    Pillow turns TIFF, and libheif HEIC, while they are decoded; AVIF is left to us.
    """
    if kind != "avif":
        return 1
    value = picture.getexif().get(0x0112, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def eight_bit(picture: "Image", depth: int = 8) -> "Image":
    """The picture as ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``; ``depth``: of a PNG's channels.

    16 bits are scaled, where ``convert`` would clip them. 32-bit integers and floats have no agreed
    range: 0 to 1, 0 to 255 and 0 to 65535 are told by the largest value, others are stretched.
    """
    mode = picture.mode
    if mode.startswith("I;16"):
        return _from_sixteen(picture)
    if mode in ("I", "F"):
        return _from_wide(picture)
    if mode == "P":
        palette = picture.palette
        clear = "transparency" in picture.info or (palette is not None and palette.mode == "RGBA")
        return picture.convert("RGBA" if clear else "RGB")
    if mode in ("1", "L", "RGB") and "transparency" in picture.info:
        picture.info["transparency"] = _scaled(picture.info["transparency"], mode, depth)
        return picture.convert("RGBA" if mode == "RGB" else "LA")
    wanted = {"1": "L", "La": "LA", "PA": "RGBA", "RGBa": "RGBA"}.get(mode, mode)
    if wanted not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        wanted = "RGB"  # YCbCr, LAB, HSV, RGBX
    return picture if wanted == mode else picture.convert(wanted)


def is_opaque(picture: "Image") -> bool:
    """Whether an `eight_bit` picture has no transparent pixel at all."""
    return picture.mode not in ("LA", "RGBA") or picture.getchannel("A").getextrema() == (255, 255)


def upright(size: Size, orientation: int) -> Size:
    """A stored size as displayed, or a displayed one as stored."""
    return (size[1], size[0]) if orientation >= 5 else size


def scaled(framing: Framing) -> Size:
    """What the whole input measures, as displayed, at the scale at which it is sent."""
    if framing.fit != "crop":
        left, top, right, bottom = framing.box
        return (right - left, bottom - top) if framing.changes else framing.shown_size
    (width, height), (across, down) = framing.input_size, framing.canvas
    return (
        -(-width * framing.shown_size[0] // across),
        -(-height * framing.shown_size[1] // down),
    )


def finished(
    picture: "Image",
    *,
    orientation: int,
    profile: bytes | None,
    framing: Framing,
    background: str,
    edge: bool = False,
) -> "Image":
    """An `eight_bit` picture as it will be sent: shrunk, in sRGB, on its background, upright, in
    its frame. ``edge``: what is padded repeats the border pixels, instead of the background.
    """
    from PIL import Image

    if framing.changes and framing.fit == "crop":
        picture, orientation = turned(picture, orientation), 1
        picture = _cropped(picture, framing)
    else:
        size = upright(scaled(framing), orientation)
        if size != picture.size:
            picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture = turned(flattened(in_srgb(picture, profile), background), orientation)
    if framing.changes and framing.fit == "pad":
        picture = _padded(picture, framing, None if edge else background)
    return picture


def in_srgb(picture: "Image", profile: bytes | None) -> "Image":
    """An `eight_bit` picture in sRGB, ``L``, ``LA``, ``RGB`` or ``RGBA``, by its ICC profile."""
    if profile is None and picture.mode != "CMYK":
        return picture
    alpha = None
    if picture.mode in ("LA", "RGBA"):
        alpha = picture.getchannel("A")
        picture = picture.convert(picture.mode[:-1])
    if profile is not None:
        picture = colour.to_srgb(picture, profile)
    elif picture.mode == "CMYK":
        picture = picture.convert("RGB")
    if alpha is not None:
        picture.putalpha(alpha)
    return picture


def flattened(picture: "Image", background: str) -> "Image":
    """What is transparent laid on a colour: ``L`` or ``RGB``. Others are returned as they are."""
    from PIL import Image

    if picture.mode not in ("LA", "RGBA"):
        return picture
    solid, ground = _on(picture.convert(picture.mode[:-1]), background)
    canvas = Image.new(solid.mode, solid.size, ground)
    canvas.paste(solid, mask=picture.getchannel("A"))
    return canvas


def turned(picture: "Image", orientation: int) -> "Image":
    """The picture as EXIF's orientation wants it displayed."""
    from PIL import Image

    if orientation == 1:
        return picture
    return picture.transpose(Image.Transpose(_TURNS[orientation]))


def _on(picture: "Image", background: str) -> tuple["Image", int | tuple[int, int, int]]:
    """An ``L`` or ``RGB`` picture in a mode that can hold the colour, and the colour in it."""
    from PIL import ImageColor

    red, green, blue = ImageColor.getrgb(background)[:3]
    if not red == green == blue:
        picture = picture.convert("RGB")
    return picture, (red, green, blue) if picture.mode == "RGB" else red


def _cropped(picture: "Image", framing: Framing) -> "Image":
    from PIL import Image

    # A JPEG may have been decoded smaller than it is.
    across = picture.width / framing.input_size[0]
    down = picture.height / framing.input_size[1]
    left, top = -framing.box[0], -framing.box[1]
    right, bottom = left + framing.canvas[0], top + framing.canvas[1]
    if picture.size == framing.input_size and framing.shown_size == framing.canvas:
        return picture.crop((left, top, right, bottom))
    box = (left * across, top * down, right * across, bottom * down)
    return picture.resize(framing.shown_size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _padded(picture: "Image", framing: Framing, background: str | None) -> "Image":
    from PIL import Image

    left, top, right, bottom = framing.box
    width, height = framing.canvas
    if background is not None:
        picture, ground = _on(picture, background)
        canvas = Image.new(picture.mode, framing.canvas, ground)
        canvas.paste(picture, (left, top))
        return canvas
    canvas = Image.new(picture.mode, framing.canvas)
    canvas.paste(picture, (left, top))
    # First to the sides, then up and down over the full width: the corners follow.
    for at, start, end in ((left, 0, left), (right - 1, right, width)):
        if end > start:
            line = canvas.crop((at, top, at + 1, bottom))
            canvas.paste(line.resize((end - start, bottom - top)), (start, top))
    for at, start, end in ((top, 0, top), (bottom - 1, bottom, height)):
        if end > start:
            line = canvas.crop((0, at, width, at + 1))
            canvas.paste(line.resize((width, end - start)), (0, start))
    return canvas


def encoded(
    picture: "Image", *, lossless: bool, max_bytes: int
) -> tuple[Literal["image/png", "image/jpeg"], bytes, tuple[int, int]]:
    """MIME type, bytes without any metadata, and size in pixels, of at most ``max_bytes``.

    PNG if ``lossless`` and it fits; else JPEG of falling quality, then of falling size.
    """
    from PIL import Image

    picture.info = {}
    if lossless:
        data = _saved(picture, "PNG", compress_level=_PNG_LEVEL)
        if len(data) <= max_bytes:
            return "image/png", data, picture.size
    while True:
        for quality, subsampling in _LADDER:
            data = _saved(picture, "JPEG", quality=quality, subsampling=subsampling)
            if len(data) <= max_bytes:
                return "image/jpeg", data, picture.size
        smaller = fitting(picture.size, max(1, int(max(picture.size) * _STEP_DOWN)))
        picture = picture.resize(smaller, Image.Resampling.LANCZOS)


def _saved(picture: "Image", form: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _is_preview(picture: "ImageFile") -> bool:
    """Raw files of many cameras are TIFF, and their first picture a small preview."""
    tags = picture.getexif()
    return _DNG_VERSION in tags or tags.get(_SUBFILE_TYPE, 0) == 1


def _from_sixteen(picture: "Image") -> "Image":
    from PIL import Image

    wide = picture.convert("I")
    grey = wide.point([(value * 255 + 32767) // 65535 for value in range(65536)], "L")
    clear = picture.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    alpha = wide.point([0 if value == clear else 255 for value in range(65536)], "L")
    return Image.merge("LA", (grey, alpha))


def _from_wide(picture: "Image") -> "Image":
    extrema = picture.getextrema()
    low, high = (float(value) for value in extrema if isinstance(value, int | float))
    if low < 0 or high > 65535:
        offset, scale = -low, 255 / ((high - low) or 1)
    else:
        fractions = picture.mode == "F" and high <= 1
        offset, scale = 0.0, 255 / (1 if fractions else 255 if high <= 255 else 65535)
    return picture.convert("F").point(lambda value: value * scale + offset * scale).convert("L")


def _scaled(clear: int | tuple[int, ...], mode: str, depth: int) -> int | tuple[int, ...]:
    """The transparent colour of tRNS in the 8 bits a channel that Pillow decoded to."""
    if isinstance(clear, tuple):
        return tuple(value >> 8 for value in clear) if depth == 16 else clear
    return clear * 255 // ((1 << depth) - 1) if mode == "L" and depth < 8 else clear
