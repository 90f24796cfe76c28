"""What is wrong with a row, in words: the place comes from whoever reads the file."""

import difflib
from collections.abc import Iterable

from pipeline.models import Problem

_LONGEST_NAME = 60


class RowError(ValueError):
    """A row, or one cell of it, cannot be used. The message has the way out but no place."""


def quoted(text: object, limit: int = 60) -> str:
    """The text in quotes, for a message: cut, and with control characters made visible."""
    shown = str(text)
    return repr(shown if len(shown) <= limit else shown[: limit - 1] + "…")


def did_you_mean(name: str, known: Iterable[str], *, nearness: float = 0.7) -> str:
    """`` (did you mean 'prompt'?)``, or nothing when no known name is near."""
    if len(name) > _LONGEST_NAME:  # the comparison takes time and memory by length
        return ""
    names = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=nearness)
    return f" (did you mean {names[near[0]]!r}?)" if near else ""


def listed(names: Iterable[str], nothing: str = "nothing") -> str:
    """``a, b, c``; long lists are cut."""
    shown = [str(name) for name in names]
    if len(shown) > 20:
        shown = [*shown[:20], f"and {len(shown) - 20} more"]
    return ", ".join(shown) or nothing


def row_problem(label: str, line: int, message: str) -> Problem:
    """For a row that cannot even be taken apart."""
    place = f"{label}:{line}"
    return Problem(place=place, message=message, id=place)
