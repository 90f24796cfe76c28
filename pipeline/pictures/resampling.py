"""The pixel work of a rendition: finding the subject, scaling, sharpening, laying on a ground."""

import math
from typing import TYPE_CHECKING, Literal

from pipeline.errors import EditError, PipelineError
from pipeline.pictures.placement import Placement
from pipeline.pictures.upscaling import Upscaler

if TYPE_CHECKING:
    from PIL.Image import Image

Sharpening = Literal["none", "mild", "strong"]

_STRENGTH: dict[Sharpening, float] = {"mild": 0.3, "strong": 0.7}
"""What a pixel gains on its neighbours, where a picture is halved or shrunk further."""

_CELL = 4
# Of a cell of 16 pixels: a line of one pixel crosses at least three of them, a speck one or two.
_CROSSED = 3 / 16


def subject_box(
    picture: "Image", ground: tuple[int, int, int], tolerance: int
) -> tuple[int, int, int, int] | None:
    """What of an ``RGB`` or ``RGBA`` picture is not its ground, in pixels; None if all is ground.

    With transparent pixels, what is not transparent; else what differs from ``ground`` by more than
    ``tolerance`` (of 255) in a channel. Specks of a pixel or two do not count.
    """
    from PIL import Image, ImageChops

    solid = picture.convert("RGB")
    red, green, blue = ImageChops.difference(solid, Image.new("RGB", solid.size, ground)).split()
    mask = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
        if alpha.getextrema() != (255, 255):
            mask = alpha
    marked = mask.point([255 if value > tolerance else 0 for value in range(256)])
    cells = marked.reduce(_CELL)
    box = cells.point(
        [255 if value >= int(255 * _CROSSED) else 0 for value in range(256)]
    ).getbbox()
    if box is None:
        return None
    left, top, right, bottom = (edge * _CELL for edge in box)
    exact = marked.crop((left, top, right, bottom)).getbbox() or (0, 0, right - left, bottom - top)
    return left + exact[0], top + exact[1], left + exact[2], top + exact[3]


def whitened(picture: "Image", point: int | None) -> "Image":
    """Levels: what is at least ``point`` (of 255) becomes white, the rest brighter in proportion.

    No edge appears where a soft shadow ends, as it would if only nearly white pixels were changed.
    """
    if point is None or point >= 255:
        return picture
    brighter = [min(255, round(value * 255 / point)) for value in range(256)]
    if picture.mode == "RGBA":
        return picture.point(brighter * 3 + list(range(256)))
    return picture.point(brighter * len(picture.getbands()))


def laid_out(
    picture: "Image",
    placement: Placement,
    *,
    ground: tuple[int, int, int],
    sharpening: Sharpening = "mild",
    upscaler: Upscaler | None = None,
) -> "Image":
    """The window of a picture on its canvas; the canvas is clear where the picture has alpha.

    Scaled once, with Lanczos, or by the upscaler. Raises `EditError` where the upscaler fails.
    """
    from PIL import Image

    size = placement.spot_size
    if placement.enlarges and upscaler is not None:
        window = tuple(round(edge) for edge in placement.window)
        picture = _enlarged(
            picture.crop((window[0], window[1], window[2], window[3])), size, upscaler
        )
    elif size != picture.size or placement.window != (0.0, 0.0, *picture.size):
        picture = picture.resize(
            size, Image.Resampling.LANCZOS, box=placement.window, reducing_gap=3.0
        )
    picture = _sharpened(picture, 1 / placement.scale, sharpening)
    if placement.spot == (0, 0, *placement.canvas):
        return picture
    clear = picture.mode == "RGBA"
    canvas = Image.new(picture.mode, placement.canvas, (*ground, 0) if clear else ground)
    canvas.paste(picture, placement.spot[:2])
    return canvas


def _enlarged(picture: "Image", size: tuple[int, int], upscaler: Upscaler) -> "Image":
    from PIL import Image

    try:
        larger = upscaler(picture, size)
        if larger.mode != picture.mode:
            larger = larger.convert(picture.mode)
    except PipelineError:
        raise
    # Somebody else's code: whatever it raises ends this picture, and says who it was.
    except Exception as error:
        raise EditError(f"the upscaler failed: {type(error).__name__}: {error}") from error
    return larger if larger.size == size else larger.resize(size, Image.Resampling.LANCZOS)


def _sharpened(picture: "Image", shrunk: float, sharpening: Sharpening) -> "Image":
    """Gives back the contrast of fine detail that averaging takes. The more so the more was
    averaged, up to a half; pixels that are like their neighbours stay as they are.
    """
    from PIL import Image, ImageFilter

    if sharpening == "none" or shrunk <= 1.05:
        return picture
    weight = _STRENGTH[sharpening] * min(1.0, math.log2(shrunk))
    side, corner = weight / 6, weight / 12  # four of each
    kernel = ImageFilter.Kernel(
        (3, 3),
        (-corner, -side, -corner, -side, 1 + weight, -side, -corner, -side, -corner),
        scale=1,
    )
    if picture.mode != "RGBA":
        return picture.filter(kernel)
    colours = picture.convert("RGB").filter(kernel)
    red, green, blue = colours.split()
    return Image.merge("RGBA", (red, green, blue, picture.getchannel("A")))
