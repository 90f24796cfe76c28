"""A candidate's further tries, and what they are called: ``mug~2`` is the second of ``mug``."""

import re

import msgspec

from pipeline.models import Edit

_NUMBERED = re.compile(r"(.+)~([0-9]+)").fullmatch


def variant(edit: Edit, number: int) -> Edit:
    """The candidate's try with this number; the first, 1, is the candidate itself."""
    return msgspec.structs.replace(
        edit,
        id=f"{edit.id}~{number}",
        output=f"{edit.output}~{number}",
        variant=edit.variant + number - 1,
    )


def candidate(edit_id: str) -> str:
    """The id in the manifest that an edit is a try of."""
    found = _NUMBERED(edit_id)
    return found.group(1) if found else edit_id
