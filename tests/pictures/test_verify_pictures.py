"""Received pictures: whole ones are described, everything else is a bad response."""

import contextlib
import random
from pathlib import Path

import pytest
from picture_samples import REFERENCE, exif, noise, photo, png_chunk, raw_png, saved

from pipeline.errors import BadResponseError
from pipeline.models import PictureFacts
from pipeline.pictures.verify import inspect_picture


def inspected(path: Path) -> PictureFacts:
    return inspect_picture(memoryview(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "options", "form", "extension"),
    [
        ("a.png", {}, "png", ".png"),
        ("a.jpg", {}, "jpeg", ".jpg"),
        ("b.jpg", {"progressive": True, "exif": exif()}, "jpeg", ".jpg"),
        ("a.webp", {}, "webp", ".webp"),
        ("b.webp", {"lossless": True}, "webp", ".webp"),
        ("c.webp", {"exif": exif()}, "webp", ".webp"),
    ],
)
def test_a_whole_picture_is_what_its_bytes_say(tmp_path, name, options, form, extension):
    path = saved(photo(), tmp_path / name, **options)
    facts = inspected(path.rename(tmp_path / "draft.tmp"))
    assert facts == PictureFacts(format=form, width=96, height=64)
    assert facts.extension == extension


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the provider's own example is not here")
def test_the_provider_s_own_answer_is_whole():
    facts = inspected(REFERENCE / "edited-sample.png")
    assert facts == PictureFacts(format="png", width=1184, height=864)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "b.jpg", "a.webp"])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
def test_a_cut_off_picture_is_a_bad_response(tmp_path, name, share):
    options = {"exif": exif(), "progressive": True} if name == "b.jpg" else {}
    path = saved(noise((60, 60)), tmp_path / name, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadResponseError):
        inspected(path)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not a picture: empty"),
        (b"<html>Bad gateway</html>", "not a picture: an HTML page"),
        (b'{"error": 1}', "not a picture: JSON text"),
        (b"\0\1\2\3", "not a picture: starts with 00 01 02 03"),
        (b"GIF89a" + bytes(20), "not a picture: it is GIF"),
        (raw_png(0, 9, 8, 2, b""), "0 x 9 pixels"),
        (raw_png(60_000, 60_000, 8, 2, b""), "60000 x 60000 pixels"),
        (raw_png(1, 1, 7, 2, b""), "broken PNG header"),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b""), "no PNG header"),
        (raw_png(1, 1, 8, 2, b"").replace(b"IDAT", b"idAT"), "wrong checksum"),
        (b"\xff\xd8\xff\xda\0\2\xff\xd9", "no frame header"),
        (b"\xff\xd8\xff\xc0\0\x02\xff\xda\0\2\xff\xd9", "broken frame header"),
        (b"RIFF\x10\0\0\0WEBPVP8 \4\0\0\0abcd", "broken WebP header"),
    ],
)
def test_what_is_no_picture_says_why(tmp_path, data, what):
    path = tmp_path / "draft"
    path.write_bytes(data)
    with pytest.raises(BadResponseError, match=what):
        inspected(path)


def test_one_wrong_bit_in_a_png_is_found(tmp_path):
    path = saved(photo(), tmp_path / "a.png")
    whole = path.read_bytes()
    dice = random.Random(1)
    for _ in range(60):
        data = bytearray(whole)
        data[dice.randrange(8, len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        with pytest.raises(BadResponseError):
            inspected(path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_bytes_behind_the_end_do_not_cost_a_paid_picture(tmp_path, name):
    path = saved(photo(), tmp_path / name)
    path.write_bytes(path.read_bytes() + b"\n")
    assert inspected(path).width == 96
    path.write_bytes(path.read_bytes() + bytes(200_000))
    assert inspected(path).width == 96


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_random_damage_never_escapes_as_another_error(tmp_path, name):
    path = saved(photo(), tmp_path / name, exif=exif())
    whole = path.read_bytes()
    dice = random.Random(name)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(3):
            data[dice.randrange(min(len(data), 400))] = dice.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(BadResponseError):
            assert inspected(path).width > 0
