"""What a picture says of its own origin: plain facts, and how IPTC and XMP name them."""

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec

from pipeline import __version__
from pipeline.pictures.provenance.xmp import Alt, Fields, Seq, Value

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's list of digital source types; a value is this and a code."""

DigitalSource = Literal["compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia"]
"""``compositeWithTrainedAlgorithmicMedia``: something that was there, edited by a generative model.
``trainedAlgorithmicMedia``: made by one."""

LABELS: dict[str, str] = {
    "trainedAlgorithmicMedia": "created using generative AI",
    "compositeWithTrainedAlgorithmicMedia": "edited using generative AI",
    "algorithmicallyEnhanced": "enhanced by an algorithm",
    "algorithmicMedia": "made purely by an algorithm, without training data",
    "dataDrivenMedia": "drawn from data",
    "compositeSynthetic": "composite that includes generated elements",
    "composite": "composite of elements",
    "compositeCapture": "composite of captured elements",
    "digitalCapture": "captured from real life by a camera",
    "computationalCapture": "captured by a camera that computes from several frames",
    "negativeFilm": "digitised from a negative",
    "positiveFilm": "digitised from a positive",
    "print": "digitised from a print",
    "humanEdits": "edited by a person with non-generative tools",
    "minorHumanEdits": "retouched by a person",
    "digitalCreation": "made by a person with digital tools",
    "digitalArt": "made by a person with digital tools",
    "screenCapture": "captured from a screen",
    "virtualRecording": "recorded from a virtual event",
    "softwareImage": "made by software",
}
"""IPTC's codes in words. After IPTC's vocabulary, also for codes that it has retired."""

GENERATIVE = frozenset(
    {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic"}
)
"""Codes by which a picture's maker may have labelled it as generated, in whole or in part."""

_NAME = "image-edit-pipeline"
SOFTWARE = f"{_NAME} {__version__}"


class DerivedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """The picture that a rendition was made from: its file name and its bytes' SHA-256, in hex."""

    name: str
    sha256: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored or derived picture is to say of itself. What is empty is not written.

    ``created``: seconds since the epoch (UTC), when the endpoint's answer was there.
    ``fingerprint``: the edit's. ``prompt``: written only if it is given; prompts may be secrets.
    ``rendition``: the name of the rendition, and ``derived_from`` what it was made from: `render`
    fills in both.
    """

    digital_source: DigitalSource = "compositeWithTrainedAlgorithmicMedia"
    model: str = ""
    created: float | None = None
    fingerprint: str = ""
    creator: tuple[str, ...] = ()
    copyright: str = ""
    credit: str = ""
    title: str = ""
    description: str = ""
    alt_text: str = ""
    prompt: str = ""
    software: str = SOFTWARE
    rendition: str = ""
    derived_from: DerivedFrom | None = None


def properties(facts: Provenance) -> dict[str, Value]:
    """The facts as XMP properties, by qualified name."""
    found: dict[str, Value] = {
        "Iptc4xmpExt:DigitalSourceType": VOCABULARY + facts.digital_source,
    }
    if facts.model:
        found["Iptc4xmpExt:AISystemUsed"] = facts.model
    if facts.prompt:
        found["Iptc4xmpExt:AIPromptInformation"] = facts.prompt
    tools = [facts.model, facts.software]
    found["xmp:CreatorTool"] = " via ".join(filter(None, tools))
    if facts.created is not None:
        when = datetime.fromtimestamp(facts.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found["xmp:CreateDate"] = when
        found["photoshop:DateCreated"] = when
    if facts.credit:
        found["photoshop:Credit"] = facts.credit
    if any(facts.creator):
        found["dc:creator"] = Seq(tuple(filter(None, facts.creator)))
    for name, text in (
        ("dc:rights", facts.copyright),
        ("dc:title", facts.title),
        ("dc:description", facts.description),
        ("Iptc4xmpCore:AltTextAccessibility", facts.alt_text),
    ):
        if text:
            found[name] = Alt(text)
    if facts.fingerprint:
        found["iep:Fingerprint"] = facts.fingerprint
    if facts.rendition:
        found["iep:Rendition"] = facts.rendition
    if facts.derived_from is not None:
        origin = facts.derived_from
        fields = {"stRef:documentID": f"urn:sha256:{origin.sha256}"}
        if origin.name:
            fields["stRef:filePath"] = origin.name
        found["xmpMM:DerivedFrom"] = Fields(fields)
    return found


def makers_label(stated: Mapping[str, str]) -> str | None:
    """IPTC's code by which somebody else labelled the picture as generated. It is not ours to
    change: platforms forbid it.
    """
    code = code_of(stated.get("Iptc4xmpExt:DigitalSourceType", ""))
    ours = _NAME in stated.get("xmp:CreatorTool", "")
    return code if code in GENERATIVE and not ours else None


def derived(
    facts: Provenance | None, stated: Mapping[str, str], *, origin: DerivedFrom, rendition: str
) -> Provenance | None:
    """What a picture made from ``origin`` is to say: ``facts``, or what the XMP of the original
    ``stated`` (texts by qualified name); None where neither says that it is generated.
    """
    code = code_of(stated.get("Iptc4xmpExt:DigitalSourceType", ""))
    label = makers_label(stated)
    if facts is None:
        if code not in GENERATIVE:
            return None
        facts = _stated(stated)
        label = code
    return msgspec.structs.replace(
        facts,
        digital_source=_known(label) if label else facts.digital_source,
        derived_from=origin,
        rendition=rendition or facts.rendition,
    )


def _known(code: str) -> DigitalSource:
    if code == "trainedAlgorithmicMedia":
        return "trainedAlgorithmicMedia"
    return "compositeWithTrainedAlgorithmicMedia"


def _stated(stated: Mapping[str, str]) -> Provenance:
    created = None
    with contextlib.suppress(ValueError):
        created = datetime.fromisoformat(stated.get("xmp:CreateDate", "")).timestamp()
    return Provenance(
        model=stated.get("Iptc4xmpExt:AISystemUsed", ""),
        created=created,
        fingerprint=stated.get("iep:Fingerprint", ""),
        creator=tuple(filter(None, stated.get("dc:creator", "").split("; "))),
        copyright=stated.get("dc:rights", ""),
        credit=stated.get("photoshop:Credit", ""),
        title=stated.get("dc:title", ""),
        description=stated.get("dc:description", ""),
        alt_text=stated.get("Iptc4xmpCore:AltTextAccessibility", ""),
        prompt=stated.get("Iptc4xmpExt:AIPromptInformation", ""),
    )


def code_of(uri: str) -> str:
    """``trainedAlgorithmicMedia`` for IPTC's full URI, in either of its schemes; else the text."""
    return uri.rstrip("/").rpartition("/")[2] if "digitalsourcetype/" in uri else uri
