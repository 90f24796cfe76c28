"""The review gallery of a job, served: its page, data, pictures, and decisions that go straight to
the ledger.

A picture is asked for by its edit's id and its number. Where it lies is looked up in the ledger and
has to be inside the job's outputs or inputs: no address holds a path.
"""

import asyncio
import gzip
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, TypeVar, cast
from urllib.parse import quote

import msgspec
from aiohttp import web

from pipeline import api, gallery
from pipeline.dashboard.folder import Side
from pipeline.dashboard.pages import Asset, asset, assets_of, is_known
from pipeline.dashboard.pictures import ServedLinks, Wanted, What
from pipeline.dashboard.reading import side_of_request
from pipeline.dashboard.replies import AnswerError, json_reply, read_json
from pipeline.dashboard.room import room_of
from pipeline.gallery.rendering import assets
from pipeline.ledger import LedgerReader, open_reader
from pipeline.models import Decision, DecisionWord

T = TypeVar("T")

_NUMBER = re.compile(r"[0-9]{1,6}").fullmatch

LARGE_BODY = 8 << 20
"""Bytes of decisions in one request: some 20,000."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types gallery"
)
"""As everywhere, and pictures that a manifest names on the web."""

BARE = "default-src 'none'; sandbox; frame-ancestors 'none'"
"""For a picture that is opened by itself."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as the page sends it."""

    id: str
    decision: DecisionWord
    note: str = ""
    prompt_mode: Literal["", "append", "replace"] = ""
    fingerprint: str = ""
    take: int | None = None

    def decision_on(self) -> Decision:
        return Decision(
            id=self.id,
            decision=self.decision,
            note=self.note,
            prompt_mode=self.prompt_mode or "append",
            fingerprint=self.fingerprint,
            take=self.take,
        )


def routes() -> list[web.RouteDef]:
    page = "/{kind:jobs|rehearsals}/{key}/gallery"
    return [
        web.get("/static/gallery/{name}", static),
        web.get(f"{page}/", gallery_page),
        web.get(f"{page}/data/index.js", index_data),
        web.get(page + r"/data/details-{number:\d{4,6}}.js", details_data),
        web.get(f"{page}/thumbs/{{what:input|output|take}}", thumb),
        web.get(f"{page}/pictures/{{what:input|output|take}}", picture),
    ]


def deciding() -> list[web.RouteDef]:
    return [web.post("/api/{kind:jobs|rehearsals}/{key}/decisions", decide)]


async def static(request: web.Request) -> web.Response:
    return asset(request, _assets())


@cache
def _assets() -> dict[str, Asset]:
    return assets_of(assets())


async def gallery_page(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    room = room_of(request)

    def draw(reader: LedgerReader) -> str:
        return gallery.page(
            title=side.job.name,
            charts=gallery.charts_of(reader, now=time.time(), cap_usd=side.job.budget.run_usd),
            live=_live(request, side),
            csrf_token=room.access.csrf,
            assets="/static/gallery/",
            back=f"/{side.kind}/{quote(side.key, safe='')}",
        )

    text = await asyncio.to_thread(_read, side, draw)
    # What comes while a run goes on: the page from disk has nobody to tell it.
    text = text.replace("</body>", '<script src="/static/gallery-live.js" defer></script>\n</body>')
    return web.Response(
        text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY}
    )


async def index_data(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    live = _live(request, side)

    def collect(reader: LedgerReader) -> str:
        index = gallery.index_of(
            reader, ServedLinks(), job=side.job.name, generated_at=time.time(), live=live
        )
        return gallery.index_script(index)

    packed = await room_of(request).indexes.index(side, lambda: _read(side, collect))
    # With a query it is asked for once only.
    headers = {} if request.query else {"Cache-Control": "private, no-cache"}
    headers |= {"ETag": f'"{packed.tag}"', "Vary": "Accept-Encoding"}
    if is_known(request, packed.tag):
        return web.Response(status=304, headers=headers)
    data = packed.data
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        data = await asyncio.to_thread(gzip.decompress, data)
    return web.Response(body=data, headers=headers, content_type="text/javascript", charset="utf-8")


async def details_data(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    number, count = int(request.match_info["number"]), gallery.DETAILS_PER_FILE

    def collect(reader: LedgerReader) -> str:
        details = gallery.details_of(reader, ServedLinks(), number * count, count)
        return gallery.details_script(number, details)

    return _script(await asyncio.to_thread(_read, side, collect))


async def thumb(request: web.Request) -> web.Response:
    side = await side_of_request(request)
    preview = await room_of(request).pictures.preview(side, _wanted(request))
    return web.Response(body=preview, content_type="image/webp", headers=_picture_headers(request))


async def picture(request: web.Request) -> web.StreamResponse:
    side = await side_of_request(request)
    whole = await room_of(request).pictures.whole(side, _wanted(request))
    headers = {**_picture_headers(request), "Content-Type": whole.content_type}
    if whole.path is not None:
        return web.FileResponse(whole.path, headers=headers)
    return web.Response(body=whole.data, headers=headers)


async def decide(request: web.Request) -> web.Response:
    """Takes decisions, also while a run goes on: all that can be taken, and says why others not."""
    side = await side_of_request(request)
    said = await read_json(request, list[Said], limit=LARGE_BODY)
    decisions = [one.decision_on() for one in said]
    found = await api.review(side.job, decisions, strict=False, table=False)
    room = room_of(request)
    room.tables.soon(side)
    await room.watches.poke(side)
    left = {one.id: one.message for one in found.left}
    return json_reply(
        {
            "applied": [one.id for one in said if one.id not in left],
            "problems": [{"id": name, "message": message} for name, message in left.items()],
        }
    )


def _read(side: Side, read: Callable[[LedgerReader], T]) -> T:
    """What ``read`` makes of one state of the ledger. Raises `AnswerError` without a ledger."""
    reader = open_reader(side.ledger)
    if reader is None:
        raise AnswerError(
            404, "there are no pictures yet: this job has never run (its page starts it)"
        )
    with reader, reader.snapshot():
        return read(reader)


def _live(request: web.Request, side: Side) -> dict[str, Any]:
    key = quote(side.key, safe="")
    return {
        "decide": f"/api/{side.kind}/{key}/decisions",
        "read_only": room_of(request).access.read_only,
    }


def _wanted(request: web.Request) -> Wanted:
    query = request.query
    number, take = query.get("number", ""), query.get("take", "0")
    if not (_NUMBER(number) and _NUMBER(take)):
        raise AnswerError(404, "there is no such picture")
    return Wanted(
        what=cast(What, request.match_info["what"]),
        edit_id=query.get("edit", ""),
        number=int(number),
        take=int(take),
    )


def _picture_headers(request: web.Request) -> dict[str, str]:
    # An address with a digest never means another picture.
    keep = "private, max-age=31536000, immutable" if "v" in request.query else "private, max-age=60"
    return {"Cache-Control": keep, "Content-Security-Policy": BARE}


def _script(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/javascript", charset="utf-8")
