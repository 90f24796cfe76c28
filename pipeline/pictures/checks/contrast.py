"""Whether there is anything in a picture."""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.pictures.checks.channels import largest

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE = 64
_AROUND = 3
_SHARE = 99.0


def contrast_of(picture: "Image") -> float:
    """Levels (of 255) by which the most distinct hundredth of an ``RGB`` picture stands out.

    At 64 x 64, where noise has averaged out; against a blurred copy, in which a gradient is what
    it was.
    """
    from PIL import Image, ImageFilter

    small = picture.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    around = small.filter(ImageFilter.GaussianBlur(_AROUND))
    apart = largest(np.abs(np.asarray(small, np.int16) - np.asarray(around, np.int16)))
    return float(np.percentile(apart, _SHARE))
