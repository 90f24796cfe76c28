"""The server: its parts put together, from the first byte to a quiet end."""

import asyncio
import errno
import secrets
import signal
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

import msgspec
from aiohttp import web

from pipeline.dashboard import acting, gallery_routes, gate, metering, pages, reading
from pipeline.dashboard.access import SHORTEST_TOKEN, Access, is_loopback
from pipeline.dashboard.folder import JobFolder
from pipeline.dashboard.ledgers import Indexes
from pipeline.dashboard.pictures import Pictures
from pipeline.dashboard.room import ROOM, Room
from pipeline.dashboard.starting import Starter
from pipeline.dashboard.streams import Streams
from pipeline.dashboard.tables import Tables
from pipeline.dashboard.watching import StarterOf, Watches
from pipeline.dashboard.wishes import Tickets
from pipeline.errors import ConfigError

GENERATE = "generate"
"""As a token: make one, and say it once."""

END_S = 2.0
"""How long answers that are under way may take when the server ends."""


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``port`` 0: a free one. ``token``: what visitors have to show; `GENERATE` makes one.
    ``names``: host names to answer to, besides addresses and ``localhost``.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8787
    token: str | None = None
    read_only: bool = False
    names: Collection[str] = ()


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server listens. ``url``: to open once; it holds a token only if one was made."""

    address: str
    url: str


def make_access(options: ServeOptions) -> tuple[Access, str | None]:
    """The rules, and the token that was made for them, if one was. Raises `ConfigError`."""
    token = made = None
    if options.token == GENERATE:
        token = made = secrets.token_urlsafe(24)
    elif options.token:
        token = options.token
        if len(token) < SHORTEST_TOKEN:
            raise ConfigError(
                f"the token is too short to guard anything: at least {SHORTEST_TOKEN} characters"
                f" (or --token {GENERATE})"
            )
    if token is None and not is_loopback(options.host):
        raise ConfigError(
            f"--host {options.host} can be reached by other machines, whose users could spend your"
            f" money: give a token (--token {GENERATE}, or PIPELINE_SERVE_TOKEN), or leave --host"
            " out"
        )
    names = set(options.names)
    if token is not None:
        # Whoever else points these names here gets no further than the token's page.
        names |= {options.host, socket.gethostname()}
    return Access(token=token, names=names, read_only=options.read_only), made


def make_app(folder: JobFolder, access: Access) -> web.Application:
    """The application, with everything that it needs to answer. Call inside an event loop."""
    starter_of = StarterOf()
    watches = Watches(folder, starter_of)
    starter = starter_of.starter = Starter(watches.poke)
    app = web.Application(middlewares=[gate.gate], client_max_size=gallery_routes.LARGE_BODY)
    app[ROOM] = Room(
        access=access,
        watches=watches,
        starter=starter,
        streams=Streams(watches),
        tickets=Tickets(),
        indexes=Indexes(),
        pictures=Pictures(),
        tables=Tables(),
    )
    app.add_routes([web.get("/sign-in", gate.sign_in), web.post("/sign-in", gate.sign_in)])
    app.add_routes(reading.routes())
    app.add_routes(metering.routes())
    app.add_routes(pages.routes())
    app.add_routes(gallery_routes.routes())
    if not access.read_only:
        app.add_routes(acting.routes())
        app.add_routes(gallery_routes.deciding())
    app.on_response_prepare.append(gate.dress)

    async def end(app: web.Application) -> None:
        await watches.close()
        await starter.close()
        await app[ROOM].tables.close()

    app.on_shutdown.append(end)
    return app


async def serve(options: ServeOptions, announce: Callable[[Serving], None]) -> None:
    """Serves until SIGINT or SIGTERM. Runs that were started go on. Raises `ConfigError`."""
    access, made = make_access(options)
    app = make_app(JobFolder(options.folder), access)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=END_S)
    await runner.setup()
    stop = asyncio.Event()
    try:
        site = web.TCPSite(runner, options.host, options.port)
        try:
            await site.start()
        except OSError as error:
            raise _unusable(options, error) from error
        port = runner.addresses[0][1]
        shown = f"[{options.host}]" if ":" in options.host else options.host
        address = f"http://{shown}:{port}/"
        announce(Serving(address=address, url=f"{address}?token={made}" if made else address))
        _on_signals(stop.set)
        await stop.wait()
    finally:
        await runner.cleanup()


def _on_signals(end: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C is a KeyboardInterrupt there
            loop.add_signal_handler(number, end)


def _unusable(options: ServeOptions, error: OSError) -> ConfigError:
    place = f"{options.host}:{options.port}"
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"{place} is in use, perhaps by another `pipeline serve` (choose another: --port 0"
            " takes a free one)"
        )
    if error.errno == errno.EACCES:
        return ConfigError(f"{place} may not be used by you (ports from 1024 on may: --port 8787)")
    return ConfigError(f"--host {options.host}: {error.strerror or error}")
