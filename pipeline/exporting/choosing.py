"""From the ledger's rows to the samples of a data set: what is taken, under what key, in which
split; without a look at the pictures themselves.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from pipeline.exporting.originals import Original, Stored
from pipeline.exports.samples import Column
from pipeline.ledger.material import ExportRow

OWN = (
    Column("id"),
    Column("picture", "integer"),
    Column("prompt"),
    Column("model"),
    Column("parameters"),
    Column("variant", "integer"),
    Column("status"),
    Column("decision"),
    Column("note"),
    Column("width", "integer"),
    Column("height", "integer"),
    Column("sha256"),
)
"""What every sample says of itself, before the manifest's own columns."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}").fullmatch
_TAKEN = re.compile(r".*(-[0-9a-f]{16}|_p[0-9]+)", re.DOTALL).fullmatch
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE).fullmatch


class Chosen(msgspec.Struct, frozen=True):
    """A sample before its pictures were read. ``pictures``: by column."""

    key: str
    edit_id: str
    place: str
    split: str
    values: dict[str, str | int | None]
    pictures: dict[str, Stored | Original | None]

    @property
    def signature(self) -> str:
        """Of all that is in it: 32 hex digits. The same signature, the same sample."""
        pictures = [
            (name, one and (one.sha256 if isinstance(one, Stored) else one.digest))
            for name, one in self.pictures.items()
        ]
        whole = msgspec.json.encode([self.key, self.values, pictures])
        return hashlib.sha256(whole).hexdigest()[:32]


def key_of(edit_id: str, picture: int = 1) -> str:
    """A name for files: the id where it can be one, else an id that is made from it and its hash.

    Letters, digits, ``-`` and ``_``; never a dot, at which WebDataset cuts names.
    """
    if _SAFE(edit_id) and not _TAKEN(edit_id) and not _RESERVED(edit_id):
        key = edit_id
    else:
        plain = re.sub(r"[^A-Za-z0-9]+", "-", edit_id).strip("-")[:40] or "edit"
        digest = hashlib.sha256(edit_id.encode("utf-8", "replace")).hexdigest()
        key = f"{plain}-{digest[:16]}"
    return key if picture == 1 else f"{key}_p{picture}"


class Layout(msgspec.Struct, frozen=True):
    """The columns of a data set, and which columns of the results the manifest's own come from."""

    columns: tuple[Column, ...]
    manifest: tuple[tuple[str, str], ...] = ()

    @property
    def signature(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self.columns)).hexdigest()[:32]


def source_column(number: int) -> str:
    """``source``, ``source_2``, …"""
    return "source" if number == 1 else f"source_{number}"


def picture_layout(
    own_columns: Sequence[str], *, inputs: int, wanted: Collection[str] = ()
) -> Layout:
    """The edited picture, ``inputs`` source pictures, and all that is known in words.

    ``own_columns``: of the results, the manifest's own. ``wanted``: only these, by the names that
    they have in `OWN` or in the results; empty: all.
    """
    pictures = ["image", *[source_column(number) for number in range(1, inputs + 1)]]
    taken = {*pictures, *[column.name for column in OWN], "file_name", "key"}
    manifest = []
    for name in own_columns:
        label = name
        while label in taken or label.endswith(("_file_name", "_file_names")):
            label = f"row_{label}" if label in taken else f"{label}_"
        taken.add(label)
        if not wanted or name in wanted:
            manifest.append((name, label))
    return Layout(
        (
            *[Column(name, "picture") for name in pictures],
            *[column for column in OWN if not wanted or column.name in wanted],
            *[Column(label) for _, label in manifest],
        ),
        tuple(manifest),
    )


PAIRS = Layout(
    (Column("original_image", "picture"), Column("edit_prompt"), Column("edited_image", "picture"))
)
"""As the instruct-pix2pix trainers read it."""


def pictures_of(
    row: ExportRow, layout: Layout, inputs: Sequence[Original], split: str
) -> Iterator[Chosen]:
    """A sample for each picture of an edit."""
    sources = [column.name for column in layout.columns if column.kind == "picture"][1:]
    values = row.values
    named = {column.name for column in layout.columns}
    for number, image in enumerate(row.images, start=1):
        pictures: dict[str, Stored | Original | None] = {"image": stored(image)}
        for at, name in enumerate(sources):
            pictures[name] = inputs[at] if at < len(inputs) else None
        own: dict[str, Any] = {
            "id": row.id,
            "picture": number,
            "prompt": values["prompt"],
            "model": values["model"],
            "parameters": row.parameters,
            "variant": values["variant"],
            "status": values["status"],
            "decision": values["decision"],
            "note": values["note"],
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
        }
        own = {name: value for name, value in own.items() if name in named}
        for name, label in layout.manifest:
            value = values[name]
            own[label] = value if value is None or isinstance(value, str) else str(value)
        yield Chosen(key_of(row.id, number), row.id, row.place, split, own, pictures)


def pairs_of(row: ExportRow, inputs: Sequence[Original], split: str) -> Iterator[Chosen]:
    """A pair for each picture of an edit that has an input: the first counts."""
    for number, image in enumerate(row.images if inputs else (), start=1):
        yield Chosen(
            key_of(row.id, number),
            row.id,
            row.place,
            split,
            {"edit_prompt": row.values["prompt"]},
            {"original_image": inputs[0], "edited_image": stored(image)},
        )


def stored(image: Any) -> Stored:
    return Stored(path=image.path, sha256=image.sha256, size=image.size, format=image.format)
