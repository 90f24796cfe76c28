"""Facts put into a picture without touching its pixels."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from pipeline.durable import replacing
from pipeline.errors import InputError
from pipeline.models import FileSlice
from pipeline.pictures.decode import kind_of, taken_apart
from pipeline.pictures.provenance import in_jpeg, in_png, in_webp
from pipeline.pictures.provenance.embedded import Embedded
from pipeline.pictures.provenance.facts import VOCABULARY, Provenance, makers_label, properties
from pipeline.pictures.provenance.xmp import flattened, merge
from pipeline.pictures.sniff import Kind
from pipeline.pictures.source import BytesSource, Damaged, FileSource, Source, read_parts

_STEP = 1 << 20


class _ViewSource(BytesSource):
    """Bytes in memory whose parts are named, not copied."""

    def part(self, offset: int, length: int) -> bytes | FileSlice:
        return FileSlice(path="", offset=offset, length=length)


class Container(msgspec.Struct, frozen=True):
    """What a format offers: reading what is embedded, and giving the file with another packet."""

    embedded: Callable[[Source], Embedded]
    rewritten: Callable[[Source, bytes], tuple[bytes | FileSlice, ...]]


CONTAINERS: dict[Kind, Container] = {
    "png": Container(in_png.embedded, in_png.rewritten),
    "jpeg": Container(in_jpeg.embedded, in_jpeg.rewritten),
    "webp": Container(in_webp.embedded, in_webp.rewritten),
}


def with_provenance(
    data: bytes, facts: Provenance, *, name: str = "picture", over_signature: bool = False
) -> bytes:
    """The same picture (PNG, JPEG, WebP) with the facts in its XMP; its pixels are not touched.

    What its XMP says already is kept, but for what the facts say anew; a label of its maker that
    it is generated stays. A picture with a C2PA manifest is returned as it is: its signature
    covers the whole file, and would no longer hold. ``over_signature`` writes all the same.
    Raises `InputError` for another format and for a picture that does not hold together.
    """
    parts = _parts(BytesSource(data), facts, name, over_signature)
    return data if parts is None else read_parts(parts, name)


def labelled_pieces(
    data: memoryview, facts: Provenance, *, name: str = "picture"
) -> tuple[bytes | memoryview, ...] | None:
    """The same as pieces to be written one after another: what is new, and slices of ``data``, of
    which nothing is copied. None where the picture is signed, and is to stay as it is. Raises
    `InputError`.
    """
    parts = _parts(_ViewSource(data), facts, name, over_signature=False)
    if parts is None:
        return None
    return tuple(
        part if isinstance(part, bytes) else data[part.offset : part.offset + part.length]
        for part in parts
    )


def write_provenance(
    path: Path, facts: Provenance, *, target: Path | None = None, over_signature: bool = False
) -> bool:
    """The same for a file of any size, copied in pieces; the file appears whole, or not at all.

    ``target``: default the file itself. False where it was left alone because it is signed (a
    ``target`` is a plain copy then). Raises `InputError`, and `OSError` where the target cannot be
    written.
    """
    name = str(path)
    place = path if target is None else target
    with FileSource(name, name) as source:
        parts = _parts(source, facts, name, over_signature)
        if parts is None and place == path:
            return False
        with replacing(place) as file:
            for part in parts or (source.part(0, source.size),):
                if isinstance(part, bytes):
                    file.write(part)
                    continue
                for at in range(part.offset, part.offset + part.length, _STEP):
                    left = part.offset + part.length - at
                    file.write(source.read(at, min(_STEP, left)))
    return parts is not None


def stated_facts(source: Source, kind: Kind) -> dict[str, str]:
    """What a picture's XMP says, by qualified name; empty where it says nothing, or cannot be read.

    For pictures that are derived from it.
    """
    container = CONTAINERS.get(kind)
    if container is None:
        return {}
    try:
        return flattened(container.embedded(source).xmp)
    except Damaged:
        return {}


def _parts(
    source: Source, facts: Provenance, name: str, over_signature: bool
) -> tuple[bytes | FileSlice, ...] | None:
    kind = kind_of(source, name)
    container = CONTAINERS.get(kind)
    if container is None:
        raise InputError(
            f"{name}: facts cannot be added to {kind.upper()} without encoding it again"
            " (PNG, JPEG and WebP can hold them; a rendition writes them into AVIF, too)"
        )
    # All of the structure is looked at first: nothing is added to what is damaged already.
    taken_apart(source, kind, name)
    try:
        found = container.embedded(source)
        if found.manifest_bytes and not over_signature:
            return None
        said = properties(facts)
        if label := makers_label(flattened(found.xmp)):
            said["Iptc4xmpExt:DigitalSourceType"] = VOCABULARY + label
        return container.rewritten(source, merge(found.xmp, said))
    except Damaged as error:
        raise InputError(f"{name}: {error}; it stays as it is") from error
