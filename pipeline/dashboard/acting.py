"""What changes something: start, pause, resume, stop, tune, decide. Checked by `gate` before."""

import asyncio
from typing import Annotated, Any

import msgspec
from aiohttp import web

from pipeline import api
from pipeline.dashboard import live, wishes
from pipeline.dashboard.folder import Side
from pipeline.dashboard.reading import side_of_request
from pipeline.dashboard.replies import AnswerError, json_reply, read_json
from pipeline.dashboard.room import room_of
from pipeline.dashboard.wishes import Wish

RUNNING = "a run of this job is going on: wait for it, or stop it"

Rate = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ticket: str


class Tune(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New limits; what is left out stays, and ``null`` takes a stated rate away."""

    concurrency: Annotated[int, msgspec.Meta(ge=1, le=4096)] | msgspec.UnsetType = msgspec.UNSET
    requests_per_minute: Rate | msgspec.UnsetType | None = msgspec.UNSET
    images_per_minute: Rate | msgspec.UnsetType | None = msgspec.UNSET


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def routes() -> list[web.RouteDef]:
    job = "/api/{kind:jobs|rehearsals}/{key}"
    return [
        web.post(f"{job}/plan", plan),
        web.post(f"{job}/start", start),
        web.post(f"{job}/pause", pause),
        web.post(f"{job}/resume", resume),
        web.post(f"{job}/stop", stop),
        web.post(f"{job}/tune", tune),
    ]


async def plan(request: web.Request) -> web.Response:
    """What a start would do and cost, and the ticket for it. Sends nothing."""
    side = await side_of_request(request)
    wish = await read_json(request, Wish)
    found, complete = await asyncio.to_thread(wishes.plan, side, wish)
    offer = room_of(request).tickets.offer(side, wish, found, complete=complete)
    return json_reply(offer)


async def start(request: web.Request) -> web.Response:
    """Starts what a ticket was written for. Two clicks, two tabs: the second is told so; and if
    another program was quicker, the lock decides, and the process says it.
    """
    room = room_of(request)
    side = await side_of_request(request)
    asked = await read_json(request, Start)
    if room.starter.is_busy(side) or await live.state(side.outputs) is not None:
        raise AnswerError(409, RUNNING)
    wish = room.tickets.redeem(asked.ticket, side)
    if room.starter.is_busy(side):  # somebody was quicker while the run was asked
        raise AnswerError(409, RUNNING)
    process = await room.starter.start(side, wish.words(side))
    await room.watches.poke(side)
    return json_reply(process, status=202)


async def pause(request: web.Request) -> web.Response:
    return await _steer(request, api.pause)


async def resume(request: web.Request) -> web.Response:
    return await _steer(request, api.resume)


async def stop(request: web.Request) -> web.Response:
    return await _steer(request, api.stop)


async def tune(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    asked = await read_json(request, Tune)
    changes = {
        name: value
        for name in asked.__struct_fields__
        if (value := getattr(asked, name)) is not msgspec.UNSET
    }
    if not changes:
        raise AnswerError(
            400, "nothing to change: concurrency, requests_per_minute, images_per_minute"
        )
    found = await asyncio.to_thread(api.tune, side.job, **changes)
    await room_of(request).watches.poke(side)
    return json_reply(found)


async def _steer(request: web.Request, act: Any) -> web.Response:
    side: Side = await side_of_request(request)
    await read_json(request, Nothing)
    found = await asyncio.to_thread(act, side.job)
    await room_of(request).watches.poke(side)
    return json_reply(found)
