"""`inputs.fit`, `outputs.size` and `outputs.alpha` in a run: what is sent, and what lies there."""

import asyncio
import csv
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints.catalog import model_spec
from pipeline.errors import JobError
from pipeline.finishing import Sent, finish
from pipeline.inputs import final_parameters
from pipeline.job import load_job
from pipeline.pictures.framing import Shape
from pipeline.pictures.offered import asked_ratio, offered
from pipeline.pictures.prepare import PrepareSettings, prepare
from pipeline.running import RunResult
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]
ODD = (857, 1024)
GEMINI = "google/gemini-2.5-flash-image-edit"


def run(shop: Shop, url: str, **options: Any) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=url, environ={}, **options))


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def odd_shop(shop: Shop, **job: Any) -> Shop:
    """One edit of a picture whose shape no model has, with a transparent ground."""
    shop.write("id,images\nodd,odd.png\n", **job)
    picture = Image.new("RGBA", ODD, (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((200, 200, 650, 800), fill=(200, 40, 40, 255))
    picture.save(shop.manifest.parent / "odd.png")
    return shop


def asked(endpoint: RunningEmulator) -> list[dict[str, Any]]:
    return [request["body"] for request in endpoint.requests]


@pytest.mark.parametrize(
    ("fit", "size", "finished"),
    [
        ("pad", "same_as_input", ODD),
        ("pad", "as_returned", None),
        ("crop", "same_as_input", (796, 1024)),
        ("none", "300x200", (300, 200)),
        ("pad", "original", ODD),
    ],
)
def test_the_finished_picture_has_the_shape_that_the_job_wants(
    shop: Shop, emulator: Emulators, fit: str, size: str, finished: tuple[int, int] | None
) -> None:
    endpoint = emulator(pictures="plain")
    job = odd_shop(
        shop, inputs={"fit": fit}, outputs={"size": size, "directory": "../outputs/shop"}
    )
    result = run(job, endpoint.url)
    assert result.totals.succeeded == 1
    [body] = asked(endpoint)
    assert body["aspect_ratio"] == "4:5"
    with (shop.outputs / "results.csv").open(newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert (row["images"], row["finished"]) == ("images/odd.png", "finished/odd.png")
    assert size_of(shop.outputs / row["images"]) == (896, 1152), "as it came"
    came = size_of(shop.outputs / row["finished"])
    if finished is not None:
        assert came == finished
    else:
        assert came[0] / came[1] == pytest.approx(ODD[0] / ODD[1], abs=0.002)


def test_padding_is_just_what_the_model_answers_with(shop: Shop, emulator: Emulators) -> None:
    """The sent picture has the pixels' own ratio, 896 x 1152, not 4:5."""
    endpoint = emulator(pictures="plain")
    run(odd_shop(shop, inputs={"fit": "pad"}), endpoint.url)
    [(text,)] = rows(shop, "SELECT sent FROM edits")
    sent = Sent.read(text)
    assert sent.framing is not None
    width, height = sent.framing.canvas
    assert width / height == pytest.approx(896 / 1152, abs=0.001)
    assert (sent.ratio, sent.framing.ratio) == ("4:5", "4:5")


def test_an_edit_with_a_ratio_of_its_own_is_brought_to_that(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    odd_shop(shop, inputs={"fit": "pad"}, parameters={"aspect_ratio": "16:9"})
    run(shop, endpoint.url)
    assert asked(endpoint)[0]["aspect_ratio"] == "16:9"
    with Image.open(shop.outputs / "finished" / "odd.png") as picture:
        assert picture.width / picture.height == pytest.approx(ODD[0] / ODD[1], abs=0.003)


def test_transparency_comes_back(shop: Shop, emulator: Emulators) -> None:
    odd_shop(shop, inputs={"fit": "pad"}, outputs={"alpha": "restore", "size": "same_as_input"})
    result = run(shop, emulator(pictures="plain").url)
    assert result.totals.succeeded == 1
    with Image.open(shop.outputs / "finished/odd.png") as out:
        alpha = out.getchannel("A")
        assert (out.size, alpha.getpixel((2, 2)), alpha.getpixel((425, 500))) == (ODD, 0, 255)


def test_an_answer_of_another_shape_is_turned_down_with_the_reason(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "wrong_shape"}])
    odd_shop(shop, inputs={"fit": "pad"}, outputs={"size": "same_as_input"})
    result = run(shop, endpoint.url)
    assert result.totals.rejected == 1
    [(status, code, message)] = rows(shop, "SELECT status, error_code, error_message FROM edits")
    assert (status, code) == ("rejected", "check_failed")
    assert message.startswith("finish: the answer is 1152 x 896, not 4:5 as asked")
    assert (shop.outputs / "images/odd.png").is_file()
    assert not (shop.outputs / "finished/odd.png").exists()


def test_a_re_roll_s_finished_picture_takes_the_name(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "wrong_shape", "when": {"nth": 1}}])
    odd_shop(shop, inputs={"fit": "pad"}, checks={"ratio": True, "rerolls": 1})
    assert run(shop, endpoint.url).totals.succeeded == 1
    assert [path.name for path in (shop.outputs / "finished").rglob("*")] == ["odd.png"]
    assert rows(shop, "SELECT path FROM finished") == [("finished/odd.png",)]


