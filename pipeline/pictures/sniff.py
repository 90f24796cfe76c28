"""What bytes are, by how they begin: never by a name or a content type."""

from typing import Literal

HEAD = 64
"""Bytes that `sniff` and `describe` want to see."""

Kind = Literal["png", "jpeg", "webp", "gif", "bmp", "tiff", "heic", "avif"]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
# "BM" alone begins many a text; the size of the header that follows makes it sure.
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"\0\0\1\0", "an icon"),
    (b"ID3", "an MP3"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_TEXTS: tuple[tuple[bytes, str], ...] = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML or SVG file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"{", "JSON text"),
)


def sniff(head: bytes) -> Kind | None:
    """The picture format that ``head`` (the first `HEAD` bytes) begins, or None."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "bmp"
    if head.startswith(_TIFF):
        # Canon's raw files are TIFF outside; what Pillow would read is a small preview.
        return None if head[8:10] == b"CR" else "tiff"
    if head[4:8] == b"ftyp":
        return _sniff_iso(head)
    return None


def _sniff_iso(head: bytes) -> Kind | None:
    """HEIC, AVIF or neither, by the brands of an ISO media file's first box."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
    brand = head[8:12]
    if brand in _AVIF_BRANDS:
        return "avif"
    if brand in (b"mif1", b"msf1"):
        return "avif" if compatible & _AVIF_BRANDS else "heic"
    return "heic" if brand in _HEIC_BRANDS else None


def describe(head: bytes) -> str:
    """What bytes that are no picture seem to be, for a message: ``a PDF``, ``starts with …``."""
    if not head:
        return "empty"
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 or MOV video"
    if head.startswith(_TIFF):
        return "a camera's raw file"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, name in _TEXTS:
        if start.startswith(magic):
            return name
    if head.isascii() and head.decode("ascii").replace("\n", " ").replace("\r", " ").isprintable():
        return f"text: {head[:24].decode('ascii')!r}"
    return f"starts with {head[:8].hex(' ')}"
