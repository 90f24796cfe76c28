"""The full pictures: the real inputs in a studio, graded, with the prompt as a caption.

Nobody should take one for the model's work (it says so in a corner), and everybody should be able
to see at a glance which inputs and which prompt went in, and in what size it came out.
"""

import io
import re
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageOps

from pipeline.emulator import lettering
from pipeline.emulator.backdrop import backdrop, cast_shadow, contact_shadow
from pipeline.emulator.palette import Palette, mix, palette_of
from pipeline.emulator.png import quick_png

_MOST_INPUTS = 4
"""More than these are not shown: they would be stamps."""
_PRINT_EDGE = (250, 249, 246)


@dataclass(frozen=True)
class Scene:
    """One picture to draw. `inputs` hold bytes, or `None` for a URL that was not fetched."""

    size: tuple[int, int]
    prompt: str
    inputs: tuple[bytes | None, ...]
    index: int = 0
    count: int = 1


@dataclass(frozen=True)
class _Frame:
    """Where an input goes: its centre and largest size as shares of the stage, and its tilt."""

    x: float
    y: float
    width: float
    height: float
    tilt: float = 0.0
    is_print: bool = False
    """With a paper edge around it, so that it stands out from what lies behind."""


def draw(scene: Scene) -> Image.Image:
    """The picture, in RGB, of exactly the size asked for."""
    palette = palette_of(scene.prompt)
    canvas = backdrop(scene.size, palette, scene.index % 4).copy()
    width, height = scene.size
    unit = min(width, height)
    margin = round(unit * 0.065)
    foot = lettering.caption_height(scene.size) + round(unit * 0.055)
    stage = (margin, round(unit * 0.095), width - margin, height - foot)
    inputs = scene.inputs[:_MOST_INPUTS]
    for data, frame in zip(inputs, _frames(len(inputs), scene), strict=True):
        _place(canvas, data, frame, stage, palette, scene)
    lettering.caption(canvas, scene.prompt, palette)
    lettering.tags(canvas, palette, index=scene.index, count=scene.count)
    return canvas


def encode(picture: Image.Image, form: str) -> bytes:
    """The picture as `png`, `jpeg` or `webp` bytes, quickly rather than small."""
    if form == "png":
        return quick_png(picture)
    out = io.BytesIO()
    if form == "jpeg":
        picture.save(out, "JPEG", quality=90)
    else:
        picture.save(out, "WEBP", quality=85, method=0)
    return out.getvalue()


def _frames(number: int, scene: Scene) -> list[_Frame]:
    """Layouts, back to front. Each further picture of a request is laid out differently."""
    if number == 0:
        return []
    variant = scene.index % 4
    if number == 1:
        alone = (
            _Frame(0.5, 0.5, 1.0, 1.0),
            _Frame(0.5, 0.5, 0.9, 0.88, tilt=2.2),
            _Frame(0.5, 0.53, 0.8, 0.8),
            _Frame(0.5, 0.5, 0.9, 0.88, tilt=-2.2),
        )
        return [alone[variant]]
    lean = 2.5 if variant % 2 else -2.5
    if scene.size[0] >= scene.size[1] * 1.15:
        main = _Frame(0.37, 0.47, 0.74, 0.94)
        insets = {
            2: [_Frame(0.80, 0.62, 0.40, 0.72, lean, is_print=True)],
            3: [
                _Frame(0.84, 0.30, 0.32, 0.52, lean, is_print=True),
                _Frame(0.79, 0.76, 0.34, 0.50, -lean / 2, is_print=True),
            ],
        }
    else:
        main = _Frame(0.47, 0.38, 0.94, 0.76)
        insets = {
            2: [_Frame(0.70, 0.80, 0.58, 0.40, lean, is_print=True)],
            3: [
                _Frame(0.27, 0.84, 0.46, 0.32, lean, is_print=True),
                _Frame(0.74, 0.80, 0.48, 0.36, -lean / 2, is_print=True),
            ],
        }
    row = [
        _Frame(0.20 + 0.30 * place, 0.84, 0.30, 0.32, lean * (place - 1), is_print=True)
        for place in range(number - 1)
    ]
    return [main, *insets.get(number, row)]


