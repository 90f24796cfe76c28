"""What programs, and the pages themselves, may read: JSON, streams, logs."""

import asyncio
import os
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from pipeline import __version__
from pipeline.dashboard import standing
from pipeline.dashboard.folder import Entry, Side
from pipeline.dashboard.replies import AnswerError, json_reply
from pipeline.dashboard.room import room_of

LOG_BYTES = 65_536
"""Of a log, in one answer."""

# Neither a link, which may lead anywhere, nor a pipe, which may never end.
_NOT_A_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,63}").fullmatch


def routes() -> list[web.RouteDef]:
    job = "/api/{kind:jobs|rehearsals}/{key}"
    return [
        web.get("/healthz", health),
        web.get("/api/session", session),
        web.get("/api/jobs", jobs),
        web.get("/api/events", list_events),
        web.get(job, one),
        web.get(f"{job}/events", events),
        web.get(f"{job}/runs", runs),
        web.get(f"{job}/runs/{{run}}/log", log),
        web.get(f"{job}/settings", settings),
    ]


async def health(request: web.Request) -> web.Response:
    """For whoever watches the server. Says nothing of jobs, so that it needs no token."""
    return json_reply({"status": "ok", "version": __version__})


async def session(request: web.Request) -> web.Response:
    room = room_of(request)
    return json_reply({"csrf": room.access.csrf, "read_only": room.access.read_only})


async def jobs(request: web.Request) -> web.Response:
    return json_reply(await room_of(request).watches.all_now())


async def one(request: web.Request) -> web.Response:
    room = room_of(request)
    side = await entry_of(request)
    return json_reply(
        await room.watches.now(side) if isinstance(side, Side) else standing.broken(side)
    )


async def list_events(request: web.Request) -> web.StreamResponse:
    return await room_of(request).streams.send(request, None)


async def events(request: web.Request) -> web.StreamResponse:
    side = await entry_of(request)
    rehearsal = isinstance(side, Side) and side.rehearsal
    return await room_of(request).streams.send(request, (side.key, rehearsal))


async def runs(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    return json_reply(await asyncio.to_thread(standing.history, side))


async def log(request: web.Request) -> web.Response:
    """A part of a run's log: from byte ``from``, or, without it, its end. ``grows``: whether more
    may come; without that, and at ``size``, this was all.
    """
    side = await side_of_request(request)
    run = request.match_info["run"]
    given = request.query.get("from", "")
    if not _RUN_ID(run) or not ((given.isascii() and given.isdigit()) or not given):
        raise AnswerError(404, "there is no such log")
    start = int(given[:18]) if given else None
    process = room_of(request).starter.process_of(side)
    row = await asyncio.to_thread(standing.run_of, side, run)
    # Asked before the log is read: what a process wrote before its end is in the file then.
    grows = standing.may_write(run, row, process)
    logs = await asyncio.to_thread(standing.logs_of, side, run, row)
    part = await asyncio.to_thread(read_log, logs, start, grows=grows)
    return json_reply({**part, "grows": grows})


async def settings(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    return json_reply({"file": side.path.name, "settings": stated(side)})


def stated(side: Side) -> dict[str, Any]:
    """What the job file states, as it was understood: without comments, and so without anything
    that only looks like one.
    """
    stated: dict[str, Any] = side.job.model_dump(mode="json", exclude_unset=True)
    folder = side.path.absolute().parent
    return {name: _relative(value, folder) for name, value in stated.items()}


def read_log(logs: Sequence[Path], start: int | None, *, grows: bool) -> dict[str, Any]:
    """Of the first that is there: ``text`` from byte ``start``, ``next``: where to go on, ``size``.
    Cut at line ends, so that a part can be read by itself; ``grows``: the last line may still be on
    its way. Blocks. Raises `AnswerError`.
    """
    descriptor = None
    for log in logs:
        with suppress(OSError):
            descriptor = os.open(log, os.O_RDONLY | _NOT_A_LINK)
            break
    if descriptor is None:
        raise AnswerError(
            404, "there is no log of this run: neither the page nor the scheduler started it"
        )
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise AnswerError(404, "there is no such log")
        size = file.seek(0, os.SEEK_END)
        first = max(0, size - LOG_BYTES) if start is None else min(start, size)
        file.seek(first)
        data = file.read(LOG_BYTES)
    if start is None and first:
        whole = data.find(b"\n") + 1
        first, data = first + whole, data[whole:]
    if grows or first + len(data) < size:
        end = data.rfind(b"\n") + 1
        # Only a line that is longer than a part is cut.
        data = data[:end] if end or len(data) < LOG_BYTES else data
    text = data.decode("utf-8", "replace")
    return {"text": text, "from": first, "next": first + len(data), "size": size}


async def entry_of(request: web.Request) -> Side | Entry:
    """The job that the address names; its entry if it does not load. Raises `AnswerError`."""
    kind, key = request.match_info["kind"], request.match_info["key"]
    folder = room_of(request).watches.folder
    found = await asyncio.to_thread(folder.side, key, rehearsal=kind == "rehearsals")
    if found is None:
        raise AnswerError(404, "there is no such job in the folder")
    return found


async def side_of_request(request: web.Request) -> Side:
    """The job that the address names. Raises `AnswerError` also where it does not load."""
    found = await entry_of(request)
    if isinstance(found, Entry):
        raise AnswerError(409, found.problem or "the job does not load")
    return found


def _relative(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {name: _relative(each, folder) for name, each in value.items()}
    if isinstance(value, list):
        return [_relative(each, folder) for each in value]
    if isinstance(value, str) and value.startswith(str(folder.parent) + os.sep):
        return os.path.relpath(value, folder)
    return value
