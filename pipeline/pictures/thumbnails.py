"""Previews: small WebPs, upright, in sRGB, alpha kept. Made once, in parallel, in bounded memory.

In threads, because Pillow decodes, scales and encodes without Python's lock. A picture of more than
`LARGE_PIXELS` waits for its turn, so that a folder of panoramas needs the memory of one.
"""

import io
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import InputError, PipelineError
from pipeline.pictures import colour, pixels
from pipeline.pictures.decode import check_bytes, kind_of, taken_apart
from pipeline.pictures.framing import fitting
from pipeline.pictures.rendering import processors
from pipeline.pictures.source import open_source

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 384
"""Pixels of a preview's long side: sharp at 192 on a screen of double density."""

QUALITY = 80
_METHOD = 2  # of WebP's effort, 0 to 6: half the time of the default, 4 % more bytes

MOST_THREADS = 32

LARGE_PIXELS = 30_000_000
"""A picture of more is decoded alone: 4 bytes a pixel, twice over while it is converted."""

Original = Path | bytes | Callable[[], bytes]
"""A file, its bytes, or what fetches them."""


class Preview(msgspec.Struct, frozen=True):
    """A preview as a WebP, and the pixels of the whole picture as displayed."""

    data: bytes
    width: int
    height: int


class Wanted(msgspec.Struct, frozen=True):
    """A preview to be made. ``key``: the caller's own name for it."""

    key: str
    original: Original


class Made(msgspec.Struct, frozen=True):
    """What came of one: the ``preview``, or the ``problem`` why there is none. ``damaged``: it lies
    in the bytes, so the same bytes will never have one.
    """

    key: str
    preview: Preview | None
    problem: str = ""
    damaged: bool = False


_one_large = threading.Lock()


def thumbnail(original: Original, *, side: int = SIDE, name: str = "") -> Preview:
    """A preview of a picture, its long side at most ``side`` pixels; never enlarged. Blocks.

    Reads what inputs may be: PNG, JPEG, WebP, GIF and TIFF (first picture), BMP, HEIC, AVIF. The
    orientation that EXIF states is applied, transparency kept. Raises `InputError` for what cannot
    be shown: missing, no picture, damaged, too large.
    """
    source = original() if callable(original) else original
    name = name or ("picture" if isinstance(source, bytes) else source.name)
    with open_source(source, name) as data:
        kind = kind_of(data, name)
        check_bytes(data.size, name)
        layout = taken_apart(data, kind, name)
        # Before it is opened nobody knows how large a HEIC or TIFF is: they queue as large ones.
        alone = layout is None or layout.width * layout.height > LARGE_PIXELS
        with (
            _one_large if alone else nullcontext(),
            data.stream() as stream,
            pixels.decoding(name, kind),
        ):
            size = (layout.width, layout.height) if layout else None
            picture = pixels.load(
                stream, kind, wanted=fitting(size, side) if size else None, name=name
            )
            if layout is not None:
                orientation, profile = layout.orientation, layout.profile
            else:
                orientation = pixels.orientation_of(picture, kind)
                profile = picture.info.get("icc_profile")
            whole = pixels.upright(size or picture.size, orientation)
            small = _shrunk(picture, layout.depth if layout else 8, side)
            small = _in_srgb(small, profile if isinstance(profile, bytes) else None)
            return Preview(_encoded(pixels.turned(small, orientation)), *whole)


def thumbnails(wanted: Iterable[Wanted], *, workers: int | None = None) -> Iterator[Made]:
    """Previews as they get ready, in the order wanted; a bad picture is a ``problem``.

    ``workers``: threads; one a processor, at most `MOST_THREADS`, if not given. Pulls a few at a
    time from ``wanted``.
    """
    workers = workers or min(MOST_THREADS, processors())
    todo = iter(wanted)
    with ThreadPoolExecutor(workers, thread_name_prefix="thumbnail") as pool:
        running: deque[Future[Made]] = deque()
        try:
            # A few more than workers: one slow picture at the front keeps none of them waiting.
            for one in itertools.islice(todo, workers * 4):
                running.append(pool.submit(_made, one))
            while running:
                made = running.popleft().result()
                for one in itertools.islice(todo, 1):
                    running.append(pool.submit(_made, one))
                yield made
        finally:
            for future in running:
                future.cancel()


def _made(one: Wanted) -> Made:
    original = one.original
    try:
        source = original() if callable(original) else original
        if isinstance(source, Path):
            source.stat()
    except (PipelineError, OSError) as error:
        return Made(one.key, None, str(error))
    try:
        return Made(one.key, thumbnail(source))
    except InputError as error:
        cause = error.__cause__
        # Pillow's own OSErrors, about what it decodes, have no number.
        passing = isinstance(cause, MemoryError) or getattr(cause, "errno", None) is not None
        return Made(one.key, None, str(error), damaged=not passing)


def _shrunk(picture: "Image", depth: int, side: int) -> "Image":
    from PIL import Image

    # Colours of a palette cannot be mixed: `eight_bit` comes first, and costs nothing where there
    # is nothing to do.
    picture = pixels.eight_bit(picture, depth)
    size = fitting(picture.size, side)
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return picture


def _in_srgb(picture: "Image", profile: bytes | None) -> "Image":
    if profile is not None and colour.verdict(profile) != "other":
        profile = None
    picture = pixels.in_srgb(picture, profile)
    if pixels.is_opaque(picture):
        return picture.convert("RGB")  # WebP has no grey, and an alpha of nothing costs bytes
    return picture.convert("RGBA")


def _encoded(picture: "Image") -> bytes:
    picture.info = {}
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY, method=_METHOD)
    return buffer.getvalue()
