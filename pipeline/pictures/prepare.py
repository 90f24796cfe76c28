"""An input picture made ready to be sent: upright, sRGB, opaque, small enough, without metadata.

A file that is all that already is never loaded: what is sent are slices of it that leave out the
metadata. Only where something must change is it decoded and encoded again.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from pipeline.errors import InputError, JobError
from pipeline.models import PreparedImage
from pipeline.pictures import colour, jpeg, pixels, png, webp
from pipeline.pictures.layout import Layout
from pipeline.pictures.sniff import HEAD, Kind, describe, sniff
from pipeline.pictures.source import (
    Damaged,
    FileSource,
    PartsReader,
    Source,
    open_source,
    part_length,
    read_parts,
)

MAX_DECODED_FILE_BYTES = 512 << 20
"""Larger files are not decoded: some decoders hold the whole file in memory."""

# A file cut into more pieces than this is joined in memory: at most ``max_bytes``, and very rare.
_MOST_PARTS = 64


_PIECE = 1 << 18

_SCANS: dict[Kind, Callable[[Source], Layout]] = {
    "png": png.scan,
    "jpeg": jpeg.scan,
    "webp": webp.scan,
}
_MIMES: dict[str, Literal["image/png", "image/jpeg", "image/webp"]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
}


class PrepareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every input of a job is brought to.

    ``max_side``: pixels of the long side. ``max_bytes``: of the picture as sent, before base64
    (Google's limit is 7 MB). ``background``: what alpha is laid on, as CSS names colours.
    """

    max_side: int = 2048
    max_bytes: int = 7_000_000
    background: str = "white"

    def check(self) -> None:
        """Raises `JobError` for values that cannot work. To be called once, when a job is read."""
        from PIL import ImageColor

        if not 16 <= self.max_side <= 16_000:
            raise JobError(f"inputs.max_side: {self.max_side}; choose 16 to 16000 pixels")
        if self.max_bytes < 16_384:
            raise JobError(f"inputs.max_bytes: {self.max_bytes} is too small; at least 16384")
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            raise JobError(
                f"inputs.background: {self.background!r} is not a colour; "
                "name one ('white') or write it as '#rrggbb'"
            ) from error

    def key(self) -> str:
        """Short and stable: goes into fingerprints, so changing its form re-pays every edit."""
        return f"side={self.max_side} bytes={self.max_bytes} background={self.background}"


def prepare(
    source: str | Path | bytes, settings: PrepareSettings, *, name: str = ""
) -> PreparedImage:
    """Makes a local file (absolute path) or bytes (data URI, fetched URL) ready to be sent.

    ``name``: what messages call it; default the path. Reads PNG, JPEG, WebP, GIF and TIFF (first
    picture), BMP, HEIC and AVIF. Raises `InputError` for anything else, for what is damaged, and
    for more than `MAX_PIXELS`. The parts of the result refer to the file while nothing had to
    change: the file must stay as it is until it was sent.
    """
    name = name or ("picture" if isinstance(source, bytes) else str(source))
    with open_source(source, name) as data:
        kind = _kind(data, name)
        scan = _SCANS.get(kind)
        if scan is None:
            return _redone(data.stream(), kind, settings, _Known(name=name, size=data.size))
        try:
            layout = scan(data)
        except Damaged as error:
            raise InputError(f"{name}: {error}; copy or export it again") from error
        pixels.check_pixels(layout.width, layout.height, name)
        profile = layout.profile
        if profile is not None and colour.verdict(profile) != "other":
            profile = None
        size = sum(map(part_length, layout.parts))
        fits = size <= settings.max_bytes and max(layout.width, layout.height) <= settings.max_side
        ready = fits and not layout.redo and layout.orientation == 1 and profile is None
        if ready and not layout.alpha:
            return _as_it_is(layout, name)
        known = _Known(
            name=name,
            size=data.size,
            layout=layout,
            profile=profile,
            if_opaque=_as_it_is(layout, name) if ready else None,
        )
        # The decoder gets the pixels without the metadata, so that none can upset it.
        stream = (
            io.BufferedReader(PartsReader(data, layout.parts)) if layout.parts else data.stream()
        )
        return _redone(stream, kind, settings, known)


def digest_file(path: str | Path) -> str:
    """BLAKE3 of a file's bytes, in hex; read in pieces. Raises `InputError`.

    A quarter of SHA-256's time: every new picture is read once for this before it is sent.
    """
    from blake3 import blake3

    digest = blake3(max_threads=1)
    with FileSource(str(path), str(path)) as source:
        for at in range(0, source.size, _PIECE):
            digest.update(source.read(at, _PIECE))
    return digest.hexdigest()


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a picture that is about to be decoded.

    ``if_opaque``: it can go out like this if it turns out to have no transparent pixel.
    """

    name: str
    size: int
    layout: Layout | None = None
    profile: bytes | None = None
    if_opaque: PreparedImage | None = None


def _kind(data: Source, name: str) -> Kind:
    head = data.read(0, HEAD)
    kind = sniff(head)
    if kind is None:
        raise InputError(
            f"{name}: is not a picture that can be read ({describe(head)}); "
            "use JPEG, PNG, WebP, HEIC, AVIF, TIFF, GIF or BMP"
        )
    return kind


def _as_it_is(layout: Layout, name: str) -> PreparedImage:
    parts = layout.parts
    if len(parts) > _MOST_PARTS:
        parts = (read_parts(parts, name),)
    return PreparedImage(
        mime=_MIMES[layout.format], parts=parts, width=layout.width, height=layout.height
    )


def _redone(
    stream: BinaryIO, kind: Kind, settings: PrepareSettings, known: _Known
) -> PreparedImage:
    """Decoded, changed, encoded. Closes the stream."""
    name, layout, profile = known.name, known.layout, known.profile
    with stream, pixels.decoding(name, kind):
        if known.size > MAX_DECODED_FILE_BYTES:
            raise InputError(
                f"{name}: has {known.size >> 20} MB, more than {MAX_DECODED_FILE_BYTES >> 20}; "
                "export it smaller"
            )
        picture = pixels.load(stream, kind, max_side=settings.max_side, name=name)
        if layout is None:
            orientation = pixels.orientation_of(picture, kind)
            lossless = kind == "gif" or picture.mode in ("1", "P")
            icc = picture.info.get("icc_profile")
            if isinstance(icc, bytes) and colour.verdict(icc) == "other":
                profile = icc
        else:
            orientation, lossless = layout.orientation, layout.lossless
        picture = pixels.eight_bit(picture, layout.depth if layout else 8)
        if known.if_opaque is not None and pixels.is_opaque(picture):
            return known.if_opaque
        picture = pixels.finished(
            picture,
            orientation=orientation,
            profile=profile,
            max_side=settings.max_side,
            background=settings.background,
        )
        mime, data, (width, height) = pixels.encoded(
            picture, lossless=lossless, max_bytes=settings.max_bytes
        )
    return PreparedImage(mime=mime, parts=(data,), width=width, height=height)
