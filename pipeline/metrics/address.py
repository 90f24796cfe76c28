"""A run's own ``/metrics``, on loopback, in the run's event loop."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from pipeline.errors import ConfigError
from pipeline.events import Event, MetricsAt, Started
from pipeline.metrics.families import exposition
from pipeline.metrics.meter import meter_of_run
from pipeline.snapshot import Snapshot

HOST = "127.0.0.1"


class _Address:
    """Passes a run's events on, and takes its snapshot from them."""

    def __init__(self, observe: Callable[[Event], None]) -> None:
        self._observe = observe
        self._snapshot: Callable[[], Snapshot] | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._snapshot = event.snapshot
        self._observe(event)

    async def answer(self, request: web.Request) -> web.Response:
        """Before the run has begun there is only the program's version."""
        meters = [] if self._snapshot is None else [meter_of_run(self._snapshot())]
        body, content_type = exposition(meters, accept=request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


@asynccontextmanager
async def metering(
    port: int, observe: Callable[[Event], None]
) -> AsyncIterator[Callable[[Event], None]]:
    """What to call with a run's events instead of ``observe``, which gets them too; meanwhile
    ``127.0.0.1:port`` answers (0: a free port, which the event `MetricsAt` names).

    Raises `ConfigError` where the port is taken.
    """
    address = _Address(observe)
    app = web.Application()
    app.router.add_get("/metrics", address.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise ConfigError(
                f"--metrics-port {port}: {error.strerror or error} (choose another, or 0 for a"
                " free one)"
            ) from error
        observe(MetricsAt(url=f"http://{HOST}:{runner.addresses[0][1]}/metrics"))
        yield address
    finally:
        await runner.cleanup()
