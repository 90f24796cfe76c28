"""The answers: four shapes, two statuses, every way to carry a picture."""

import base64
import io

import pytest
from PIL import Image

from pipeline.emulator.models import RATIO_SIZES
from tests.emulator.asking import MODEL, PNG_URI, size_of

SHAPES = ("choices", "images", "data", "both")


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("shape", SHAPES)
async def test_every_shape_comes_with_either_status(emulator, ask, asker, shape, status):
    """Four shapes times two statuses, each with a picture of the promised size."""
    running = emulator(shapes={shape: 1}, status=status, pictures="plain")
    answer = await ask(running)
    assert answer.status == status
    assert answer.content_type == "application/json"
    assert len(answer.items) == 1
    assert size_of(await asker.picture(answer.items[0])) == (1024, 1024)


async def test_documented_statuses_are_201_for_choices_and_200_for_the_rest(emulator, ask):
    """The mission's own document says 201, the others 200."""
    for shape in SHAPES:
        running = emulator(shapes={shape: 1}, pictures="plain")
        assert (await ask(running)).status == (201 if shape == "choices" else 200)


async def test_choices_shape_has_the_documented_fields(emulator, ask):
    """Shape 1 is the mission's document, field by field."""
    answer = await ask(emulator(pictures="plain"), num_images=2)
    body = answer.body
    assert set(body) == {
        "status",
        "prompt",
        "model",
        "model_owner",
        "tags",
        "num_returns",
        "args",
        "subjobs",
        "output",
    }
    assert (body["prompt"], body["model"], body["num_returns"]) == (["a red chair"], MODEL, 2)
    assert list(body["output"]["choices"][0]) == ["image_base64"]


async def test_images_shape_describes_each_picture(emulator, ask):
    """Shape 2 carries type, name, weight and size beside the URL."""
    running = emulator(shapes={"images": 1}, payload="url", pictures="plain")
    item = (await ask(running, aspect_ratio="16:9")).items[0]
    assert set(item) == {"url", "content_type", "file_name", "file_size", "width", "height"}
    assert (item["width"], item["height"], item["content_type"]) == (1344, 768, "image/png")


async def test_data_shape_keeps_both_keys_and_reports_usage(emulator, ask):
    """Shape 3: the key that carries nothing is there all the same, and is null."""
    running = emulator(shapes={"data": 1}, pictures="plain")
    body = (await ask(running)).body
    assert set(body) == {"data", "meta"}
    assert body["data"][0]["url"] is None
    assert body["meta"]["usage"] == {"credits_used": 84_000, "usd_spent": 0.042}


async def test_both_lists_of_shape_four_show_the_same_pictures(emulator, ask):
    """Shape 4 repeats itself; a client that takes both gets every picture twice."""
    body = (await ask(emulator(shapes={"both": 1}, pictures="plain"), num_images=3)).body
    assert [i["b64_json"] for i in body["images"]] == [d["b64_json"] for d in body["data"]]
    assert len(body["data"]) == 3


async def test_usage_is_absent_when_the_profile_says_so(emulator, ask):
    """Neither headers nor `meta.usage`: then only the bill knows the price."""
    running = emulator(
        shapes={"data": 1},
        usage_meta=False,
        cost_headers=False,
        inference_id_header=False,
        pictures="plain",
    )
    answer = await ask(running)
    assert "meta" not in answer.body
    assert not any(name.startswith("x-") for name in answer.headers)


async def test_cost_and_tracing_headers(emulator, ask):
    """The price of this request, the inference id of the bill, and the caller's own id."""
    running = emulator(pictures="plain")
    answer = await ask(running, num_images=2, request_id="run:1.edit_7-a")
    assert answer.headers["x-aimlapi-credits-used"] == "168000"
    assert answer.headers["x-aimlapi-usd-spent"] == "0.084"
    assert answer.headers["x-inference-id"] == running.bill.charges[0].inference_id
    assert answer.headers["x-client-request-id"] == "run:1.edit_7-a"


