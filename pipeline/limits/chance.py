"""Refusals that no limit explains: a provider that is busy with others turns some of ours away.

A limit refuses who goes beyond it, and hardly anybody well below what has passed. So refusals
there, few and far between, are chance, and once chance is known, a single refusal elsewhere may be
chance, too. It is not when several come together: then a limit was met, or has moved.
"""

from collections import deque

KNOWN_AFTER = 4
"""Refusals well below what had passed."""
AMONG_MOST = 10
"""One in so many of the requests there, at most. More is no chance: it has become too much."""
TRUSTED = 4
"""Refusals elsewhere that are put down to chance for each one well below: then a limit is looked
for again, and if it is still chance, the cut that follows shows that, too."""
ALONE_AMONG = 8
"""Answers, its own one included, among which a refusal by chance is the only one."""
REMEMBERED = 400
"""Requests well below, after which what they say counts half: moods change."""


class Chance:
    """Whether a refusal means anything, judged by the answers around it. In their order."""

    def __init__(self) -> None:
        self._latest: deque[bool] = deque(maxlen=ALONE_AMONG)
        self._below = 0
        self._refused_below = 0
        self._excused = 0

    def passed(self, *, below: bool) -> None:
        """A success. ``below``: it left well below what had passed before."""
        self._latest.append(False)
        self._count(below=below, refused=False)

    def explains(self, *, below: bool) -> bool:
        """Takes note of a refusal. True: it need not mean a limit."""
        self._latest.append(True)
        self._count(below=below, refused=True)
        if not self._known() or sum(self._latest) > 1:
            return False
        self._excused += not below
        return True

    def _known(self) -> bool:
        refused = self._refused_below
        few = refused * AMONG_MOST <= self._below
        return refused >= KNOWN_AFTER and few and self._excused < refused * TRUSTED

    def _count(self, *, below: bool, refused: bool) -> None:
        self._below += below
        self._refused_below += below and refused
        if self._below >= REMEMBERED:
            self._below //= 2
            self._refused_below //= 2
            self._excused //= 2
