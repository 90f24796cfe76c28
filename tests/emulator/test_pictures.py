"""The pictures: real inputs composed, the right size, each different, and honest about it."""

import io
import random

import pytest
from PIL import Image, ImageChops, ImageDraw

from pipeline.emulator import lettering, palette, studio
from pipeline.emulator.models import RATIO_SIZES, nearest_ratio
from pipeline.emulator.png import plain_png, quick_png
from tests.emulator.asking import data_uri, picture_bytes, size_of


def product() -> bytes:
    """A dark thing on white, as catalogs have them."""
    canvas = Image.new("RGB", (300, 240), "white")
    ImageDraw.Draw(canvas).ellipse((90, 60, 210, 200), fill=(20, 60, 140))
    out = io.BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


def see_through() -> bytes:
    """A cut-out."""
    canvas = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).rectangle((60, 40, 140, 180), fill=(180, 40, 40, 255))
    out = io.BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


def photo(seed: int) -> bytes:
    """Coloured noise, enlarged: full of colour to every edge."""
    canvas = Image.frombytes("RGB", (16, 12), random.Random(seed).randbytes(16 * 12 * 3))
    out = io.BytesIO()
    canvas.resize((320, 240)).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("ratio", ["1:1", "9:16", "21:9"])
@pytest.mark.parametrize("number", [0, 1, 2, 3, 6])
def test_every_layout_has_the_size_that_was_asked_for(ratio, number):
    """None to many inputs, upright and wide; a URL among them is a placeholder."""
    inputs = ([photo(1), product(), see_through(), None] * 2)[:number]
    scene = studio.Scene(RATIO_SIZES[ratio], "a chair by the sea", tuple(inputs), count=2)
    drawn = studio.draw(scene)
    assert (drawn.size, drawn.mode) == (RATIO_SIZES[ratio], "RGB")


def test_each_picture_of_a_request_is_visibly_different():
    """Not by a pixel: by a tenth of the picture at least."""
    scenes = [studio.Scene((512, 512), "a chair", (photo(1),), index=n, count=4) for n in range(4)]
    drawn = [studio.draw(scene) for scene in scenes]
    for one in range(4):
        for other in range(one):
            difference = ImageChops.difference(drawn[one], drawn[other]).convert("L")
            changed = sum(difference.histogram()[12:])
            assert changed > 0.1 * 512 * 512


def test_the_same_scene_is_the_same_picture():
    """No dice in the drawing."""
    scene = studio.Scene((256, 256), "a chair", (photo(1), product()))
    assert studio.encode(studio.draw(scene), "png") == studio.encode(studio.draw(scene), "png")


def test_the_input_is_in_the_picture():
    """Another input, another picture, under the same prompt."""
    one, other = (
        studio.draw(studio.Scene((512, 512), "a chair", (photo(seed),))) for seed in (1, 2)
    )
    assert ImageChops.difference(one, other).getbbox() is not None


def test_the_prompt_is_in_the_picture():
    """The caption differs even where the palette does not."""
    one, other = (
        studio.draw(studio.Scene((512, 512), f"on white, {word}", (photo(1),)))
        for word in ("gently", "boldly")
    )
    box = ImageChops.difference(one, other).getbbox()
    assert box is not None
    assert box[1] >= 512 - lettering.caption_height((512, 512))


def test_a_product_on_white_stands_free_on_the_backdrop():
    """Its white ground is gone: beside it lies the backdrop, not a card."""
    size = (512, 512)
    drawn = studio.draw(studio.Scene(size, "on a terracotta wall", (product(),)))
    empty = studio.draw(studio.Scene(size, "on a terracotta wall", ()))
    spot = (60, 256)
    assert drawn.getpixel(spot) == empty.getpixel(spot)
    assert drawn.getpixel((256, 256)) != empty.getpixel((256, 256))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a blue mug on a pure white background", palette.WHITE),
        ("put the white shoe on a black surface", palette.BLACK),
        ("place it at the beach", palette.SEA),
        ("on a wooden table", palette.WOOD),
        ("a forest scene", palette.FOREST),
    ],
)
def test_the_prompt_chooses_the_backdrop(prompt, expected):
    """The colour next to the setting wins over the colour of the thing."""
    assert palette.palette_of(prompt) == expected


