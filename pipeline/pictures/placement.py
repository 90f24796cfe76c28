"""Where a picture lands on a rendition's canvas: geometry alone, no pixels."""

import math
from typing import Literal

import msgspec

Fit = Literal["contain", "cover", "exact", "inside"]
Size = tuple[int, int]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_NOTICEABLE = 1.001


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """``window``: of the source, in its pixels, what is shown; ``spot``: where on ``canvas``.

    ``scale``: pixels of the canvas per pixel of the source, on the side that is enlarged more;
    over 1, pixels are invented. ``asked``: the canvas as asked for, before it was made smaller
    for want of pixels.
    """

    canvas: Size
    window: Box
    spot: tuple[int, int, int, int]
    scale: float
    asked: Size

    @property
    def spot_size(self) -> Size:
        return self.spot[2] - self.spot[0], self.spot[3] - self.spot[1]

    @property
    def enlarges(self) -> bool:
        return self.scale > _NOTICEABLE

    @property
    def reduced(self) -> bool:
        """Whether the canvas is smaller than asked for."""
        return self.canvas != self.asked


def placed(
    source: Size,
    *,
    width: int | None,
    height: int | None,
    fit: Fit,
    focus: tuple[float, float] = (0.5, 0.5),
    allow_upscale: bool = True,
) -> Placement:
    """A whole picture on its canvas. ``width`` or ``height`` may be None where ``fit`` is inside.

    Without ``allow_upscale`` a canvas that needs more pixels than there are becomes smaller, in its
    own ratio.
    """
    across = width / source[0] if width else None
    down = height / source[1] if height else None
    scales = [scale for scale in (across, down) if scale is not None]
    if fit == "inside":
        scale = min(scales)
        asked = _times(source, scale)
        canvas = _times(source, scale if allow_upscale else min(scale, 1.0))
        whole = (0.0, 0.0, float(source[0]), float(source[1]))
        used = scale if allow_upscale else min(scale, 1.0)
        return Placement(canvas=canvas, window=whole, spot=(0, 0, *canvas), scale=used, asked=asked)
    asked = (width or 1, height or 1)
    wanted = min(scales) if fit == "contain" else max(scales)
    shrink = 1.0 if allow_upscale else min(1.0, 1 / wanted)
    canvas = asked if shrink == 1.0 else _times(asked, shrink)
    scale = wanted * shrink
    window = (0.0, 0.0, float(source[0]), float(source[1]))
    spot = (0, 0, *canvas)
    if fit == "contain":
        inner = _times(source, scale, most=canvas)
        left, top = (canvas[0] - inner[0]) // 2, (canvas[1] - inner[1]) // 2
        spot = (left, top, left + inner[0], top + inner[1])
    elif fit == "cover":
        seen = (min(canvas[0] / scale, source[0]), min(canvas[1] / scale, source[1]))
        begin, above = (
            min(max(focus[side] * source[side] - seen[side] / 2, 0.0), source[side] - seen[side])
            for side in (0, 1)
        )
        window = (begin, above, begin + seen[0], above + seen[1])
    return Placement(canvas=canvas, window=window, spot=spot, scale=scale, asked=asked)


def placed_subject(
    source: Size,
    subject: tuple[int, int, int, int],
    *,
    canvas: Size,
    fill: float,
    allow_upscale: bool = True,
) -> Placement:
    """A picture whose ``subject`` (in its pixels) takes ``fill`` of the canvas, and stands in the
    middle of it: of the width or of the height, whichever is reached first. Around the subject the
    picture goes on as far as it reaches.
    """
    asked = canvas
    width, height = subject[2] - subject[0], subject[3] - subject[1]
    # Up, so that rounding never takes a subject below what a platform asks for.
    scale = min(_filled(canvas[0], fill) / width, _filled(canvas[1], fill) / height)
    if not allow_upscale and scale > 1:
        canvas, scale = _times(canvas, 1 / scale), 1.0
    spot: list[int] = []
    window: list[float] = []
    for side in (0, 1):
        middle = (subject[side] + subject[side + 2]) / 2
        start = middle - canvas[side] / scale / 2
        first, last = max(start, 0.0), min(start + canvas[side] / scale, float(source[side]))
        # Whole pixels on the canvas; the window then follows them, so that nothing is distorted.
        begin = max(0, round((first - start) * scale))
        end = min(canvas[side], max(begin + 1, round((last - start) * scale)))
        spot += [begin, end]
        window += [
            min(max(start + begin / scale, 0.0), source[side] - 1.0),
            min(max(start + end / scale, 1.0), float(source[side])),
        ]
    return Placement(
        canvas=canvas,
        window=(window[0], window[2], window[1], window[3]),
        spot=(spot[0], spot[2], spot[1], spot[3]),
        scale=scale,
        asked=asked,
    )


def _filled(side: int, fill: float) -> int:
    return min(side, math.ceil(side * fill))


def _times(size: Size, scale: float, most: Size | None = None) -> Size:
    width, height = (max(1, round(side * scale)) for side in size)
    return (width, height) if most is None else (min(width, most[0]), min(height, most[1]))
