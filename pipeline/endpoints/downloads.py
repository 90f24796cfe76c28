"""Pictures that an answer only names by URL: fetched at once, streamed to a draft.

The URLs come from the provider and lead to another host, so nothing of ours goes there: no key, no
cookies. They are not trusted either: http and https only, at most five redirects, each checked
again, and no address of this machine or network, unless the endpoint itself is one.

A download is tried a few times. Adapters do not retry requests, but this is no second request: the
work is done and paid for, and reading a result again costs nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pipeline.endpoints.failures import clean_text, read_problem
from pipeline.errors import BadResponseError
from pipeline.models import Draft

MAX_REDIRECTS = 5
MAX_BYTES = 256 << 20
"""A picture. 4K PNGs stay far below."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOR_GOOD = frozenset({400, 401, 405, 406, 410, 451})
_CHUNK = 256 * 1024


class _RefusedError(OSError):
    """A URL that must not be fetched; the message says why."""


class _FailedError(Exception):
    """One try failed. ``again``: another may succeed."""

    def __init__(self, message: str, *, again: bool) -> None:
        super().__init__(message)
        self.again = again


class Downloader:
    """Fetches result URLs. ``timeout_s`` is for one picture, all tries together.

    ``public_only`` refuses addresses that are not public. ``waits_s``: before each further try.
    """

    def __init__(
        self,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        public_only: bool,
        user_agent: str,
        max_bytes: int = MAX_BYTES,
        waits_s: Sequence[float] = (0.25, 1.0),
    ) -> None:
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._public_only = public_only
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._max_bytes = max_bytes
        self._waits_s = tuple(waits_s)
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, url: str, draft: Draft) -> None:
        """Streams the picture at ``url`` into an empty ``draft``.

        Raises `BadResponseError` when it cannot be had (``sent``: the work was done, so asking
        for it again pays again), `StoreError` from the draft.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._try(url, draft)
        except TimeoutError as error:
            raise BadResponseError(
                f"the picture at {_shown(url)} did not arrive within {self._timeout_s:g} s",
                sent=True,
            ) from error
        except _FailedError as error:
            raise BadResponseError(
                f"the picture at {_shown(url)} cannot be downloaded: {error}", sent=True
            ) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _try(self, url: str, draft: Draft) -> None:
        for wait in (*self._waits_s, None):
            try:
                return await self._fetch_once(url, draft)
            except _FailedError as error:
                # What was written stays: only a try that got nothing can be repeated.
                if wait is None or not error.again or draft.size:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    async def _fetch_once(self, url: str, draft: Draft) -> None:
        try:
            target = URL(url)
            for _ in range(MAX_REDIRECTS + 1):
                self._check(target)
                async with self._open().get(target, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS:
                        return await self._receive(response, draft)
                    target = target.join(URL(response.headers.get("Location", "")))
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise  # ours, for all tries together
            refused = _refusal(error)
            text = clean_text(str(refused or error) or type(error).__name__, length=300)
            raise _FailedError(text, again=refused is None) from error
        except ValueError as error:
            raise _FailedError(
                f"it is no valid URL ({clean_text(str(error))})", again=False
            ) from error
        raise _FailedError(f"more than {MAX_REDIRECTS} redirects", again=False)

    async def _receive(self, response: aiohttp.ClientResponse, draft: Draft) -> None:
        if not 200 <= response.status < 300:
            words = clean_text(read_problem(await response.content.read(4096)).message, length=200)
            raise _FailedError(
                f"its host answered {response.status}" + (f": {words}" if words else ""),
                again=response.status not in _FOR_GOOD,
            )
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _FailedError("it came compressed, which was not asked for", again=False)
        while chunk := await response.content.readany():
            if draft.size + len(chunk) > self._max_bytes:
                raise _FailedError(f"it is larger than {self._max_bytes} bytes", again=False)
            draft.write(chunk)
        if not draft.size:
            raise _FailedError("its host sent nothing", again=True)

    def _check(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise _RefusedError(f"{url.scheme or 'relative'} URLs are not fetched")
        if self._public_only:
            # Names are checked when they are resolved; addresses never are, so here.
            try:
                _require_public(url.host)
            except ValueError:
                # 127.1 and 2130706433 mean 127.0.0.1 to some, and are not resolved either.
                if url.host.replace(".", "").isdigit():
                    raise _RefusedError(
                        f"{url.host} may be an address of this machine or a private network"
                    ) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver: AbstractResolver = aiohttp.ThreadedResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=PublicResolver(resolver) if self._public_only else resolver,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=self._connect_timeout_s),
                read_bufsize=_CHUNK,
            )
        return self._session


class PublicResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to this machine or a private network."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            _require_public(result["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet. `ValueError` for what is no address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner: Any = ip.ipv4_mapped or ip.sixtofour
        if inner is not None:
            ip = inner
    return ip.is_global and not ip.is_multicast


def _require_public(address: str) -> None:
    if not is_public(address):
        raise _RefusedError(
            f"{address} is an address of this machine or a private network, which the answer of a"
            " public endpoint must not lead to"
        )


def _refusal(error: BaseException | None) -> _RefusedError | None:
    """Our own refusal, if it is what aiohttp wrapped."""
    seen = 0
    while error is not None and seen < 8:
        if isinstance(error, _RefusedError):
            return error
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def _shown(url: str) -> str:
    """A URL for a message, without its query: that may be a signature that gives access."""
    return clean_text(url.partition("?")[0], length=200)
