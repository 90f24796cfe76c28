"""The run's side of the control socket. Whoever connects is served; nobody disturbs the run."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from pipeline.snapshot import Snapshot
from pipeline.steering.channel import OFFERED, bind, from_same_user
from pipeline.steering.messages import (
    LINE_MAX_BYTES,
    Pause,
    Reply,
    Request,
    Resume,
    Stop,
    Tune,
    Watch,
    line_of,
    read_request,
)

CLIENTS_MAX = 32
"""At a time; more are told so, and twice as many are not even heard."""

PATIENCE_S = 5.0
"""For a client to say what it wants, and to take what it is told."""

WATCH_EVERY_S = 1.0

FAREWELL_S = 0.5
"""For watchers to take the last state when the run ends."""


class Helm(Protocol):
    """What can be done with a run, all of it in the loop's thread and at once."""

    def snapshot(self) -> Snapshot: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def tune(self, change: Tune) -> None: ...

    def stop(self) -> None: ...

    def unsteerable(self, reason: str) -> None:
        """There can be no socket: the run goes on without one."""


@asynccontextmanager
async def steerable(outputs: Path, helm: Helm) -> AsyncIterator[None]:
    """While this lasts, the run can be steered. For whoever holds the lock of ``outputs``."""
    if not OFFERED:
        yield  # a missing feature of the platform, not something to warn of in every run
        return
    try:
        bound = bind(outputs)
    except OSError as error:
        helm.unsteerable(f"no socket can be made in {outputs} ({error.strerror or error})")
        yield
        return
    try:
        desk = _Desk(helm)
        # Python 3.13 would look for the socket where it was made.
        options: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        server = await asyncio.start_unix_server(
            desk.serve, sock=bound.listening, limit=LINE_MAX_BYTES, **options
        )
        try:
            yield
        finally:
            server.close()
            await desk.close()
    finally:
        bound.close()


class _Desk:
    def __init__(self, helm: Helm) -> None:
        self._helm = helm
        self._clients: set[asyncio.Task[Any]] = set()
        self._over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are in one
        self._clients.add(task)
        # So that `drain` waits until a client has taken everything.
        writer.transport.set_write_buffer_limits(high=0)
        # It went away, or said nothing, or never took its answer: its own matter.
        with suppress(OSError, TimeoutError, asyncio.CancelledError):
            try:
                await self._answer(reader, writer)
            finally:
                self._clients.discard(task)
                writer.transport.abort()

    async def close(self) -> None:
        self._over.set()
        if self._clients:
            _, late = await asyncio.wait(tuple(self._clients), timeout=FAREWELL_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not from_same_user(writer.get_extra_info("socket")):
            await _tell(writer, Reply(error="this run belongs to another user"))
            return
        if len(self._clients) > 2 * CLIENTS_MAX:
            return
        crowded = len(self._clients) > CLIENTS_MAX
        try:
            async with asyncio.timeout(PATIENCE_S):
                request = read_request(await reader.readline())
        except ValueError:
            request = f"not a request: longer than {LINE_MAX_BYTES} bytes"
        if crowded:
            request = "too many clients at once: try again"
        if isinstance(request, str):
            await _tell(writer, Reply(error=request))
            return
        self._do(request)
        await _tell(writer, Reply(snapshot=self._helm.snapshot()))
        while isinstance(request, Watch) and not self._over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_EVERY_S):
                    await self._over.wait()
            await _tell(writer, Reply(snapshot=self._helm.snapshot()))

    def _do(self, request: Request) -> None:
        match request:
            case Pause():
                self._helm.pause()
            case Resume():
                self._helm.resume()
            case Tune():
                self._helm.tune(request)
            case Stop():
                self._helm.stop()


async def _tell(writer: asyncio.StreamWriter, reply: Reply) -> None:
    async with asyncio.timeout(PATIENCE_S):
        writer.write(line_of(reply))
        await writer.drain()
