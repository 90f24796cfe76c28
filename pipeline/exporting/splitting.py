"""Which split something is in: a function of its name alone, so that it never changes."""

import hashlib

from pipeline.job.exports import Shares


def split_of(name: str, shares: Shares) -> str:
    """The split of whatever has this name.

    The name's hash is a point between 0 and 1, and the shares, in their order, divide that line. So
    what else there is does not matter, and other shares move as little as their borders move.
    """
    digest = hashlib.sha256(f"split\0{name}".encode()).digest()
    point = int.from_bytes(digest[:8]) / 2**64
    border = 0.0
    for split, share in shares:
        border += share
        if point < border:
            return split
    return shares[-1][0]
