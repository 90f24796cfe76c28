"""Answers brought back into their input's shape: landmarks come back where they were."""

import io

import pillow_heif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from pipeline.errors import CheckFailedError, InputError
from pipeline.pictures.finish import finish_picture
from pipeline.pictures.framing import shapes
from pipeline.pictures.prepare import PrepareSettings, prepare
from tests.pictures.picture_samples import difference, exif, photo, png_chunk, raw_png, seen
from tests.pictures.test_framing import ANSWERS, GOOGLE

PAD = PrepareSettings(fit="pad", shapes=shapes(GOOGLE))
MARKS = ((255, 0, 0), (0, 160, 0), (0, 0, 255), (200, 0, 200))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def answer_to(prepared, size=None, form="PNG") -> bytes:
    """An endpoint that edits nothing: what it was sent, in its own size and without alpha."""
    buffer = io.BytesIO()
    size = size or ANSWERS[prepared.framing.ratio]
    seen(prepared).convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, form)
    return buffer.getvalue()


def landmarks(size):
    """A picture with a coloured square in each corner, a fifth of the shorter side wide."""
    image = Image.new("RGB", size, "white")
    side = max(1, min(size) // 5)
    width, height = size
    corners = [(0, 0), (width - side, 0), (0, height - side), (width - side, height - side)]
    for (left, top), colour in zip(corners, MARKS, strict=True):
        image.paste(colour, (left, top, left + side, top + side))
    return image


def box_of(image, colour):
    """Where a mark is, edges to a fraction of a pixel: where its colour falls to a half."""
    pixels = image.convert("RGB").load()
    width, height = image.size
    found = [
        (x, y)
        for y in range(height)
        for x in range(width)
        if sum(abs(a - b) for a, b in zip(pixels[x, y], colour, strict=True)) < 190
    ]
    return (
        min(x for x, _ in found),
        min(y for _, y in found),
        max(x for x, _ in found) + 1,
        max(y for _, y in found) + 1,
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(st.integers(40, 420), st.integers(40, 420)))
def test_landmarks_come_back_within_a_pixel(size):
    """Through padding, an endpoint's own size and ratio, and back to the original size."""
    image = landmarks(size)
    prepared = prepare(png(image), PAD)
    done = finish_picture(answer_to(prepared), framing=prepared.framing, size="original")
    result = opened(done.image)
    assert result.size == size == (done.width, done.height)
    for colour in MARKS:
        before, after = box_of(image, colour), box_of(result, colour)
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= 1


@pytest.mark.parametrize("size", [(857, 1024), (1500, 200), (200, 1500), (12, 300), (301, 299)])
def test_odd_sizes_come_back_as_they_went(size):
    image = photo(size)
    prepared = prepare(png(image), PAD)
    done = finish_picture(answer_to(prepared), framing=prepared.framing, size="original")
    assert (done.width, done.height) == size
    assert difference(opened(done.image), image) < 4


def test_even_a_thread_comes_back_in_its_size():
    image = Image.new("RGB", (1, 3000), (10, 90, 40))
    prepared = prepare(png(image), PAD)
    done = finish_picture(answer_to(prepared), framing=prepared.framing, size="original")
    assert (done.width, done.height) == (1, 3000)


def test_nothing_of_the_padding_is_left():
    image = Image.new("RGB", (857, 500), (10, 90, 40))
    prepared = prepare(png(image), PAD)
    for size in ("original", "same_as_input", "as_returned"):
        done = finish_picture(answer_to(prepared), framing=prepared.framing, size=size)
        low, high = zip(*opened(done.image).getextrema(), strict=True)
        assert max(abs(a - b) for a, b in zip(low, (10, 90, 40), strict=True)) <= 6
        assert max(abs(a - b) for a, b in zip(high, (10, 90, 40), strict=True)) <= 6


def test_the_answers_own_scale_is_kept_unless_a_size_is_asked_for():
    prepared = prepare(png(photo((300, 200))), PrepareSettings(fit="pad", shapes=shapes(["1:1"])))
    done = finish_picture(answer_to(prepared, (1024, 1024)), framing=prepared.framing)
    assert abs(done.width - 1024) <= 1
    assert abs(done.height - 683) <= 1


def test_a_turned_photograph_comes_back_upright(tmp_path):
    image = photo((120, 80))
    path = tmp_path / "a.jpg"
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif(6), quality=98)
    prepared = prepare(str(path), PAD)
    done = finish_picture(answer_to(prepared), framing=prepared.framing, size="original")
    assert difference(opened(done.image), image) < 4


def test_cropped_inputs_come_back_in_the_crop():
    image = photo((900, 300))
    prepared = prepare(png(image), PrepareSettings(fit="crop", shapes=shapes(["1:1"])))
    done = finish_picture(
        answer_to(prepared, (1024, 1024)), framing=prepared.framing, size="original"
    )
    assert (done.width, done.height) == (300, 300)
    assert difference(opened(done.image), image.crop((300, 0, 600, 300))) < 2
    assert "input 900 x 300, cropped to 300 x 300 for 1:1" in done.notes


