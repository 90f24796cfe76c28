"""What lies beside the data: the card, its examples, and the checksums."""

import hashlib

from pipeline.errors import InputError
from pipeline.exporting.card import Example
from pipeline.exporting.originals import Pictures
from pipeline.exporting.publishing import SUMS, Target
from pipeline.exporting.reading import read
from pipeline.exporting.scratch import Scratch

EXAMPLES = 3
EXAMPLE_BYTES = 4_000_000
"""At most, of one example's pictures."""

CARD = "README.md"
CARD_BESIDE = "README.generated.md"
"""The card, where somebody has changed the other one by hand."""


def put(target: Target, scratch: Scratch, name: str, data: bytes) -> None:
    """Writes a small file of the new export."""
    target.new(name).write_bytes(data)
    scratch.file(name, hashlib.sha256(data).hexdigest(), fresh=True)


def put_sums(target: Target, scratch: Scratch) -> None:
    """As ``sha256sum`` writes and checks them: of all files but this one."""
    with target.new(SUMS).open("w", encoding="utf-8", newline="") as file:
        for name, sha256 in scratch.files():
            file.write(f"{sha256}  {name}\n")
    scratch.file(SUMS, "", fresh=True)


def put_card(target: Target, scratch: Scratch, data: bytes, *, before: str) -> tuple[str, ...]:
    """The card; where somebody has changed the one that is there, beside it. ``before``: SHA-256
    of the card as it was made last; "": never. What there is to say about it.
    """
    present = target.old(CARD)
    if present is None or present == data or hashlib.sha256(present).hexdigest() == before:
        put(target, scratch, CARD, data)
        return ()
    put(target, scratch, CARD, present)
    put(target, scratch, CARD_BESIDE, data)
    return (f"{CARD} was changed by hand and stays: what it would say is in {CARD_BESIDE}",)


def put_examples(target: Target, scratch: Scratch, pictures: Pictures) -> list[Example]:
    """The first samples whose pictures are there and not too large, as files."""
    found: list[Example] = []
    for chosen in scratch.first(4 * EXAMPLES):
        if len(found) == EXAMPLES:
            break
        try:
            sample = read(pictures, chosen)
        except InputError:
            continue
        there = {name: one for name, one in sample.pictures.items() if one is not None}
        if sum(len(one.data) for one in there.values()) > EXAMPLE_BYTES:
            continue
        paths = {}
        for name, one in there.items():
            place = f"examples/{len(found) + 1}-{name.replace('_', '-')}{one.extension}"
            put(target, scratch, place, one.data)
            paths[name] = place
        prompt = sample.values.get("prompt") or sample.values.get("edit_prompt") or ""
        found.append(Example(str(prompt), paths))
    return found