def _place(
    canvas: Image.Image,
    data: bytes | None,
    frame: _Frame,
    stage: tuple[int, int, int, int],
    palette: Palette,
    scene: Scene,
) -> None:
    left, top, right, bottom = stage
    room = (
        max(8, round((right - left) * frame.width)),
        max(8, round((bottom - top) * frame.height)),
    )
    centre = (left + (right - left) * frame.x, top + (bottom - top) * frame.y)
    source = _placeholder(room, palette) if data is None else _decoded(data, room)
    box = None if frame.is_print else _standing_free(source, palette)
    if box is not None:
        # What stands does not lean: it steps aside instead, and comes down to the floor.
        aside = (right - left) * 0.02 * frame.tilt
        foot = (centre[0] + aside, centre[1] + (bottom - top) * 0.04)
        _stand(canvas, _fitted(source.crop(box), room, fill=0.8), foot, palette, scene)
        return
    picture = _fitted(source, room)
    shape = picture.getchannel("A") if picture.mode == "RGBA" else _rounded(picture.size)
    picture = _graded(picture.convert("RGB"), palette, scene)
    if frame.is_print:
        picture, shape = _printed(picture)
    if frame.tilt:
        picture.putalpha(shape)
        picture = picture.rotate(frame.tilt, Image.Resampling.BILINEAR, expand=True)
        shape = picture.getchannel("A")
        picture = picture.convert("RGB")
    at = _corner(canvas, picture, centre)
    cast_shadow(canvas, shape, at, palette)
    canvas.paste(picture, at, shape)


def _stand(
    canvas: Image.Image,
    picture: Image.Image,
    centre: tuple[float, float],
    palette: Palette,
    scene: Scene,
) -> None:
    """Put a product on the floor, without the white ground or the nothing that was around it."""
    see_through = picture.mode == "RGBA"
    at = _corner(canvas, picture, centre)
    flat = picture.convert("RGB")
    if see_through:
        solid = picture.getchannel("A")
    else:
        fading = [round(255 * min(1.0, max(0.0, (236 - value) / 26))) for value in range(256)]
        solid = _darkest(flat).point(fading)
    foot = solid.crop((0, round(solid.height * 0.94), *solid.size)).getbbox()
    if foot is not None:
        contact_shadow(canvas, at[0] + foot[0], at[0] + foot[2], at[1] + solid.height, palette)
    ground = canvas.crop((*at, at[0] + picture.width, at[1] + picture.height))
    if not see_through:
        # Its own pale shadow and soft edges darken the floor; what is solid keeps its colours.
        levels = [min(255, round(value * 255 / 242)) for value in range(256)] * 3
        ground = ImageChops.multiply(ground, flat.point(levels))
    canvas.paste(Image.composite(_graded(flat, palette, scene), ground, solid), at)


def _standing_free(picture: Image.Image, palette: Palette) -> tuple[int, int, int, int] | None:
    """The box of a product that can be lifted off its ground, or `None` for any other picture."""
    if picture.mode == "RGBA":
        return picture.getchannel("A").getbbox()
    if min(palette.wall) <= 70:  # white edges would shine on a dark wall
        return None
    small = picture.resize((96, 96), Image.Resampling.BILINEAR, reducing_gap=1.0)
    darkest = _darkest(small)
    for edge in ((0, 0, 96, 2), (0, 94, 96, 96), (0, 0, 2, 96), (94, 0, 96, 96)):
        if darkest.crop(edge).point([255 if value < 236 else 0 for value in range(256)]).getbbox():
            return None
    shape = darkest.point([255 if value < 228 else 0 for value in range(256)])
    box = shape.getbbox()
    if box is None:
        return None
    inside = shape.crop(box)
    filled = inside.histogram()[255] / (inside.width * inside.height)
    if filled < 0.4:  # pale itself: without its white there would be nothing left of it
        return None
    scale = (picture.width / 96, picture.height / 96)
    return (
        max(0, round((box[0] - 1) * scale[0])),
        max(0, round((box[1] - 1) * scale[1])),
        min(picture.width, round((box[2] + 1) * scale[0])),
        min(picture.height, round((box[3] + 1) * scale[1])),
    )


