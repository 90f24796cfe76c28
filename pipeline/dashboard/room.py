"""What the handlers of one server share."""

import msgspec
from aiohttp import web

from pipeline.dashboard.access import Access
from pipeline.dashboard.ledgers import Indexes
from pipeline.dashboard.pictures import Pictures
from pipeline.dashboard.starting import Starter
from pipeline.dashboard.streams import Streams
from pipeline.dashboard.tables import Tables
from pipeline.dashboard.watching import Watches
from pipeline.dashboard.wishes import Tickets


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """One server's parts. Belongs to its event loop."""

    access: Access
    watches: Watches
    starter: Starter
    streams: Streams
    tickets: Tickets
    indexes: Indexes
    pictures: Pictures
    tables: Tables


ROOM = web.AppKey("room", Room)


def room_of(request: web.Request) -> Room:
    return request.app[ROOM]
