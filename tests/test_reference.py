"""The provider's own example, as a CSV job. Runs where its pictures lie beside the checkout."""

import asyncio
import csv
from collections.abc import Callable
from pathlib import Path

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"
PROMPT = (
    "Combine the images so the T-Rex is wearing a business suit, sitting in a cozy small café,"
    " drinking from the mug. Blur the background slightly to create a bokeh effect."
)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference pictures are not here")
def test_the_example_of_the_provider_goes_out_as_documented(
    shop: Shop, emulator: Callable[..., RunningEmulator]
) -> None:
    shop.write("")
    for name in ("t-rex.png", "blue-mug.jpg"):
        (shop.manifest.parent / name).write_bytes((REFERENCE / name).read_bytes())
    with shop.manifest.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([["id", "images", "prompt"], ["t-rex", "t-rex.png|blue-mug.jpg", PROMPT]])
    endpoint = emulator()
    result = asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}))
    assert result.totals.succeeded == 1
    [request] = endpoint.requests
    body = request["body"]
    assert (body["model"], body["prompt"]) == ("google/gemini-2.5-flash-image-edit", PROMPT)
    rex, mug = body["image_urls"]
    assert (rex["mime"], mug["mime"]) == ("image/png", "image/jpeg")
    assert rex["bytes"] <= (REFERENCE / "t-rex.png").stat().st_size
    assert body.keys() <= {"model", "prompt", "image_urls", "aspect_ratio", "num_images"}
    [image] = (shop.outputs / "images").iterdir()
    assert image.name == "t-rex.png"
