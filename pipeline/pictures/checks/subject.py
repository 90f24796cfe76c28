"""Which part of an input is its subject: what its transparency, or a plain ground, leaves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.pictures.checks.pictures import Reference

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_BAND = 0.04
_PLAIN_SHARE = 0.85
_PLAIN = 14
_APART = 22
_LEAST, _MOST = 0.01, 0.9


def subject_of(reference: "Reference") -> "Mask | None":
    """True where the subject is, in the pixels of ``reference.small``.

    None where the input shows no subject that could be told from its ground: opaque, and its
    border is neither plain nor one smooth gradient; or hardly anything, or nearly everything, is
    apart from it.
    """
    if reference.alpha is not None:
        mask = reference.alpha >= 128
    else:
        apart = _from_ground(reference.colours)
        if apart is None:
            return None
        mask = _filled(closed(apart > _APART))
    return mask if _LEAST <= float(mask.mean()) <= _MOST else None


def _from_ground(colours: "NDArray[np.uint8]") -> "NDArray[np.float32] | None":
    """How far each pixel is from a ground that was fitted to the border; None if that is not plain.

    The ground is a quadratic in both directions, so that a studio's falling light is still plain.
    Fitted twice, the second time without what the subject covers of the border.
    """
    height, width = colours.shape[:2]
    band = max(2, round(_BAND * min(height, width)))
    border = np.ones((height, width), bool)
    border[band : height - band, band : width - band] = False
    rows, columns = np.nonzero(border)
    down = np.linspace(-1, 1, height, dtype=np.float32)
    across = np.linspace(-1, 1, width, dtype=np.float32)
    terms = _terms(across[columns], down[rows])
    values = colours[rows, columns].astype(np.float32)
    near = _apart(_fitted(terms, values), terms, values)
    inliers = near <= max(_PLAIN, float(np.median(near)))
    fit = _fitted([term[inliers] for term in terms], values[inliers])
    if np.mean(_apart(fit, terms, values) <= _PLAIN) < _PLAIN_SHARE:
        return None
    return _apart(fit, _terms(across, down[:, None]), colours)


def _terms(across: "Floats", down: "Floats") -> "list[Floats]":
    return [np.ones_like(across), across, across**2, down, down * across, down**2]


# By hand and the 6 x 6 normal equations: BLAS would start threads in each of the pool's threads.
def _fitted(terms: "Sequence[Floats]", values: "Floats") -> "Floats":
    squares = np.array([[float((one * other).sum()) for other in terms] for one in terms])
    right = np.array([(one[:, None] * values).sum(axis=0) for one in terms], np.float64)
    # A hair on the diagonal: a border of too few pixels has no one solution.
    fit: Floats = np.linalg.solve(squares + 1e-3 * np.eye(len(squares)), right).astype(np.float32)
    return fit


def _apart(
    fit: "Floats", terms: "Sequence[Floats]", colours: "NDArray[np.uint8] | Floats"
) -> "Floats":
    """How far colours (``… x 3``) are from the ground, in the channel where it is most."""
    # A channel at a time: three of them side by side take twice as long.
    far = np.zeros(colours.shape[:-1], np.float32)
    for channel in range(3):
        ground = _at(fit[:, channel], terms)
        np.maximum(far, np.abs(ground - colours[..., channel]), out=far)
    return far


def _at(fit: "Floats", terms: "Sequence[Floats]") -> "Floats":
    """One channel of the ground; sums over columns first, which are one line."""
    flat = sum(part * term for part, term in zip(fit[:3], terms[:3], strict=True))
    down = terms[3]
    slope = fit[3] + fit[4] * terms[1]
    return np.asarray(flat + down * slope + down * down * fit[5], np.float32)


def _filled(mask: "Mask") -> "Mask":
    """Holes filled: what is not apart from the ground and yet not connected to the border."""
    free = ~mask
    reached = np.zeros_like(mask)
    reached[[0, -1]], reached[:, [0, -1]] = free[[0, -1]], free[:, [0, -1]]
    count = -1
    while count != (count := int(reached.sum())):
        for turned in (False, True):
            here, seen = (free.T, reached.T) if turned else (free, reached)
            # Runs of free pixels along one axis have one number; a run is reached as a whole.
            runs = np.cumsum(~np.pad(here, ((0, 0), (1, 0))), axis=None).reshape(
                here.shape[0], here.shape[1] + 1
            )[:, 1:]
            known = np.bincount(runs[seen], minlength=int(runs[-1, -1]) + 1) > 0
            seen |= here & known[runs]
    return ~reached


def closed(mask: "Mask", reach: int = 2) -> "Mask":
    """Small holes filled, specks taken away."""
    return grown(shrunk(grown(mask, reach), 2 * reach), reach)


def grown(mask: "Mask", reach: int) -> "Mask":
    """True within ``reach`` pixels of True, diagonals included."""
    padded = np.pad(mask, reach)
    for axis in (0, 1):
        length = padded.shape[axis] - 2 * reach
        slices = [
            np.take(padded, range(step, step + length), axis=axis) for step in range(2 * reach + 1)
        ]
        padded = np.logical_or.reduce(slices)
    return padded


def shrunk(mask: "Mask", reach: int) -> "Mask":
    """True where everything within ``reach`` pixels is; beyond the border counts as True."""
    return ~grown(~mask, reach)
