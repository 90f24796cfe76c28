"""What training formats are made of: samples with pictures, in columns known beforehand."""

from typing import Literal

import msgspec

Kind = Literal["text", "integer", "picture"]


class Column(msgspec.Struct, frozen=True):
    """One column: of text, of whole numbers, or of pictures. Any value may be ``None``."""

    name: str
    kind: Kind = "text"


class PictureBytes(msgspec.Struct, frozen=True):
    """A picture file's bytes. ``extension``: as they begin, with its dot."""

    data: bytes
    extension: str


class Sample(msgspec.Struct, frozen=True):
    """One example. ``key``: unlike all others', of ASCII letters, digits, ``-`` and ``_``.
    ``values`` and ``pictures``: by the names of their columns.
    """

    key: str
    values: dict[str, str | int | None]
    pictures: dict[str, PictureBytes | None]


OVERHEAD = 1_024
"""Bytes that a sample, and each of its pictures, take beside their own, at most."""


def weight(sample: Sample) -> int:
    """At most so many bytes of a shard."""
    pictures = [one for one in sample.pictures.values() if one is not None]
    size = sum(len(one.data) + OVERHEAD for one in pictures)
    return size + OVERHEAD + len(msgspec.json.encode(sample.values))
