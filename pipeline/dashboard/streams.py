"""Server-sent events: a topic's values to one browser, bounded in number, time and memory."""

import asyncio
from contextlib import suppress

from aiohttp import web

from pipeline.dashboard.replies import AnswerError
from pipeline.dashboard.watching import Topic, Watches

MOST_STREAMS = 64
"""Open streams of one server. A tab has one, and closes it while nobody looks at it."""

HEARTBEAT_S = 15.0
SLOW_S = 10.0
"""A browser that has not taken what was sent after so long is let go; it comes back by itself."""

RECONNECT_MS = 2000


class Streams:
    """The open streams of one server."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._open = 0

    @property
    def open(self) -> int:
        """How many there are."""
        return self._open

    async def send(self, request: web.Request, key: tuple[str, bool] | None) -> web.StreamResponse:
        """Streams the standing of a job, or the list's, until somebody goes away.

        Every event is the whole present state: after a break nothing has to be made up for.
        """
        if self._open >= MOST_STREAMS:
            raise AnswerError(503, f"{MOST_STREAMS} pages are watching already: close some")
        self._open += 1
        try:
            async with self._watches.topic(key) as topic:
                response = web.StreamResponse(
                    headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
                )
                await response.prepare(request)
                with suppress(ConnectionError, TimeoutError):  # went away, or is too slow
                    await self._tell(response, topic)
                return response
        finally:
            self._open -= 1

    async def _tell(self, response: web.StreamResponse, topic: Topic) -> None:
        await _write(response, f"retry: {RECONNECT_MS}\n\n".encode())
        async for value in topic.changes(HEARTBEAT_S):
            await _write(response, b": still here\n\n" if value is None else _event(value))


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(SLOW_S):
        await response.write(data)


def _event(value: bytes) -> bytes:
    # JSON of one line: it holds no line end that could begin another field.
    return b"event: standing\ndata: " + value + b"\n\n"
