"""A received picture's structure, checked before anybody sees it under its name. No decoding."""

from zlib_ng.zlib_ng import crc32  # ten times as quick as zlib, on every picture received

from pipeline.errors import BadResponseError
from pipeline.models import PictureFacts
from pipeline.pictures import jpeg, png, webp
from pipeline.pictures.layout import MAX_PIXELS
from pipeline.pictures.sniff import HEAD, describe, sniff
from pipeline.pictures.source import BytesSource, Damaged

_TAIL = 1 << 16


def inspect_picture(view: memoryview) -> PictureFacts:
    """What received bytes are: PNG, JPEG or WebP, whole from its first to its last byte.

    PNG: every chunk, its checksum, to IEND. JPEG: its segments to the pixels, and its end mark.
    WebP: its container and the headers in it. Bytes behind the end are let pass, for a picture
    that was paid for. Raises `BadResponseError`.
    """
    head = bytes(view[:HEAD])
    kind = sniff(head)
    try:
        if kind == "png":
            facts = _png(view)
        elif kind == "jpeg":
            facts = _jpeg(view)
        elif kind == "webp":
            facts = _webp(view)
        else:
            what = f"it is {kind.upper()}" if kind else describe(head)
            raise BadResponseError(f"answer is not a picture: {what}")
    except Damaged as error:
        raise BadResponseError(f"answer is a damaged picture: it {error}") from error
    if facts.width < 1 or facts.height < 1 or facts.width * facts.height > MAX_PIXELS:
        raise BadResponseError(
            f"answer is a picture of {facts.width} x {facts.height} pixels, which cannot be meant"
        )
    return facts


def _png(view: memoryview) -> PictureFacts:
    header: png.Header | None = None
    pixels = False
    for kind, at, length in png.chunks(BytesSource(view)):
        if header is None:
            if kind != b"IHDR":
                raise Damaged("has no PNG header")
            header = png.read_header(bytes(view[at : at + length]))
        stored = int.from_bytes(view[at + length : at + length + 4], "big")
        if crc32(view[at - 4 : at + length]) != stored:
            raise Damaged(f"has a wrong checksum at byte {at - 8}")
        pixels = pixels or kind == b"IDAT"
    if header is None or not pixels:
        raise Damaged("has no picture data")
    return PictureFacts(format="png", width=header.width, height=header.height)


def _jpeg(view: memoryview) -> PictureFacts:
    frame = b""
    start = 0
    for marker, at, length in jpeg.segments(BytesSource(view)):
        if jpeg.is_frame(marker):
            frame = bytes(view[at : at + length])
        start = at + length
    if not frame:
        raise Damaged("has no frame header")
    # The end is nearly always the end; only what has something behind it is searched.
    if b"\xff\xd9" not in bytes(view[max(start, len(view) - _TAIL) :]) and (
        b"\xff\xd9" not in bytes(view[start:])
    ):
        raise Damaged("is cut off: its end is missing")
    width, height = jpeg.frame_size(frame)
    return PictureFacts(format="jpeg", width=width, height=height)


def _webp(view: memoryview) -> PictureFacts:
    layout = webp.scan(BytesSource(view))
    return PictureFacts(format="webp", width=layout.width, height=layout.height)
