"""The endpoint's answer in the shape of its input: padding off, size right, alpha back.

Resampled once and encoded once, from the answer as it was stored; what needs nothing keeps its
bytes.
"""

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from pipeline.errors import CheckFailedError, InputError
from pipeline.pictures import pixels
from pipeline.pictures.decode import Decoded, decode
from pipeline.pictures.framing import (
    Framing,
    OutputSize,
    Size,
    region,
    result_size,
    same_shape,
    whole,
)

if TYPE_CHECKING:
    from PIL.Image import Image

Alpha = Literal["as_returned", "restore"]

Source = str | Path | bytes

_JPEG_QUALITY = 95
_WEBP_QUALITY = 95
_PNG_LEVEL = 4
_JPEG_SIDE, _WEBP_SIDE = 65_500, 16_383  # pixels; Pillow's limit, and the format's
_SEAM = 2


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A finished picture: its file's bytes, and in ``notes`` what was done, in words.

    ``changed``: False where ``image`` is the answer, byte for byte.
    """

    image: bytes
    format: Literal["png", "jpeg", "webp"]
    width: int
    height: int
    changed: bool
    notes: tuple[str, ...] = ()


def finish_picture(
    answer: Source,
    *,
    framing: Framing | None,
    source: Source | None = None,
    size: OutputSize = "as_returned",
    alpha: Alpha = "as_returned",
    background: str = "white",
) -> Finished:
    """An answer as the job wants it.

    ``framing``: of the edit's first input, as `prepare` made it; None where only the provider saw
    that. ``source``: the first input itself, needed for ``alpha``. ``background``: what inputs
    were laid on, and what fills a size of another shape. Raises `CheckFailedError` where the
    answer does not allow it: it cannot be decoded, or its shape does not tell where the input is.
    Raises `InputError` where the input is missing, or was never seen here.
    """
    if framing is None and (size in ("same_as_input", "original") or alpha == "restore"):
        raise InputError(
            "the provider fetched the input by its URL, so its size and transparency are not known"
            " here; set inputs.embed_urls: true"
        )
    try:
        decoded = decode(answer, name="answer")
    except InputError as error:
        raise CheckFailedError(str(error)) from error
    work = _Work(decoded, framing or whole(decoded.size, max_side=max(decoded.size)), size)
    mask = None
    if alpha == "restore":
        mask = _mask(work, source)
    if mask is None and work.nothing_to_do and decoded.kind in ("png", "jpeg", "webp"):
        data = answer if isinstance(answer, bytes) else Path(answer).read_bytes()
        return _finished(data, decoded.kind, decoded.size, False, work.notes)
    picture = work.resampled()
    if mask is not None:
        from pipeline.pictures.alpha import with_mask

        picture, cleaned = with_mask(picture, mask, background)
        work.notes.append(
            "transparency of the input restored"
            + (f", {background} taken out of its edges" if cleaned else "")
        )
    picture = _centred(picture, work.size, background, clear=mask is not None)
    data, kind = _encoded(picture, decoded.kind)
    return _finished(data, kind, picture.size, True, work.notes)


class _Work:
    """What is to be done with one answer, decided before a pixel is moved.

    ``box``: what of it is used, in its pixels. ``inner``: what that becomes. ``size``: of the
    whole result.
    """

    def __init__(self, decoded: Decoded, framing: Framing, wanted: OutputSize) -> None:
        self.picture = decoded.picture
        self.framing = framing
        self.notes: list[str] = []
        try:
            self.box = region(framing, decoded.size)
        except ValueError as error:
            raise CheckFailedError(f"{error}; ask again, or set inputs.fit: none") from error
        self.size = result_size(framing, decoded.size, wanted)
        # Of the frame that was sent; else nobody knows how the input lies in it.
        self.in_frame = same_shape(decoded.size, framing.canvas)
        shape = framing.kept_size if self.in_frame else decoded.size
        if self.in_frame and not isinstance(wanted, tuple):
            self.inner = self.size
        else:
            self.inner = _inside(shape, self.size)
        if framing.changes:
            self.notes.append(f"input {framing}" + ("" if framing.fit == "crop" else "; taken off"))
        across, down = self.box[2] - self.box[0], self.box[3] - self.box[1]
        larger = max(self.inner[0] / max(across, 1), self.inner[1] / max(down, 1))
        if larger > 1.01:
            self.notes.append(
                f"enlarged {larger:.2f} times (Lanczos): {across:.0f} x {down:.0f} pixels came back"
            )
        if self.inner != self.size:
            self.notes.append(
                f"{self.inner[0]} x {self.inner[1]} on a background of"
                f" {self.size[0]} x {self.size[1]}: the picture is of another shape"
            )

    @property
    def nothing_to_do(self) -> bool:
        return self._pixels == (0, 0, *self.picture.size) and self.picture.size == self.size

    @property
    def _pixels(self) -> tuple[int, int, int, int] | None:
        """``box``, if it cuts through no pixel."""
        left, top, right, bottom = (round(edge) for edge in self.box)
        exact = all(edge == round(edge) for edge in self.box)
        return (left, top, right, bottom) if exact else None

    def resampled(self) -> "Image":
        from PIL import Image

        box = self._pixels
        if box is not None and (box[2] - box[0], box[3] - box[1]) == self.inner:
            return self.picture.crop(box)
        part, within = _cut_out(self.picture, self.box)
        return part.resize(self.inner, Image.Resampling.LANCZOS, box=within)


def _cut_out(
    picture: "Image", box: tuple[float, float, float, float]
) -> "tuple[Image, tuple[float, float, float, float]]":
    """The part of a picture that a box touches, and the box in it.

    Where padding was, the first pixels inside are mixed with it, by the endpoint's own scaling and
    by compression: a pale line around a dark picture. They show what is `_SEAM` pixels further in.
    """
    left, top = math.floor(box[0]), math.floor(box[1])
    part = picture.crop((left, top, math.ceil(box[2]), math.ceil(box[3])))
    width, height = part.size
    within = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    if width > 4 * _SEAM:
        if left > 0:
            line = math.ceil(within[0]) + _SEAM
            part.paste(part.crop((line, 0, line + 1, height)).resize((line, height)), (0, 0))
        if left + width < picture.width:
            line = math.floor(within[2]) - _SEAM - 1
            end = part.crop((line, 0, line + 1, height)).resize((width - line, height))
            part.paste(end, (line, 0))
    if height > 4 * _SEAM:
        if top > 0:
            line = math.ceil(within[1]) + _SEAM
            part.paste(part.crop((0, line, width, line + 1)).resize((width, line)), (0, 0))
        if top + height < picture.height:
            line = math.floor(within[3]) - _SEAM - 1
            end = part.crop((0, line, width, line + 1)).resize((width, height - line))
            part.paste(end, (0, line))
    return part, within


def _mask(work: _Work, source: Source | None) -> "Image | None":
    from pipeline.pictures.alpha import mask_of

    if source is None:
        raise InputError(
            "its transparency cannot be restored without the input, which is not a file here; put"
            " it beside the manifest, or set outputs.alpha: as_returned"
        )
    if not work.in_frame:
        width, height = work.picture.size
        raise CheckFailedError(
            f"the input's transparency does not fit: the answer is {width} x {height}, its input"
            f" {work.framing.kept_size[0]} x {work.framing.kept_size[1]}; set inputs.fit: pad"
        )
    mask = mask_of(decode(source).picture, work.framing, work.inner)
    if mask is None:
        work.notes.append("the input has no transparency to restore")
    return mask


def _inside(shape: Size, frame: Size) -> Size:
    """The largest size of that shape in the frame; the frame itself where a pixel is missing."""
    scale = min(frame[0] / shape[0], frame[1] / shape[1])
    width, height = (max(1, round(side * scale)) for side in shape)
    return frame if frame[0] - width <= 1 and frame[1] - height <= 1 else (width, height)


def _centred(picture: "Image", size: Size, background: str, *, clear: bool) -> "Image":
    from PIL import Image, ImageColor

    if picture.size == size:
        return picture
    at = ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2)
    if picture.mode in ("LA", "RGBA"):
        picture = picture.convert("RGBA")
        ground = (*ImageColor.getrgb(background)[:3], 0 if clear else 255)
        canvas = Image.new("RGBA", size, ground)
    else:
        picture = picture.convert("RGB")
        canvas = Image.new("RGB", size, background)
    canvas.paste(picture, at)
    return canvas


def _encoded(picture: "Image", kind: str) -> tuple[bytes, Literal["png", "jpeg", "webp"]]:
    """In the answer's format, lossless where it was; JPEG only without transparency, and only what
    the format can hold.
    """
    buffer = io.BytesIO()
    clear = not pixels.is_opaque(picture)
    if not clear and picture.mode in ("LA", "RGBA"):
        picture = picture.convert(picture.mode[:-1])
    longest = max(picture.size)
    if kind == "jpeg" and not clear and longest <= _JPEG_SIDE:
        picture.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        return buffer.getvalue(), "jpeg"
    if kind == "webp" and longest <= _WEBP_SIDE:
        picture.save(buffer, "WEBP", quality=_WEBP_QUALITY, alpha_quality=100)
        return buffer.getvalue(), "webp"
    picture.save(buffer, "PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue(), "png"


def _finished(
    data: bytes,
    kind: Literal["png", "jpeg", "webp"],
    size: Size,
    changed: bool,
    notes: list[str],
) -> Finished:
    return Finished(
        image=data,
        format=kind,
        width=size[0],
        height=size[1],
        changed=changed,
        notes=tuple(notes),
    )
