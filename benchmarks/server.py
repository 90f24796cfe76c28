"""An endpoint that costs almost nothing: prepared answers over raw sockets, bodies counted away.

``python -m benchmarks.server KIND`` prints its port, then the time of the first request (seconds
since the epoch) when that comes. KIND: ``large`` (1.25 MB PNG as base64), ``small`` (2 KB PNG),
``url`` (the large PNG behind a URL). It ends when its standard input closes.
"""

import asyncio
import base64
import json
import random
import struct
import sys
import time
import zlib

LARGE_SIDE, SMALL_SIDE = 645, 25


def png(side: int) -> bytes:
    """A valid RGB picture of noise: about ``3 * side * side`` bytes, as nothing compresses it."""
    noise = random.Random(side)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 0))
        + chunk(b"IEND", b"")
    )


def answer(body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Served(asyncio.BufferedProtocol):
    """One connection. Bodies land in a buffer that all share: nobody reads them."""

    sink = memoryview(bytearray(1 << 20))

    def __init__(self, post: bytes, get: bytes) -> None:
        self.post, self.get = post, get
        self.head = bytearray()
        self.left = 0
        self.first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, hint: int) -> memoryview:
        return self.sink

    def buffer_updated(self, count: int) -> None:
        if self.left:
            taken = min(self.left, count)
            self.left -= taken
            if not self.left:
                self.transport.write(self.post)
            if taken == count:
                return
            self.head += self.sink[taken:count]
        else:
            self.head += self.sink[:count]
        while (end := self.head.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.head[:end]).lower()
            if head.startswith(b"get"):
                del self.head[: end + 4]
                self.transport.write(self.get)
                continue
            at = head.index(b"content-length:") + 15
            length = int(head[at:].split(b"\r\n", 1)[0])
            arrived = len(self.head) - end - 4
            first_request()
            if arrived >= length:
                del self.head[: end + 4 + length]
                self.transport.write(self.post)
            else:
                self.left = length - arrived
                self.head.clear()


announced = False


def first_request() -> None:
    global announced
    if not announced:
        announced = True
        print(time.time(), flush=True)


async def serve(kind: str) -> None:
    picture = png(SMALL_SIDE if kind == "small" else LARGE_SIDE)
    post = b""

    server = await asyncio.get_running_loop().create_server(
        lambda: Served(post, answer(picture, "image/png")), "127.0.0.1", 0, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    item = (
        {"url": f"http://127.0.0.1:{port}/picture.png"}
        if kind == "url"
        else {"b64_json": base64.b64encode(picture).decode()}
    )
    usage = {"usage": {"usd_spent": 0.042, "credits_used": 84000}}
    post = answer(json.dumps({"data": [item], "meta": usage}).encode())
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
