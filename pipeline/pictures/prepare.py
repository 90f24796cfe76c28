"""An input picture made ready to be sent: upright, sRGB, opaque, in shape, without metadata.

A file that is all that already is never loaded: what is sent are slices of it that leave out the
metadata. Only where something must change is it decoded and encoded again.
"""

import io
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from pipeline.errors import InputError, JobError
from pipeline.models import PreparedImage
from pipeline.pictures import colour, pixels
from pipeline.pictures.decode import check_bytes, kind_of, taken_apart
from pipeline.pictures.framing import Fit, Framing, Shape, Size, frame
from pipeline.pictures.layout import Layout
from pipeline.pictures.sniff import Kind
from pipeline.pictures.source import FileSource, PartsReader, open_source, part_length, read_parts

# A file cut into more pieces than this is joined in memory: at most ``max_bytes``, and very rare.
_MOST_PARTS = 64


_PIECE = 1 << 18
_MIMES: dict[str, Literal["image/png", "image/jpeg", "image/webp"]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
}


class PrepareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every input of a job is brought to.

    ``max_side``: pixels of the long side. ``max_bytes``: of the picture as sent, before base64
    (Google's limit is 7 MB). ``background``: what alpha is laid on, as CSS names colours.
    ``fit``: how an input is brought to the nearest of ``shapes``, the model's or the one that its
    edit asks for; ``fill``: what padding shows.
    """

    max_side: int = 2048
    max_bytes: int = 7_000_000
    background: str = "white"
    fit: Fit = "none"
    fill: Literal["background", "edge"] = "background"
    shapes: tuple[Shape, ...] = ()

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
        """Short and stable: goes into fingerprints, so changing its form re-pays every edit.

        ``shapes`` are left out: they follow from the model and the parameters, which are in
        fingerprints themselves.
        """
        key = f"side={self.max_side} bytes={self.max_bytes} background={self.background}"
        if self.fit != "none":
            key += f" fit={self.fit}"
            if self.fit == "pad" and self.fill != "background":
                key += f" fill={self.fill}"
        return key

    def unfitted(self) -> "PrepareSettings":
        """The same without ``fit``: for an edit's second and further inputs, whose shape decides
        nothing.
        """
        return msgspec.structs.replace(self, fit="none", fill="background", shapes=())


class FramedImage(PreparedImage, frozen=True, kw_only=True):
    """A prepared picture, and where in it its input is."""

    framing: Framing


def prepare(
    source: str | Path | bytes, settings: PrepareSettings, *, name: str = ""
) -> FramedImage:
    """Makes a local file (absolute path) or bytes (data URI, fetched URL) ready to be sent.

    ``name``: what messages call it; default the path. Reads PNG, JPEG, WebP, GIF and TIFF (first
    picture), BMP, HEIC and AVIF. Raises `InputError` for anything else, for what is damaged, and
    for more than `MAX_PIXELS`. The parts of the result refer to the file while nothing had to
    change: the file must stay as it is until it was sent.
    """
    name = name or ("picture" if isinstance(source, bytes) else str(source))
    with open_source(source, name) as data:
        kind = kind_of(data, name)
        layout = taken_apart(data, kind, name)
        if layout is None:
            return _redone(data.stream(), kind, settings, _Known(name=name, size=data.size))
        shown = pixels.upright((layout.width, layout.height), layout.orientation)
        framing = _framed(shown, settings, name)
        profile = layout.profile
        if profile is not None and colour.verdict(profile) != "other":
            profile = None
        size = sum(map(part_length, layout.parts))
        fits = size <= settings.max_bytes and max(layout.width, layout.height) <= settings.max_side
        ready = fits and not layout.redo and layout.orientation == 1 and profile is None
        ready = ready and not framing.changes
        if ready and not layout.alpha:
            return _as_it_is(layout, framing, name)
        known = _Known(
            name=name,
            size=data.size,
            layout=layout,
            profile=profile,
            framing=framing,
            if_opaque=_as_it_is(layout, framing, name) if ready else None,
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
    framing: Framing | None = None
    if_opaque: FramedImage | None = None


def _framed(size: Size, settings: PrepareSettings, name: str) -> Framing:
    try:
        return frame(size, settings.shapes, fit=settings.fit, max_side=settings.max_side)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _as_it_is(layout: Layout, framing: Framing, name: str) -> FramedImage:
    parts = layout.parts
    if len(parts) > _MOST_PARTS:
        parts = (read_parts(parts, name),)
    return FramedImage(
        mime=_MIMES[layout.format],
        parts=parts,
        width=layout.width,
        height=layout.height,
        framing=framing,
    )


def _redone(stream: BinaryIO, kind: Kind, settings: PrepareSettings, known: _Known) -> FramedImage:
    """Decoded, changed, encoded. Closes the stream."""
    name, layout, profile, framing = known.name, known.layout, known.profile, known.framing
    with stream, pixels.decoding(name, kind):
        check_bytes(known.size, name)
        wanted = None
        if layout is not None and framing is not None:
            wanted = pixels.upright(pixels.scaled(framing), layout.orientation)
        picture = pixels.load(stream, kind, wanted=wanted, name=name)
        if layout is None or framing is None:
            orientation = pixels.orientation_of(picture, kind)
            lossless = kind == "gif" or picture.mode in ("1", "P")
            icc = picture.info.get("icc_profile")
            if isinstance(icc, bytes) and colour.verdict(icc) == "other":
                profile = icc
            shown = pixels.upright(picture.size, orientation)
            framing = _framed(shown, settings, name)
        else:
            orientation, lossless = layout.orientation, layout.lossless
        picture = pixels.eight_bit(picture, layout.depth if layout else 8)
        if known.if_opaque is not None and pixels.is_opaque(picture):
            return known.if_opaque
        picture = pixels.finished(
            picture,
            orientation=orientation,
            profile=profile,
            framing=framing,
            background=settings.background,
            edge=settings.fill == "edge",
        )
        mime, data, (width, height) = pixels.encoded(
            picture, lossless=lossless, max_bytes=settings.max_bytes
        )
    return FramedImage(mime=mime, parts=(data,), width=width, height=height, framing=framing)
