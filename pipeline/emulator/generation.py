"""`POST /v1/images/generations`: one request, from its bytes to its answer. Reads top to bottom."""

import asyncio
import contextlib
import math
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime

from aiohttp import web

from pipeline.emulator import answers, delivery
from pipeline.emulator.faultnames import FAULTS, SPOILT, Moment
from pipeline.emulator.faults import Decision
from pipeline.emulator.inputs import Input
from pipeline.emulator.pictures import BrokenInputError, Picture
from pipeline.emulator.problems import ProviderError, html_page
from pipeline.emulator.validate import Asked, parse, unknown_model
from pipeline.emulator.world import Seen, World, new_id, utc_now

Fetch = Callable[[Asked], Awaitable[tuple[Input, ...]]]

_REFUSAL = (
    "Your request was rejected by the safety system: the prompt or an input image goes against "
    "the content policy (prohibited content)."
)
_INLINE_BYTES = 64 * 1024
"""Smaller bodies are parsed on the loop, where a hop to a thread would cost more."""
_LARGE_AT_ONCE = 32
"""So many larger bodies are read and parsed at a time, whatever the number of requests."""


class Generations:
    """Answers image requests in one `World`; `fetch` loads the inputs that came as URLs."""

    def __init__(self, world: World, fetch: Fetch) -> None:
        self._world = world
        self._fetch = fetch
        # Who asks again because of what was wrong with a picture gets others.
        self._spoilt: Counter[str] = Counter()
        # Large bodies are taken in a few at a time; the rest wait in the kernel, not in memory.
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def answer(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        """Answer one request.

        Raises:
            ProviderError: every answer with an error status and one of the provider's bodies.
        """
        world = self._world
        length = request.content_length
        is_large = length is None or length > _INLINE_BYTES
        with contextlib.ExitStack() as place:
            async with self._large if is_large else contextlib.nullcontext():
                limit = round(world.profile.max_body_mb * 1024 * 1024)
                raw = await _read(request, most_bytes=limit)
                if not world.key_is_right(request.headers.get("Authorization")):
                    raise ProviderError(401, "Unauthorized: the API key is missing or wrong")
                place.enter_context(world.gate.place(now=world.clock()))
                asked = await self._parsed(raw, request.content_type)
                del raw
            seen.body = asked.to_json()
            world.gate.admit_images(asked.count, now=world.clock())
            if world.profile.pictures == "plain" and not world.profile.may_meet("no_op_edit"):
                # Nobody looks at the inputs again: hundreds of waiting requests would hold them.
                asked = asked.without_bytes()
            return await self._admitted(request, seen, asked)

    async def _parsed(self, raw: bytes, content_type: str) -> Asked:
        strict = self._world.profile.strict_mime
        is_json = content_type == "application/json" or content_type.endswith("+json")

        def work() -> Asked:
            return parse(raw, is_json=is_json, strict_mime=strict)

        if len(raw) <= _INLINE_BYTES:
            asked = work()
        else:
            loop = asyncio.get_running_loop()
            asked = await loop.run_in_executor(self._world.painter.pool, work)
        if any(one.data is None for one in asked.inputs):
            inputs = await self._fetch(asked)
            asked = Asked(asked.model, asked.prompt, inputs, asked.count, asked.options)
        return asked

    async def _admitted(self, request: web.Request, seen: Seen, asked: Asked) -> web.StreamResponse:
        world = self._world
        if world.is_withdrawn(asked.model):
            raise unknown_model(asked.model.id)
        decision = world.plan.next(
            asked.key,
            prompt=asked.prompt,
            model=asked.model.id,
            client_request_id=seen.client_request_id,
        )
        seen.attempt, seen.fault = decision.attempt, decision.fault
        held = asked.count * world.price_credits(asked.model)
        if not world.account.reserve(held):
            raise self._no_credits(decision.dice)
        try:
            if decision.fault is not None and FAULTS[decision.fault] is Moment.DOOR:
                return await self._turned_away(request, asked, decision)
            return await self._worked_on(request, seen, asked, decision)
        finally:
            world.account.release(held)

    async def _turned_away(
        self, request: web.Request, asked: Asked, decision: Decision
    ) -> web.StreamResponse:
        match decision.fault:
            case "reset_before_work":
                return delivery.reset(request)
            case "never_answers":
                return await delivery.never(request)
            case "gateway_502_html":
                return _page(502, request)
            case "rate_limited":
                raise self._world.gate.refusal("Too Many Requests", 1.0)
            case "model_withdrawn":
                raise unknown_model(asked.model.id)
            case _:
                raise self._no_credits(decision.dice)

    async def _worked_on(
        self, request: web.Request, seen: Seen, asked: Asked, decision: Decision
    ) -> web.StreamResponse:
        world, profile, dice = self._world, self._world.profile, decision.dice
        created, started = utc_now(), world.clock()
        seen.inference_id = new_id()
        median, sigma = profile.latency.median_s, profile.latency.sigma
        latency = min(profile.latency.max_s, median * math.exp(sigma * dice.gauss(0.0, 1.0)))

        number = asked.count - 1 if decision.fault == "fewer_pictures" else asked.count
        works = decision.fault is None or FAULTS[decision.fault] is not Moment.WORK
        pictures: list[Picture] = []
        if works and number:
            try:
                first = self._spoilt[asked.subject]
                if decision.fault in SPOILT:
                    self._spoilt[asked.subject] += number
                pictures = await world.painter.paint(asked, profile, dice, number, first=first)
            except BrokenInputError as exc:
                world.log(seen, asked.model, created=created, spent=None)
                raise ProviderError(400, "Unable to process input image") from exc
        await asyncio.sleep(max(0.0, latency - (world.clock() - started)))
        await world.hold.passed(request)
        if not pictures:
            world.log(seen, asked.model, created=created, spent=None)
            return self._without_pictures(request, seen, asked, decision)
        return await self._charged(request, seen, asked, decision, pictures, created)

    async def _charged(
        self,
        request: web.Request,
        seen: Seen,
        asked: Asked,
        decision: Decision,
        pictures: list[Picture],
        created: datetime,
    ) -> web.StreamResponse:
        world = self._world
        charge = world.charge(seen, asked.model, len(pictures))
        world.log(seen, asked.model, created=created, spent=charge.credits)
        answer = answers.with_pictures(world, seen, asked, decision, pictures, charge.credits)
        match decision.fault:
            case "status_524_after_billing":
                return _page(524, request)
            case "reset_after_work":
                return delivery.reset(request)
            case "truncated_body":
                return await delivery.truncated(request, answer)
            case "dripping_body":
                return await delivery.dripping(request, answer, seconds=world.profile.drip_s)
            case "endless_body":
                most = world.profile.endless_bytes
                return await delivery.endless(request, answer, most_bytes=most)
            case "gzip_bomb":
                size = world.profile.bomb_bytes
                return await delivery.bomb(request, answer, unpacked_bytes=size)
            case _:
                return answer

    def _without_pictures(
        self, request: web.Request, seen: Seen, asked: Asked, decision: Decision
    ) -> web.StreamResponse:
        match decision.fault:
            case "status_500":
                raise ProviderError(500, "Internal server error")
            case "status_503" if decision.dice.random() < 0.5:
                return web.Response(status=503)  # the third error body: nothing at all
            case "status_503":
                raise ProviderError(503, "Service temporarily unavailable")
            case "status_504":
                return _page(504, request)
            case "refused_400":
                raise ProviderError(400, _REFUSAL, name="ContentPolicyException")
            case _:
                return answers.without_pictures(self._world, seen, asked, decision)

    def _no_credits(self, dice: random.Random) -> ProviderError:
        wanted = self._world.profile.credits_status
        status = dice.choice((402, 403)) if wanted == "mixed" else wanted
        return ProviderError(
            status,
            "You've run out of credits. Please top up your balance to continue.",
            name="OutOfFundsException",
            kind="err_insufficent_credits",
        )


def _page(status: int, request: web.Request) -> web.Response:
    return web.Response(
        status=status, body=html_page(status, request.host), content_type="text/html"
    )


async def _read(request: web.Request, *, most_bytes: int) -> bytes:
    too_large = ProviderError(413, "request entity too large", name="PayloadTooLargeError")
    if (request.content_length or 0) > most_bytes:
        raise too_large
    pieces: list[bytes] = []
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > most_bytes:
            raise too_large
        pieces.append(piece)
    return b"".join(pieces)
