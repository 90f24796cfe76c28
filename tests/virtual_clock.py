"""An event loop on which time is a number: it jumps to the next timer instead of waiting."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at t = 0. For coroutines that wait for timers only, not for sockets or threads."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None) -> Any:
            if timeout is None:
                return select(None)
            # A nanosecond passes at least, as on a real clock: code that computes a wait too
            # small for the float to change would otherwise turn on the spot.
            self._now += max(timeout, 1e-9)
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, exactly and at once."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
