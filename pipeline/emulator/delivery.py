"""How a finished answer reaches the client, or does not: cut, dripping, endless, packed."""

import asyncio
import contextlib
import socket
import struct
import sys
import zlib
from functools import lru_cache

from aiohttp import web

# On, for 0 seconds; Windows has the two numbers as shorts.
_NO_LINGERING = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_PIECE = 1024 * 1024
_DRIPS = 20


def reset(request: web.Request) -> web.StreamResponse:
    """Cut the connection so that the client sees a reset, not an end."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            with contextlib.suppress(OSError):
                # Lingering for 0 seconds turns the close into a TCP reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
        transport.abort()
    # Nothing of it is ever sent: the connection is gone.
    return web.Response(status=500)


async def never(request: web.Request) -> web.StreamResponse:
    """Say nothing until the client gives up."""
    # Looked at now and then: the server does not tell a handler that its client has gone.
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    return web.Response(status=500)


async def truncated(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Promise the whole body, send half of it, close."""
    body = _bytes(answer)
    cut = web.StreamResponse(status=answer.status, headers=answer.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


async def dripping(
    request: web.Request, answer: web.Response, *, seconds: float
) -> web.StreamResponse:
    """Send the whole body, in pieces spread over `seconds`."""
    body = _bytes(answer)
    slow = web.StreamResponse(status=answer.status, headers=answer.headers)
    slow.content_length = len(body)
    await slow.prepare(request)
    step = max(1, -(-len(body) // _DRIPS))
    with contextlib.suppress(ConnectionError):  # the client had enough
        for start in range(0, len(body), step):
            await slow.write(body[start : start + step])
            await asyncio.sleep(seconds / _DRIPS)
        await slow.write_eof()
    return slow


async def endless(
    request: web.Request, answer: web.Response, *, most_bytes: int
) -> web.StreamResponse:
    """Start a good answer and go on with base64 until the client stops reading."""
    stream = web.StreamResponse(status=answer.status, headers=answer.headers)
    stream.enable_chunked_encoding()
    await stream.prepare(request)
    await stream.write(b'{"output":{"choices":[{"image_base64":"')
    piece = b"A" * 65536
    sent = 0
    with contextlib.suppress(ConnectionError):  # the client had enough
        while sent < most_bytes:
            await stream.write(piece)
            sent += len(piece)
            # Another turn of the loop, because a fast reader never makes `write` wait.
            await asyncio.sleep(0)
    reset(request)
    return stream


async def bomb(
    request: web.Request, answer: web.Response, *, unpacked_bytes: int
) -> web.StreamResponse:
    """A small gzip body that unpacks to `unpacked_bytes` of valid JSON."""
    packed = await asyncio.get_running_loop().run_in_executor(None, _packed, unpacked_bytes)
    headers = {**answer.headers, "Content-Encoding": "gzip"}
    return web.Response(status=answer.status, body=packed, headers=headers)


@lru_cache(maxsize=2)
def _packed(unpacked_bytes: int) -> bytes:
    head, tail = b'{"output":{"choices":[{"image_base64":"', b'"}]}}'
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(head)]
    piece = b"A" * min(_PIECE, unpacked_bytes)
    left = unpacked_bytes - len(head) - len(tail)
    while left > 0:
        parts.append(packer.compress(piece[:left]))
        left -= len(piece)
    parts.append(packer.compress(tail))
    parts.append(packer.flush())
    return b"".join(parts)


def _bytes(answer: web.Response) -> bytes:
    body = answer.body
    return body if isinstance(body, bytes) else b""
