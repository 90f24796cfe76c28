"""What a rendition is to be, as a value."""

from typing import Literal

import msgspec

from pipeline.errors import JobError
from pipeline.pictures.encoding import EXTENSIONS, LOWEST_QUALITY, Format
from pipeline.pictures.placement import Fit
from pipeline.pictures.resampling import Sharpening

LARGEST_SIDE = 16_383
"""Pixels; WebP has no more."""


class RenditionSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a picture is to become.

    ``width``, ``height``: pixels. ``fit``: ``contain`` shows all of it, on ``background``;
    ``cover`` fills the frame and cuts off what is farthest from ``focus`` (fractions from left and
    top); ``exact`` stretches; ``inside`` shows all of it without a margin, so one side may come
    out smaller, and may be left open. ``fill``: with ``contain``, near-white margins are cut and
    the subject takes this share of the frame; ``tolerance`` (of 255) is what still counts as
    ground.
    ``white_point``: what is at least so bright (of 255) becomes white, everything else brighter in
    proportion.

    ``quality``: of 100, default by format. ``max_bytes``: a ceiling that is met by lowering the
    quality, at most to ``min_quality``. ``sharpening``: after shrinking. ``profile``: an sRGB
    profile is embedded, or none. ``alpha``: ``keep`` keeps transparency (not JPEG).
    ``allow_upscale``: whether pixels may be invented; if not, the frame becomes smaller.

    ``file``: the file's name without its extension, a template; ``folder``: below the renditions'.
    """

    width: int | None = None
    height: int | None = None
    fit: Fit = "contain"
    focus: tuple[float, float] = (0.5, 0.5)
    fill: float | None = None
    tolerance: int = 12
    white_point: int | None = None
    format: Format = "jpeg"
    quality: int | None = None
    max_bytes: int | None = None
    min_quality: int = LOWEST_QUALITY
    sharpening: Sharpening = "mild"
    profile: Literal["embed", "strip"] = "embed"
    background: str = "white"
    alpha: Literal["flatten", "keep"] = "flatten"
    allow_upscale: bool = True
    file: str = "{{ id }}"
    folder: str = ""

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.format]

    def check(self, place: str = "rendition") -> None:
        """Raises `JobError` for what cannot work. To be called once, when a job is read."""
        from PIL import ImageColor

        for name, side in (("width", self.width), ("height", self.height)):
            if side is not None and not 1 <= side <= LARGEST_SIDE:
                raise JobError(f"{place}.{name}: {side}; choose 1 to {LARGEST_SIDE} pixels")
        sides = (self.width, self.height)
        if None in sides and (self.fit != "inside" or sides == (None, None)):
            way_out = "one of width and height" if self.fit == "inside" else "width and height"
            raise JobError(f"{place}: fit {self.fit!r} needs {way_out}, in pixels")
        if not all(0 <= part <= 1 for part in self.focus):
            raise JobError(f"{place}.focus: two fractions from 0 to 1, from left and from top")
        if self.fill is not None and (self.fit != "contain" or not 0.1 <= self.fill <= 1):
            raise JobError(f"{place}.fill: a share from 0.1 to 1, and only with fit 'contain'")
        if not 0 <= self.tolerance <= 128:
            raise JobError(f"{place}.tolerance: {self.tolerance}; choose 0 to 128")
        if self.white_point is not None and not 200 <= self.white_point <= 255:
            raise JobError(f"{place}.white_point: {self.white_point}; choose 200 to 255")
        if self.format == "png" and self.quality is not None:
            raise JobError(f"{place}.quality: PNG loses nothing; leave it out, or choose a format")
        for name, quality in (("quality", self.quality), ("min_quality", self.min_quality)):
            if quality is not None and not 1 <= quality <= 100:
                raise JobError(f"{place}.{name}: {quality}; choose 1 to 100")
        if self.max_bytes is not None and self.max_bytes < 1024:
            raise JobError(f"{place}.max_bytes: {self.max_bytes} is too small; at least 1024")
        if self.alpha == "keep" and self.format == "jpeg":
            raise JobError(f"{place}.alpha: JPEG has no transparency; choose png, webp or avif")
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            raise JobError(
                f"{place}.background: {self.background!r} is not a colour;"
                " name one ('white') or write it as '#rrggbb'"
            ) from error
