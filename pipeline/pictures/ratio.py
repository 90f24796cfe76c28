"""Which of the shapes on offer is nearest to a picture's."""

import math
from collections.abc import Sequence
from functools import lru_cache


def nearest_ratio(width: int, height: int, choices: Sequence[str]) -> str:
    """The choice (``"16:9"``) nearest to ``width`` by ``height``; of equally near ones the first.

    Near on a logarithmic scale: twice as wide is as far as twice as high. Raises `ValueError` for
    no choices, for a choice that is no ratio, and for sides that are not positive.
    """
    if width <= 0 or height <= 0:
        raise ValueError(f"a picture of {width} x {height} has no shape")
    return _nearest(width, height, tuple(choices))


@lru_cache(maxsize=1024)  # the pictures of a shop come in few sizes
def _nearest(width: int, height: int, choices: tuple[str, ...]) -> str:
    shape = math.log(width) - math.log(height)
    # Rounded, so that two choices equally far away do not differ by the last bit.
    return min(choices, key=lambda choice: round(abs(shape - _logarithm(choice)), 12))


def _logarithm(choice: str) -> float:
    across, _, down = choice.partition(":")
    try:
        return math.log(float(across)) - math.log(float(down))
    except ValueError:
        raise ValueError(f"{choice!r} is no ratio; write it as '16:9'") from None
