"""How what changes reaches those who look: the newest, once, and nobody holds anybody up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from pipeline.dashboard import streams
from pipeline.dashboard.access import Access
from pipeline.dashboard.folder import JobFolder, Side
from pipeline.dashboard.room import ROOM, Room
from pipeline.dashboard.server import make_app
from pipeline.dashboard.watching import Topic
from tests.conftest import Shop


@asynccontextmanager
async def listening(shop: Shop) -> AsyncIterator[tuple[Room, int]]:
    app = make_app(JobFolder(shop.job.parent), Access(token=None))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield app[ROOM], runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_a_listener_gets_the_present_value_then_the_newest() -> None:
    topic = Topic()
    topic.publish(b"1")
    heard = topic.changes(heartbeat_s=10)
    assert await anext(heard) == b"1"
    topic.publish(b"2")
    topic.publish(b"3")
    assert await anext(heard) == b"3", "who is slow misses what lay in between"
    await heard.aclose()


async def test_the_same_value_again_is_no_news() -> None:
    topic = Topic()
    topic.publish(b"1")
    heard = topic.changes(heartbeat_s=0.02)
    assert await anext(heard) == b"1"
    topic.publish(b"1")
    assert await anext(heard) is None, "only a heartbeat"
    await heard.aclose()


async def test_a_topic_that_closes_lets_everybody_go() -> None:
    topic = Topic()
    listeners = [asyncio.create_task(collected(topic)) for _ in range(3)]
    await asyncio.sleep(0)
    topic.publish(b"1")
    await asyncio.sleep(0)
    topic.close()
    assert [len(heard) <= 1 for heard in await asyncio.gather(*listeners)] == [True] * 3


async def collected(topic: Topic) -> list[bytes | None]:
    return [value async for value in topic.changes(heartbeat_s=10)]


async def test_a_browser_that_takes_nothing_is_let_go(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "SLOW_S", 0.1)
    async with listening(shop.with_edits(1)) as (room, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with room.watches.topic(None) as topic, asyncio.timeout(60):
            while not room.streams.open:  # noqa: ASYNC110 - real sockets tell nobody
                await asyncio.sleep(0.01)
            topic.publish(b'"' + b"x" * 50_000_000 + b'"')
            while room.streams.open:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()
        assert reader is not None


async def test_what_nobody_looks_at_is_not_watched(shop: Shop) -> None:
    async with listening(shop.with_edits(1)) as (room, _):
        before = len(asyncio.all_tasks())
        async with room.watches.topic(("shop", False)), room.watches.topic(("shop", False)):
            assert len(asyncio.all_tasks()) == before + 1, "two tabs, one watch"
        async with asyncio.timeout(60):
            while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - tasks tell nobody
                await asyncio.sleep(0.01)


async def test_a_ledger_that_nobody_wrote_is_not_read_again(shop: Shop) -> None:
    async with listening(shop.with_edits(1)) as (room, _):
        side = room.watches.folder.side("shop", rehearsal=False)
        assert isinstance(side, Side)
        assert await room.watches.ledgers.books(side) is await room.watches.ledgers.books(side)