def _darkest(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    return ImageChops.darker(ImageChops.darker(red, green), blue)


def _decoded(data: bytes, room: tuple[int, int]) -> Image.Image:
    """The input in RGB, or RGBA where it is see-through.

    EXIF orientation is ignored, as the endpoint ignores it.
    """
    with Image.open(io.BytesIO(data)) as source:
        source.draft("RGB", room)  # a JPEG is decoded no larger than needed
        see_through = source.mode in ("RGBA", "LA", "PA") or "transparency" in source.info
        picture = source.convert("RGBA" if see_through else "RGB")
    if see_through:
        low, _ = picture.getchannel("A").getextrema()
        if low == 255:
            return picture.convert("RGB")
    return picture


def _fitted(picture: Image.Image, room: tuple[int, int], *, fill: float = 1.0) -> Image.Image:
    """As large as a share of the room lets it be. Small inputs grow only so far."""
    scale = min(fill * room[0] / picture.width, fill * room[1] / picture.height, 4.0)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=1.5)


def _corner(
    canvas: Image.Image, picture: Image.Image, centre: tuple[float, float]
) -> tuple[int, int]:
    x = round(centre[0] - picture.width / 2)
    y = round(centre[1] - picture.height / 2)
    return (
        min(max(x, 4), max(4, canvas.width - picture.width - 4)),
        min(max(y, 4), max(4, canvas.height - picture.height - 4)),
    )


def _printed(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    edge = max(3, min(picture.size) // 40)
    size = (picture.width + 2 * edge, picture.height + 2 * edge)
    framed = Image.new("RGB", size, _PRINT_EDGE)
    framed.paste(picture, (edge, edge))
    return framed, _rounded(size)


@lru_cache(maxsize=32)
def _rounded(size: tuple[int, int]) -> Image.Image:
    large = Image.new("L", (size[0] * 2, size[1] * 2), 0)
    # A pixel inside the edge, or a tilted card would have stairs for sides.
    ImageDraw.Draw(large).rounded_rectangle(
        (2, 2, large.width - 3, large.height - 3), radius=round(min(size) * 0.06), fill=255
    )
    return large.reduce(2)


def _placeholder(room: tuple[int, int], palette: Palette) -> Image.Image:
    side = min(room)
    card = Image.new("RGB", (side, side), mix(palette.paper, palette.wall, 0.4))
    pen = ImageDraw.Draw(card)
    for step in range(-side, side, max(12, side // 14)):
        pen.line((step, 0, step + side, side), fill=mix(palette.paper, palette.wall, 0.7), width=2)
    letters = lettering.font(max(12, side // 16))
    box = pen.textbbox((side / 2, side / 2), "input by URL", font=letters, anchor="mm")
    pad = side // 24
    pen.rounded_rectangle(
        (box[0] - pad, box[1] - pad, box[2] + pad, box[3] + pad), radius=pad, fill=palette.paper
    )
    pen.text(
        (side / 2, side / 2),
        "input by URL",
        font=letters,
        fill=mix(palette.ink, palette.paper, 0.35),
        anchor="mm",
    )
    return card


def _graded(picture: Image.Image, palette: Palette, scene: Scene) -> Image.Image:
    """The treatment: shadows lean to the ink, highlights to the light, contrast up a little."""
    words = scene.prompt.lower()
    if re.search(r"\b(black[- ]and[- ]white|monochrome|gr[ae]yscale|b&w)\b", words):
        return ImageOps.colorize(ImageOps.grayscale(picture), (14, 14, 18), (250, 248, 244))
    if re.search(r"\b(sepia|vintage|antique|old photo\w*)\b", words):
        return ImageOps.colorize(
            ImageOps.grayscale(picture), (34, 20, 12), (252, 240, 214), mid=(150, 112, 80)
        )
    return picture.point(_grade(palette, scene.index % 4))


@lru_cache(maxsize=64)
def _grade(palette: Palette, variant: int) -> list[int]:
    strength = (0.16, 0.21, 0.26, 0.19)[variant]
    shift = (0, 8, -7, 4)[variant]
    deep, bright = sorted((palette.ink, palette.light), key=sum)
    table: list[int] = []
    for channel, sign in enumerate((1, 0, -1)):
        for value in range(256):
            x = value / 255
            middle = 1 - abs(2 * x - 1)
            steep = x + 0.2 * (x - 0.5) * middle
            tint = deep[channel] * (1 - x) + bright[channel] * x
            toned = steep * 255 * (1 - strength) + tint * strength + shift * sign * middle
            table.append(min(255, max(0, round(toned))))
    return table
