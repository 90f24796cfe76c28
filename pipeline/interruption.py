"""Ctrl-C and SIGTERM, as requests to stop. For the main thread's loop only."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.engine import Interrupted, Stop


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """While this lasts, the first Ctrl-C or SIGTERM drains and the second cancels."""
    loop = asyncio.get_running_loop()

    def interrupt(number: int) -> None:
        stop.request(Interrupted(f"{signal.Signals(number).name} received"))

    previous: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, interrupt, number)
        except NotImplementedError:  # Windows
            previous[number] = signal.signal(
                number, lambda n, _: loop.call_soon_threadsafe(interrupt, n)
            )
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            if number in previous:
                signal.signal(number, previous[number])
            else:
                loop.remove_signal_handler(number)
