"""Preferences: what a person accepted, against what was turned down of the same edit.

Accepted is a picture that somebody approved. Turned down is what was redone (a take), what a person
rejected, and what a check rejected. The same edit is: the same input pictures, prompt, model and
parameters, whatever its variant and its id; and all takes of one id.
"""

import hashlib
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec

from pipeline.exporting.choosing import Chosen, Layout, key_of, stored
from pipeline.exporting.originals import Original, Stored
from pipeline.exports.samples import Column
from pipeline.ledger import Take
from pipeline.ledger.material import ExportRow

PREFERENCES = Layout(
    (
        Column("original_image", "picture"),
        Column("edit_prompt"),
        Column("chosen", "picture"),
        Column("rejected", "picture"),
        Column("id"),
        Column("chosen_prompt"),
        Column("rejected_prompt"),
        Column("rejected_reason"),
    )
)
"""``edit_prompt``: what the manifest asked; the other two as they were sent, a redo's words
included."""


class Candidate(msgspec.Struct, frozen=True):
    """One picture of an edit that was judged. ``prompt``: as it was sent."""

    name: str
    accepted: bool
    prompt: str
    reason: str
    image: Stored


class Judged(msgspec.Struct, frozen=True):
    """An edit's judged pictures, and what it shares with its variants: ``group`` is the same."""

    group: str
    edit_id: str
    place: str
    split: str
    asked: str
    source: Original | None
    candidates: tuple[Candidate, ...]


def judged(
    row: ExportRow, takes: Sequence[Take], inputs: Sequence[Original], split: str
) -> Judged | None:
    """What was said of an edit's pictures; ``None`` if nothing was."""
    values = row.values
    candidates = []
    accepted = values["decision"] == "approved"
    if accepted or values["status"] == "rejected":
        reason = "" if accepted else values["note"] or values["error_message"] or ""
        candidates += [
            Candidate(key_of(row.id, n), accepted, values["prompt"], reason, stored(image))
            for n, image in enumerate(row.images, start=1)
        ]
    for take in takes:
        candidates += [
            Candidate(
                f"{key_of(row.id, n)}_v{take.number}", False, take.prompt, take.note, stored(image)
            )
            for n, image in enumerate(take.images, start=1)
        ]
    if not candidates:
        return None
    # A redo is a higher variant, and may have been set aside for an earlier one. Where the manifest
    # changed there are two first ones: the later is what it asks now.
    sent = [(values["variant"], values["prompt"])]
    sent += [(take.variant, take.prompt) for take in reversed(takes)]
    _, asked = min(sent, key=itemgetter(0))
    parameters = msgspec.json.decode(row.parameters, type=dict[str, Any])
    parameters.pop("seed", None)  # what variants differ in
    whole = [asked, values["model"], parameters, [one.digest for one in inputs]]
    return Judged(
        hashlib.sha256(msgspec.json.encode(whole)).hexdigest()[:32],
        row.id,
        row.place,
        split,
        asked,
        inputs[0] if inputs else None,
        tuple(candidates),
    )


def pairs(edits: Sequence[Judged]) -> Iterator[Chosen]:
    """Each accepted picture of a group with each that was turned down, within one split."""
    for winner in edits:
        for chosen in winner.candidates:
            if not chosen.accepted:
                continue
            for loser in edits:
                if loser.split != winner.split:
                    continue
                for other in loser.candidates:
                    if not other.accepted:
                        yield _pair(winner, chosen, other)


def _pair(winner: Judged, chosen: Candidate, other: Candidate) -> Chosen:
    names = f"{chosen.name}\0{other.name}"
    digest = hashlib.sha256(names.encode()).hexdigest()
    return Chosen(
        f"{chosen.name[:60]}-{digest[:16]}",
        winner.edit_id,
        winner.place,
        winner.split,
        {
            "edit_prompt": winner.asked,
            "id": winner.edit_id,
            "chosen_prompt": chosen.prompt,
            "rejected_prompt": other.prompt,
            "rejected_reason": other.reason,
        },
        {"original_image": winner.source, "chosen": chosen.image, "rejected": other.image},
    )