def test_what_needs_nothing_keeps_its_bytes(tmp_path):
    prepared = prepare(png(photo((64, 64))), PAD)
    answer = answer_to(prepared, (64, 64), "JPEG")
    for size in ("as_returned", "original", "same_as_input", (64, 64)):
        done = finish_picture(answer, framing=prepared.framing, size=size)
        assert (done.image, done.format, done.changed) == (answer, "jpeg", False)
    path = tmp_path / "a.jpg"
    path.write_bytes(answer)
    assert finish_picture(path, framing=None).image == answer


@pytest.mark.parametrize(("form", "expected"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")])
def test_the_format_of_the_answer_is_kept(form, expected):
    prepared = prepare(png(photo((300, 200))), PAD)
    done = finish_picture(answer_to(prepared, form=form), framing=prepared.framing, size=(150, 100))
    assert done.format == expected
    assert difference(opened(done.image), photo((150, 100))) < 5


def test_enlarging_is_said():
    prepared = prepare(png(photo((64, 64))), PAD)
    done = finish_picture(answer_to(prepared, (32, 32)), framing=prepared.framing, size=(64, 64))
    assert done.notes == ("enlarged 2.00 times (Lanczos): 32 x 32 pixels came back",)


def test_a_size_of_another_shape_shows_all_of_the_picture_on_the_background():
    image = Image.new("RGB", (300, 150), (10, 90, 40))
    prepared = prepare(png(image), PAD)
    done = finish_picture(
        answer_to(prepared), framing=prepared.framing, size=(200, 200), background="#ffeedd"
    )
    result = opened(done.image)
    assert result.size == (200, 200)
    assert result.getpixel((100, 20)) == (255, 238, 221)
    assert (
        max(abs(a - b) for a, b in zip(result.getpixel((100, 100)), (10, 90, 40), strict=True)) < 3
    )
    assert any("another shape" in note for note in done.notes)


def test_an_answer_that_was_never_framed_is_not_stretched():
    """Without fit a square answer to a wide input is shown whole, and said to be."""
    framing = prepare(png(photo((400, 200))), PrepareSettings()).framing
    answer = png(Image.new("RGB", (100, 100), (10, 90, 40)))
    done = finish_picture(answer, framing=framing, size="original")
    result = opened(done.image)
    assert result.size == (400, 200)
    assert result.getpixel((50, 100)) == (255, 255, 255)
    assert result.getpixel((200, 100)) == (10, 90, 40)


def test_an_answer_of_the_wrong_shape_is_turned_down():
    framing = prepare(png(photo((300, 190))), PAD).framing
    with pytest.raises(CheckFailedError, match=r"not 3:2 as asked.*inputs\.fit: none"):
        finish_picture(png(photo((100, 100))), framing=framing, size="original")


def test_a_broken_answer_is_turned_down():
    data = png(photo((300, 200)))
    with pytest.raises(CheckFailedError, match="answer"):
        finish_picture(data[: len(data) // 2], framing=None)


def test_an_input_that_was_never_seen_here_has_no_size_to_come_back_to():
    with pytest.raises(InputError, match="embed_urls"):
        finish_picture(png(photo()), framing=None, size="same_as_input")


# Alpha.


def cut_out(mode: str) -> bytes:
    """A disc on nothing, in each way that a file can say so."""
    size = (120, 90)
    alpha = Image.new("L", (480, 360), 0)
    ImageDraw.Draw(alpha).ellipse((80, 60, 400, 300), fill=255)
    alpha = alpha.resize(size, Image.Resampling.BOX)
    image = Image.new("RGB", size, (180, 30, 60))
    if mode == "RGBA":
        image.putalpha(alpha)
    elif mode == "LA":
        image = image.convert("L")
        image.putalpha(alpha)
    elif mode == "P":
        hard = alpha.point(lambda value: 255 if value > 127 else 0)
        image = Image.new("P", size, 0)
        image.putpalette([0, 0, 0, 180, 30, 60])
        image.paste(1, mask=hard)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", transparency=0)
        return buffer.getvalue()
    elif mode == "tRNS":
        rows = b"".join(
            b"\0"
            + b"".join(
                b"\xb4\x1e\x3c" if alpha.getpixel((x, y)) > 127 else b"\0\0\1"
                for x in range(size[0])
            )
            for y in range(size[1])
        )
        clear = png_chunk(b"tRNS", b"\0\0\0\0\0\1")
        return raw_png(*size, 8, 2, rows, clear)
    elif mode == "WEBP":
        image.putalpha(alpha)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", lossless=True)
        return buffer.getvalue()
    elif mode == "HEIC":
        image.putalpha(alpha)
        buffer = io.BytesIO()
        pillow_heif.from_pillow(image).save(buffer, quality=-1)
        return buffer.getvalue()
    return png(image)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "tRNS", "WEBP", "HEIC"])
@pytest.mark.parametrize("background", ["white", "#00ff00"])
def test_transparency_comes_back_and_is_never_black(mode, background):
    source = cut_out(mode)
    settings = PrepareSettings(fit="pad", shapes=shapes(["1:1"]), background=background)
    prepared = prepare(source, settings)
    ground = (255, 255, 255) if background == "white" else (0, 255, 0)
    corner = seen(prepared).convert("RGB").getpixel((2, 20))
    assert max(abs(a - b) for a, b in zip(corner, ground, strict=True)) < 12, "sent on the colour"
    done = finish_picture(
        answer_to(prepared, (1024, 1024), "JPEG"),
        framing=prepared.framing,
        source=source,
        size="original",
        alpha="restore",
        background=background,
    )
    result = opened(done.image)
    assert (done.format, result.mode, result.size) == ("png", "RGBA", (120, 90))
    assert result.getpixel((2, 2))[3] == 0
    assert max(result.getpixel((2, 2))[:3]) > 200, "and not black beneath"
    red, green, blue, opaque = result.getpixel((60, 45))
    assert opaque == 255
    expected = (82, 82, 82) if mode == "LA" else (180, 30, 60)
    assert max(abs(a - b) for a, b in zip((red, green, blue), expected, strict=True)) < 10


def test_soft_edges_lose_the_background_they_were_mixed_with():
    source = cut_out("RGBA")
    prepared = prepare(source, PrepareSettings(fit="pad", shapes=shapes(["1:1"])))
    done = finish_picture(
        answer_to(prepared, (120, 120)),
        framing=prepared.framing,
        source=source,
        size="original",
        alpha="restore",
    )
    assert "white taken out of its edges" in done.notes[-1]
    on_black = Image.new("RGB", (120, 90))
    result = opened(done.image)
    on_black.paste(result, mask=result.getchannel("A"))
    expected = Image.new("RGB", (120, 90))
    true = opened(source)
    expected.paste(true, mask=true.getchannel("A"))
    assert difference(on_black, expected) < 0.7, "no pale rim"


def test_a_new_background_is_not_taken_out_of_edges():
    source = cut_out("RGBA")
    framing = prepare(source, PrepareSettings()).framing
    answer = png(Image.new("RGB", (120, 90), (10, 20, 200)))
    done = finish_picture(answer, framing=framing, source=source, alpha="restore")
    assert done.notes == ("transparency of the input restored",)
    assert opened(done.image).convert("RGB").getextrema() == ((10, 10), (20, 20), (200, 200))


def test_the_mask_is_cropped_with_its_input():
    source = cut_out("RGBA")
    settings = PrepareSettings(fit="crop", shapes=shapes(["1:1"]))
    prepared = prepare(source, settings)
    done = finish_picture(
        answer_to(prepared, (900, 900)),
        framing=prepared.framing,
        source=source,
        size="original",
        alpha="restore",
    )
    result = opened(done.image).getchannel("A")
    true = opened(source).getchannel("A").crop((15, 0, 105, 90))
    assert difference(result, true) < 1


def test_a_mask_that_does_not_fit_is_refused_with_the_reason():
    source = cut_out("RGBA")
    framing = prepare(source, PrepareSettings()).framing
    with pytest.raises(CheckFailedError, match=r"the answer is 100 x 100, its input 120 x 90"):
        finish_picture(png(photo((100, 100))), framing=framing, source=source, alpha="restore")


def test_an_opaque_input_has_nothing_to_restore():
    source = png(photo((64, 64)))
    prepared = prepare(source, PAD)
    answer = answer_to(prepared, (64, 64))
    done = finish_picture(answer, framing=prepared.framing, source=source, alpha="restore")
    assert (done.image, done.changed) == (answer, False)
    assert done.notes == ("the input has no transparency to restore",)


def test_transparent_margins_fill_a_size_of_another_shape():
    source = cut_out("RGBA")
    prepared = prepare(source, PAD)
    done = finish_picture(
        answer_to(prepared),
        framing=prepared.framing,
        source=source,
        size=(200, 200),
        alpha="restore",
    )
    result = opened(done.image)
    assert result.size == (200, 200)
    assert result.getpixel((100, 3)) == (255, 255, 255, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_answers_own_transparency_is_kept_and_never_black(mode):
    image = photo((64, 64)).convert("L" if mode == "LA" else "RGB")
    image.putalpha(Image.new("L", image.size, 0))
    framing = prepare(png(photo((64, 64))), PAD).framing
    done = finish_picture(png(image), framing=framing, size=(32, 32))
    assert opened(done.image).getchannel("A").getextrema() == (0, 0)
    done = finish_picture(png(image), framing=framing, size=(64, 32))
    assert opened(done.image).getpixel((1, 1)) == (255, 255, 255, 255)


@pytest.mark.parametrize(("form", "side"), [("WEBP", 16_400), ("JPEG", 65_600)])
def test_a_shape_that_the_answers_format_cannot_hold_becomes_png(form, side):
    """A panorama's own size, from an answer that was small."""
    source = png(Image.new("RGB", (side, 2), "red"))
    framing = prepare(source, PrepareSettings(max_side=1000)).framing
    buffer = io.BytesIO()
    Image.new("RGB", (1000, 1), "red").save(buffer, form)
    made = finish_picture(buffer.getvalue(), framing=framing, size="original")
    assert (made.format, made.width, made.height) == ("png", side, 2)
