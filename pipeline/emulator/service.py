"""Starting and stopping: inside a running loop, or blocking for the command."""

import asyncio
import contextlib
import math
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pipeline.emulator.bill import Bill
from pipeline.emulator.profile import Profile, load_profile

if TYPE_CHECKING:  # aiohttp is imported when an emulator starts
    from pipeline.emulator.server import Server
    from pipeline.emulator.world import Seen


class Emulator:
    """The endpoint on this machine, for as long as the `async with` lasts.

    Args:
        profile: a `Profile`, the name of a shipped one, or a file.
        seed: the same seed gives the same edits the same faults, shapes and latencies.
        host: the address to listen on; anything but a loopback address is open to the network.
        port: 0 takes a free one.
        overrides: settings over the profile's, as in its file.

    Raises:
        ProfileError: at once, when the profile or an override cannot be used.
    """

    def __init__(
        self,
        profile: Profile | str | Path = "calm",
        *,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        **overrides: Any,
    ) -> None:
        chosen = load_profile(profile)
        self._profile = chosen.with_overrides(overrides) if overrides else chosen
        self._seed = seed
        self._host = host
        self._port = port
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        from pipeline.emulator.server import Server

        server = Server(self._profile, seed=self._seed)
        await server.start(host=self._host, port=self._port)
        self._server = server
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            await self._server.stop()

    @property
    def url(self) -> str:
        """The base URL, without a slash at the end."""
        return self._running.world.url

    @property
    def profile(self) -> Profile:
        """The settings in force."""
        return self._profile if self._server is None else self._server.world.profile

    @property
    def bill(self) -> Bill:
        """What was charged so far; grows while requests finish."""
        return self._running.world.account.bill

    @property
    def requests(self) -> "list[Seen]":
        """The image requests so far, oldest first; the last 20,000 are kept."""
        return list(self._running.world.requests)

    @property
    def downloads(self) -> "list[Seen]":
        """The picture downloads so far, oldest first; the last 20,000 are kept."""
        return list(self._running.world.downloads)

    def use(self, **overrides: Any) -> Profile:
        """Change settings while it runs; only from the loop that it runs on.

        Raises:
            ProfileError: an unknown key or a value out of range; nothing changes then.
        """
        return self._running.world.use(overrides)

    def hold(self, *, after: int = 0) -> None:
        """Keep answers back, once so many more have gone out; only from its own loop."""
        self._running.world.hold.let_out(after)

    def go_on(self) -> None:
        """Send what was kept back, and all answers from now on."""
        self._running.world.hold.let_out(math.inf)

    @property
    def _running(self) -> "Server":
        if self._server is None:
            raise RuntimeError("the emulator is not running: use it inside 'async with'")
        return self._server


def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    profile: Profile | str | Path = "calm",
    seed: int = 0,
    announce: Callable[[str], None] | None = None,
    until_stdin_closes: bool = False,
) -> None:
    """Run an emulator until SIGINT or SIGTERM; `announce(url)` is called once it listens.

    For the main thread: signals come to no other.

    Args:
        until_stdin_closes: stop as well when standard input ends. A parent that keeps the other
            end of the pipe then takes the emulator with it, even when it is killed.

    Raises:
        ProfileError: the profile cannot be used.
        OSError: the port is taken.
    """
    emulator = Emulator(profile, seed=seed, host=host, port=port)
    asyncio.run(_serve(emulator, announce, until_stdin_closes=until_stdin_closes))


async def _serve(
    emulator: Emulator, announce: Callable[[str], None] | None, *, until_stdin_closes: bool
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    previous = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopped.set)
        except NotImplementedError:  # Windows
            previous[number] = signal.signal(
                number, lambda *_: loop.call_soon_threadsafe(stopped.set)
            )
    if until_stdin_closes:
        _watch_stdin(loop, stopped)
    try:
        async with emulator:
            if announce is not None:
                announce(emulator.url)
            await stopped.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # A thread, because standard input may be a file or a console that no loop can wait for.
    def watch() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop has ended on its own
            loop.call_soon_threadsafe(stopped.set)

    threading.Thread(target=watch, name="stdin", daemon=True).start()