def test_it_can_be_made_again_from_what_the_ledger_says(shop: Shop, emulator: Emulators) -> None:
    odd_shop(shop, inputs={"fit": "pad"}, outputs={"size": "same_as_input"})
    run(shop, emulator().url)
    [(text,)] = rows(shop, "SELECT sent FROM edits")
    made = finish(
        load_job(shop.job),
        shop.outputs / "images/odd.png",
        sent=Sent.read(text),
        source=shop.manifest.parent / "odd.png",
    )
    with Image.open(shop.outputs / "finished/odd.png") as before:
        kept = before.convert("RGB").tobytes()
    import io

    with Image.open(io.BytesIO(made.image)) as again:
        assert again.convert("RGB").tobytes() == kept


def test_jobs_without_it_are_asked_for_nothing_new(shop: Shop, emulator: Emulators) -> None:
    """Size and transparency of the results are no part of what is asked for; the fit is."""
    endpoint = emulator(pictures="plain")
    run(odd_shop(shop), endpoint.url)
    odd_shop(shop, outputs={"size": "same_as_input", "alpha": "restore"})
    assert (pipeline.plan(shop.job).unchanged, pipeline.plan(shop.job).requests) == (1, 0)
    odd_shop(shop, inputs={"fit": "pad"})
    assert pipeline.plan(shop.job).changed == 1


def test_a_model_without_shapes_is_refused(shop: Shop) -> None:
    shop.with_edits(1, inputs={"fit": "pad"}, endpoint={"model": "reve/edit-image"})
    with pytest.raises(JobError, match="reve/edit-image has no list of shapes"):
        pipeline.check(shop.job)


def test_named_sizes_are_shapes_too() -> None:
    model = model_spec("blackforestlabs/flux-2-edit")
    found = offered(model, {})
    assert Shape("landscape_4_3", 4, 3) in found
    assert offered(model, {"image_size": {"width": 800, "height": 400}}) == (
        Shape("800x400", 2, 1),
    )
    assert asked_ratio(model, {"image_size": "portrait_16_9"}) == "9:16"
    assert asked_ratio(model, {"image_size": {"width": 800, "height": 400}}) == "800x400"
    settings = PrepareSettings(fit="pad", shapes=found)
    with_size = final_parameters(model, {}, [prepare(_png((900, 700)), settings)])
    assert with_size == {"image_size": "landscape_4_3"}


def test_only_the_first_input_is_brought_into_shape(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.write("id,images\nboth,odd.png|strip.png\n", inputs={"fit": "pad"})
    for name, size in (("odd.png", ODD), ("strip.png", (400, 100))):
        (shop.manifest.parent / name).write_bytes(_png(size))
    run(shop, endpoint.url)
    first, second = asked(endpoint)[0]["image_urls"]
    assert (first["width"], first["height"]) != ODD
    assert (second["width"], second["height"]) == (400, 100)


def _png(size: tuple[int, int]) -> bytes:
    import io

    out = io.BytesIO()
    Image.effect_noise(size, 60).convert("RGB").save(out, "PNG")
    return out.getvalue()
