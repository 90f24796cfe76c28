"""``/metrics``: every job of the folder as Prometheus reads it."""

import asyncio

from aiohttp import web

from pipeline.dashboard import live
from pipeline.dashboard.folder import Entry, side_of
from pipeline.dashboard.room import room_of
from pipeline.errors import LedgerError
from pipeline.ledger import open_reader
from pipeline.metrics import Meter, exposition, meter_of_ledger
from pipeline.snapshot import Snapshot


def routes() -> list[web.RouteDef]:
    return [web.get("/metrics", metrics)]


async def metrics(request: web.Request) -> web.Response:
    """Jobs that do not load, never ran, or whose ledger cannot be read have no samples."""
    entries = await asyncio.to_thread(room_of(request).watches.folder.entries)
    meters = []
    for entry in entries.values():
        if entry.job is not None:
            snapshot = await live.state(side_of(entry, rehearsal=False).outputs)
            meter = await asyncio.to_thread(_meter, entry, snapshot)
            meters += [meter] if meter is not None else []
    body, content_type = exposition(meters, accept=request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


def _meter(entry: Entry, snapshot: Snapshot | None) -> Meter | None:
    try:
        reader = open_reader(side_of(entry, rehearsal=False).ledger)
        if reader is None:
            return None
        with reader:
            # The file's name, not the job's: two files may state one name.
            return meter_of_ledger(reader, job=entry.key, live=snapshot)
    except LedgerError:
        return None
