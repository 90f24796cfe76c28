"""A raw server that answers what the test says, byte for byte, however wrong."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any


class Act(Enum):
    """What else a reply may do besides sending bytes."""

    CLOSE = auto()
    RESET = auto()
    HANG = auto()
    PAUSE = auto()


Step = bytes | Act
Reply = Sequence[Step] | bytes


@dataclass
class Seen:
    """A request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ScriptedServer:
    """Answers requests for a path with its replies in turn; the last one repeats."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    connections: int = 0

    def on(self, path: str, *replies: Reply) -> None:
        self.replies[path] = list(replies)

    def of(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == path]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, which some tests are about
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }
        replies = self.replies.get(path) or self.replies["*"]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        steps: Sequence[Step] = [reply] if isinstance(reply, bytes) else reply
        body = b""
        if steps[0] is not Act.RESET:
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(Seen(method, path, headers, body))
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif step is Act.PAUSE:
                await asyncio.sleep(0.002)
            elif step is Act.HANG:
                await reader.read(1)
                return False
            elif step is Act.RESET:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(1, 13, linger)  # SO_LINGER
                writer.transport.abort()
                return False
            else:
                return False
        return True


@asynccontextmanager
async def scripted_server(*replies: Reply) -> AsyncIterator[ScriptedServer]:
    """``replies`` are for every path that has none of its own."""
    server = ScriptedServer(replies={"*": list(replies)})
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await server.serve(reader, writer)
        except asyncio.CancelledError:
            return
        finally:
            running.discard(task)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await listening.wait_closed()


def http(
    body: Any = b"", *, status: int = 200, headers: dict[str, str] | None = None, reason: str = "X"
) -> bytes:
    """A whole answer; what is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    head = f"HTTP/1.1 {status} {reason}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (lines | (headers or {})).items())
    return head.encode() + b"\r\n" + data


def chunked(*pieces: bytes, status: int = 200, end: bool = True) -> bytes:
    """An answer whose length is not told in advance."""
    head = f"HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
    return head + body + (b"0\r\n\r\n" if end else b"")