def test_a_prompt_without_colours_has_its_own_palette_every_time():
    """By its hash."""
    prompts = [f"remove the handle {n}" for n in range(40)]
    chosen = [palette.palette_of(prompt) for prompt in prompts]
    assert chosen == [palette.palette_of(prompt) for prompt in prompts]
    assert len(set(chosen)) > 5


@pytest.mark.parametrize(
    "prompt", ["", "x" * 5000, "word " * 900, "日本語のプロンプト", "tab\tand\nline", "a\x00b"]
)
def test_any_prompt_can_be_a_caption(prompt):
    """Empty, endless, foreign, or with control characters."""
    assert studio.draw(studio.Scene((256, 384), prompt, (photo(1),))).size == (256, 384)


def test_long_captions_end_in_an_ellipsis():
    """Two lines, no wider than the band."""
    letters = lettering.font(20)
    lines = lettering.wrapped("some words " * 40, letters, 300, most=2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert all(letters.getlength(line) <= 300 for line in lines)
    assert lettering.wrapped("short", letters, 300, most=2) == ["short"]
    assert lettering.wrapped("", letters, 300, most=2) == []


def test_words_stay_whole_where_they_can():
    """Lines break between words; what is longer than a line breaks anywhere."""
    letters = lettering.font(20)
    assert lettering.wrapped("aaaa bbbb", letters, 60, most=3) == ["aaaa", "bbbb"]
    lines = lettering.wrapped("n" * 60, letters, 300, most=9)
    assert "".join(lines) == "n" * 60
    assert len(lines) > 1


def test_quick_png_is_what_pillow_reads_back():
    """Every pixel, in odd sizes too."""
    picture = Image.frombytes("RGB", (37, 23), random.Random(3).randbytes(37 * 23 * 3))
    with Image.open(io.BytesIO(quick_png(picture))) as read:
        assert read.tobytes() == picture.tobytes()


def test_plain_pictures_are_valid_and_differ_by_seed():
    """And weigh what was asked for."""
    assert size_of(plain_png((1248, 832), "a")) == (1248, 832)
    assert plain_png((64, 64), "a") == plain_png((64, 64), "a")
    assert plain_png((64, 64), "a") != plain_png((64, 64), "b")
    heavy = plain_png((1024, 1024), "a", weight=1_250_000)
    assert (len(heavy), size_of(heavy)) == (1_250_000, (1024, 1024))


@pytest.mark.parametrize(
    ("size", "ratio"),
    [((1000, 1000), "1:1"), ((4000, 3000), "4:3"), ((1080, 1920), "9:16"), ((5000, 1000), "21:9")],
)
def test_the_nearest_ratio(size, ratio):
    """By shape, not by size."""
    assert nearest_ratio(*size) == ratio


async def test_full_pictures_come_through_the_server(emulator, ask, asker):
    """Four of them, all different, of the right size and format."""
    running = emulator("calm", formats={"jpeg": 1})
    uris = [data_uri(photo(1), "image/jpeg"), data_uri(see_through())]
    answer = await ask(running, image_urls=uris, num_images=4, aspect_ratio="2:3")
    pictures = [await asker.picture(item) for item in answer.items]
    assert {size_of(data) for data in pictures} == {(832, 1248)}
    assert len(set(pictures)) == 4
    assert all(data.startswith(b"\xff\xd8") for data in pictures)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
async def test_inputs_of_every_kind_are_drawn(emulator, ask, form):
    """The three formats that the endpoint takes."""
    running = emulator("calm")
    uri = data_uri(picture_bytes(form, (50, 40)), f"image/{form.lower()}")
    assert (await ask(running, image_urls=[uri])).status == 201


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK"])
async def test_inputs_of_every_mode_are_drawn(emulator, ask, mode):
    """Grey, palette, 16 bits and print colours are pictures too."""
    form = "JPEG" if mode == "CMYK" else "PNG"
    out = io.BytesIO()
    Image.new(mode, (20, 10)).save(out, form)
    uri = data_uri(out.getvalue(), f"image/{form.lower()}")
    assert (await ask(emulator("calm"), image_urls=[uri])).status == 201


async def test_a_picture_that_breaks_off_is_refused_without_charge(emulator, ask):
    """The header is good, the pixels end early."""
    running = emulator("calm")
    answer = await ask(running, image_urls=[data_uri(photo(1)[:-400], "image/jpeg")])
    assert (answer.status, answer.message) == (400, "Unable to process input image")
    assert running.bill.charges == ()
