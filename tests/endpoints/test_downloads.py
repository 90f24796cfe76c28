"""Pictures that an answer only names by URL."""

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.endpoints.downloads import Downloader, PublicResolver, is_public
from pipeline.errors import BadResponseError, PipelineError
from tests.endpoints.asking import KEY, a_request, an_endpoint
from tests.endpoints.memory_drafts import MemoryDraft, MemoryDrafts
from tests.endpoints.pictures import picture
from tests.endpoints.scripted_server import Act, Reply, chunked, http, scripted_server

PICTURE = picture(size=(200, 100))
COST = {"x-aimlapi-usd-spent": "0.042"}


async def fetched(*replies: Reply, path: str = "/p.png", **settings: Any) -> tuple[Any, Any]:
    settings = {"timeout_s": 5.0, "waits_s": (0.0, 0.0), "public_only": False} | settings
    draft = MemoryDraft()
    async with scripted_server(*replies) as server:
        downloader = Downloader(connect_timeout_s=5.0, user_agent="test/1", **settings)
        try:
            await downloader.fetch(server.url + path, draft)
        except PipelineError as error:
            return error, server
        finally:
            await downloader.close()
    return bytes(draft.data), server


async def test_urls_are_downloaded_at_once_and_in_order() -> None:
    other = picture(seed=9)
    drafts = MemoryDrafts()
    async with scripted_server() as server:
        document = {
            "data": [{"url": f"{server.url}/a", "b64_json": None}, {"url": f"{server.url}/b"}]
        }
        server.on("*", http(document))
        server.on("/a", [Act.PAUSE, http(PICTURE, headers={"Content-Type": "text/html"})])
        server.on("/b", chunked(other))
        async with an_endpoint(server.url) as endpoint:
            response = await endpoint.edit(a_request(), draft=drafts)
    assert [bytes(draft.data) for draft in response.images] == [PICTURE, other]  # type: ignore[attr-defined]
    assert response.cost_usd == pytest.approx(0.084)


async def test_neither_key_nor_cookies_go_to_downloads_or_where_they_lead() -> None:
    async with scripted_server(http(PICTURE)) as elsewhere, scripted_server() as server:
        server.on(
            "*", http({"images": [{"url": f"{server.url}/a"}]}, headers={"Set-Cookie": "a=b"})
        )
        server.on(
            "/a", http(status=302, headers={"Location": f"{elsewhere.url}/b", "Set-Cookie": "c=d"})
        )
        async with an_endpoint(server.url) as endpoint:
            await endpoint.edit(a_request(), draft=MemoryDrafts())
        requests = [*server.of("/a"), *elsewhere.seen]
    assert [seen.path for seen in requests] == ["/a", "/b"]
    for seen in requests:
        assert seen.method == "GET"
        assert not {"authorization", "cookie", "x-client-request-id", "referer"} & set(seen.headers)
        assert KEY not in str(seen)


async def test_a_lost_picture_was_paid_for_and_says_where_it_lay() -> None:
    drafts = MemoryDrafts()
    async with scripted_server() as server:
        server.on("*", http({"data": [{"url": f"{server.url}/a?signature=secret"}]}, headers=COST))
        server.on("/a?signature=secret", http(b"gone", status=404))
        async with an_endpoint(server.url) as endpoint:
            with pytest.raises(BadResponseError) as caught:
                await endpoint.edit(a_request(), draft=drafts)
        assert len(server.of("/a?signature=secret")) == 3
    error = caught.value
    assert (error.sent, error.cost_usd, error.http_status) == (True, 0.042, 200)
    assert b"/a?signature=secret" in (error.body or b"")
    assert "secret" not in str(error)
    assert "404: gone" in str(error)
    assert drafts.open == []


async def test_one_lost_picture_of_two_ends_both_downloads() -> None:
    drafts = MemoryDrafts()
    async with scripted_server() as server:
        server.on("*", http({"data": [{"url": f"{server.url}/a"}, {"url": f"{server.url}/b"}]}))
        server.on("/a", [b"", Act.HANG])
        server.on("/b", http(b"", status=410))
        async with an_endpoint(server.url) as endpoint:
            with pytest.raises(BadResponseError, match="410"):
                await endpoint.edit(a_request(), draft=drafts)
    assert drafts.open == []


