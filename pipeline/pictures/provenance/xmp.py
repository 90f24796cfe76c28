"""XMP packets: read into a small tree, changed where there is something to say, written again.

XMP is RDF in XML (ISO 16684-1). What others wrote is kept as it is, property by property; only the
order of attributes and the prefixes of namespaces are normalised. What a packet may cost is
bounded, and nothing outside of it is ever fetched.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.parsers import expat

import msgspec

from pipeline.pictures.source import Damaged

MAX_PACKET_BYTES = 4 << 20
"""Larger packets are not read. Real ones have kilobytes, with an edit history some hundred."""

_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 60

Name = tuple[str, str]
"""Namespace URI and local name."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XML = "http://www.w3.org/XML/1998/namespace"
META = "adobe:ns:meta/"
NAMESPACES: dict[str, str] = {
    "x": META,
    "rdf": RDF,
    "xml": XML,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "plus": "http://ns.useplus.org/ldf/xmp/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "iep": "urn:image-edit-pipeline:1.0/",
}
_PREFIXES = {uri: prefix for prefix, uri in NAMESPACES.items()}

# What XML 1.0 cannot hold, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESERVED_PREFIX = re.compile(r"(?i:xml)|(?:x|rdf|ns\d+)\Z")
_PLAIN_PREFIX = re.compile(r"[A-Za-z_][\w.-]*\Z", re.ASCII)


class Alt(msgspec.Struct, frozen=True):
    """A text that could be given in several languages; written as ``x-default``."""

    text: str


class Seq(msgspec.Struct, frozen=True):
    """An ordered list of texts."""

    texts: tuple[str, ...]


class Fields(msgspec.Struct, frozen=True):
    """A structure: texts by qualified name (``stRef:documentID``)."""

    texts: dict[str, str]


Value = str | Alt | Seq | Fields


