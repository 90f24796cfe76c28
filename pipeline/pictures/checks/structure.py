"""Whether a subject is still the same one: its edges, where they run and which way, its colour."""

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pipeline.pictures.checks.subject import grown, shrunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_DRIFT = 0.05
_REACH = 2
_INSIDE = 4
_EDGE = 12.0
_STRONG = 60.0


class Structure(msgspec.Struct, frozen=True):
    """``kept``: share of the subject's edges that are found again; ``added``: share of the edges
    found inside it that were not there; ``colour``: levels by which its mean colour (without
    brightness) has moved; ``drift``: pixels of the compared size that it was shifted by.
    """

    kept: float
    added: float
    colour: float
    drift: tuple[int, int]


def compare(before: "NDArray[np.uint8]", mask: "Mask", after: "NDArray[np.uint8]") -> Structure:
    """Both pictures as height x width x 3, of one shape; ``mask``: the subject in ``before``.

    An edge counts as found where one of nearly the same direction lies within `_REACH` pixels,
    lighter or darker: a new ground may turn a dark outline into a bright one.
    """
    size, part = mask.shape, _around(mask)
    before, mask, after = before[part], mask[part], after[part]
    old, new = _edges(before), _edges(after)
    shift = _drift(old, new, mask, round(_DRIFT * max(size)))
    after = np.roll(after, shift, axis=(0, 1))
    new = np.roll(new, shift, axis=(0, 1))
    around = grown(mask, 1)
    inside = shrunk(mask, _INSIDE)
    kept = _found(old, new, around)
    added = 1 - _found(new, old, inside, grain=float(_weight(old)[inside].sum()))
    colour = _colour_moved(before, after, inside if inside.any() else mask)
    return Structure(kept, added, colour, shift)


def _around(mask: "Mask") -> tuple[slice, slice]:
    """The subject's box, with room for its drift and for the windows that look around a pixel."""
    room = round(_DRIFT * max(mask.shape)) + _REACH + 2
    found = []
    for axis in (1, 0):
        used = np.flatnonzero(mask.any(axis=axis))
        found.append(slice(max(0, int(used[0]) - room), int(used[-1]) + room + 1))
    return found[0], found[1]


def _edges(colours: "NDArray[np.uint8]") -> "Floats":
    """Height x width x 2: strength and doubled direction of the edge at each pixel, as a vector.

    Of the channel that changes most. Doubled, so that light to dark and dark to light are alike.
    """
    smooth = _blurred(colours.astype(np.float32))
    across, down = np.zeros_like(smooth), np.zeros_like(smooth)
    across[:, 1:-1] = smooth[:, 2:] - smooth[:, :-2]
    down[1:-1] = smooth[2:] - smooth[:-2]
    strength = across**2 + down**2
    channel = strength.argmax(axis=2)[..., None]
    gx = np.take_along_axis(across, channel, 2)[..., 0]
    gy = np.take_along_axis(down, channel, 2)[..., 0]
    length = np.sqrt(gx**2 + gy**2) + 1e-6
    return np.stack([(gx**2 - gy**2) / length, 2 * gx * gy / length], axis=-1)


def _blurred(values: "Floats") -> "Floats":
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    result: Floats = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return result


def _weight(edges: "Floats") -> "Floats":
    """How much an edge counts: nothing below `_EDGE`, which is grain; all from `_STRONG` on."""
    length = np.sqrt((edges**2).sum(axis=-1))
    weight: Floats = np.clip((length - _EDGE) / (_STRONG - _EDGE), 0, 1)
    return weight


def _found(edges: "Floats", others: "Floats", where: "Mask", grain: float = 0.0) -> float:
    """The share, by weight, of the edges at a place that the others have too. 1 where none are.

    ``grain``: weight that counts as found anyway, so that a few weak edges in an empty subject
    do not make all of the measure.
    """
    weight = _weight(edges) * where
    total = float(weight.sum()) + grain
    if total < 1:
        return 1.0
    rows, columns = np.nonzero(weight)
    here = edges[rows, columns]
    length = np.sqrt((here**2).sum(axis=-1)) + 1e-6
    across, down = here[:, 0] / length, here[:, 1] / length
    # Half as strong is found all the same: a softer light, a softer picture.
    enough = 2 / np.minimum(length, _STRONG)
    around = np.pad(others, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)))
    strength = np.sqrt((around**2).sum(axis=-1)) + 1e-6
    # Flat arrays: what lies around all edges is gathered 25 times.
    width = around.shape[1]
    other_across = (around[..., 0] / strength).ravel()
    other_down = (around[..., 1] / strength).ravel()
    strength = strength.ravel()
    corner = rows * width + columns
    best = np.zeros_like(length)
    for step in range((2 * _REACH + 1) ** 2):
        place = corner + step // (2 * _REACH + 1) * width + step % (2 * _REACH + 1)
        along = np.maximum(0, across * other_across[place] + down * other_down[place])
        np.maximum(best, along**2 * np.minimum(1, strength[place] * enough), out=best)
    return float(((weight[rows, columns] * best).sum() + grain) / total)


def _drift(old: "Floats", new: "Floats", mask: "Mask", most: int) -> tuple[int, int]:
    """The shift (down, across) that lays the new edges best on the subject's: pixels, at most so
    many.
    """
    most = max(1, most)
    height, width = mask.shape
    template = old * grown(mask, 1)[..., None]
    # Room for the shift, and sides that are quick to transform: primes are not.
    high, wide = (-(-(side + most) // 32) * 32 for side in (height, width))
    spectrum = np.zeros((high, wide // 2 + 1), np.complex64)
    for part in (0, 1):
        here = np.fft.rfft2(template[..., part], s=(high, wide))
        spectrum += here * np.conj(np.fft.rfft2(new[..., part], s=(high, wide)))
    scores = np.fft.irfft2(spectrum, s=(high, wide))
    steps = np.r_[0 : most + 1, -most:0]
    window = scores[np.ix_(steps % high, steps % wide)]
    best = np.unravel_index(int(window.argmax()), window.shape)
    return int(steps[best[0]]), int(steps[best[1]])


def _colour_moved(before: "NDArray[np.uint8]", after: "NDArray[np.uint8]", where: "Mask") -> float:
    """How far the mean colour differences (Cb and Cr) have moved, in levels, at one brightness."""
    weights = np.array([0.299, 0.587, 0.114])
    old, new = before[where].mean(axis=0), after[where].mean(axis=0)
    # At the darker one's brightness: a subject in brighter light has more of the same colour.
    bright, brighter = sorted((float(old @ weights), float(new @ weights)))
    if brighter > 0:
        scale = bright / brighter
        old, new = (old, new * scale) if new @ weights > old @ weights else (old * scale, new)
    red, _, blue = (new - old - (new - old) @ weights).tolist()
    return float(np.hypot(blue * 0.564, red * 0.713))