@pytest.mark.parametrize("wrong", ["has space", "ümlaut", "x" * 129, "slash/es"])
async def test_invalid_client_request_id_is_dropped_in_silence(emulator, ask, wrong):
    """It is neither echoed nor stored, and nothing is said about it."""
    running = emulator(pictures="plain")
    answer = await ask(running, headers={"X-Client-Request-Id": wrong})
    assert answer.status == 201
    assert "x-client-request-id" not in answer.headers
    assert running.bill.charges[0].client_request_id is None


async def test_prefix_and_whitespace_in_base64(emulator, ask, asker):
    """Both occur in the wild, alone and together."""
    running = emulator(b64_prefix=1, b64_whitespace=1, pictures="plain")
    text = (await ask(running)).items[0]["image_base64"]
    assert text.startswith("data:image/png;base64,")
    assert text.count("\n") > 1
    assert size_of(base64.b64decode(text.partition(",")[2])) == (1024, 1024)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp"])
async def test_output_format_follows_the_weights_under_a_png_name(emulator, ask, asker, form):
    """The name says PNG whatever it is: only the bytes can be trusted."""
    running = emulator(shapes={"images": 1}, formats={form: 1}, pictures="plain")
    item = (await ask(running)).items[0]
    assert item["file_name"].endswith(".png")
    with Image.open(io.BytesIO(await asker.picture(item))) as picture:
        assert (picture.format, picture.size) == (form.upper(), (1024, 1024))


@pytest.mark.parametrize("ratio", RATIO_SIZES)
async def test_size_follows_the_ratio_table(emulator, ask, asker, ratio):
    """About a megapixel, whatever went in."""
    answer = await ask(emulator(pictures="plain"), aspect_ratio=ratio)
    assert size_of(await asker.picture(answer.items[0])) == RATIO_SIZES[ratio]


async def test_mixed_payload_uses_base64_urls_and_both(emulator, ask):
    """With `mixed`, an item carries one of them or both."""
    running = emulator(shapes={"data": 1}, payload="mixed", pictures="plain")
    items = [(await ask(running, prompt=f"p{n}")).items[0] for n in range(24)]
    kinds = {(item["url"] is not None, item["b64_json"] is not None) for item in items}
    assert kinds == {(True, False), (False, True), (True, True)}


@pytest.mark.parametrize(
    ("model", "option", "carried"),
    [
        ("google/nano-banana-edit", {"convert_base64_to_url": True}, "url"),
        ("google/nano-banana-edit", {"convert_base64_to_url": False}, "b64_json"),
        ("bytedance/seedream-4-5", {"response_format": "url"}, "url"),
        ("bytedance/seedream-4-5", {"response_format": "b64_json"}, "b64_json"),
    ],
)
async def test_a_payload_that_the_body_asks_for_wins(emulator, ask, model, option, carried):
    """Models that let the caller choose between URL and base64 do as they are told."""
    running = emulator(shapes={"data": 1}, payload="mixed", pictures="plain")
    item = (await ask(running, model=model, **option)).items[0]
    assert [name for name, value in item.items() if value] == [carried]


async def test_sister_models_take_their_own_input_field(emulator, ask, asker):
    """One string instead of a list, another name, another default shape."""
    running = emulator(pictures="plain")
    flux = await ask(
        running, model="flux/kontext-pro/image-to-image", image_urls=..., image_url=PNG_URI
    )
    assert size_of(await asker.picture(flux.items[0])) == RATIO_SIZES["16:9"]
    qwen = await ask(running, model="alibaba/qwen-image-edit", image_urls=..., image=PNG_URI)
    assert size_of(await asker.picture(qwen.items[0])) == RATIO_SIZES["4:3"]
    sized = await ask(
        running,
        model="blackforestlabs/flux-2-edit",
        image_size={"width": 640, "height": 320},
    )
    assert size_of(await asker.picture(sized.items[0])) == (640, 320)
    large = await ask(running, model="google/gemini-3-pro-image-edit", resolution="2K")
    assert size_of(await asker.picture(large.items[0])) == (2048, 2048)
