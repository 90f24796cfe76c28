"""How two pictures of the same scene differ, however they were compressed, resized or shifted."""

from typing import TYPE_CHECKING

import numpy as np

from pipeline.pictures.checks.channels import largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.uint8]

_REACH = 2
_SPOT = 8


def most_changed(one: "Array", other: "Array") -> tuple[float, float]:
    """Levels (of 255) by which the most changed spot differs, and the mean of the whole.

    Both are arrays of height x width x 3 of one shape. A pixel counts only by how far it lies
    outside of all that the other picture has within `_REACH` pixels of it, so that no edge that is
    a little elsewhere, or a little softer, looks like a change; in the more telling of the two
    directions, and in the channel that differs most. A spot is 8 x 8 pixels, a thousandth of the
    picture.
    """
    beyond = largest(np.maximum(_beyond(one, other), _beyond(other, one)))
    height, width = beyond.shape
    rows, columns = max(1, height // _SPOT), max(1, width // _SPOT)
    high, wide = min(height, _SPOT), min(width, _SPOT)
    spots = beyond[: rows * high, : columns * wide].reshape(rows, high, columns, wide)
    mean = np.abs(one.astype(np.int16) - other).mean()
    return float(spots.mean(axis=(1, 3)).max()), float(mean)


def _beyond(one: "Array", other: "Array") -> "Array":
    """How far each value lies outside of the values around its place in the other picture."""
    highest, lowest = _spread(other, np.maximum), _spread(other, np.minimum)
    # Unsigned: what is inside would be negative, and is clipped to none.
    above = np.maximum(one, highest) - highest
    return np.maximum(above, lowest - np.minimum(one, lowest))


def _spread(values: "Array", choose: np.ufunc) -> "Array":
    """The largest, or smallest, within `_REACH` pixels each way."""
    for axis in (0, 1):
        result = values.copy()
        for step in range(1, _REACH + 1):
            ahead = (slice(None),) * axis + (slice(step, None),)
            behind = (slice(None),) * axis + (slice(None, -step),)
            choose(result[ahead], values[behind], out=result[ahead])
            choose(result[behind], values[ahead], out=result[behind])
        values = result
    return values
