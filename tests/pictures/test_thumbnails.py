"""Previews: small, upright, in true colours, transparent where the picture is."""

import io
import os
import struct
from pathlib import Path

import pytest
from picture_samples import (
    P3_POINTS,
    difference,
    exif,
    noise,
    photo,
    png_chunk,
    printing_profile,
    profile,
    saved,
)
from PIL import Image

from pipeline.errors import InputError
from pipeline.pictures.thumbnails import SIDE, Made, Wanted, thumbnail, thumbnails


def shown(path: Path | bytes) -> Image.Image:
    preview = thumbnail(path)
    image = Image.open(io.BytesIO(preview.data))
    image.load()
    assert image.format == "WEBP"
    return image


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.avif"])
def test_the_long_side_of_every_kind_becomes_384(tmp_path: Path, name: str) -> None:
    path = saved(photo((1200, 800)), tmp_path / name)
    preview = thumbnail(path)
    assert (preview.width, preview.height) == (1200, 800)
    assert shown(path).size == (SIDE, 256)


@pytest.mark.parametrize("size", [(96, 64), (384, 10), (1, 1)])
def test_small_pictures_are_not_enlarged(tmp_path: Path, size: tuple[int, int]) -> None:
    assert shown(saved(photo(size), tmp_path / "a.png")).size == size


def test_a_panorama_keeps_a_pixel_of_its_short_side(tmp_path: Path) -> None:
    assert shown(saved(photo((4000, 3)), tmp_path / "a.png")).size == (384, 1)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_is_shown_upright(tmp_path: Path, name: str, orientation: int) -> None:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    upright = photo((600, 400))
    stored = upright.transpose(Image.Transpose(turn))
    path = saved(stored, tmp_path / name, exif=exif(orientation))
    preview = thumbnail(path)
    assert (preview.width, preview.height) == (600, 400)
    assert difference(shown(path), upright.resize((384, 256))) < 4


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_what_is_transparent_stays_so(tmp_path: Path, mode: str) -> None:
    image = photo((512, 512)).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((512, 512)))
    image = image.convert("LA" if mode == "LA" else "RGBA")
    path = saved(image.quantize(64) if mode == "PA" else image, tmp_path / "a.png")
    small = shown(path)
    assert small.mode == "RGBA"
    assert small.getpixel((200, 5))[3] < 20  # type: ignore[index]
    assert small.getpixel((200, 380))[3] > 235  # type: ignore[index]


def test_a_colour_that_stands_for_nothing_is_transparent(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), "red")
    image.paste("blue", (0, 0, 32, 64))
    small = shown(saved(image, tmp_path / "a.png", transparency=(0, 0, 255)))
    assert small.getpixel((8, 30))[3] == 0  # type: ignore[index]
    assert small.getpixel((56, 30))[3] == 255  # type: ignore[index]


def test_an_alpha_of_nothing_is_left_out(tmp_path: Path) -> None:
    assert shown(saved(photo((500, 500)).convert("RGBA"), tmp_path / "a.png")).mode == "RGB"


def test_a_wide_gamut_comes_in_srgb(tmp_path: Path) -> None:
    """The strongest green of P3 lies outside sRGB: unconverted it would look dull."""
    image = Image.new("RGB", (400, 400), (0, 200, 0))
    path = saved(image, tmp_path / "a.png", icc_profile=profile(P3_POINTS))
    red, green, _ = shown(path).getpixel((200, 200))  # type: ignore[misc]
    assert green > 203
    assert red < 20


def test_ink_comes_as_light(tmp_path: Path) -> None:
    image = Image.new("CMYK", (400, 400), (0, 0, 0, 0))
    path = saved(image, tmp_path / "a.jpg", icc_profile=printing_profile())
    assert min(shown(path).getpixel((200, 200))) > 245  # type: ignore[type-var]


def test_sixteen_bits_are_scaled_not_cut(tmp_path: Path) -> None:
    grey = Image.new("I;16", (64, 64), 32896)
    assert abs(shown(saved(grey, tmp_path / "a.png")).getpixel((30, 30))[0] - 128) < 4  # type: ignore[index]


def test_a_preview_holds_no_metadata(tmp_path: Path) -> None:
    path = saved(photo((900, 600)), tmp_path / "a.jpg", exif=exif(6))
    data = thumbnail(path).data
    assert b"SecretCamera" not in data
    assert b"EXIF" not in data


def bomb() -> bytes:
    """A few bytes that promise 3.6 gigapixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = png_chunk(b"IDAT", b"\0" * 9) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + pixels


def half(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "kind", ["bomb", "text", "empty", "svg", "half.png", "half.jpg", "half.webp"]
)
def test_what_cannot_be_shown_is_an_input_error(tmp_path: Path, kind: str) -> None:
    contents = {"bomb": bomb(), "text": b"hello", "empty": b"", "svg": b"<svg onload=alert(1)>"}
    if kind not in contents:
        whole = saved(noise((900, 900)), tmp_path / kind.replace("half", "whole"))
        contents[kind] = half(whole)
    with pytest.raises(InputError):
        thumbnail(contents[kind])


def test_a_pipe_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError):
            thumbnail(path)


def test_a_bad_picture_stops_none_of_the_others(tmp_path: Path) -> None:
    good = saved(photo((500, 300)), tmp_path / "good.png")

    def unreachable() -> bytes:
        raise InputError("the store is away")

    wanted = [
        Wanted("one", good),
        Wanted("bomb", bomb()),
        Wanted("missing", tmp_path / "nothing.png"),
        Wanted("unreachable", unreachable),
        Wanted("fetched", good.read_bytes),
    ]
    made = list(thumbnails(wanted, workers=3))
    assert [one.key for one in made] == ["one", "bomb", "missing", "unreachable", "fetched"]
    assert [one.preview is not None for one in made] == [True, False, False, False, True]
    assert all(one.problem for one in made if one.preview is None)


def test_only_what_lies_in_the_bytes_counts_as_damaged(tmp_path: Path) -> None:
    """What is away today may be back tomorrow; bytes that cannot be decoded stay so."""
    whole = saved(noise((900, 900)), tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(half(whole))
    wanted = [Wanted("cut", tmp_path / "b.jpg"), Wanted("away", tmp_path / "c.jpg")]
    assert [one.damaged for one in thumbnails(wanted)] == [True, False]


def test_pictures_are_taken_a_few_at_a_time(tmp_path: Path) -> None:
    path = saved(photo(), tmp_path / "a.png")
    taken: list[int] = []

    def many():  # type: ignore[no-untyped-def]
        for number in range(500):
            taken.append(number)
            yield Wanted(str(number), path)

    ahead: list[int] = []
    for done, one in enumerate(thumbnails(many(), workers=2), start=1):
        assert isinstance(one, Made)
        ahead.append(len(taken) - done)
    assert len(taken) == 500
    assert max(ahead) <= 8
