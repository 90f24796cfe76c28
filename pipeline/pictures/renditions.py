"""Renditions: a picture in the size, shape and format that somebody wants it in.

Derived from a stored original and from nothing else, so they can be made again at no cost. The
same original, spec and libraries give the same bytes.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import EditError
from pipeline.pictures import pixels
from pipeline.pictures.decode import Decoded, check_bytes, decode, kind_of, taken_apart
from pipeline.pictures.encoding import QUALITIES, Format, encoded, srgb_profile
from pipeline.pictures.placement import Placement, placed, placed_subject
from pipeline.pictures.provenance import DerivedFrom, Provenance, with_provenance
from pipeline.pictures.provenance.facts import derived, properties
from pipeline.pictures.provenance.writing import stated_facts
from pipeline.pictures.provenance.xmp import merge
from pipeline.pictures.rendition_spec import LARGEST_SIDE, RenditionSpec
from pipeline.pictures.resampling import laid_out, subject_box, whitened
from pipeline.pictures.source import BytesSource, FileSource
from pipeline.pictures.upscaling import Upscaler

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Rendered", "RenditionSpec", "render", "rendition_key"]

_ALGORITHM = 1
"""Part of every `rendition_key`: raised when the same spec comes to give other pixels."""

_DRAFT = 2.0  # of the pixels needed: what a JPEG is decoded to before it is scaled with Lanczos
_STRETCHED = 0.01


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A rendition. ``quality``: as used; None for PNG. ``notes``: what a person may want to know of
    it (enlarged, smaller than asked, quality lowered, …); ``enlarged``: by how much, 1 for not.
    """

    data: bytes
    width: int
    height: int
    format: Format
    quality: int | None
    enlarged: float
    notes: tuple[str, ...]


def render(
    picture: Path | bytes,
    spec: RenditionSpec,
    *,
    provenance: Provenance | None = None,
    rendition: str = "",
    upscaler: Upscaler | None = None,
    name: str = "",
) -> Rendered:
    """Makes a rendition of a stored picture. Blocks: to be called in a thread or process.

    ``provenance``: what it is to say of its origin; default what the picture itself says. That it
    is derived, and from which bytes, is added. ``rendition``: its name, for that. ``upscaler``:
    default Lanczos. ``name``: of the picture, for messages. Metadata of the picture (EXIF with its
    places, C2PA, which speaks of other bytes) is not carried over.

    Raises `InputError` for a picture that cannot be read, `EditError` where ``max_bytes`` cannot be
    met, the open side would come out too long, or the upscaler fails.
    """
    from PIL import ImageColor

    data = _read(picture, name) if isinstance(picture, Path) else picture
    name = name or (picture.name if isinstance(picture, Path) else "picture")
    red, green, blue = ImageColor.getrgb(spec.background)[:3]
    ground = (red, green, blue)
    decoded = decode(data, name=name, wanted=_wanted(data, spec, name))
    image = whitened(_opaque(decoded.picture, spec), spec.white_point)
    notes: list[str] = []
    placement = _placement(image, decoded.size, spec, ground, notes)
    _check_canvas(placement, decoded.size, name)
    image = laid_out(image, placement, ground=ground, sharpening=spec.sharpening, upscaler=upscaler)
    _note_size(notes, placement, decoded.size, upscaler)
    facts = _facts(data, decoded, provenance, rendition, name)
    made = encoded(
        image,
        spec.format,
        quality=spec.quality,
        lowest=spec.min_quality,
        max_bytes=spec.max_bytes,
        profile=srgb_profile() if spec.profile == "embed" else None,
        finish=(lambda file: _labelled(file, facts, spec.format)),
        xmp=merge((), properties(facts)) if facts is not None else b"",
    )
    wished = QUALITIES.get(spec.format) if spec.quality is None else spec.quality
    if made.quality != wished and wished is not None:
        notes.append(
            f"quality {made.quality} instead of {wished}, to stay within"
            f" {spec.max_bytes or 0:,} bytes"
        )
    return Rendered(
        data=made.data,
        width=image.width,
        height=image.height,
        format=spec.format,
        quality=made.quality,
        enlarged=round(max(1.0, placement.scale), 3),
        notes=tuple(notes),
    )


def rendition_key(
    source_digest: str,
    spec: RenditionSpec,
    *,
    provenance: Provenance | None = None,
    rendition: str = "",
    upscaler: str = "",
) -> str:
    """What a rendition's bytes depend on, as a SHA-256 in hex: while it is the same there is
    nothing to make again. Includes the versions of the libraries that encode.
    """
    from PIL import __version__ as pillow
    from PIL import features

    libraries = [pillow, *(features.version(name) for name in ("jpg", "webp", "avif", "zlib"))]
    # The name and the place of a file change nothing in it.
    settings = msgspec.structs.replace(spec, file="", folder="")
    asked = [_ALGORITHM, libraries, source_digest, settings, provenance, rendition, upscaler]
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def _read(path: Path, name: str) -> bytes:
    label = name or str(path)
    with FileSource(str(path), label) as source:
        check_bytes(source.size, label)
        return source.read(0, source.size)


