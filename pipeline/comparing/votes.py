"""Votes that people exported from the page: read, and summed up with intervals."""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path

import msgspec

from pipeline.errors import ManifestError
from pipeline.estimates import Estimate, share
from pipeline.exports.results_csv import as_written
from pipeline.manifest.text_lines import text_lines

COLUMNS = ("edit", "choice", "model", "shown", "voter", "voted_at", "blind")
"""``choice``: the letter, ``tie`` or ``none``. ``model``: what stood behind it. ``shown``: what
stood behind each letter, as in ``A=flash;B=kontext``. ``blind``: ``no`` if names were in view.
"""


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """``model``: the best; empty for a tie, and where none was good. ``shown``: all that were.
    ``voter``: who gave a name; else the file.
    """

    edit: str
    choice: str
    model: str
    shown: tuple[str, ...]
    voter: str = ""
    blind: bool = True


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """One model against all others. ``share``: of the votes in which it was shown and one was best,
    with its interval of 95 %; a coin would give ``chance``.
    """

    model: str
    shown: int
    best: int
    ties: int
    none: int
    share: Estimate
    chance: float


class Duel(msgspec.Struct, frozen=True, kw_only=True):
    """Two models where both were shown and one of them was best. ``share``: of ``first``'s wins;
    ``clear``: its interval leaves out one half.
    """

    first: str
    second: str
    wins: int
    losses: int
    share: Estimate
    clear: bool


class VoteSummary(msgspec.Struct, frozen=True, kw_only=True):
    """``not_blind``: votes that were cast with the names in view, and are left out."""

    votes: int
    not_blind: int
    voters: int
    edits: int
    models: tuple[Preference, ...]
    duels: tuple[Duel, ...]


def read_votes(paths: Sequence[Path]) -> list[Vote]:
    """The votes of these files; of one voter and edit the last counts. Raises `ManifestError`."""
    found: dict[tuple[str, str], Vote] = {}
    for path in paths:
        for vote in _read(path):
            found[vote.voter, vote.edit] = vote
    return list(found.values())


def summed_up(votes: Iterable[Vote]) -> VoteSummary:
    """Ties and "none is good" are counted, and are no wins for anybody."""
    every = list(votes)
    votes = [vote for vote in every if vote.blind]
    shown, best, ties, none = (Counter[str]() for _ in range(4))
    decided = Counter[str]()
    chances: dict[str, float] = defaultdict(float)
    wins = Counter[tuple[str, str]]()
    for vote in votes:
        shown.update(vote.shown)
        if vote.model:
            best[vote.model] += 1
            decided.update(vote.shown)
            for name in vote.shown:
                chances[name] += 1 / len(vote.shown)
            wins.update([(vote.model, other) for other in vote.shown if other != vote.model])
        else:
            (none if vote.choice == "none" else ties).update(vote.shown)
    names = sorted(shown, key=lambda name: (-best[name] / max(1, decided[name]), name))
    return VoteSummary(
        votes=len(votes),
        not_blind=len(every) - len(votes),
        voters=len({vote.voter for vote in votes}),
        edits=len({vote.edit for vote in votes}),
        models=tuple(
            [
                Preference(
                    model=name,
                    shown=shown[name],
                    best=best[name],
                    ties=ties[name],
                    none=none[name],
                    share=share(best[name], decided[name]),
                    chance=chances[name] / decided[name] if decided[name] else 0.0,
                )
                for name in names
            ]
        ),
        duels=tuple([_duel(a, b, wins) for a, b in combinations(names, 2)]),
    )


def _duel(first: str, second: str, wins: Counter[tuple[str, str]]) -> Duel:
    won, lost = wins[first, second], wins[second, first]
    found = share(won, won + lost)
    return Duel(
        first=first,
        second=second,
        wins=won,
        losses=lost,
        share=found,
        clear=bool(won + lost) and not found.low <= 0.5 <= found.high,
    )


def _read(path: Path) -> Iterator[Vote]:
    label = path.name
    try:
        with path.open("rb") as file:
            lines = text_lines(file, label)
            head = next(lines, "")
            separator = max(",;\t", key=head.count)  # as spreadsheets save it
            rows = csv.DictReader(chain([head], lines), delimiter=separator, strict=True)
            missing = [name for name in COLUMNS[:4] if name not in (rows.fieldnames or ())]
            if missing:
                raise ManifestError(
                    f"{label}:1: no column {', '.join(missing)} (this is what the page exports as"
                    " votes.csv)"
                )
            for row in rows:
                yield _vote(row, f"{label}:{rows.line_num}", path)
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error} (check the path)") from error
    except csv.Error as error:
        raise ManifestError(
            f"{label}: {error} (is a quote never closed? Save the file as 'CSV UTF-8' again)"
        ) from None


def _vote(row: Mapping[str, str | None], place: str, path: Path) -> Vote:
    cells = {name: as_written((row.get(name) or "").strip()) for name in COLUMNS}
    shown = dict([part.split("=", 1) for part in cells["shown"].split(";") if "=" in part])
    choice = cells["choice"]
    if choice not in (*shown, "tie", "none") or not cells["edit"]:
        raise ManifestError(
            f"{place}: choice {choice!r} is none of {', '.join(shown) or 'those shown'}, tie, none"
            " (correct the row, or remove it)"
        )
    return Vote(
        edit=cells["edit"],
        choice=choice,
        model=shown.get(choice, ""),
        shown=tuple(shown.values()),
        # Two people who did not say who they are exported two files.
        voter=cells["voter"] or str(path),
        blind=cells["blind"].lower() != "no",
    )
