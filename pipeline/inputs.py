"""An edit's input pictures, made ready to send, in bounded memory."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pybase64

from pipeline.errors import InputError
from pipeline.limits.bytes_held import ByteGate
from pipeline.models import ImageRef, ModelSpec, PreparedImage, RemoteImage
from pipeline.pictures.framing import Framing
from pipeline.pictures.offered import offered, shape_field
from pipeline.pictures.prepare import FramedImage, PrepareSettings
from pipeline.pictures.ratio import nearest_ratio
from pipeline.pictures.shared import PreparedCache
from pipeline.planning import Planned

InputImage = PreparedImage | RemoteImage


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """An edit's inputs, in order. ``images``: as they are sent. ``sources``: where they come from,
    as a path or bytes; None where only the provider sees them.
    """

    images: tuple[InputImage, ...]
    sources: tuple[str | bytes | None, ...]

    @property
    def framing(self) -> Framing | None:
        """How the first lies in what is sent of it; None where it was not seen here."""
        first = self.images[0] if self.images else None
        return first.framing if isinstance(first, FramedImage) else None


FETCH_TIMEOUT_S = 60.0
FETCH_MAX_BYTES = 64 * 1024 * 1024

THREADS = max(2, min(4, os.cpu_count() or 1))
"""Decoding holds a whole picture's pixels: few at a time, whatever the concurrency."""


class Inputs:
    """Prepares pictures in threads, each shared one once.

    ``embed_urls``: pictures given as URLs are fetched here and sent along, instead of letting the
    provider fetch them. ``model``: whose shapes a first input is brought to, if the settings say
    so.
    """

    def __init__(
        self,
        settings: PrepareSettings,
        *,
        embed_urls: bool,
        max_bytes_in_flight: int,
        model: ModelSpec | None = None,
    ) -> None:
        self._settings = settings.unfitted()
        self._first = settings
        self._model = model
        self._cache = PreparedCache()
        self._embed_urls = embed_urls
        self._gate = ByteGate(max_bytes_in_flight)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prepare")
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ready(self, planned: Planned) -> AsyncIterator[Ready]:
        """The edit's inputs; their memory counts until the context ends.

        Raises `InputError`.
        """
        refs = planned.edit.images
        settings = [self._settings] * len(refs)
        if refs:
            settings[0] = self._for_first(planned)
        known = [
            self._cache.kept(digest, one) if ref.kind == "file" else None
            for ref, digest, one in zip(refs, planned.digests, settings, strict=True)
        ]
        if all(known):
            yield Ready(
                images=tuple([image for image in known if image is not None]),
                sources=tuple([ref.path for ref in refs]),
            )
            return
        async with self._gate.hold(sum([self._most_bytes(ref) for ref in refs])):
            sources = tuple([await self._source(ref) for ref in refs])
            yield Ready(
                images=tuple(
                    [
                        image or await self._prepare(ref, source, digest, one)
                        for image, ref, source, digest, one in zip(
                            known, refs, sources, planned.digests, settings, strict=True
                        )
                    ]
                ),
                sources=sources,
            )

    def _for_first(self, planned: Planned) -> PrepareSettings:
        """How the first is prepared: brought to the shape that the edit asks for, or to any of the
        model's.
        """
        if self._first.fit == "none" or self._model is None:
            return self._settings
        shapes = offered(self._model, planned.edit.parameters)
        return msgspec.structs.replace(self._first, shapes=shapes)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._session is not None:
            await self._session.close()

    def _most_bytes(self, ref: ImageRef) -> int:
        if ref.kind == "url":
            return FETCH_MAX_BYTES if self._embed_urls else 0
        if ref.kind == "data":
            return len(ref.source)
        try:
            return Path(ref.path).stat().st_size
        except OSError:
            return 0  # preparing says what is wrong with it

    async def _source(self, ref: ImageRef) -> str | bytes | None:
        if ref.kind == "file":
            return ref.path
        if ref.kind == "data":
            return _decoded(ref.source)
        return await self._fetch(ref.source) if self._embed_urls else None

    async def _prepare(
        self, ref: ImageRef, source: str | bytes | None, digest: str, settings: PrepareSettings
    ) -> InputImage:
        if source is None:
            return RemoteImage(url=ref.source)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: self._cache.get(source, digest, settings, name=_short(ref.source)),
        )

    async def _fetch(self, url: str) -> bytes:
        """A picture of the manifest's, fetched for embedding. No key goes with it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        received = bytearray()
        try:
            async with self._session.get(url, max_redirects=5) as answer:
                if answer.status != 200:
                    raise InputError(
                        f"{url}: the server answered {answer.status} (correct the URL, or put the"
                        " picture beside the manifest)"
                    )
                async for chunk in answer.content.iter_any():
                    received += chunk
                    if len(received) > FETCH_MAX_BYTES:
                        raise InputError(
                            f"{url}: larger than {FETCH_MAX_BYTES >> 20} MiB (make it smaller, or"
                            " put the picture beside the manifest)"
                        )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise InputError(
                f"{url}: cannot be fetched: {error or type(error).__name__} (correct the URL, or"
                " put the picture beside the manifest)"
            ) from error
        return bytes(received)


def final_parameters(
    model: ModelSpec, parameters: Mapping[str, Any], images: Sequence[InputImage]
) -> dict[str, Any]:
    """Parameters as they are sent: ``aspect_ratio: auto`` (the default) becomes the listed ratio
    nearest to the first input, or the shape that this was brought to. A picture that only the
    provider sees has no size here: then nothing is sent and the model's own default holds.
    """
    final = dict(parameters)
    field = shape_field(model)
    first = images[0] if images else None
    if field and isinstance(first, FramedImage) and first.framing.ratio:
        if final.get(field, "auto") in (None, "auto"):
            final[field] = first.framing.ratio
        return final
    ratio = model.parameters.get("aspect_ratio")
    if ratio is not None and final.get("aspect_ratio", "auto") == "auto":
        final.pop("aspect_ratio", None)
        if isinstance(first, PreparedImage):
            final["aspect_ratio"] = nearest_ratio(first.width, first.height, ratio.choices)
    return final


def _decoded(uri: str) -> bytes:
    data = uri.partition(",")[2]
    try:
        return pybase64.b64decode(data.translate({ord(c): None for c in " \t\r\n"}), validate=True)
    except ValueError as error:
        raise InputError(
            f"{_short(uri)}: not base64 ({error}); write the data URI again, or name a file"
        ) from error


def _short(source: str) -> str:
    """A name for messages; a data URI is its own, and long."""
    return source if len(source) <= 100 else source[:60] + "…"