class Element:
    """One element of a packet's tree."""

    __slots__ = ("attributes", "children", "name")

    def __init__(self, name: Name, attributes: dict[Name, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element | str] = []

    def elements(self) -> "Iterator[Element]":
        return (child for child in self.children if isinstance(child, Element))

    def text(self) -> str:
        return "".join(child for child in self.children if isinstance(child, str)).strip()


class Packet(msgspec.Struct, frozen=True):
    """What one packet says: its ``rdf:Description`` elements, and the prefixes it used by URI."""

    descriptions: list[Any]
    prefixes: dict[str, str]


def name_of(qualified: str) -> Name:
    """``dc:title`` to its namespace and local name."""
    prefix, _, local = qualified.partition(":")
    return NAMESPACES[prefix], local


def parse(packet: bytes) -> Packet:
    """Reads a packet. Raises `Damaged` for what is no XMP, or costs too much to read."""
    if len(packet) > MAX_PACKET_BYTES:
        raise Damaged(f"has XMP of more than {MAX_PACKET_BYTES >> 20} MB")
    builder = _Builder()
    try:
        root = builder.build(packet.strip(b"\0 \t\r\n"))
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Damaged(f"has XMP that is not valid XML ({error})") from error
    rdf = root if root.name == (RDF, "RDF") else None
    for element in root.elements() if rdf is None else ():
        if element.name == (RDF, "RDF"):
            rdf = element
            break
    if rdf is None:
        raise Damaged("has XMP without an rdf:RDF element")
    found = [element for element in rdf.elements() if element.name == (RDF, "Description")]
    return Packet(found, builder.prefixes)


def merge(packets: Sequence[bytes], properties: Mapping[str, Value]) -> bytes:
    """One packet: all that ``packets`` say, but for ``properties``, which are said anew.

    Where two packets say the same thing the first counts. Raises `Damaged` for an unreadable one.
    """
    ours = {name_of(name) for name in properties}
    said = set(ours)
    descriptions: list[Element] = []
    prefixes: dict[str, str] = {}
    about = ""
    for packet in packets:
        parsed = parse(packet)
        prefixes = {**parsed.prefixes, **prefixes}
        here: set[Name] = set()
        for description in parsed.descriptions:
            about = about or description.attributes.get((RDF, "about"), "")
            here |= _remove(description, said)
            if any(description.elements()) or set(_properties(description.attributes)):
                descriptions.append(description)
        said |= here
    added = Element((RDF, "Description"), {(RDF, "about"): about})
    for name, value in properties.items():
        added.children += ["\n   ", _element(name_of(name), value)]
    added.children.append("\n  ")
    for description in descriptions:
        # All speak of one picture, and must say so with one voice.
        description.attributes[(RDF, "about")] = about
    return _written([*descriptions, added], prefixes)


def flattened(packets: Iterable[bytes]) -> dict[str, str]:
    """What packets say, as texts by qualified name.

    Structures become ``xmpMM:DerivedFrom/stRef:documentID``, lists are joined by ``; ``, of
    languages the default counts. Raises `Damaged`.
    """
    found: dict[str, str] = {}
    for packet in packets:
        parsed = parse(packet)
        for description in parsed.descriptions:
            for name, text in _texts(description, parsed.prefixes, ""):
                found.setdefault(name, text)
    return found


class _Builder:
    def __init__(self) -> None:
        self.prefixes: dict[str, str] = {}
        self._open: list[Element] = []
        self._root: Element | None = None
        self._count = 0

    def build(self, text: bytes) -> Element:
        parser = expat.ParserCreate(namespace_separator="\n")
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        # Entities are how a few bytes become gigabytes; XMP has no use for them.
        parser.StartDoctypeDeclHandler = self._doctype
        parser.Parse(text, True)
        if self._root is None:
            raise Damaged("has empty XMP")
        return self._root

    def _doctype(self, *_: object) -> None:
        raise Damaged("has XMP with a document type, which may hide anything")

    def _name(self, text: str) -> Name:
        uri, _, rest = text.partition("\n")
        if not rest:
            return "", uri
        local, _, prefix = rest.partition("\n")
        if prefix:
            self.prefixes.setdefault(uri, prefix)
        return uri, local

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MAX_ELEMENTS or len(self._open) >= _MAX_DEPTH:
            raise Damaged("has XMP with too many elements")
        element = Element(
            self._name(name), {self._name(key): value for key, value in attributes.items()}
        )
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._root = element
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        if self._open:
            self._open[-1].children.append(text)


def _properties(attributes: Iterable[Name]) -> Iterator[Name]:
    return (name for name in attributes if name[0] not in (RDF, XML, ""))


def _remove(description: Element, names: set[Name]) -> set[Name]:
    """Takes properties out of a description, in either of their forms; gives those that stay."""
    description.children = [
        child for child in description.children if isinstance(child, str) or child.name not in names
    ]
    for name in set(_properties(description.attributes)) & names:
        del description.attributes[name]
    stay = {child.name for child in description.elements()}
    return stay | set(_properties(description.attributes))


def _element(name: Name, value: Value) -> Element:
    element = Element(name, {})
    if isinstance(value, str):
        element.children.append(_legal(value))
    elif isinstance(value, Fields):
        element.attributes[(RDF, "parseType")] = "Resource"
        for field, text in value.texts.items():
            element.children.append(_element(name_of(field), text))
    else:
        several = isinstance(value, Seq)
        box = Element((RDF, "Seq" if several else "Alt"), {})
        for text in value.texts if isinstance(value, Seq) else (value.text,):
            item = Element((RDF, "li"), {} if several else {(XML, "lang"): "x-default"})
            item.children.append(_legal(text))
            box.children.append(item)
        element.children.append(box)
    return element


def _legal(text: str) -> str:
    return _ILLEGAL.sub("", text)


def _written(descriptions: Sequence[Element], prefixes: Mapping[str, str]) -> bytes:
    used = _Prefixes(prefixes)
    body = "".join(f"\n  {_markup(description, used)}" for description in descriptions)
    declared = "".join(
        f'\n   xmlns:{prefix}="{_quoted(uri)}"'
        for uri, prefix in sorted(used.taken.items(), key=lambda item: item[1])
        if uri not in (XML, RDF)
    )
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="{META}" x:xmptk="image-edit-pipeline">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}"{declared}>{body}\n </rdf:RDF>\n</x:xmpmeta>\n'
        # Read-only, as PNG asks: there is no padding that could be written into.
        '<?xpacket end="r"?>'
    )
    return text.encode("utf-8", "replace")


