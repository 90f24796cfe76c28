"""AI/ML API's image route: one POST that blocks until the pictures are there."""

import asyncio
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from pipeline import __version__
from pipeline.endpoints.access import checked_access
from pipeline.endpoints.answer_stream import Answer, AnswerStream
from pipeline.endpoints.answers import answer_text, find_images, speaks_of_refusal, stated_cost
from pipeline.endpoints.base64_stream import Base64Stream
from pipeline.endpoints.downloads import Downloader, is_public
from pipeline.endpoints.failures import BODY_LENGTH, clean_text, error_for, mapped_errors, too_late
from pipeline.endpoints.request_body import RequestBody
from pipeline.errors import (
    BadResponseError,
    ConnectionFailed,
    ContentRefusedError,
    EditError,
    NoImageError,
    PipelineError,
)
from pipeline.models import CostSource, Draft, EditRequest, EditResponse, ModelSpec

PATH = "/v1/images/generations"
PUBLIC_URL = "https://api.aimlapi.com"
MAX_RESPONSE_BYTES = 64 << 20

_READ_BUFFER = 128 * 1024
_DECOMPRESS_STEP = 256 * 1024
_DATA_URI = re.compile(r"data:[^,]{0,500}?;base64,", re.IGNORECASE)


def open_aimlapi(
    *,
    model: ModelSpec,
    base_url: str,
    api_key: str,
    timeout_s: float,
    connect_timeout_s: float,
    first_byte_timeout_s: float | None,
    download_timeout_s: float,
    price_usd: float | None,
    max_response_bytes: int,
) -> "AimlApiEndpoint":
    """Checks what the user gave. Raises `JobError`."""
    url, key = checked_access(base_url, api_key)
    return AimlApiEndpoint(
        url,
        key,
        model,
        timeout_s=timeout_s,
        connect_timeout_s=connect_timeout_s,
        first_byte_timeout_s=first_byte_timeout_s,
        download_timeout_s=download_timeout_s,
        price_usd=price_usd,
        max_response_bytes=max_response_bytes,
    )


