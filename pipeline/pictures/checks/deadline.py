"""Checks that do not come back: given up after a while, and not called for ever."""

import threading
from collections.abc import Iterable

from pipeline.pictures.checks.custom import NamedCheck
from pipeline.pictures.checks.pictures import PictureUnderTest
from pipeline.pictures.checks.values import CheckResult

MOST_LOST = 4
"""Calls that may hang at once. Each keeps a thread and a picture; a thread cannot be ended."""


class Deadline:
    """A check that raises `TimeoutError` after ``seconds``. Is a `custom.Check`.

    Each call has a thread of its own, which is left alone when its time is over. While `MOST_LOST`
    of them hang, further calls fail at once.
    """

    def __init__(self, named: NamedCheck, seconds: float) -> None:
        self._named = named
        self._seconds = seconds
        self._lock = threading.Lock()
        self._lost = 0

    def __call__(self, picture: PictureUnderTest, /) -> Iterable[CheckResult]:
        if self._lost >= MOST_LOST:
            raise TimeoutError(f"{self._lost} calls of it have not come back")
        outcome: list[tuple[CheckResult, ...] | BaseException] = []
        given_up = False

        def call() -> None:
            nonlocal given_up
            try:
                said = self._named.check(picture)
                # Here, and not by whoever gets it: it may be computed as it is read.
                outcome.append((said,) if isinstance(said, CheckResult) else tuple(said))
            except BaseException as error:
                outcome.append(error)
            with self._lock:
                if given_up:
                    self._lost -= 1

        thread = threading.Thread(target=call, name=f"check {self._named.name}", daemon=True)
        thread.start()
        thread.join(self._seconds)
        with self._lock:
            if not outcome:
                given_up = True
                self._lost += 1
                raise TimeoutError(f"no answer within {self._seconds:g} s")
        [came] = outcome
        if isinstance(came, BaseException):
            if isinstance(came, Exception):
                raise came
            raise RuntimeError(f"it ended its thread: {type(came).__name__}") from came
        return came


def with_deadline(named: NamedCheck, seconds: float) -> NamedCheck:
    """The same check, under the same name."""
    return NamedCheck(named.name, Deadline(named, seconds))
