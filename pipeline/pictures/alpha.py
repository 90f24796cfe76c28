"""The input's transparency, which no model returns, laid on the answer again."""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.pictures.framing import Framing, Size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

# Below this the colour of a pixel is mostly guesswork, and nobody sees it.
_FAINT = 16
_NEAR_GROUND = 24
_GROUND_KEPT = 0.9


def mask_of(picture: "Image", framing: Framing | None, size: Size) -> "Image | None":
    """An input's alpha, of the part that was sent, in the answer's size; None if it is opaque."""
    from PIL import Image

    if picture.mode not in ("LA", "RGBA"):
        return None
    mask = picture.getchannel("A")
    if mask.getextrema() == (255, 255):
        return None
    box = (0.0, 0.0, float(mask.width), float(mask.height))
    if framing is not None and framing.fit == "crop":
        left, top = -framing.box[0], -framing.box[1]
        box = (left, top, left + framing.canvas[0], top + framing.canvas[1])
    return mask.resize(size, Image.Resampling.LANCZOS, box=box)


def with_mask(picture: "Image", mask: "Image", background: str) -> "tuple[Image, bool]":
    """The picture with that alpha, as ``RGBA``; its own is kept where it is clearer still.

    Soft edges were mixed with ``background`` before they were sent. Where the answer still shows
    it around them, it is taken out of them again (True): otherwise every edge had a pale rim.
    """
    from PIL import Image, ImageChops, ImageColor

    if picture.mode in ("LA", "RGBA"):
        mask = ImageChops.darker(mask, picture.getchannel("A"))
    colours = np.asarray(picture.convert("RGB"))
    alpha = np.asarray(mask)
    ground = np.array(ImageColor.getrgb(background)[:3], np.int16)
    clear = colours[alpha == 0]
    kept = bool(
        len(clear)
        and np.mean(np.abs(clear.astype(np.int16) - ground).max(axis=1) <= _NEAR_GROUND)
        >= _GROUND_KEPT
    )
    if kept:
        colours = _unmixed(colours, alpha, ground)
    result = Image.fromarray(colours).convert("RGBA")
    result.putalpha(mask)
    return result, kept


def _unmixed(
    colours: "NDArray[np.uint8]", alpha: "NDArray[np.uint8]", ground: "NDArray[np.int16]"
) -> "NDArray[np.uint8]":
    soft = (alpha >= _FAINT) & (alpha < 255)
    share = alpha[soft].astype(np.float32)[:, None] / 255
    pure = (colours[soft] - ground * (1 - share)) / share
    result = colours.copy()
    result[soft] = np.clip(np.rint(pure), 0, 255).astype(np.uint8)
    return result
