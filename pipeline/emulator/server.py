"""The HTTP side: routes, keys, error bodies, picture host, and the emulator's own three pages."""

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from pipeline.emulator import delivery
from pipeline.emulator.answers import trace_headers
from pipeline.emulator.bill import CREDITS_PER_USD
from pipeline.emulator.generation import Generations
from pipeline.emulator.inputs import Input, UnusableInputError, describe, is_loopback
from pipeline.emulator.problems import ProviderError, html_page, render
from pipeline.emulator.profile import Profile, ProfileError
from pipeline.emulator.statements import logs_page, transactions_page
from pipeline.emulator.validate import Asked, body_error
from pipeline.emulator.world import Seen, World, new_id, utc_now

_FETCH_S = 10.0
_JSON = "application/json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One emulator on two ports of one address: the API, and the host of its pictures.

    Two ports because the real pictures lie on another host than the API, which decides what a
    client may send there.
    """

    def __init__(self, profile: Profile, *, seed: int) -> None:
        self.world = World(profile, seed=seed, clock=asyncio.get_running_loop().time)
        self._generations = Generations(self.world, self._fetched)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self, *, host: str, port: int) -> None:
        """Listen; port 0 takes a free one. Sets `world.url` and `world.pictures_url`.

        Raises:
            OSError: the port is taken, or the address is not this machine's.
        """
        app = web.Application(client_max_size=0)
        app.add_routes(
            [
                web.post("/v1/images/generations", self._guarded(self._generate)),
                web.get("/v1/models", self._guarded(self._models)),
                web.get("/v2/billing", self._guarded(self._balance)),
                web.get("/v2/billing/transactions", self._guarded(self._transactions)),
                web.get("/v2/logs", self._guarded(self._logs)),
                web.get("/generations/{name}", self._guarded(self._picture)),
                web.get("/emulator/bill", self._bill),
                web.get("/emulator/requests", self._requests),
                web.post("/emulator/profile", self._profile),
                web.route("*", "/{path:.*}", self._guarded(self._nothing)),
            ]
        )
        # Requests that wait on purpose are cut off at once when the emulator stops.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await self._runner.setup()
        try:
            api = web.TCPSite(self._runner, host, port, backlog=1024)
            await api.start()
            await web.TCPSite(self._runner, host, 0, backlog=1024).start()
        except OSError:
            await self.stop()
            raise
        ports = [address[1] for address in self._runner.addresses]
        shown = f"[{host}]" if _is_ipv6(host) else host
        self.world.url = f"http://{shown}:{ports[0]}"
        self.world.pictures_url = f"http://{shown}:{ports[-1]}"

    async def stop(self) -> None:
        """Stop listening, cut what is at work, end the drawing threads."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._session is not None:
            await self._session.close()
            self._session = None
        self.world.painter.close()

    # --- the provider's routes

    def _guarded(self, handler: Handler) -> Handler:
        """The handler with the provider's error bodies for what it raises."""

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except ProviderError as error:
                return self._error(request, error)

        return answer

    def _error(self, request: web.Request, error: ProviderError) -> web.Response:
        request_id = new_id()
        weights = self.world.profile.error_bodies
        names = list(weights)
        # Any dice will do here: which of the bodies it is changes nothing about the run.
        drawn = int(request_id[:8], 16) / 0x1_0000_0000 * sum(weights.values())
        style = names[-1]
        for name in names:
            drawn -= weights[name]
            if drawn < 0:
                style = name
                break
        body, content_type = render(
            error, style=style, path=request.path, request_id=request_id, now=utc_now()
        )
        return web.Response(
            status=error.status, body=body, content_type=content_type, headers=error.headers
        )

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        seen = self.world.note("requests", request.method, request.path, request.headers)
        try:
            answer = await self._generations.answer(request, seen)
        except ProviderError as error:
            error.headers.update(trace_headers(self.world, seen))
            answer = self._error(request, error)
        if request.transport is not None and not request.transport.is_closing():
            seen.status = answer.status
        return answer

    async def _fetched(self, asked: Asked) -> tuple[Input, ...]:
        return tuple(
            await asyncio.gather(
                *(self._input(asked, index, one) for index, one in enumerate(asked.inputs))
            )
        )

    async def _input(self, asked: Asked, index: int, one: Input) -> Input:
        if one.data is not None or one.url is None or not is_loopback(one.url):
            return one
        most = asked.model.max_input_bytes
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=_FETCH_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        try:
            # No redirects: they could lead off this machine.
            async with self._session.get(one.url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise UnusableInputError(f"Failed to download image: status {answer.status}")
                data = await answer.content.read(most + 1)
                while len(data) <= most and (more := await answer.content.read(most)):
                    data += more
            return describe(data, declared=None, max_bytes=most, strict_mime=False, url=one.url)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise self._unusable(asked, index, "Failed to download image") from exc
        except UnusableInputError as exc:
            raise self._unusable(asked, index, str(exc)) from exc

    def _unusable(self, asked: Asked, index: int, message: str) -> ProviderError:
        field = asked.model.input_field
        return body_error([(f"{field}.{index}" if asked.model.input_is_list else field, message)])

    async def _models(self, request: web.Request) -> web.Response:
        sections = _listed(request, "include")
        wanted = [name.lower() for name in _listed(request, "id")]
        rows: list[dict[str, Any]] = []
        for model in self.world.living_models():
            if wanted and model.id.lower() not in wanted:
                continue
            row: dict[str, Any] = {
                "id": model.id,
                "aliases": [],
                "type": "internal/image-generation",
                "info": {"name": model.id.partition("/")[2], "developer": model.developer},
                "tags": [],
            }
            if "pricing" in sections or "all" in sections:
                price = self.world.price_credits(model) / CREDITS_PER_USD
                unit = {"name": "image", "content": "image", "origin": "output"}
                row["pricing"] = {"kind": "fixed", "units": [{**unit, "price": price, "per": 1}]}
            rows.append(row)
        return _json({"object": "list", "data": rows})

    async def _balance(self, request: web.Request) -> web.Response:
        self._check_key(request)
        return _json({"current_balance": self.world.account.balance_usd, "currency": "USD"})

    async def _transactions(self, request: web.Request) -> web.Response:
        self._check_key(request)
        page = transactions_page(
            self.world.account.entries,
            request.query,
            now=utc_now(),
            delay_s=self.world.profile.billing_delay_s,
        )
        return _json(page)

    async def _logs(self, request: web.Request) -> web.Response:
        self._check_key(request)
        self.world.gate.admit_log_call(now=self.world.clock())
        page = logs_page(
            self.world.account.log,
            request.query,
            now=utc_now(),
            delay_s=self.world.profile.billing_delay_s,
        )
        return _json(page)

    def _check_key(self, request: web.Request) -> None:
        if not self.world.key_is_right(request.headers.get("Authorization")):
            raise ProviderError(401, "Unauthorized: the API key is missing, wrong or disabled")

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        seen = self.world.note("downloads", request.method, request.path, request.headers)
        try:
            answer = self._hosted(request, seen)
        except ProviderError as error:
            answer = self._error(request, error)
        seen.status = answer.status
        hosted = self.world.hosting.get(request.match_info["name"])
        if answer.status == 200 and hosted is not None and hosted.slow:
            return await delivery.dripping(request, answer, seconds=self.world.profile.drip_s)
        return answer

    def _hosted(self, request: web.Request, seen: Seen) -> web.Response:
        if "authorization" in seen.headers:
            raise ProviderError(400, "the API key must not be sent here: this is the picture host")
        hosted = self.world.hosting.get(request.match_info["name"])
        if hosted is None or self.world.clock() >= hosted.expires_at:
            # What was there is gone, what never was is not found; hosts answer either.
            status = 404 if hosted is None or len(hosted.data) % 2 else 410
            return web.Response(
                status=status, body=html_page(status, request.host), content_type="text/html"
            )
        return web.Response(body=hosted.data, content_type=hosted.content_type)

    async def _nothing(self, request: web.Request) -> web.Response:
        raise ProviderError(404, f"Cannot {request.method} {request.path}")

    # --- the emulator's own pages

    async def _bill(self, request: web.Request) -> web.Response:
        return _json(self.world.account.bill.to_json())

    async def _requests(self, request: web.Request) -> web.Response:
        return _json([seen.to_json() for seen in self.world.requests])

    async def _profile(self, request: web.Request) -> web.Response:
        raw = await request.content.read()
        try:
            overrides = json.loads(raw or b"{}")
            if not isinstance(overrides, dict):
                raise ProfileError("expected an object of settings")
            profile = self.world.use(overrides)
        except ValueError as exc:
            return _json({"message": str(exc)}, status=400)
        return _json(profile.to_json())


def _listed(request: web.Request, name: str) -> list[str]:
    values = ",".join(request.query.getall(name, []))
    return [value.strip() for value in values.split(",") if value.strip()]


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _json(body: Any, *, status: int = 200) -> web.Response:
    text = json.dumps(body, ensure_ascii=False)
    return web.Response(status=status, text=text, content_type=_JSON)
