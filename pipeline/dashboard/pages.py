"""The HTML pages, and the files that they load."""

import asyncio
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pipeline.dashboard.folder import Entry, Side
from pipeline.dashboard.reading import entry_of, side_of_request, stated
from pipeline.dashboard.room import room_of
from pipeline.ledger import open_reader

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC = Path(__file__).parent / "static"

TYPES = {".css": "text/css", ".js": "text/javascript"}
"""What is served of `STATIC`; the templates are not."""


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
    found = _assets().get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    return asset(request, *found)


def asset(request: web.Request, body: bytes, content_type: str) -> web.Response:
    """A file of the program. Asked for anew each time and answered in a word if it is the same: a
    newer program must not meet yesterday's script.
    """
    tag = f"{hash(body) & 0xFFFFFFFFFFFF:x}"
    headers = {"Cache-Control": "no-cache", "ETag": f'"{tag}"'}
    if any(known.value == tag for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=content_type, charset="utf-8", headers=headers)


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
def _assets() -> dict[str, tuple[bytes, str]]:
    return {
        path.name: (path.read_bytes(), TYPES[path.suffix])
        for path in STATIC.iterdir()
        if path.suffix in TYPES
    }
