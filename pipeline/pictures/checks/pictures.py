"""The pictures that checks look at, decoded once and reduced once."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import CheckFailedError
from pipeline.pictures import pixels
from pipeline.pictures.checks.subject import subject_of
from pipeline.pictures.decode import decode
from pipeline.pictures.framing import Framing, Size, fitting, region

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Source = str | Path | bytes

COMPARED_SIDE = 256
"""Pixels of the long side at which pictures are compared: 4 pixels of a 1024-pixel picture in
one, so that what every model shifts and every codec blurs is small beside what an edit does."""

# Reduced to at least this in whole steps, which is fast; from there to the exact size.
_REDUCED_SIDE = 512


class Reference:
    """One input of an edit, reduced: about 0.3 MB. May be shared by checks of many edits.

    ``size``: pixels of what was sent of it, as displayed. ``small``: that as ``RGB``, on the
    background it was sent on, its long side at most `COMPARED_SIDE`. ``alpha``: of ``small``, 0 to
    255, None where it is opaque.
    """

    def __init__(
        self, source: Source, framing: Framing | None = None, *, background: str = "white"
    ) -> None:
        """Raises `InputError`. ``framing``: as `prepare` made it, for the first input."""
        decoded = decode(source, name="input", wanted=_REDUCED_SIDE)
        picture, size = decoded.picture, decoded.size
        if framing is not None and framing.fit == "crop" and framing.changes:
            across, down = picture.width / size[0], picture.height / size[1]
            left, top = -framing.box[0], -framing.box[1]
            box = (left, top, left + framing.canvas[0], top + framing.canvas[1])
            picture = picture.crop(
                (
                    round(box[0] * across),
                    round(box[1] * down),
                    max(round(box[0] * across) + 1, round(box[2] * across)),
                    max(round(box[1] * down) + 1, round(box[3] * down)),
                )
            )
            size = framing.canvas
        self.size: Size = size
        self.framing = framing
        small = _reduced(picture, compared_size(size))
        self.alpha: NDArray[np.uint8] | None = None
        if not pixels.is_opaque(small):
            self.alpha = np.asarray(small.getchannel("A"))
        self.small = pixels.flattened(small, background).convert("RGB")

    @functools.cached_property
    def colours(self) -> "NDArray[np.uint8]":
        """``small`` as an array of height x width x 3."""
        return np.asarray(self.small)

    @functools.cached_property
    def subject(self) -> "NDArray[np.bool_] | None":
        """See `subject_of`: the same for all pictures that come back for this input."""
        return subject_of(self)


class PictureUnderTest:
    """One answer. User checks get this too.

    ``size``: pixels as they came. ``image``: all of it, ``L``, ``LA``, ``RGB`` or ``RGBA``,
    upright, in sRGB; not to be changed. ``inputs``: the edit's, where they are known here.
    ``name``: the edit's id; ``asked_ratio``: as it was sent, empty if nothing was;
    ``variables``: the manifest's other columns.
    """

    def __init__(
        self,
        source: Source,
        *,
        framing: Framing | None = None,
        inputs: Sequence[Reference] = (),
        asked_ratio: str = "",
        name: str = "",
        variables: Mapping[str, str] | None = None,
        background: str = "white",
    ) -> None:
        """Decodes all of it. Raises `InputError`."""
        decoded = decode(source, name="picture")
        self.image: Image = decoded.picture
        self.size: Size = decoded.size
        self.source = source
        self.framing = framing
        self.inputs = tuple(inputs)
        self.asked_ratio = asked_ratio
        self.name = name
        self.variables: Mapping[str, str] = variables or {}
        self._background = background
        self._compared: dict[Size, NDArray[np.uint8]] = {}

    @functools.cached_property
    def seen(self) -> "Image":
        """``image`` as ``RGB``, transparency on the background, without the padding that its input
        was given. Raises `CheckFailedError` where that cannot be found.
        """
        picture = self.image
        if self.visible != (0, 0, *self.size):
            picture = picture.crop(self.visible)
        picture = pixels.flattened(picture, self._background)
        return picture if picture.mode == "RGB" else picture.convert("RGB")

    @functools.cached_property
    def visible(self) -> tuple[int, int, int, int]:
        """The box of ``image`` in whole pixels that `seen` shows."""
        if self.framing is None:
            return (0, 0, *self.size)
        try:
            left, top, right, bottom = region(self.framing, self.size)
        except ValueError as error:
            raise CheckFailedError(str(error)) from error
        return (
            min(round(left), self.size[0] - 1),
            min(round(top), self.size[1] - 1),
            max(round(left) + 1, round(right)),
            max(round(top) + 1, round(bottom)),
        )

    @functools.cached_property
    def small(self) -> "Image":
        """`seen`, its long side at most `COMPARED_SIDE`."""
        return _exactly(self.reduced, compared_size(self.seen.size))

    @functools.cached_property
    def reduced(self) -> "Image":
        """`seen` in whole steps, its long side `COMPARED_SIDE` times two to four."""
        return _by_steps(self.seen)

    def compared_with(self, reference: Reference) -> "NDArray[np.uint8]":
        """`seen` in the pixels of an input's ``colours``."""
        size = reference.small.size
        if size not in self._compared:
            self._compared[size] = np.asarray(_exactly(self.reduced, size))
        return self._compared[size]


def compared_size(size: Size) -> Size:
    """What a picture is reduced to; never so flat that nothing could be compared."""
    width, height = fitting(size, COMPARED_SIDE)
    return max(8, width), max(8, height)


def _reduced(picture: "Image", size: Size) -> "Image":
    return _exactly(_by_steps(picture), size)


def _by_steps(picture: "Image") -> "Image":
    step = max(picture.size) // _REDUCED_SIDE
    return picture.reduce(step) if step > 1 else picture


def _exactly(picture: "Image", size: Size) -> "Image":
    from PIL import Image

    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.BOX if _shrinks(picture, size) else _SMOOTH)


def _shrinks(picture: "Image", size: Size) -> bool:
    return picture.width >= 2 * size[0] and picture.height >= 2 * size[1]


_SMOOTH = 2  # Pillow's BILINEAR, which averages over all of a pixel when it makes smaller
