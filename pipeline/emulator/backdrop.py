"""The studio: a wall that runs into a floor, a lamp, and the shadows of what stands there."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from pipeline.emulator.palette import Palette, mix

_COARSE = 8
"""Soft things are drawn at an eighth of their size: they have no detail to lose."""


@lru_cache(maxsize=12)
def backdrop(size: tuple[int, int], palette: Palette, variant: int) -> Image.Image:
    """An empty studio of `size` pixels; variants 0 to 3 are lit differently. Do not draw on it."""
    small = (max(16, size[0] // _COARSE), max(16, size[1] // _COARSE))
    wall, floor = palette.wall, palette.floor
    if variant == 1:
        wall = mix(wall, palette.light, 0.35)
    elif variant == 2:
        wall = mix(wall, palette.floor, 0.5)
    elif variant == 3:
        floor = mix(floor, palette.wall, 0.5)
    steps = [round(255 * _smooth((row / small[1] - 0.60) / 0.22)) for row in range(small[1])]
    ground = Image.frombytes("L", (1, small[1]), bytes(steps)).resize(small)
    base = Image.composite(Image.new("RGB", small, floor), Image.new("RGB", small, wall), ground)
    # The lamp stands over the middle, or to one side for the other pictures of a request.
    glow = ImageOps.invert(Image.radial_gradient("L")).resize((small[0] * 2, small[1] * 2))
    lamp = (0.5, 0.3, 0.7, 0.42)[variant]
    left, top = round(small[0] * (1 - lamp)), round(small[1] * 0.62)
    glow = glow.crop((left, top, left + small[0], top + small[1]))
    lit = Image.composite(Image.new("RGB", small, palette.light), base, glow)
    corners = Image.radial_gradient("L").resize(small)
    corners = corners.point([round(max(0, value - 150) * 0.42) for value in range(256)])
    shaded = Image.composite(Image.new("RGB", small, mix(floor, (0, 0, 0), 0.5)), lit, corners)
    return shaded.resize(size, Image.Resampling.BICUBIC)


def cast_shadow(
    canvas: Image.Image, shape: Image.Image, at: tuple[int, int], palette: Palette
) -> None:
    """The soft shadow of a shape (a mask) that hangs at `at` in front of the wall."""
    spread = max(2, min(canvas.size) // 260)
    pad = spread * 4
    small = shape.resize(
        (max(1, shape.width // _COARSE), max(1, shape.height // _COARSE)),
        Image.Resampling.BILINEAR,
        reducing_gap=1.0,
    )
    mask = Image.new("L", (small.width + 2 * pad, small.height + 2 * pad), 0)
    mask.paste(small.point([round(value * 0.42) for value in range(256)]), (pad, pad))
    drop = round(min(canvas.size) * 0.014)
    _darken(canvas, mask, spread, (at[0] - pad * _COARSE, at[1] - pad * _COARSE + drop), palette)


def contact_shadow(
    canvas: Image.Image, left: int, right: int, bottom: int, palette: Palette
) -> None:
    """The shadow on the floor of something whose foot reaches from `left` to `right`."""
    half = max(3, round((right - left) * 0.6 / _COARSE))
    flat = max(2, round(half * 0.13))
    spread = max(2.0, flat * 0.75)
    pad = round(spread * 3)
    mask = Image.new("L", (2 * (half + pad), 2 * (flat + pad)), 0)
    ImageDraw.Draw(mask).ellipse((pad, pad, pad + 2 * half, pad + 2 * flat), fill=175)
    at = (
        (left + right) // 2 - (half + pad) * _COARSE,
        bottom - round(flat * 1.2 * _COARSE) - (flat + pad) * _COARSE,
    )
    _darken(canvas, mask, spread, at, palette)


def _darken(
    canvas: Image.Image,
    mask: Image.Image,
    spread: float,
    at: tuple[int, int],
    palette: Palette,
) -> None:
    mask = mask.filter(ImageFilter.GaussianBlur(spread))
    mask = mask.resize((mask.width * _COARSE, mask.height * _COARSE), Image.Resampling.BILINEAR)
    canvas.paste(mix(palette.floor, (0, 0, 0), 0.8), at, mask)


def _smooth(x: float) -> float:
    x = min(1.0, max(0.0, x))
    return x * x * (3 - 2 * x)
