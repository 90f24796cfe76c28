"""Checks of an answer: what is right passes, what is wrong does not, and each says why."""

import math
import threading

import pytest
from PIL import Image, ImageEnhance, ImageOps

from pipeline.pictures.checks.pictures import Reference
from pipeline.pictures.checks.run import run_checks
from pipeline.pictures.checks.settings import read_settings
from pipeline.pictures.framing import shapes
from pipeline.pictures.prepare import PrepareSettings, prepare
from tests.pictures.check_samples import (
    NAMES,
    bytes_of,
    demo,
    jpeg,
    noisy,
    on,
    product,
    retouched,
    shifted,
    softened,
)
from tests.pictures.picture_samples import REFERENCE, raw_png


def check(name, picture, limits=True, **more):
    """The one result of one check."""
    data = picture if isinstance(picture, bytes) else bytes_of(picture)
    results = run_checks(read_settings({name: limits}), data, **more).results
    assert [one.name for one in results] == ["decodes", name]
    assert results[1].message
    return results[1]


# decodes


def test_a_whole_picture_decodes_and_says_its_size():
    [result] = run_checks(read_settings({}), bytes_of(Image.new("RGB", (30, 20)))).results
    assert (result.name, result.passed) == ("decodes", True)
    assert result.message == "30 x 20 pixels, all decoded"


def damaged_png():
    data = bytearray(bytes_of(demo("mug").resize((200, 150))))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>busy</html>",
        bytes_of(Image.new("RGB", (300, 200)))[:-30],
        jpeg(demo("mug"))[:30_000],
        damaged_png(),
        raw_png(60_000, 60_000, 8, 2, b"\0" * 100),
        raw_png(100, 100, 8, 2, b"\0" * 100),
    ],
    ids=["empty", "html", "cut PNG", "cut JPEG", "bad bytes", "bomb", "too few rows"],
)
def test_what_cannot_be_decoded_fails_and_nothing_else_is_asked(data):
    checked = run_checks(read_settings({"not_blank": True, "min_size": 10}), data)
    [result] = checked.results
    assert (result.name, result.value, result.passed) == ("decodes", 0, False)
    assert not checked.passed
    assert checked.likeness is None


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "CMYK", "I;16"])
def test_every_colour_mode_is_measured(mode, tmp_path):
    picture = demo("mug").resize((240, 180))
    form = "JPEG" if mode == "CMYK" else "PNG"
    picture = Image.new("I;16", (240, 180), 900) if mode == "I;16" else picture.convert(mode)
    settings = read_settings({"not_blank": True, "background_white": True, "not_duplicate": True})
    checked = run_checks(settings, bytes_of(picture, form), inputs=[bytes_of(picture, form)])
    assert len(checked.results) == 4
    assert checked.results[1].passed is (mode != "I;16")


# min_size, ratio


@pytest.mark.parametrize(("size", "passed"), [((1000, 800), True), ((1000, 799), False)])
def test_the_shorter_side_counts(size, passed):
    result = check("min_size", Image.new("RGB", size), 800)
    assert (result.value, result.limit, result.passed) == (size[1], 800, passed)


@pytest.mark.parametrize(
    ("size", "asked", "passed"),
    [
        ((896, 1152), "4:5", True),
        ((1024, 1024), "4:5", False),
        ((1024, 768), "1024x768", True),
        ((768, 1024), "4:3", False),
    ],
)
def test_the_ratio_is_held_against_what_was_asked(size, asked, passed):
    result = check("ratio", Image.new("RGB", size), asked_ratio=asked)
    assert result.passed is passed
    assert asked in result.message


@pytest.mark.parametrize("asked", ["", "square_hd", "auto"])
def test_a_ratio_that_was_not_asked_for_is_not_measured(asked):
    result = check("ratio", Image.new("RGB", (50, 9)), asked_ratio=asked)
    assert (result.value, result.passed) == (None, True)
    assert result.message.startswith("not measured")


