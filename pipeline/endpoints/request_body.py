"""The JSON body of a request, written in pieces: pictures are never joined nor held as a whole.

Uploading a 3 MB picture as ``json=`` costs 26 ms and 8 MB; in pieces with a known length 1.5 ms
and one piece (docs/performance.md).
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from typing import Any

import aiohttp
import msgspec
import pybase64
from aiohttp.abc import AbstractStreamWriter

from pipeline.errors import InputError, PipelineError
from pipeline.models import EditRequest, FileSlice, ModelSpec, PreparedImage, RemoteImage

PIECE = 144 * 1024
"""Bytes of a picture that are encoded at once: a multiple of 3, so that pieces join seamlessly."""

_NO_WAIT = getattr(os, "RWF_NOWAIT", None)
_O_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class RequestBody(aiohttp.Payload):
    """One request's body, with its exact length known before the first byte.

    ``handed_over`` turns true just before the last piece is given to the network. ``failure``:
    why writing broke off (`InputError`: a picture's file is gone or shorter than it was).
    """

    def __init__(self, model: ModelSpec, request: EditRequest) -> None:
        self._parts, self._end = _parts(model, request)
        self.handed_over = False
        self.failure: PipelineError | None = None
        super().__init__(None, content_type="application/json")
        self._size = len(self._end) + sum(
            [len(part) if isinstance(part, bytes) else _encoded_size(part) for part in self._parts]
        )

    @property
    def size(self) -> int:
        return self._size or 0

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a request body is only written, never read back")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Writes everything. Called by aiohttp once the connection stands (up to 3.11)."""
        try:
            for part in self._parts:
                if isinstance(part, bytes):
                    await writer.write(part)
                else:
                    await _write_image(writer, part)
        except PipelineError as error:
            self.failure = error
            raise
        self.handed_over = True
        await writer.write(self._end)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """As `write`; aiohttp from 3.12 on calls this one, with our own length."""
        await self.write(writer)


def _parts(model: ModelSpec, request: EditRequest) -> tuple[list[bytes | PreparedImage], bytes]:
    """The body's pieces in order, and the last one."""
    document: dict[str, Any] = {
        key: value for key, value in request.parameters.items() if key != model.image_field
    }
    document |= {"model": model.id, "prompt": request.prompt}
    head = msgspec.json.encode(document)
    if not request.images:
        return [], head
    opening, closing = (b"[", b"]}") if model.image_list else (b"", b"}")
    between = head[:-1] + b"," + msgspec.json.encode(model.image_field) + b":" + opening
    parts: list[bytes | PreparedImage] = []
    for image in request.images if model.image_list else request.images[:1]:
        if isinstance(image, RemoteImage):
            between += msgspec.json.encode(image.url) + b","
            continue
        parts += [between + b'"data:' + image.mime.encode() + b";base64,", image]
        between = b'",'
    return parts, between[:-1] + closing


def _encoded_size(image: PreparedImage) -> int:
    return len(image.encoded) if image.encoded is not None else (image.size + 2) // 3 * 4


async def _write_image(writer: AbstractStreamWriter, image: PreparedImage) -> None:
    """Writes base64 in pieces of at most 192 KB."""
    if image.encoded is not None:
        for piece in _pieces(image.encoded, PIECE // 3 * 4):
            await writer.write(piece)
        return
    rest = b""
    for part in image.parts:
        if isinstance(part, bytes):
            for piece in _pieces(part, PIECE):
                rest = await _write_piece(writer, rest, piece)
        else:
            rest = await _write_file(writer, rest, part)
    if rest:
        await writer.write(pybase64.b64encode(rest))


def _pieces(data: bytes, length: int) -> Iterator[memoryview]:
    view = memoryview(data)
    return (view[start : start + length] for start in range(0, len(view), length))


async def _write_piece(writer: AbstractStreamWriter, rest: bytes, piece: memoryview) -> bytes:
    """Writes ``rest`` and ``piece`` up to a multiple of 3; returns the 0 to 2 bytes left over."""
    if rest:
        missing = 3 - len(rest)
        rest += piece[:missing]
        if len(rest) < 3:
            return rest
        await writer.write(pybase64.b64encode(rest))
        piece = piece[missing:]
    whole = len(piece) - len(piece) % 3
    rest = bytes(piece[whole:])
    if whole:
        await writer.write(pybase64.b64encode(piece[:whole]))
    return rest


async def _write_file(writer: AbstractStreamWriter, rest: bytes, part: FileSlice) -> bytes:
    buffer = memoryview(bytearray(min(PIECE, part.length)))
    try:
        descriptor = os.open(part.path, _O_FLAGS)
    except OSError as error:
        raise InputError(f"{part.path}: cannot be read any more: {error.strerror}") from error
    try:
        done = 0
        while done < part.length:
            got = await _read(
                descriptor, buffer[: min(PIECE, part.length - done)], part.offset + done, part.path
            )
            rest = await _write_piece(writer, rest, buffer[:got])
            done += got
    finally:
        os.close(descriptor)
    return rest


async def _read(descriptor: int, buffer: memoryview, offset: int, path: str) -> int:
    """Reads what is in memory at once, and leaves what a disk has to fetch to a thread: most
    pictures were read a moment ago for their digest, and a hop costs more than such a read.
    """
    got = 0
    if _NO_WAIT is not None:
        # Not in memory, or a file system without the flag.
        with contextlib.suppress(OSError):
            got = os.preadv(descriptor, [buffer], offset, _NO_WAIT)
    if got == 0:
        try:
            got = await asyncio.to_thread(_read_waiting, descriptor, buffer, offset)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if got == 0:
        raise InputError(
            f"{path}: became shorter while it was sent"
            " (leave inputs alone during a run, then run again)"
        )
    return got


def _read_waiting(descriptor: int, buffer: memoryview, offset: int) -> int:
    os.lseek(descriptor, offset, os.SEEK_SET)
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return file.readinto(buffer) or 0
