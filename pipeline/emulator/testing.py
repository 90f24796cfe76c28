"""A pytest fixture: emulators on threads of their own, so that the test's code may block.

In a `conftest.py`: `from pipeline.emulator.testing import emulator`. Then:

    def test_something(emulator):
        endpoint = emulator("calm", faults={"status_500": 0.2})
        ...                                      # talk to endpoint.url
        assert endpoint.bill.pictures == 3
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pipeline.emulator.bill import Bill
from pipeline.emulator.profile import Profile
from pipeline.emulator.service import Emulator

_START_S = 30.0
T = TypeVar("T")


class RunningEmulator:
    """One emulator on its own loop in its own thread; usable from any other."""

    def __init__(
        self,
        profile: Profile | str | Path = "calm",
        *,
        seed: int = 0,
        port: int = 0,
        **overrides: Any,
    ) -> None:
        self._emulator = Emulator(profile, seed=seed, port=port, **overrides)
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=self._run, name="emulator", daemon=True)
        self._thread.start()
        self._loop, self._stop = self._started.result(_START_S)

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return self._emulator.url

    @property
    def profile(self) -> Profile:
        """The settings in force."""
        return self._emulator.profile

    @property
    def bill(self) -> Bill:
        """A copy of the bill as it stands."""
        return self._emulator.bill.snapshot()

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was asked, oldest first: see `pipeline.emulator.world.Seen` for the keys."""
        return self._on_loop(lambda: [seen.to_json() for seen in self._emulator.requests])

    @property
    def downloads(self) -> list[dict[str, Any]]:
        """The picture downloads, oldest first, with the same keys."""
        return self._on_loop(lambda: [seen.to_json() for seen in self._emulator.downloads])

    def use(self, **overrides: Any) -> Profile:
        """Change settings while it runs.

        Raises:
            ProfileError: an unknown key or a value out of range; nothing changes then.
        """
        return self._on_loop(lambda: self._emulator.use(**overrides))

    def hold(self, *, after: int = 0) -> None:
        """Keep answers back, once so many more have gone out, until `go_on`: so a test decides how
        far its run gets, and not the clock.
        """
        self._on_loop(lambda: self._emulator.hold(after=after))

    def go_on(self) -> None:
        """Send what was kept back, and all answers from now on."""
        self._on_loop(self._emulator.go_on)

    def stop(self) -> None:
        """Stop it and wait for its thread. The bill stays readable. Safe to call twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(_START_S)

    def _on_loop(self, work: Callable[[], T]) -> T:
        if not self._thread.is_alive():
            return work()

        async def call() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(_START_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            if self._started.done():
                raise
            self._started.set_exception(exc)

    async def _serve(self) -> None:
        stop = asyncio.Event()
        async with self._emulator:
            self._started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()


@pytest.fixture
def emulator() -> Iterator[Callable[..., RunningEmulator]]:
    """A factory: `emulator(profile="calm", seed=0, **overrides)` starts one; all are stopped."""
    running: list[RunningEmulator] = []

    def start(profile: Profile | str | Path = "calm", **settings: Any) -> RunningEmulator:
        one = RunningEmulator(profile, **settings)
        running.append(one)
        return one

    yield start
    for one in running:
        one.stop()