class _Prefixes:
    """A prefix for each namespace in use: the well-known one, the writer's, or ``ns1``."""

    def __init__(self, wished: Mapping[str, str]) -> None:
        self._wished = wished
        self.taken: dict[str, str] = {RDF: "rdf", XML: "xml"}

    def of(self, name: Name) -> str:
        uri, local = name
        if not uri:
            return local
        if uri not in self.taken:
            self.taken[uri] = self._new(uri)
        return f"{self.taken[uri]}:{local}"

    def _new(self, uri: str) -> str:
        wish = _PREFIXES.get(uri) or self._wished.get(uri, "")
        known = wish in NAMESPACES and NAMESPACES[wish] != uri
        usable = _PLAIN_PREFIX.match(wish) and not _RESERVED_PREFIX.match(wish) and not known
        if uri in _PREFIXES or (usable and wish not in self.taken.values()):
            return wish
        return f"ns{len(self.taken)}"


def _markup(element: Element, prefixes: _Prefixes) -> str:
    name = prefixes.of(element.name)
    attributes = "".join(
        f' {prefixes.of(key)}="{_quoted(value)}"' for key, value in element.attributes.items()
    )
    inner = "".join(
        _escaped(child) if isinstance(child, str) else _markup(child, prefixes)
        for child in element.children
    )
    return f"<{name}{attributes}>{inner}</{name}>" if inner else f"<{name}{attributes}/>"


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    )


def _quoted(text: str) -> str:
    # Unescaped, a line break in an attribute comes back as a space.
    return _escaped(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")


def _texts(element: Element, prefixes: Mapping[str, str], before: str) -> Iterator[tuple[str, str]]:
    """The properties of a description or structure."""
    for key in _properties(element.attributes):
        yield before + _shown(key, prefixes), element.attributes[key]
    for child in element.elements():
        name = before + _shown(child.name, prefixes)
        inner = list(child.elements())
        if resource := child.attributes.get((RDF, "resource")):
            yield name, resource
        elif not inner and not set(_properties(child.attributes)):
            yield name, child.text()
        elif inner and inner[0].name in {(RDF, "Seq"), (RDF, "Bag"), (RDF, "Alt")}:
            yield from _list(inner[0], prefixes, name)
        elif inner and inner[0].name == (RDF, "Description"):
            yield from _texts(inner[0], prefixes, f"{name}/")
        else:
            yield from _texts(child, prefixes, f"{name}/")


def _list(box: Element, prefixes: Mapping[str, str], name: str) -> Iterator[tuple[str, str]]:
    items = [item for item in box.elements() if item.name == (RDF, "li")]
    if box.name == (RDF, "Alt"):
        default = [item for item in items if item.attributes.get((XML, "lang")) == "x-default"]
        items = (default or items)[:1]
    plain = [item.text() for item in items if not any(item.elements())]
    if any(plain):
        yield name, "; ".join(filter(None, plain))
    for number, item in enumerate(items, 1):
        if any(item.elements()) or set(_properties(item.attributes)):
            inner = [one for one in item.elements() if one.name == (RDF, "Description")]
            yield from _texts(inner[0] if inner else item, prefixes, f"{name}[{number}]/")


def _shown(name: Name, prefixes: Mapping[str, str]) -> str:
    uri, local = name
    prefix = _PREFIXES.get(uri) or prefixes.get(uri, "")
    return f"{prefix}:{local}" if prefix else local
