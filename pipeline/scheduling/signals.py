"""Ctrl-C and SIGTERM, counted. For the main thread's loop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def told_to_stop(tell: Callable[[int, str], None] | None) -> Iterator[None]:
    """While this lasts, ``tell`` gets how many there were, and the name of the latest. ``None``:
    nothing changes.
    """
    if tell is None:
        yield
        return
    loop = asyncio.get_running_loop()
    count = 0

    def heard(number: int) -> None:
        nonlocal count
        count += 1
        tell(count, f"{signal.Signals(number).name} received")

    def on_signal(number: int, _: Any) -> None:
        loop.call_soon_threadsafe(heard, number)

    before = {number: signal.signal(number, on_signal) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
