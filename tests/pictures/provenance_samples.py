"""Pictures with something embedded, and exiftool, which knows nothing of this project."""

import io
import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.pictures.provenance import DerivedFrom, Provenance
from tests.pictures.picture_samples import exif, photo, png_chunk, with_chunk

FACTS = Provenance(
    model="google/gemini-2.5-flash-image-edit",
    created=1_790_000_000.0,
    fingerprint="3f" * 32,
    creator=("Atelier Müller & Söhne",),
    copyright="© 2026 <Atelier>",
    credit="Made with AI",
    title="Mug, blue",
    description="日本語, عربى, emoji 😀",
    alt_text='A blue "mug" & its saucer\non a white table',
    derived_from=DerivedFrom(name="mug.png", sha256="c0" * 32),
)
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
FOREIGN_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:studio="https://studio.example/ns/" xmp:Rating="4" studio:Booth="7"'
    ' xmp:CreatorTool="Shutter 9"><dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">'
    '<rdf:Alt><rdf:li xml:lang="x-default">Old</rdf:li>'
    "</rdf:Alt></dc:title><studio:Light rdf:parseType='Resource'><studio:Lamps>2</studio:Lamps>"
    "</studio:Light></rdf:Description></rdf:RDF></x:xmpmeta>" + " " * 2048 + '<?xpacket end="w"?>'
).encode()


def picture(form: str, mode: str = "RGB", **options: Any) -> bytes:
    image = photo().convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


VARIANTS: dict[str, bytes] = {
    "png": picture("PNG"),
    "png with alpha": picture("PNG", "RGBA"),
    "png palette": picture("PNG", "P"),
    "png with a profile and exif": picture("PNG", exif=exif(6), icc_profile=b"x" * 200),
    "jpeg": picture("JPEG"),
    "jpeg progressive with exif": picture("JPEG", progressive=True, exif=exif(6), comment=b"hi"),
    "jpeg grey": picture("JPEG", "L"),
    "webp": picture("WEBP"),
    "webp lossless": picture("WEBP", lossless=True),
    "webp lossless with alpha": picture("WEBP", "RGBA", lossless=True),
    "webp with alpha": picture("WEBP", "RGBA"),
    "webp with a profile and exif": picture("WEBP", exif=exif(6), icc_profile=b"x" * 201),
}


def with_xmp(form: str, packet: bytes) -> bytes:
    if form == "PNG":
        return with_chunk(picture("PNG"), b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
    return picture(form, xmp=packet)


def with_c2pa(form: str) -> bytes:
    """A manifest store as small as can be: a JUMBF superbox that names IPTC's term."""
    inner = b"c2pa\0http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia\0" * 3
    box = struct.pack(">I4s", 8 + len(inner), b"jumb") + inner
    if form == "PNG":
        return with_chunk(picture("PNG"), b"caBX", box)
    if form == "JPEG":
        plain = picture("JPEG")
        body = b"JP" + struct.pack(">HI", 1, 1) + box
        return plain[:2] + b"\xff\xeb" + struct.pack(">H", 2 + len(body)) + body + plain[2:]
    plain = picture("WEBP", xmp=FOREIGN_XMP)
    chunk = b"C2PA" + struct.pack("<I", len(box)) + box + bytes(len(box) & 1)
    whole = plain[12:] + chunk
    return b"RIFF" + struct.pack("<I", 4 + len(whole)) + b"WEBP" + whole


def decoded(data: bytes) -> tuple[str, tuple[int, int], bytes]:
    with Image.open(io.BytesIO(data)) as image:
        return image.mode, image.size, image.tobytes()


def body(data: bytes) -> bytes:
    """What a container holds as pixels, byte for byte: no decoder between."""
    if data.startswith(b"\x89PNG"):
        found, at = b"", 8
        while at < len(data):
            length, kind = struct.unpack(">I4s", data[at : at + 8])
            found += (
                data[at : at + 12 + length] if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT") else b""
            )
            at += 12 + length
        return found
    if data.startswith(b"RIFF"):
        found, at = b"", 12
        while at < len(data):
            kind, length = struct.unpack("<4sI", data[at : at + 8])
            found += data[at : at + 8 + length] if kind in (b"VP8 ", b"VP8L", b"ALPH") else b""
            at += 8 + length + (length & 1)
        return found
    return data[data.index(b"\xff\xdb") :]  # from the first quantisation table on


def bomb(megabytes: int) -> bytes:
    """A PNG whose compressed XMP unfolds to far more than it is."""
    import zlib

    packed = zlib.compress(b" " * (megabytes << 20), 9)
    data = b"XML:com.adobe.xmp\0\1\0\0\0" + packed
    return picture("PNG")[:33] + png_chunk(b"iTXt", data) + picture("PNG")[33:]


needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None,
    reason="exiftool is not here: apt-get install libimage-exiftool-perl",
)


def exiftool(path: Path) -> dict[str, Any]:
    """All it reads from a file, by group and name, with its verdict on the file's structure."""
    done = subprocess.run(
        [
            "exiftool",
            "-json",
            "-G1",
            "-a",
            "-s",
            "-all",
            "-validate",
            "-warning",
            "-charset",
            "utf8",
            path,
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    [found] = json.loads(done.stdout)
    return dict(found)
