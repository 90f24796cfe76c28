"""The HTML pages, and the files that they load."""

import asyncio
import hashlib
import time
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from pipeline import look
from pipeline.dashboard.folder import Entry, Side
from pipeline.dashboard.reading import entry_of, side_of_request, stated
from pipeline.dashboard.room import room_of
from pipeline.ledger import open_reader

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC = Path(__file__).parent / "static"


class Asset(msgspec.Struct, frozen=True):
    """A file of the program, as it is served. ``tag``: another one for other bytes."""

    body: bytes
    content_type: str
    tag: str


def routes() -> list[web.RouteDef]:
    job = "/{kind:jobs|rehearsals}/{key}"
    return [
        web.get("/", job_list),
        web.get("/static/{name}", static),
        web.get(job, job_page),
        web.get(f"{job}/charts", charts_page),
        web.get(f"{job}/settings", settings_page),
    ]


async def job_list(request: web.Request) -> web.Response:
    folder = room_of(request).watches.folder.path
    return page(request, "jobs.html", folder=str(folder))


async def job_page(request: web.Request) -> web.Response:
    found = await entry_of(request)
    return page(request, "job.html", **_named(found, "overview"))


async def charts_page(request: web.Request) -> web.Response:
    from pipeline import gallery

    side = await side_of_request(request)

    def draw() -> Any:
        reader = open_reader(side.ledger)
        if reader is None:
            return ()
        with reader:
            return gallery.charts_of(reader, now=time.time(), cap_usd=side.job.budget.run_usd)

    charts = await asyncio.to_thread(draw)
    return page(request, "charts.html", charts=charts, **_named(side, "charts"))


async def settings_page(request: web.Request) -> web.Response:
    import yaml

    side = await side_of_request(request)
    text = yaml.safe_dump(stated(side), sort_keys=False, allow_unicode=True, width=96)
    return page(request, "settings.html", settings=text, **_named(side, "settings"))


async def static(request: web.Request) -> web.Response:
    return asset(request, _own_assets())


def asset(request: web.Request, known: Mapping[str, Asset]) -> web.Response:
    """The file that the address names. Asked for anew each time and answered in a word if it is the
    same: a newer program must not meet yesterday's script.
    """
    found = known.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": "no-cache", "ETag": f'"{found.tag}"'}
    if is_known(request, found.tag):
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=found.body, content_type=found.content_type, charset="utf-8", headers=headers
    )


def is_known(request: web.Request, tag: str) -> bool:
    """Whether whoever asks has this very answer already."""
    return any(etag.value == tag for etag in request.if_none_match or ())


def assets_of(paths: Iterable[Path]) -> dict[str, Asset]:
    """Files of the program by name, read once. Blocks."""
    found = {}
    for path in paths:
        body = path.read_bytes()
        tag = hashlib.blake2b(body, digest_size=8).hexdigest()
        found[path.name] = Asset(body, look.TYPES[path.suffix], tag)
    return found


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    room = room_of(request)
    return _html(
        template,
        status=status,
        csrf_token=room.access.csrf,
        read_only=room.access.read_only,
        **values,
    )


def error_page(status: int, message: str) -> web.Response:
    return _html("error.html", status=status, code=status, message=message)


def sign_in_page(*, wrong: bool) -> web.Response:
    return _html("sign-in.html", status=401, wrong=wrong)


def signed_in_page(path: str) -> web.Response:
    """Leads on to ``path``, which does not hold the token any more."""
    return _html("signed-in.html", status=200, path=path)


def _named(found: Side | Entry, here: str) -> dict[str, Any]:
    loads = isinstance(found, Side)
    rehearsal = isinstance(found, Side) and found.rehearsal
    job = found.job
    return {
        "key": found.key,
        "kind": "rehearsals" if rehearsal else "jobs",
        "rehearsal": rehearsal,
        "name": job.name if job is not None else found.key,
        "file": found.path.name,
        "loads": loads,
        "here": here,
        "confirms": job is not None and not rehearsal,
    }


def _html(template: str, *, status: int, **values: Any) -> web.Response:
    text = _environment().get_template(template).render(**values)
    return web.Response(text=text, status=status, content_type="text/html")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(STATIC), autoescape=True, undefined=StrictUndefined)


@cache
def _own_assets() -> dict[str, Asset]:
    return assets_of((*look.files(), *look.files(STATIC)))