@pytest.mark.parametrize(
    "first",
    [
        http(b"", status=404),
        http(b"", status=500),
        http(b"", status=429),
        http(b""),
        [b"", Act.CLOSE],
        [b"", Act.RESET],
    ],
)
async def test_a_failed_download_is_tried_again(first: Reply) -> None:
    got, server = await fetched(first, first, http(PICTURE))
    assert got == PICTURE
    assert len(server.seen) >= 2


async def test_a_download_that_broke_off_is_not_glued_together() -> None:
    raw = http(PICTURE)
    error, server = await fetched([raw[:-100], Act.CLOSE], raw)
    assert isinstance(error, BadResponseError)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [401, 410])
async def test_a_final_no_is_not_asked_again(status: int) -> None:
    error, server = await fetched(http(b"", status=status))
    assert str(status) in str(error)
    assert len(server.seen) == 1


async def test_a_download_that_stalls_ends_at_its_timeout() -> None:
    error, _ = await fetched([http(PICTURE)[:500], Act.HANG], timeout_s=0.05)
    assert "within 0.05 s" in str(error)
    assert error.sent


async def test_a_download_over_the_cap_is_cut_off() -> None:
    error, server = await fetched(http(PICTURE), max_bytes=1000)
    assert "larger than 1000 bytes" in str(error)
    assert len(server.seen) == 1


async def test_redirects_are_followed_a_few_times_only() -> None:
    there = http(status=301, headers={"Location": "/next"})
    got, _ = await fetched(there, there, there, there, there, http(PICTURE))
    assert got == PICTURE
    error, server = await fetched(http(status=307, headers={"Location": "/again"}))
    assert "redirects" in str(error)
    assert len(server.seen) == 6


async def test_a_compressed_picture_is_refused() -> None:
    error, _ = await fetched(http(PICTURE, headers={"Content-Encoding": "gzip"}))
    assert "compressed" in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "gopher://x",
        "/relative",
        "javascript:alert(1)",
        "http://",
        "http://[::1",
    ],
)
async def test_only_http_is_fetched(url: str) -> None:
    drafts = MemoryDrafts()
    async with scripted_server(http({"data": [{"url": url}]})) as server:
        async with an_endpoint(server.url) as endpoint:
            with pytest.raises(BadResponseError):
                await endpoint.edit(a_request(), draft=drafts)
        assert len(server.seen) == 1
    assert drafts.open == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x/", ""])
async def test_a_redirect_leads_to_http_only(location: str) -> None:
    error, server = await fetched(http(status=302, headers={"Location": location}))
    assert isinstance(error, BadResponseError)
    assert len(server.seen) in (1, 6)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_a_public_endpoint_cannot_lead_to_this_machine(host: str) -> None:
    draft = MemoryDraft()
    async with scripted_server(http(PICTURE)) as server:
        downloader = Downloader(
            timeout_s=5, connect_timeout_s=5, public_only=True, user_agent="t", waits_s=(0.0,)
        )
        port = server.url.rpartition(":")[2]
        with pytest.raises(BadResponseError, match=r"private network"):
            await downloader.fetch(f"http://{host}:{port}/", draft)
        await downloader.close()
        assert server.seen == []
    assert draft.size == 0


async def test_a_redirect_cannot_lead_there_either() -> None:
    class Public(Downloader):
        """Believes the first server to be public, as a redirect from outside would come."""

        def _check(self, url: Any) -> None:
            if url.path != "/start":
                super()._check(url)

    async with scripted_server(http(status=302, headers={"Location": "/in"})) as server:
        downloader = Public(timeout_s=5, connect_timeout_s=5, public_only=True, user_agent="t")
        with pytest.raises(BadResponseError, match=r"private network"):
            await downloader.fetch(f"{server.url}/start", MemoryDraft())
        await downloader.close()
        assert [seen.path for seen in server.seen] == ["/start"]


class Answers(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in self.addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_with_one_private_address_is_refused_whole() -> None:
    with pytest.raises(OSError, match=r"10\.0\.0\.1"):
        await PublicResolver(Answers("8.8.8.8", "10.0.0.1")).resolve("x")
    assert len(await PublicResolver(Answers("8.8.8.8")).resolve("x")) == 1


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, public: bool) -> None:
    assert is_public(address) is public