# not_blank


@pytest.mark.parametrize("colour", ["white", "black", "#f5f2ee", "gray"])
@pytest.mark.parametrize("sigma", [0, 5, 30])
def test_blank_pictures_are_found_with_noise_and_compression(colour, sigma):
    blank = Image.new("RGB", (512, 512), colour)
    assert not check("not_blank", jpeg(noisy(blank, sigma) if sigma else blank, 50)).passed


@pytest.mark.parametrize("gradient", ["linear", "radial"])
def test_a_gradient_is_blank(gradient):
    picture = getattr(Image, f"{gradient}_gradient")("L").resize((512, 512)).convert("RGB")
    assert not check("not_blank", picture).passed


@pytest.mark.parametrize("name", NAMES)
def test_a_product_is_not_blank(name):
    assert check("not_blank", demo(name)).passed


def test_a_small_product_on_white_is_not_blank():
    canvas = Image.new("RGB", (1024, 1024), "white")
    canvas.paste(demo("mug").resize((90, 68)), (470, 470))
    assert check("not_blank", canvas).passed


# not_unchanged

SAME = {
    "the same bytes": jpeg,
    "compressed again": lambda picture: jpeg(picture, 40),
    "in the model's size": lambda picture: jpeg(picture.resize((1184, 864)), 85),
    "with noise": lambda picture: bytes_of(noisy(picture, 6)),
    "shifted": lambda picture: bytes_of(shifted(picture, 3)),
    "softened": lambda picture: bytes_of(softened(picture)),
}
CHANGED = {
    "retouched": lambda picture: retouched(picture, 0.08),
    "brighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "warmer": lambda picture: Image.blend(picture, Image.new("RGB", picture.size, "#ffdcaa"), 0.1),
    "mirrored": ImageOps.mirror,
}


@pytest.mark.parametrize("how", SAME)
@pytest.mark.parametrize("name", ["mug", "vase", "wrist-watch"])
def test_the_input_is_recognised(name, how):
    result = check("not_unchanged", SAME[how](demo(name)), inputs=[jpeg(demo(name), 95)])
    assert not result.passed
    assert result.message.startswith("is the input, unchanged")


@pytest.mark.parametrize("how", CHANGED)
@pytest.mark.parametrize("name", ["mug", "vase", "wrist-watch"])
def test_even_a_small_edit_is_a_change(name, how):
    result = check("not_unchanged", CHANGED[how](demo(name)), inputs=[jpeg(demo(name), 95)])
    assert result.passed, result.message


def test_each_input_counts():
    inputs = [jpeg(demo("teapot")), jpeg(demo("mug"))]
    result = check("not_unchanged", demo("mug"), inputs=inputs)
    assert not result.passed
    assert "is input 2, unchanged" in result.message


def test_an_unchanged_answer_is_found_behind_its_padding():
    source = bytes_of(demo("headphones"))
    prepared = prepare(source, PrepareSettings(fit="pad", shapes=shapes(["1:1"])))
    padded = Image.new("RGB", (1200, 1200), "white")
    padded.paste(demo("headphones"), prepared.framing.box[:2])
    answer = bytes_of(padded.resize((1024, 1024)))
    result = check("not_unchanged", answer, inputs=[source], framing=prepared.framing)
    assert not result.passed, result.message


def test_an_unchanged_answer_to_a_cropped_input_is_found():
    source = bytes_of(demo("headphones"))
    framing = prepare(source, PrepareSettings(fit="crop", shapes=shapes(["1:1"]))).framing
    answer = bytes_of(ImageOps.fit(demo("headphones"), (1024, 1024)))
    assert not check("not_unchanged", answer, inputs=[source], framing=framing).passed


