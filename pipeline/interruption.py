"""Ctrl-C and SIGTERM, as requests to stop; SIGUSR1, as a question. For the main thread's loop."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline.engine import Interrupted, Stop

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


@contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """While this lasts, the first Ctrl-C or SIGTERM drains and the second cancels. The third ends
    the process at once, whatever hangs; the ledger bears that.
    """
    loop = asyncio.get_running_loop()
    received = 0

    def interrupt(number: int) -> None:
        nonlocal received
        received += 1
        if received == 2:
            for each in _NUMBERS:
                loop_lets_go(each)
                signal.signal(each, signal.SIG_DFL)
        stop.request(Interrupted(f"{signal.Signals(number).name} received"))

    def loop_lets_go(number: int) -> None:
        if number not in previous:
            loop.remove_signal_handler(number)

    previous: dict[int, Any] = {}
    for number in _NUMBERS:
        try:
            loop.add_signal_handler(number, interrupt, number)
        except NotImplementedError:  # Windows
            previous[number] = signal.signal(
                number, lambda n, _: loop.call_soon_threadsafe(interrupt, n)
            )
    try:
        yield
    finally:
        for number in _NUMBERS:
            loop_lets_go(number)
            signal.signal(number, previous.get(number, _DEFAULTS[number]))


@contextmanager
def answering(tell: Callable[[], None]) -> Iterator[None]:
    """While this lasts, SIGUSR1 calls ``tell``, also when the loop is busy. POSIX only."""
    number = getattr(signal, "SIGUSR1", None)
    if number is None:
        yield
        return

    def answer(_: int, __: FrameType | None) -> None:
        tell()

    # Not the loop's own handlers: they wait for the loop, which may be what hangs.
    before = signal.signal(number, answer)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextmanager
def told_to_stop(tell: Callable[[int, str], None] | None) -> Iterator[None]:
    """While this lasts, ``tell`` gets how many Ctrl-C and SIGTERM there were, and the name of the
    latest, in the loop. ``None``: nothing changes.
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

    def on_signal(number: int, _: FrameType | None) -> None:
        loop.call_soon_threadsafe(heard, number)

    before = {number: signal.signal(number, on_signal) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