class AimlApiEndpoint:
    """One model of the route. Implements `Endpoint`; see there for what `edit` raises.

    ``timeout_s`` is for one request from connect to the end of its answer, and
    ``first_byte_timeout_s`` for that until its answer begins; ``download_timeout_s``
    for each picture that the answer names by URL. ``price_usd`` overrides the catalog's.
    """

    def __init__(
        self,
        base_url: URL,
        api_key: str,
        model: ModelSpec,
        *,
        timeout_s: float = 300.0,
        connect_timeout_s: float = 10.0,
        first_byte_timeout_s: float | None = None,
        download_timeout_s: float = 60.0,
        price_usd: float | None = None,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        download_waits_s: tuple[float, ...] = (0.25, 1.0),
    ) -> None:
        if price_usd is not None:
            model = msgspec.structs.replace(model, price_usd=price_usd)
        self.model = model
        self.origin = origin_of(base_url)
        self._url = base_url / PATH.lstrip("/")
        self._place = str(base_url.origin())
        self._key = api_key
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._first_byte_s = min(first_byte_timeout_s or timeout_s, timeout_s)
        self._max_response_bytes = max_response_bytes
        user_agent = f"image-edit-pipeline/{__version__}"
        self._headers = CIMultiDict(
            {
                "Authorization": f"Bearer {api_key}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                # Base64 of a picture hardly shrinks, and unpacking it costs more than all the rest.
                "Accept-Encoding": "identity",
                "User-Agent": user_agent,
            }
        )
        self._downloader = Downloader(
            timeout_s=download_timeout_s,
            connect_timeout_s=connect_timeout_s,
            public_only=not _is_private(base_url),
            user_agent=user_agent,
            waits_s=download_waits_s,
        )
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"AimlApiEndpoint({self._place}, {self.model.id})"

    async def edit(self, request: EditRequest, *, draft: Callable[[], Draft]) -> EditResponse:
        drafts: list[Draft] = []

        def new_draft() -> Draft:
            drafts.append(draft())
            return drafts[-1]

        chosen: tuple[Draft, ...] = ()
        try:
            response = await self._edit(request, new_draft)
            chosen = response.images
            return response
        except PipelineError as error:
            # Whatever it quotes (a URL, an encoding, a reason), a server may have put the key in.
            error.args = tuple([str(arg).replace(self._key, "[key]") for arg in error.args])
            raise
        finally:
            for one in drafts:
                if not any(one is kept for kept in chosen):
                    one.discard()

    async def close(self) -> None:
        await self._downloader.close()
        if self._session is not None:
            await self._session.close()

    async def _edit(self, request: EditRequest, new_draft: Callable[[], Draft]) -> EditResponse:
        said = _Said(self._key)
        stream = AnswerStream(new_draft, max_bytes=self._max_response_bytes)
        try:
            await self._exchange(request, said, stream)
            answer = stream.close()
            said.read(answer.document)
            return await self._response(answer, said, new_draft)
        except (BadResponseError, NoImageError, ConnectionFailed, ContentRefusedError) as error:
            if said.success:
                self._add_what_was_said(error, said, stream)
            raise

    async def _exchange(self, request: EditRequest, said: "_Said", stream: AnswerStream) -> None:
        """Sends the request and feeds the answer to the stream, in time or not at all."""
        body = RequestBody(self.model, request)
        headers = self._headers.copy()
        headers["X-Client-Request-Id"] = request.id
        began, patience_s = asyncio.get_running_loop().time(), self._first_byte_s
        try:
            async with asyncio.timeout_at(began + patience_s) as deadline:
                with mapped_errors(body, place=self._place, timeout_s=patience_s):
                    async with self._open().post(
                        self._url, data=body, headers=headers, allow_redirects=False
                    ) as response:
                        patience_s = self._timeout_s
                        deadline.reschedule(began + patience_s)
                        said.hear(response)
                        if not 200 <= response.status < 300:
                            problem = await response.content.read(BODY_LENGTH)
                            raise error_for(
                                response.status,
                                response.headers,
                                problem,
                                now=time.time(),
                                model=self.model.id,
                                secret=self._key,
                            )
                        await _receive(response, stream)
        except TimeoutError as error:
            raise too_late(body, place=self._place, timeout_s=patience_s) from error

    async def _response(
        self, answer: Answer, said: "_Said", new_draft: Callable[[], Draft]
    ) -> EditResponse:
        text = clean_text(answer_text(answer.document), secret=self._key)
        items = find_images(answer.document)
        if not items:
            if speaks_of_refusal(text):
                raise ContentRefusedError(f"refused by the provider: {text}")
            raise NoImageError(
                f"the answer holds no picture, but says: {text}"
                if text
                else "the answer holds no picture and says nothing"
            )
        images = await self._collect(items, answer.inline, new_draft)
        cost, source = said.cost_usd, said.cost_source
        if cost is None and self.model.price_usd is not None:
            cost, source = round(self.model.price_usd * len(images), 6), "catalog"
        return EditResponse(
            images=images,
            cost_usd=cost,
            cost_source=source,
            http_status=said.status,
            inference_id=said.inference_id,
            text=text,
        )

    async def _collect(
        self,
        items: list[str],
        inline: dict[str, Base64Stream],
        new_draft: Callable[[], Draft],
    ) -> tuple[Draft, ...]:
        images = []
        downloads = []
        for item in items:
            if item in inline:
                picture = inline[item]
            elif (prefix := _DATA_URI.match(item)) or ":" not in item:
                picture = Base64Stream(new_draft())
                picture.feed(item[prefix.end() if prefix else 0 :].encode())
                picture.finish()
            else:
                images.append(new_draft())
                downloads.append((item, images[-1]))
                continue
            if picture.problem is not None:
                raise BadResponseError(f"a picture of the answer is {picture.problem}")
            images.append(picture.draft)
        if len(downloads) == 1:
            await self._downloader.fetch(*downloads[0])
        elif downloads:
            await self._download_all(downloads)
        return tuple(images)

    async def _download_all(self, downloads: list[tuple[str, Draft]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for url, draft in downloads:
                    group.create_task(self._downloader.fetch(url, draft))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    def _add_what_was_said(self, error: EditError, said: "_Said", stream: AnswerStream) -> None:
        """Completes an error that came after a success status."""
        error.http_status = said.status
        error.inference_id = said.inference_id
        error.cost_usd, error.cost_source = said.cost_usd, said.cost_source
        error.body = stream.skeleton[:BODY_LENGTH].replace(self._key.encode(), b"[key]")

    def _open(self) -> aiohttp.ClientSession:
        """The session, made on first use: it belongs to the loop that runs then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # The throttle limits; aiohttp's 100 connections would do it a second time.
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s),
                read_bufsize=_READ_BUFFER,
            )
        return self._session


class _Said:
    """What an answer said about itself, as far as it came."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.status = 0
        self.success = False
        self.inference_id: str | None = None
        self.cost_usd: float | None = None
        self.cost_source: CostSource = "none"
        self._headers: Mapping[str, str] = {}

    def hear(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.success = 200 <= response.status < 300
        self._headers = response.headers
        inference_id = self._headers.get("x-inference-id", "")
        self.inference_id = clean_text(inference_id, secret=self._secret, length=200) or None
        self.read(None)

    def read(self, document: object) -> None:
        self.cost_usd, self.cost_source = stated_cost(document, self._headers)


async def _receive(response: aiohttp.ClientResponse, stream: AnswerStream) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    content = response.content
    if encoding in ("", "identity"):
        while chunk := await content.readany():
            stream.feed(chunk)
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadResponseError(
            f"the answer is encoded as {clean_text(encoding, length=50)!r}, which was not asked for"
        )
    unpack = zlib.decompressobj(wbits=47)  # gzip or zlib, by its header
    while chunk := await content.readany():
        for piece in _unpacked(unpack, chunk):
            stream.feed(piece)
    if not unpack.eof:
        raise BadResponseError("the compressed answer breaks off", sent=True)


def _unpacked(unpack: "zlib._Decompress", chunk: bytes) -> Iterator[bytes]:
    """In steps: a megabyte of zeros arrives as a kilobyte, and the cap must see it coming."""
    try:
        while chunk and not unpack.eof:
            yield unpack.decompress(chunk, _DECOMPRESS_STEP)
            chunk = unpack.unconsumed_tail
    except zlib.error as error:
        raise BadResponseError(f"the compressed answer is damaged ({error})") from error


def origin_of(base_url: URL) -> str:
    """Whose answers a ledger holds. Every loopback address is the emulator, on whatever port."""
    if _is_loopback(base_url.host or ""):
        return "emulator"
    return str(base_url.origin())


def _is_loopback(host: str) -> bool:
    return host == "localhost" or host == "::1" or bool(re.fullmatch(r"127(\.\d+){3}", host))


def _is_private(base_url: URL) -> bool:
    host = base_url.host or ""
    try:
        return not is_public(host)
    except ValueError:  # a name
        return _is_loopback(host)
