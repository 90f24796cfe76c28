"""What the structure of a PNG, JPEG or WebP says before anything is decoded."""

import struct
from typing import Literal

import msgspec

from pipeline.models import FileSlice
from pipeline.pictures.source import Source

MAX_PIXELS = 200_000_000
"""Pictures of more pixels than this, by their header, are not decoded: 4 bytes a pixel at least."""

MAX_PROFILE_BYTES = 8 << 20
"""ICC profiles larger than this are ignored as broken; a printing press's takes about 2 MB."""

_ORIENTATION_TAG = 0x0112


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """One picture file, taken apart.

    ``width`` and ``height`` are pixels as stored, before ``orientation`` (EXIF, 1 to 8). ``parts``
    are the same pixels without metadata and without the colour profile. ``depth``: bits a channel.
    ``alpha``: it has a channel or a colour that may be transparent. ``redo``: why these pixels
    cannot go out as they are stored (``CMYK``, ``16 bit``, …), empty when they can. ``lossless``:
    worth keeping so. ``profile``: ICC, where it has one.
    """

    format: Literal["png", "jpeg", "webp"]
    width: int
    height: int
    parts: tuple[bytes | FileSlice, ...]
    orientation: int = 1
    depth: int = 8
    alpha: bool = False
    redo: str = ""
    lossless: bool = False
    profile: bytes | None = None


class Pieces:
    """Collects what is kept of a source; neighbours become one part."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces: list[tuple[int, int] | bytes] = []

    def keep(self, offset: int, length: int) -> None:
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, tuple) and last[0] + last[1] == offset:
            self._pieces[-1] = (last[0], last[1] + length)
        else:
            self._pieces.append((offset, length))

    def insert(self, data: bytes) -> None:
        self._pieces.append(data)

    def parts(self) -> tuple[bytes | FileSlice, ...]:
        return tuple(
            piece if isinstance(piece, bytes) else self._source.part(*piece)
            for piece in self._pieces
        )


def exif_orientation(exif: bytes) -> int:
    """The orientation (1 to 8) that a block of EXIF states in its first directory; else 1.

    With or without the ``Exif\\0\\0`` before it. Broken EXIF is common and counts as none.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(count):
            tag, kind, _, value = struct.unpack_from(
                f"{order}HHIH", tiff, directory + 2 + entry * 12
            )
            if tag == _ORIENTATION_TAG:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
