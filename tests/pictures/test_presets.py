"""The presets: data that is sound, says where it comes from, and gives what it promises."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from pipeline.errors import JobError
from pipeline.pictures.presets import load_presets, preset
from pipeline.pictures.renditions import render
from tests.pictures.picture_samples import noise

PAGE = Path(__file__).parents[2] / "docs" / "renditions.md"


@pytest.mark.parametrize("name", load_presets())
def test_every_preset_works_and_says_where_it_comes_from(name: str) -> None:
    found = preset(name)
    found.spec.check(name)
    assert found.title
    assert found.chosen
    assert found.documents or name.startswith("web-")
    for document in found.documents:
        assert document.source.startswith("https://")
        assert re.fullmatch(r"20\d\d(-\d\d-\d\d)?", document.date)
        assert document.says.endswith(".")


@pytest.mark.parametrize("name", load_presets())
def test_every_preset_keeps_its_promise_for_a_megapixel(name: str) -> None:
    image = noise((1184, 864))
    ground = Image.new("RGB", (1184, 864), "white")
    mask = Image.new("L", ground.size, 0)
    ImageDraw.Draw(mask).ellipse((300, 100, 700, 700), fill=255)
    ground.paste(image, mask=mask)
    buffer = io.BytesIO()
    ground.save(buffer, "PNG", compress_level=1)
    spec = preset(name).spec
    made = render(buffer.getvalue(), spec)
    if spec.allow_upscale and spec.fit != "inside":
        assert (made.width, made.height) == (spec.width, spec.height)
    assert made.format == spec.format
    assert spec.max_bytes is None or len(made.data) <= spec.max_bytes


def test_amazons_share_of_the_frame_and_white_are_reached() -> None:
    image = Image.new("RGB", (1000, 1000), (251, 252, 251))
    ImageDraw.Draw(image).rectangle((400, 300, 600, 800), fill=(120, 40, 30))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    made = Image.open(io.BytesIO(render(buffer.getvalue(), preset("amazon-main").spec).data))
    box = made.convert("L").point(lambda value: 255 * (value < 200)).getbbox()
    assert box is not None
    assert (box[3] - box[1]) / made.height >= 0.85
    assert made.crop((0, 0, 100, 2000)).getextrema() == ((255, 255),) * 3


def test_an_unknown_preset_is_met_with_the_nearest() -> None:
    with pytest.raises(JobError, match="did you mean 'amazon-main'"):
        preset("amazon-mian")


def test_the_docs_list_every_preset_with_what_is_confirmed() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## Presets")[2].partition("\n### ")[0]
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| .* \| ([^|]*) \|$", page, re.MULTILINE))
    assert rows.keys() == load_presets().keys()
    for name, found in load_presets().items():
        confirmed = sum(document.confirmed for document in found.documents)
        expected = f"{confirmed} of {len(found.documents)}" if found.documents else "ours"
        assert rows[name] == expected, name


def test_the_docs_say_of_every_figure_whether_it_is_confirmed() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("### What the platforms say")[2]
    found = re.findall(r"^\| `(\S+)` \| \[(.*)\]\((.*)\) \| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert found == [
        (name, one.says, one.source, one.date, "**yes**" if one.confirmed else "no")
        for name, preset in load_presets().items()
        for one in preset.documents
    ]