def test_an_answer_of_another_shape_cannot_be_unpadded_and_says_so():
    framing = prepare(
        bytes_of(demo("headphones")), PrepareSettings(fit="pad", shapes=shapes(["1:1"]))
    ).framing
    answer = bytes_of(Image.new("RGB", (300, 200)))
    checked = run_checks(read_settings({"not_blank": True}), answer, framing=framing)
    assert [one.name for one in checked.failed] == ["framing"]
    assert "not 1:1 as asked" in checked.failed[0].message


def test_inputs_that_only_the_provider_saw_are_not_measured():
    result = check("not_unchanged", demo("mug"), inputs=[])
    assert (result.value, result.passed) == (None, True)


def test_an_input_that_is_gone_is_a_failure_not_a_crash(tmp_path):
    result = check("not_unchanged", demo("mug"), inputs=[tmp_path / "gone.png"])
    assert not result.passed
    assert result.message.startswith("could not be measured: input: is not there")


# not_duplicate is in test_likeness.py. background_white:


@pytest.mark.parametrize(
    ("border", "passed"), [("#ffffff", True), ("#f8f9fa", True), ("#f0f0f0", False)]
)
def test_the_border_has_to_be_white_within_the_tolerance(border, passed):
    picture = ImageOps.expand(demo("mug").resize((300, 225)), 40, border)
    assert check("background_white", picture).passed is passed


def test_the_share_of_the_border_that_is_white_is_measured():
    picture = Image.new("RGB", (100, 100), "white")
    picture.paste("black", (0, 0, 50, 100))
    result = check("background_white", picture, {"share": 0.4, "band": 0.1})
    assert result.value == 0.5
    assert result.passed
    assert not check("background_white", picture, 0.6).passed


def test_one_dark_pixel_is_not_rounded_away():
    picture = Image.new("RGB", (2000, 2000), "white")
    picture.putpixel((0, 0), (0, 0, 0))
    result = check("background_white", picture, 1.0)
    assert (result.value, result.passed) == (0.9999, False)


def test_the_border_is_the_pictures_own_not_the_paddings():
    """The input was padded with white; what was edited is not white."""
    source = bytes_of(Image.new("RGB", (400, 200), "navy"))
    prepared = prepare(source, PrepareSettings(fit="pad", shapes=shapes(["1:1"])))
    answer = Image.new("RGB", (1000, 1000), "white")
    answer.paste("navy", (0, 250, 1000, 750))
    result = check("background_white", answer, framing=prepared.framing)
    assert result.value == 0


def test_transparent_borders_show_the_background():
    assert check("background_white", product()).passed
    assert not check("background_white", product(), background="#ddccbb").passed


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference pictures are not here")
def test_a_studio_photograph_on_white_passes():
    assert check("background_white", (REFERENCE / "blue-mug.jpg").read_bytes(), 1.0).passed


# subject_kept

GROUNDS = ["white", "#20242a", "sunlit-kitchen", "fabric-pattern"]


def placed(ground, cut_out):
    return on(ground if ground[0] in "#w" else demo(ground), cut_out)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("how", ["as it is", "recompressed", "resized", "drifted", "darker"])
def test_a_subject_on_a_new_ground_is_kept(ground, how):
    answer = placed(ground, product())
    data = {
        "as it is": lambda: bytes_of(answer),
        "recompressed": lambda: jpeg(answer, 75),
        "resized": lambda: jpeg(answer.resize((1184, 864)), 85),
        "drifted": lambda: bytes_of(shifted(answer, 8)),
        "darker": lambda: bytes_of(ImageEnhance.Brightness(answer).enhance(0.75)),
    }[how]()
    for source in (bytes_of(product()), jpeg(on("white", product()), 92)):
        result = check("subject_kept", data, inputs=[source])
        assert result.value is not None
        assert result.passed, result.message


