"""Standings kept fresh while somebody looks: one watch per job, however many tabs are open."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from pipeline.dashboard import live
from pipeline.dashboard.folder import JobFolder, Side, side_of
from pipeline.dashboard.ledgers import Ledgers
from pipeline.dashboard.standing import Standing, broken, standing
from pipeline.dashboard.starting import Starter
from pipeline.snapshot import Snapshot

_log = logging.getLogger(__name__)

LIST_EVERY_S = 1.5
IDLE_EVERY_S = 1.0
"""How often the ledger of a job is looked at whose run does not answer, or that has none."""

STARTING_EVERY_S = 0.2
"""The same while somebody waits for a run that was just started to say its first word."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A job in the list. ``rehearsal``: how its rehearsal stands, if there ever was one."""

    job: Standing
    rehearsal: Standing | None = None


class Topic:
    """A value that changes, and those who want to hear of it. The newest is what they get: who
    cannot keep up misses what lay in between, and nothing piles up.
    """

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.holders = 0
        self._listeners: set[asyncio.Event] = set()
        self._closed = False

    def publish(self, value: bytes) -> None:
        """Tells those who listen, if it is news."""
        if value == self.value:
            return
        self.value = value
        for listener in self._listeners:
            listener.set()

    def close(self) -> None:
        """Ends every `changes`."""
        self._closed = True
        for listener in self._listeners:
            listener.set()

    async def changes(self, heartbeat_s: float) -> AsyncIterator[bytes | None]:
        """Every new value, the present one first; ``None`` after so long without any."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        if self.value is not None:
            listener.set()
        try:
            while not self._closed:
                try:
                    async with asyncio.timeout(heartbeat_s):
                        await listener.wait()
                except TimeoutError:
                    yield None
                    continue
                listener.clear()
                if not self._closed and self.value is not None:
                    yield self.value
        finally:
            self._listeners.discard(listener)


class Watches:
    """The watch of every job that somebody looks at, and that of the list."""

    def __init__(self, folder: JobFolder, starter_of: "StarterOf") -> None:
        self.folder = folder
        self.ledgers = Ledgers()
        self._starter_of = starter_of
        self._topics: dict[tuple[str, bool] | None, Topic] = {}
        self._tasks: dict[tuple[str, bool] | None, asyncio.Task[None]] = {}
        self._pokes: dict[tuple[str, bool] | None, asyncio.Event] = {}

    @asynccontextmanager
    async def topic(self, key: tuple[str, bool] | None) -> AsyncIterator[Topic]:
        """The standing of a job (its key, and whether of its rehearsal), as JSON; ``None``: the
        list's. It is kept fresh while this context is open.
        """
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = Topic()
            self._pokes[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._keep(key, topic))
        topic.holders += 1
        try:
            yield topic
        finally:
            topic.holders -= 1
            if not topic.holders:
                del self._topics[key]
                self._tasks.pop(key).cancel()

    async def poke(self, side: Side) -> None:
        """Something happened to this job: look now."""
        for key in ((side.key, side.rehearsal), None):
            if key in self._topics:
                self._pokes[key].set()

    async def now(self, side: Side) -> Standing:
        """How a job stands at this moment."""
        snapshot = await live.state(side.outputs)
        books = await self.ledgers.books(side, running=snapshot is not None)
        return standing(side, books, live=snapshot, process=self._starter_of().process_of(side))

    async def all_now(self) -> list[Listed]:
        """Every job of the folder, the broken ones too."""
        entries = await asyncio.to_thread(self.folder.entries)
        found = []
        for entry in entries.values():
            if entry.job is None:
                found.append(Listed(job=broken(entry)))
                continue
            rehearsal = side_of(entry, rehearsal=True)
            rehearsed = rehearsal.outputs.is_dir()
            found.append(
                Listed(
                    job=await self.now(side_of(entry, rehearsal=False)),
                    rehearsal=await self.now(rehearsal) if rehearsed else None,
                )
            )
        return found

    async def close(self) -> None:
        """Ends all watches, and with them the streams."""
        for topic in self._topics.values():
            topic.close()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _keep(self, key: tuple[str, bool] | None, topic: Topic) -> None:
        try:
            await (self._watch_list(topic) if key is None else self._watch(key, topic))
        except Exception:
            # A bug, of whatever kind. Browsers come back by themselves and start another watch; a
            # page that stands still and looks alive is worse.
            _log.exception("a job could not be watched")
            topic.close()

    async def _watch_list(self, topic: Topic) -> None:
        while True:
            topic.publish(_json(await self.all_now()))
            await self._pause(None, LIST_EVERY_S)

    async def _watch(self, key: tuple[str, bool], topic: Topic) -> None:
        while True:
            entry = await asyncio.to_thread(self.folder.side, key[0], rehearsal=key[1])
            if entry is None:
                topic.close()  # the file is gone
                return
            if not isinstance(entry, Side):
                topic.publish(_json(broken(entry)))
            else:
                async for snapshot in live.watch(entry.outputs):
                    await self._tell(topic, entry, snapshot)
                await self._tell(topic, entry, None)
            starting = isinstance(entry, Side) and self._starter_of().is_busy(entry)
            await self._pause(key, STARTING_EVERY_S if starting else IDLE_EVERY_S)

    async def _tell(self, topic: Topic, side: Side, snapshot: Snapshot | None) -> None:
        books = await self.ledgers.books(side, running=snapshot is not None)
        process = self._starter_of().process_of(side)
        topic.publish(_json(standing(side, books, live=snapshot, process=process)))

    async def _pause(self, key: tuple[str, bool] | None, seconds: float) -> None:
        poke = self._pokes[key]
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await poke.wait()
        poke.clear()


class StarterOf:
    """Where the starter will be: it tells the watches, and they ask it."""

    def __init__(self) -> None:
        self.starter: Starter | None = None

    def __call__(self) -> Starter:
        assert self.starter is not None  # noqa: S101 - set before the server listens
        return self.starter


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=str)
