"""What a picture file says of itself: format, size, origin, and what else lies in it."""

import io
import re
from datetime import datetime
from pathlib import Path

import msgspec

from pipeline.errors import InputError
from pipeline.pictures import pixels
from pipeline.pictures.decode import kind_of, taken_apart
from pipeline.pictures.provenance import in_boxes, in_png
from pipeline.pictures.provenance.embedded import Embedded
from pipeline.pictures.provenance.facts import LABELS, code_of
from pipeline.pictures.provenance.writing import CONTAINERS
from pipeline.pictures.provenance.xmp import flattened
from pipeline.pictures.sniff import Kind
from pipeline.pictures.source import Damaged, FileSource, Source

_SOURCE_TYPES = re.compile(rb"cv\.iptc\.org/newscodes/digitalsourcetype/([A-Za-z]{3,60})")
_EXIF_NAMES = {0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x0132: "DateTime"}
_EXIF_NAMES |= {0x013B: "Artist", 0x8298: "Copyright", 0x010E: "ImageDescription"}
_GPS = 0x8825
_LONGEST = 2000


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A C2PA manifest: its size, and what IPTC digital source types it names. The signature is not
    checked.
    """

    size: int
    digital_sources: tuple[str, ...]


class Exif(msgspec.Struct, frozen=True, kw_only=True):
    """``fields``: maker, model, software and the like. ``gps``: it says where."""

    size: int
    fields: dict[str, str]
    gps: bool


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """A picture file, as `read_provenance` found it.

    ``width`` and ``height``: pixels as displayed. ``size``: bytes. ``digital_source``: IPTC's code,
    from the XMP, else from C2PA; ``digital_source_label`` in words. ``xmp``: everything that the
    XMP says, by qualified name; ``xmp_bytes`` 0 where there is none. ``icc``: the profile's own
    name. ``problems``: what is embedded but cannot be read.
    """

    path: str
    format: Kind
    width: int
    height: int
    size: int
    digital_source: str | None
    digital_source_label: str | None
    model: str | None
    software: str | None
    created: str | None
    fingerprint: str | None
    rendition: str | None
    derived_from: str | None
    title: str | None
    description: str | None
    alt_text: str | None
    creator: str | None
    copyright: str | None
    xmp: dict[str, str]
    xmp_bytes: int
    c2pa: Signed | None
    exif: Exif | None
    icc: str | None
    iptc_bytes: int
    texts: tuple[str, ...]
    problems: tuple[str, ...]


def read_provenance(path: Path | str) -> Inspection:
    """Reads a picture file's structure and what is embedded; decodes no pixels. Blocks.

    Raises `InputError` for what is missing, no picture, or damaged.
    """
    name = str(path)
    if not Path(path).exists():
        raise InputError(f"{name}: there is no such file; check the name and the folder")
    with FileSource(name, name) as source:
        kind = kind_of(source, name)
        layout = taken_apart(source, kind, name)
        try:
            if kind == "png":
                in_png.check_sums(source)
            if layout is not None:
                size = pixels.upright((layout.width, layout.height), layout.orientation)
                found, problem = _embedded(source, kind)
                profile = layout.profile
            else:
                found, problem, size, profile = _opened(source, kind, name)
        except Damaged as error:
            raise InputError(f"{name}: {error}; copy or export it again") from error
        return _inspection(name, kind, size, source.size, found, profile, problem)


def _embedded(source: Source, kind: Kind) -> tuple[Embedded, str]:
    """What is embedded; without its XMP, and why, where only that cannot be read."""
    try:
        return CONTAINERS[kind].embedded(source), ""
    except Damaged as error:
        return Embedded(), str(error)


def _opened(
    source: Source, kind: Kind, name: str
) -> tuple[Embedded, str, tuple[int, int], bytes | None]:
    """The same for the formats whose structure only their decoder knows."""
    with source.stream() as stream, pixels.decoding(name, kind):
        picture = pixels.opened(stream, kind, name=name)
        orientation = pixels.orientation_of(picture, kind)
        info = picture.info
        packet, exif, profile = (info.get(key) for key in ("xmp", "exif", "icc_profile"))
        size = pixels.upright(picture.size, orientation)
    manifest = in_boxes.manifest(source) if kind in ("avif", "heic") else (b"", 0)
    embedded = Embedded(
        xmp=(packet,) if isinstance(packet, bytes) and packet else (),
        exif=exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b"",
        manifest=manifest[0],
        manifest_bytes=manifest[1],
    )
    return embedded, "", size, profile if isinstance(profile, bytes) else None


def _inspection(
    name: str,
    kind: Kind,
    size: tuple[int, int],
    length: int,
    found: Embedded,
    profile: bytes | None,
    problem: str,
) -> Inspection:
    problems = [problem] if problem else []
    try:
        said = flattened(found.xmp)
    except Damaged as error:
        said = {}
        problems.append(str(error))
    said = {key: text[:_LONGEST] for key, text in said.items()}
    signed = _signed(found)
    code = code_of(said.get("Iptc4xmpExt:DigitalSourceType", "")) or None
    if code is None and signed is not None and signed.digital_sources:
        code = signed.digital_sources[-1]
    origin = [said.get(f"xmpMM:DerivedFrom/stRef:{key}", "") for key in ("filePath", "documentID")]
    return Inspection(
        path=name,
        format=kind,
        width=size[0],
        height=size[1],
        size=length,
        digital_source=code,
        digital_source_label=LABELS.get(code) if code else None,
        model=said.get("Iptc4xmpExt:AISystemUsed"),
        software=said.get("xmp:CreatorTool"),
        created=said.get("xmp:CreateDate") or said.get("photoshop:DateCreated"),
        fingerprint=said.get("iep:Fingerprint"),
        rendition=said.get("iep:Rendition"),
        derived_from=" ".join(filter(None, origin)) or None,
        title=said.get("dc:title"),
        description=said.get("dc:description"),
        alt_text=said.get("Iptc4xmpCore:AltTextAccessibility"),
        creator=said.get("dc:creator"),
        copyright=said.get("dc:rights"),
        xmp=said,
        xmp_bytes=sum(map(len, found.xmp)),
        c2pa=signed,
        exif=_exif(found.exif),
        icc=_profile_name(profile),
        iptc_bytes=found.iptc_bytes,
        texts=found.texts,
        problems=tuple(problems),
    )


def _signed(found: Embedded) -> Signed | None:
    if not found.manifest_bytes:
        return None
    named = [match.decode() for match in _SOURCE_TYPES.findall(found.manifest)]
    return Signed(size=found.manifest_bytes, digital_sources=tuple(dict.fromkeys(named)))


def _exif(data: bytes) -> Exif | None:
    if not data:
        return None
    from PIL import Image

    tags = Image.Exif()
    try:
        tags.load(b"Exif\0\0" + data)
        fields = {
            name: str(tags[tag]).strip("\0 ")[:200]
            for tag, name in _EXIF_NAMES.items()
            if tag in tags
        }
        return Exif(size=len(data), fields=fields, gps=bool(tags.get_ifd(_GPS)))
    # Broken EXIF is common, and Pillow raises every type there is.
    except Exception:
        return Exif(size=len(data), fields={}, gps=False)


def _profile_name(profile: bytes | None) -> str | None:
    if profile is None:
        return None
    from PIL import ImageCms

    try:
        named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return "unreadable"
    return named.strip() or "unnamed"


def when(text: str) -> str:
    """An XMP date as a person reads it; as it stands where it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = " UTC" if moment.utcoffset() is not None and not moment.utcoffset() else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{zone or ' ' + (moment.tzname() or '')}".strip()