def _wanted(data: bytes, spec: RenditionSpec, name: str) -> int | None:
    """Pixels of the long side that are enough to decode; None for all of them."""
    source = BytesSource(data)
    layout = taken_apart(source, kind_of(source, name), name)
    # The subject is looked for in all pixels.
    if layout is None or spec.fill is not None:
        return None
    size = pixels.upright((layout.width, layout.height), layout.orientation)
    return int(max(size) * _placed(size, spec).scale * _DRAFT) + 1


def _opaque(picture: "Image", spec: RenditionSpec) -> "Image":
    """As ``RGB``, or as ``RGBA`` where there is transparency that is to be kept."""
    if spec.alpha == "keep" and not pixels.is_opaque(picture):
        return picture.convert("RGBA")
    return pixels.flattened(picture, spec.background).convert("RGB")


def _placed(size: tuple[int, int], spec: RenditionSpec) -> Placement:
    return placed(
        size,
        width=spec.width,
        height=spec.height,
        fit=spec.fit,
        focus=spec.focus,
        allow_upscale=spec.allow_upscale,
    )


def _placement(
    image: "Image",
    size: tuple[int, int],
    spec: RenditionSpec,
    ground: tuple[int, int, int],
    notes: list[str],
) -> Placement:
    """Where the picture lands, its window in pixels of ``image``; ``size``: of the whole picture,
    of which a JPEG may have been decoded smaller.
    """
    if spec.fill is not None and spec.width is not None and spec.height is not None:
        box = subject_box(image, ground, spec.tolerance)
        if box is None:
            notes.append("no subject was found on the background: fitted whole")
        elif box == (0, 0, *image.size):
            notes.append(
                "the subject reaches all four edges, or the background is not"
                f" {spec.background}: fitted whole, without a margin"
            )
        else:
            if edges := _edges(box, image.size):
                notes.append(f"the subject is cut off by the picture's edge ({edges})")
            return placed_subject(
                image.size,
                box,
                canvas=(spec.width, spec.height),
                fill=spec.fill,
                allow_upscale=spec.allow_upscale,
            )
    placement = _placed(size, spec)
    if spec.fit == "exact":
        stretch = placement.asked[0] * size[1] / (placement.asked[1] * size[0])
        if abs(stretch - 1) > _STRETCHED:
            way = "wider" if stretch > 1 else "narrower"
            notes.append(f"stretched: {max(stretch, 1 / stretch) - 1:.0%} {way} than it was")
    across, down = image.width / size[0], image.height / size[1]
    left, top, right, bottom = placement.window
    window = (left * across, top * down, right * across, bottom * down)
    return msgspec.structs.replace(placement, window=window)


def _check_canvas(placement: Placement, size: tuple[int, int], name: str) -> None:
    """Raises `EditError` where a side that was left open would be longer than any may be: a strip
    of one pixel by thousands, enlarged, would take all memory there is.
    """
    width, height = placement.canvas
    if max(width, height) > LARGEST_SIDE:
        raise EditError(
            f"{name}: has {size[0]} × {size[1]} pixels, and would become {width:,} × {height:,};"
            f" {LARGEST_SIDE:,} are the most on a side (say both width and height, or"
            " allow_upscale: false)"
        )


def _edges(box: tuple[int, int, int, int], size: tuple[int, int]) -> str:
    touched = (box[0] <= 0, box[1] <= 0, box[2] >= size[0], box[3] >= size[1])
    names = ("left", "top", "right", "bottom")
    return ", ".join(name for name, at in zip(names, touched, strict=True) if at)


def _note_size(
    notes: list[str], placement: Placement, size: tuple[int, int], upscaler: Upscaler | None
) -> None:
    there = f"the picture has {size[0]} × {size[1]} pixels"
    if placement.reduced:
        notes.append(
            f"{placement.canvas[0]} × {placement.canvas[1]} instead of"
            f" {placement.asked[0]} × {placement.asked[1]}: {there}, and enlarging is off"
        )
    elif placement.enlarges:
        how = "by the upscaler" if upscaler is not None else "with Lanczos"
        notes.append(f"enlarged {placement.scale:.2f} times {how}: {there}")


def _facts(
    data: bytes, decoded: Decoded, provenance: Provenance | None, rendition: str, name: str
) -> Provenance | None:
    origin = DerivedFrom(name=name, sha256=hashlib.sha256(data).hexdigest())
    stated = stated_facts(BytesSource(data), decoded.kind)
    return derived(provenance, stated, origin=origin, rendition=rendition)


def _labelled(file: bytes, facts: Provenance | None, form: Format) -> bytes:
    # AVIF gets its XMP from the encoder: its boxes are not taken apart here.
    return file if facts is None or form == "avif" else with_provenance(file, facts)