def larger(picture):
    width, height = picture.size
    edge = (width // 12, height // 12, width - width // 12, height - height // 12)
    return picture.resize((width, height), box=edge)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize(
    "change",
    [ImageOps.mirror, ImageOps.flip, larger, lambda picture: picture.rotate(25)],
    ids=["mirrored", "upside down", "larger", "turned"],
)
def test_a_subject_that_has_moved_in_its_frame_is_found(ground, change):
    answer = placed(ground, change(product()))
    result = check("subject_kept", answer, inputs=[bytes_of(product())])
    assert not result.passed, result.message


def test_another_colour_is_another_product():
    answer = on("white", product("#2e6cb0"))
    result = check("subject_kept", answer, inputs=[bytes_of(product())])
    assert not result.passed
    assert "its colour moved" in result.message


def test_a_subject_that_is_gone_is_found():
    result = check("subject_kept", demo("sunlit-kitchen"), inputs=[bytes_of(product())])
    assert not result.passed


def test_an_input_without_a_plain_ground_is_not_measured_unless_it_must_be():
    inputs = [jpeg(demo("sunlit-kitchen"))]
    result = check("subject_kept", demo("mug"), inputs=inputs)
    assert (result.value, result.passed) == (None, True)
    assert "neither transparency nor a plain ground" in result.message
    assert not check("subject_kept", demo("mug"), {"unmeasured": "reject"}, inputs=inputs).passed


@pytest.mark.parametrize("name", ["perfume-bottle", "wrist-watch"])
def test_a_studios_falling_light_is_still_a_plain_ground(name):
    result = check("subject_kept", demo(name), inputs=[jpeg(demo(name))])
    assert result.value is not None
    assert result.value > 0.99


# Together.


def test_everything_is_measured_once_and_in_order():
    settings = read_settings(
        {
            "subject_kept": True,
            "not_duplicate": True,
            "background_white": True,
            "not_unchanged": True,
            "not_blank": True,
            "ratio": True,
            "min_size": 100,
        }
    )
    checked = run_checks(
        settings,
        bytes_of(on("white", product())),
        inputs=[bytes_of(product()), jpeg(demo("mug"))],
        asked_ratio="4:3",
    )
    assert [one.name for one in checked.results] == [
        "decodes",
        "ratio",
        "min_size",
        "not_blank",
        "not_unchanged",
        "background_white",
        "subject_kept",
        "not_duplicate",
    ]
    assert all(one.value is None or math.isfinite(one.value) for one in checked.results)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (7, 5)])
def test_the_smallest_pictures_are_measured_too(size):
    settings = read_settings(dict.fromkeys(NAMES_OF_ALL, True) | {"min_size": 4})
    picture = bytes_of(Image.new("RGBA", size, (200, 10, 10, 80)))
    checked = run_checks(settings, picture, inputs=[picture], asked_ratio="1:1")
    assert len(checked.results) == 8
    assert checked.likeness is not None


NAMES_OF_ALL = (
    "ratio",
    "not_blank",
    "not_unchanged",
    "not_duplicate",
    "background_white",
    "subject_kept",
)


def test_a_shared_input_is_read_once_for_edits_in_many_threads(tmp_path):
    path = tmp_path / "shared.png"
    path.write_bytes(bytes_of(product()))
    reference = Reference(path)
    path.unlink()
    settings = read_settings({"not_unchanged": True, "subject_kept": True})
    answer = bytes_of(on("white", product()))
    found = []

    def work():
        found.append(run_checks(settings, answer, inputs=[reference]).results)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(results == found[0] for results in found)
    assert found[0][2].passed


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference pictures are not here")
def test_the_providers_own_example_passes():
    settings = read_settings(
        {"ratio": True, "not_blank": True, "not_unchanged": True, "not_duplicate": True}
    )
    checked = run_checks(
        settings,
        REFERENCE / "edited-sample.png",
        inputs=[REFERENCE / "t-rex.png", REFERENCE / "blue-mug.jpg"],
        asked_ratio="4:3",
    )
    assert checked.passed, checked.failed
