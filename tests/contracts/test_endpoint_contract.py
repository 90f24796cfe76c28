"""What every endpoint promises, run against the provider as the emulator plays it.

Answers that only a script can give (half a status line, garbage between chunks) are in
`tests/endpoints/test_aimlapi.py`.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.emulator.faultnames import FAULTS
from pipeline.emulator.testing import RunningEmulator, emulator
from pipeline.endpoints import Endpoint, open_endpoint
from pipeline.endpoints.catalog import load_catalog, model_spec
from pipeline.errors import (
    AuthenticationError,
    BadResponseError,
    ConnectionFailed,
    ContentRefusedError,
    ModelGoneError,
    NoImageError,
    PipelineError,
    QuotaExceededError,
    RateLimitError,
    RequestRejectedError,
    ServerError,
    TransientError,
)
from pipeline.models import EditRequest, EditResponse, PreparedImage
from pipeline.pictures.verify import inspect_picture
from pipeline.stores import open_store
from tests.endpoints.memory_drafts import MemoryDrafts
from tests.endpoints.pictures import picture

__all__ = ["emulator"]

KEY = "sk-contract-0123456789"
MODEL = "google/gemini-2.5-flash-image-edit"
Start = Callable[..., RunningEmulator]
Open = Callable[..., AbstractAsyncContextManager[Endpoint]]

PLAIN: dict[str, Any] = {
    "pictures": "plain",
    "drip_s": 0.02,
    "bomb_bytes": 100_000_000,
    "endless_bytes": 100_000_000,
}


@pytest.fixture(params=["aimlapi"])
def opening(request: pytest.FixtureRequest) -> Open:
    """Opens an endpoint of each provider."""

    @asynccontextmanager
    async def opened(url: str, model: str = MODEL, **settings: Any) -> AsyncIterator[Endpoint]:
        settings = {"api_key": KEY, "timeout_s": 20.0, "download_timeout_s": 5.0} | settings
        endpoint = open_endpoint(request.param, model=model_spec(model), base_url=url, **settings)
        try:
            yield endpoint
        finally:
            await endpoint.close()

    return opened


def a_request(
    number: int = 1, *, inputs: int = 1, prompt: str = "on white", **parameters: Any
) -> EditRequest:
    image = PreparedImage(mime="image/png", parts=(picture(),), width=24, height=16)
    return EditRequest(
        id=f"run.{number}", prompt=prompt, images=(image,) * inputs, parameters=parameters
    )


async def failure(endpoint: Endpoint, request: EditRequest | None = None) -> PipelineError:
    drafts = MemoryDrafts()
    with pytest.raises(PipelineError) as caught:
        await endpoint.edit(request or a_request(), draft=drafts)
    assert drafts.open == []
    assert KEY not in str(caught.value)
    return caught.value


def formats(response: EditResponse) -> list[str | None]:
    return [Image.open(io.BytesIO(draft.data)).format for draft in response.images]  # type: ignore[attr-defined]


@pytest.mark.parametrize("payload", ["base64", "url"])
@pytest.mark.parametrize("shape", ["choices", "images", "data", "both"])
async def test_every_shape_and_delivery_gives_every_picture(
    emulator: Start, opening: Open, shape: str, payload: str
) -> None:
    running = emulator(
        **PLAIN, shapes={shape: 1}, payload=payload, status="mixed", b64_prefix=0.5,
        b64_whitespace=0.5, formats={"png": 1, "jpeg": 1, "webp": 1},
    )  # fmt: skip
    drafts = MemoryDrafts()
    async with opening(running.url) as endpoint:
        for number in range(4):
            response = await endpoint.edit(a_request(number, num_images=2), draft=drafts)
            assert set(formats(response)) <= {"PNG", "JPEG", "WEBP"}
            assert len(response.images) == 2
            assert response.cost_usd == pytest.approx(0.084)
            assert response.inference_id
    assert len(drafts.open) == 8
    assert running.bill.pictures == 8


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({"cost_headers": True}, "header"),
        ({"cost_headers": False, "shapes": {"data": 1}}, "body"),
        ({"cost_headers": False, "shapes": {"choices": 1}}, "catalog"),
    ],
)
async def test_the_cost_is_the_bills_wherever_it_is_stated(
    emulator: Start, opening: Open, settings: dict[str, Any], source: str
) -> None:
    running = emulator(**PLAIN, **settings)
    async with opening(running.url) as endpoint:
        response = await endpoint.edit(a_request(num_images=3), draft=MemoryDrafts())
    assert response.cost_source == source
    assert response.cost_usd == pytest.approx(running.bill.total_usd)


async def test_requests_are_known_by_the_id_they_were_given(emulator: Start, opening: Open) -> None:
    running = emulator(**PLAIN)
    async with opening(running.url) as endpoint:
        response = await endpoint.edit(a_request(41), draft=MemoryDrafts())
    (charge,) = running.bill.charges
    assert charge.client_request_id == "run.41"
    assert charge.inference_id == response.inference_id


@pytest.mark.parametrize("model", load_catalog())
async def test_every_model_of_the_catalog_takes_our_requests(
    emulator: Start, opening: Open, model: str
) -> None:
    running = emulator(**PLAIN)
    spec = model_spec(model)
    most = {spec.count_field: spec.max_count} if spec.count_field else {}
    async with opening(running.url, model) as endpoint:
        response = await endpoint.edit(
            a_request(inputs=spec.max_images, **most), draft=MemoryDrafts()
        )
    assert len(response.images) == spec.max_count


Expected = tuple[type[PipelineError], bool]

FAULT_TABLE: dict[str, Expected | None] = {
    # fault: the error, and whether it may have been charged; None: no fault to the endpoint
    "reset_before_work": (ConnectionFailed, True),
    "gateway_502_html": (ServerError, False),
    "rate_limited": (RateLimitError, False),
    "no_credits": (QuotaExceededError, False),
    "model_withdrawn": (ModelGoneError, False),
    "never_answers": (ConnectionFailed, True),
    "status_500": (ServerError, False),
    "status_503": (ServerError, False),
    "status_504": (ServerError, True),
    "refused_400": (ContentRefusedError, False),
    "refused_200_text": (ContentRefusedError, False),
    "empty_choices": (NoImageError, False),
    "null_picture": (NoImageError, False),
    "bad_base64": (BadResponseError, False),
    "not_a_picture": None,
    "fewer_pictures": None,
    "identical_pictures": None,
    "no_op_edit": None,
    "blank_picture": None,
    "wrong_shape": None,
    "repeated_picture": None,
    "expired_url": (BadResponseError, True),
    "slow_download": None,
    "wrong_content_type": None,
    "status_524_after_billing": (ServerError, True),
    "reset_after_work": (ConnectionFailed, True),
    "truncated_body": (ConnectionFailed, True),
    "dripping_body": None,
    "endless_body": (BadResponseError, False),
    "gzip_bomb": (BadResponseError, False),
}


def test_every_fault_of_the_emulator_is_in_the_table() -> None:
    assert set(FAULT_TABLE) == set(FAULTS)


@pytest.mark.parametrize(
    ("fault", "style"),
    [
        *((fault, "plain") for fault in FAULT_TABLE),
        # Those whose body is the provider's, in its other formats.
        *((fault, "list") for fault in ("status_500", "refused_400", "rate_limited")),
        *((fault, "problem") for fault in ("status_500", "refused_400", "model_withdrawn")),
    ],
)
async def test_every_fault_ends_as_it_should(
    emulator: Start, opening: Open, fault: str, style: str
) -> None:
    expected = FAULT_TABLE[fault]
    running = emulator(
        **PLAIN, script=[{"fault": fault}], error_bodies={style: 1}, shapes={"data": 1, "both": 1}
    )
    limits = {"max_response_bytes": 30_000_000}
    if fault == "never_answers":
        limits = {"timeout_s": 0.05}
    drafts = MemoryDrafts()
    async with opening(running.url, **limits) as endpoint:
        if expected is None:
            response = await endpoint.edit(a_request(num_images=2), draft=drafts)
            assert len(response.images) == (1 if fault == "fewer_pictures" else 2)
            assert len(drafts.open) == len(response.images)
            return
        error = await failure(endpoint, a_request(num_images=2))
    assert (type(error), getattr(error, "sent", False)) == expected
    charged = running.bill.pictures
    if charged and isinstance(error, TransientError) and not error.sent:
        # Charged and answered: then the error says so, or is of the kind that counts as charged.
        assert error.cost_usd or isinstance(error, BadResponseError)
    if not charged and isinstance(error, TransientError):
        assert not error.cost_usd


async def test_a_wrong_key_ends_the_run(emulator: Start, opening: Open) -> None:
    running = emulator(**PLAIN, accepted_key="sk-right")
    async with opening(running.url) as endpoint:
        assert isinstance(await failure(endpoint), AuthenticationError)


async def test_a_wrong_request_is_rejected_in_the_providers_words(
    emulator: Start, opening: Open
) -> None:
    running = emulator(**PLAIN)
    async with opening(running.url) as endpoint:
        error = await failure(endpoint, a_request(num_images=9))
    assert isinstance(error, RequestRejectedError)
    assert "num_images" in str(error)
    assert error.body


@pytest.mark.parametrize("retry_after", ["seconds", "date", "absent"])
async def test_a_rate_limit_says_how_long_to_wait_if_the_provider_does(
    emulator: Start, opening: Open, retry_after: str
) -> None:
    limits = {"requests_per_minute": 1, "burst": 1, "retry_after": retry_after, "retry_after_s": 30}
    running = emulator(**PLAIN, limits=limits)
    async with opening(running.url) as endpoint:
        await endpoint.edit(a_request(1), draft=MemoryDrafts())
        error = await failure(endpoint, a_request(2))
    assert isinstance(error, RateLimitError)
    if retry_after == "absent":
        assert error.retry_after is None
    else:
        assert error.retry_after is not None
        assert 28 <= error.retry_after <= 31


async def test_many_requests_at_once_do_not_mix_their_answers(
    emulator: Start, opening: Open, tmp_path: Path
) -> None:
    running = emulator("storm", pictures="plain", faults={}, limits={"concurrency": None})
    store = open_store(tmp_path)

    async def one(endpoint: Endpoint, number: int) -> tuple[str, str]:
        response = await endpoint.edit(
            a_request(number, aspect_ratio="1:1" if number % 2 else "16:9"), draft=store.draft
        )
        stored = await store.put(response.images[0], f"{number}", inspect=inspect_picture)
        return f"{number}", f"{stored.width}x{stored.height}"

    async with opening(running.url) as endpoint:
        sizes = dict(await asyncio.gather(*(one(endpoint, number) for number in range(30))))
    await store.close()
    assert sizes == {f"{n}": "1024x1024" if n % 2 else "1344x768" for n in range(30)}
    assert len(list((tmp_path / "images").iterdir())) == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]
