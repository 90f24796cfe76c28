"""Which pictures of an edit's answers are kept, and how many more have to be asked for.

Pure: an edit has a place for each picture that it asked for; the best one seen so far holds it.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from pipeline.models import PictureCheck, StoredImage

TOP_UPS = 3
"""Requests for pictures that are missing, for one edit: a model that repeats itself for so long
does it for ever."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A stored picture and what was said of it. ``finished``: the path of what was made of it.

    ``digest``: of its bytes as they came, where they were compared. ``claim``: what it looks like,
    as the run's memory of pictures has it, to be given back if it is turned down.
    """

    image: StoredImage
    digest: bytes = b""
    checks: tuple[PictureCheck, ...] = ()
    finished: str = ""
    claim: Any = None

    @property
    def failed(self) -> tuple[PictureCheck, ...]:
        return tuple([check for check in self.checks if not check.passed])

    @property
    def right(self) -> bool:
        return not self.failed


class Wanted(msgspec.Struct, frozen=True):
    """How many pictures to ask for again: ``wrong`` ones, and ``missing`` ones."""

    wrong: int = 0
    missing: int = 0

    @property
    def pictures(self) -> int:
        return self.wrong + self.missing


class Held:
    """The pictures of one edit so far. ``sent``: as of `Record.sent`, of the latest answer.

    ``requests``: how many followed the first answer, among them ``rerolls`` and ``top_ups``.
    """

    def __init__(self, asked: int) -> None:
        self._places: list[Candidate | None] = [None] * max(1, asked)
        self.rerolls = 0
        self.top_ups = 0
        self.requests = 0
        self.sent = ""

    @property
    def pictures(self) -> tuple[Candidate, ...]:
        """Those that are there, in order."""
        return tuple([one for one in self._places if one is not None])

    @property
    def right(self) -> bool:
        """Whether all that are there are right."""
        return all(one.right for one in self.pictures)

    def take(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Gives each a place of its own, or that of the worst if it is better; returns those that
        have none, to be removed.

        Better has fewer failed checks. What came first stays where both are alike.
        """
        without: list[Candidate] = []
        for one in candidates:
            place = self._place_for(one)
            if place is None:
                without.append(one)
                continue
            before = self._places[place]
            if before is not None:
                without.append(before)
            self._places[place] = one
        return without

    def wanted(self, *, rerolls: int, top_up: bool) -> Wanted:
        """What the next request would be for; no pictures: there is none."""
        wrong = sum(one is not None and not one.right for one in self._places)
        missing = sum(one is None for one in self._places)
        return Wanted(
            wrong if self.rerolls < rerolls else 0,
            missing if top_up and self.top_ups < TOP_UPS else 0,
        )

    def ask(self, wanted: Wanted) -> None:
        """Counts a request."""
        self.requests += 1
        self.rerolls += wanted.wrong > 0
        self.top_ups += wanted.missing > 0

    def not_asked(self) -> None:
        """The last request was not sent: there was no money for it."""
        self.requests -= 1

    def _place_for(self, one: Candidate) -> int | None:
        if None in self._places:
            return self._places.index(None)
        worst = max(range(len(self._places)), key=self._failed)
        return worst if self._failed(worst) > len(one.failed) else None

    def _failed(self, place: int) -> int:
        there = self._places[place]
        return 0 if there is None else len(there.failed)


def in_words(pictures: Iterable[Candidate]) -> str:
    """What the checks that failed say; with the picture's number where there are several."""
    pictures = tuple(pictures)
    parts = []
    for number, one in enumerate(pictures, start=1):
        if said := "; ".join([f"{check.name}: {check.message}" for check in one.failed]):
            parts.append(said if len(pictures) == 1 else f"picture {number}: {said}")
    return "; ".join(parts)
