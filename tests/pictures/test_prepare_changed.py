"""Pictures that have to change: turned, flattened, converted, shrunk."""

import io
import itertools
import struct

import pillow_heif
import pytest
from picture_samples import (
    ADOBE_POINTS,
    P3_POINTS,
    difference,
    exif,
    noise,
    photo,
    png_chunk,
    printing_profile,
    profile,
    raw_png,
    saved,
    seen,
    with_chunk,
)
from PIL import Image, ImageChops, ImageCms, ImageOps, ImageSequence

from pipeline.pictures.prepare import PrepareSettings, prepare

SETTINGS = PrepareSettings()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "options"),
    [("a.jpg", {"quality": 95}), ("a.png", {}), ("a.webp", {"lossless": True})],
)
def test_every_orientation_is_turned_upright(tmp_path, name, options, orientation):
    path = saved(photo(), tmp_path / name, exif=exif(orientation), **options)
    with Image.open(path) as original:
        expected = ImageOps.exif_transpose(original)
    prepared = prepare(str(path), SETTINGS)
    assert difference(seen(prepared), expected) <= (1.5 if name == "a.jpg" else 0)
    assert prepared.mime == ("image/jpeg" if name == "a.jpg" else prepared.mime)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.tiff"])
def test_formats_whose_decoder_may_turn_are_turned_once(tmp_path, name, orientation):
    path = tmp_path / name
    if name == "a.heic":
        pillow_heif.from_pillow(photo()).save(path, quality=95, exif=exif(orientation).tobytes())
    else:
        saved(photo(), path, exif=exif(orientation))
    png = saved(photo(), tmp_path / "b.png", exif=exif(orientation))
    with Image.open(png) as original:
        expected = ImageOps.exif_transpose(original)
    assert difference(seen(prepare(str(path), SETTINGS)), expected) < 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_found_in_either_byte_order(tmp_path, order):
    tiff = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    tiff += struct.pack(f"{order}HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    path = saved(photo(), tmp_path / "a.jpg", exif=b"Exif\0\0" + tiff)
    assert seen(prepare(str(path), SETTINGS)).size == (64, 96)


@pytest.mark.parametrize("background", ["white", "#102030"])
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("RGBA", "a.png"),
        ("LA", "a.png"),
        ("P", "a.png"),
        ("RGBA", "a.gif"),
        ("RGBA", "a.webp"),
        ("RGBA", "a.tiff"),
        ("RGBA", "a.avif"),
        ("RGBA", "a.heic"),
    ],
)
def test_transparency_is_laid_on_the_background(tmp_path, mode, name, background):
    image = photo().convert("RGBA")
    hole = Image.new("L", image.size, 255)
    hole.paste(0, (0, 0, 48, 64))
    image.putalpha(hole)
    path = tmp_path / name
    if name == "a.heic":
        pillow_heif.from_pillow(image).save(path, quality=95)
    else:
        saved(image.convert(mode) if mode != "RGBA" else image, path)
    result = seen(prepare(str(path), PrepareSettings(background=background)))
    assert result.mode in ("L", "RGB")
    expected = (255, 255, 255) if background == "white" else (16, 32, 48)
    got = result.convert("RGB").getpixel((10, 30))
    assert max(abs(a - b) for a, b in zip(got, expected, strict=True)) <= 6


def test_half_transparency_is_mixed(tmp_path):
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 128))
    result = seen(prepare(str(saved(image, tmp_path / "a.png")), SETTINGS))
    assert result.getpixel((5, 5)) == (255, 127, 127)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "clear", "expected"),
    [
        (2, 0, b"\0\x1b", b"\0\1", [0, 255, 170, 255]),
        (8, 0, b"\0\0\x55\xaa\xff", b"\0\x55", [0, 255, 170, 255]),
        (16, 0, b"\0\0\0\x55\x55\xaa\xaa\xff\xff", b"\x55\x55", [0, 255, 170, 255]),
    ],
)
def test_the_one_transparent_grey_of_a_png_is_found(depth, colour, row, clear, expected):
    data = raw_png(4, 1, depth, colour, row, png_chunk(b"tRNS", clear))
    assert list(seen(prepare(data, SETTINGS)).tobytes()) == expected


def test_the_one_transparent_colour_of_a_16_bit_png_is_found():
    row = b"\0" + struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0, 0, 0)
    data = raw_png(2, 1, 16, 2, row, png_chunk(b"tRNS", row[1:7]))
    assert seen(prepare(data, SETTINGS)).tobytes() == b"\xff\xff\xff\0\0\0"


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path):
    image = Image.new("I;16", (4, 1))
    for at, value in enumerate((0, 257, 32896, 65535)):
        image.putpixel((at, 0), value)
    result = seen(prepare(str(saved(image, tmp_path / "a.png")), SETTINGS))
    assert (result.mode, list(result.tobytes())) == ("L", [0, 1, 128, 255])


@pytest.mark.parametrize(
    ("mode", "values"),
    [("F", (0.0, 0.5, 1.0)), ("F", (0.0, 127.5, 255.0)), ("I", (0, 32768, 65535))],
)
def test_wide_greys_are_brought_to_eight_bits(tmp_path, mode, values):
    image = Image.new(mode, (30, 10))
    for at, value in enumerate(values):
        image.paste(value, (at * 10, 0, at * 10 + 10, 10))
    result = seen(prepare(str(saved(image, tmp_path / "a.tiff")), SETTINGS))
    got = [result.getpixel((at, 5)) for at in (4, 14, 24)]
    assert all(abs(a - b) <= 2 for a, b in zip(got, (0, 127, 255), strict=True))


def test_palette_and_one_bit_become_eight_bits_without_loss(tmp_path):
    for mode in ("P", "1"):
        image = photo().convert(mode)
        prepared = prepare(str(saved(image, tmp_path / f"{mode}.png")), SETTINGS)
        assert prepared.mime == "image/png"
        assert seen(prepared).mode == ("RGB" if mode == "P" else "L")
        assert difference(seen(prepared), image) == 0


@pytest.mark.parametrize("name", ["a.jpg", "a.tiff"])
def test_cmyk_is_not_inverted(tmp_path, name):
    path = saved(photo().convert("CMYK"), tmp_path / name)
    assert difference(seen(prepare(str(path), SETTINGS)), photo()) < 4


def test_cmyk_without_adobe_s_mark_is_not_inverted_either(tmp_path):
    # Adobe stores the inverse, and so does Pillow; without the mark the numbers mean themselves.
    upside_down = ImageChops.invert(photo().convert("CMYK"))
    path = saved(upside_down, tmp_path / "a.jpg", quality=95)
    data = path.read_bytes()
    at = data.index(b"\xff\xee\0\x0eAdobe")
    path.write_bytes(data[:at] + data[at + 16 :])
    assert difference(seen(prepare(str(path), SETTINGS)), photo()) < 4


@pytest.mark.parametrize("name", ["a.jpg", "a.tiff"])
def test_cmyk_goes_through_its_own_profile(tmp_path, name):
    image = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    path = saved(image, tmp_path / name, icc_profile=printing_profile())
    red, green, blue = seen(prepare(str(path), SETTINGS)).getpixel((9, 9))
    # Printed cyan, not the screen's (0, 255, 255) that comes without the profile.
    assert red < 20
    assert 120 < green < 180
    assert 200 < blue < 245


def test_a_profile_for_another_kind_of_picture_is_ignored(tmp_path):
    path = saved(photo().convert("CMYK"), tmp_path / "a.jpg", icc_profile=profile(P3_POINTS))
    assert difference(seen(prepare(str(path), SETTINGS)), photo()) < 4
    path = saved(photo(), tmp_path / "b.png", icc_profile=printing_profile())
    assert difference(seen(prepare(str(path), SETTINGS)), photo()) == 0


def test_lab_becomes_srgb(tmp_path):
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(photo(), srgb, lab, outputMode="LAB")
    path = saved(image, tmp_path / "a.tiff")
    assert difference(seen(prepare(str(path), SETTINGS)), photo()) < 4


@pytest.mark.parametrize("points", [P3_POINTS, ADOBE_POINTS], ids=["p3", "adobe"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.heic", "a.tiff"])
def test_wide_colours_are_converted_to_srgb(tmp_path, name, points):
    icc = profile(points)
    wide = ImageCms.profileToProfile(
        photo(),
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert difference(wide, photo()) > 5  # sent as it is, it would look dull
    path = tmp_path / name
    if name == "a.heic":
        image = wide.copy()
        image.info["icc_profile"] = icc
        pillow_heif.from_pillow(image).save(path, quality=95)
    else:
        saved(wide, path, icc_profile=icc, quality=95)
    assert difference(seen(prepare(str(path), SETTINGS)), photo()) < 5


def test_a_png_s_own_gamma_and_primaries_are_converted(tmp_path):
    plain = saved(Image.new("RGB", (8, 8), (55, 55, 55)), tmp_path / "a.png").read_bytes()
    linear = with_chunk(plain, b"gAMA", struct.pack(">I", 100_000))
    # 55/255 of linear light is 128/255 in sRGB.
    grey = seen(prepare(linear, SETTINGS)).getpixel((3, 3))
    assert all(abs(value - 128) <= 1 for value in grey)
    points = struct.pack(">8I", *(round(value * 100_000) for value in P3_POINTS))
    green = saved(Image.new("RGB", (8, 8), (60, 200, 60)), tmp_path / "b.png").read_bytes()
    wide = with_chunk(with_chunk(green, b"cHRM", points), b"gAMA", struct.pack(">I", 45455))
    assert seen(prepare(wide, SETTINGS)).getpixel((3, 3))[0] < 40  # more saturated in sRGB


def test_a_png_of_ordinary_gamma_is_left_alone(tmp_path):
    plain = saved(photo(), tmp_path / "a.png").read_bytes()
    data = with_chunk(plain, b"gAMA", struct.pack(">I", 45455))
    assert prepare(data, SETTINGS).parts == (data,)


def test_a_grey_picture_keeps_its_tones_through_a_colour_profile(tmp_path):
    path = saved(photo().convert("L"), tmp_path / "a.png", icc_profile=profile(P3_POINTS, 1.0))
    result = seen(prepare(str(path), SETTINGS))
    assert result.mode == "L"
    assert difference(result, photo().convert("L")) > 10


@pytest.mark.parametrize(
    ("mode", "name", "mime"),
    [
        ("RGB", "a.jpg", "image/jpeg"),
        ("RGB", "a.png", "image/png"),
        ("RGB", "a.webp", "image/jpeg"),
        ("CMYK", "a.jpg", "image/jpeg"),
        ("P", "a.gif", "image/png"),
    ],
)
def test_the_long_side_is_brought_down(tmp_path, mode, name, mime):
    path = saved(photo((640, 400)).convert(mode), tmp_path / name)
    prepared = prepare(str(path), PrepareSettings(max_side=160))
    assert (prepared.width, prepared.height, prepared.mime) == (160, 100, mime)
    assert difference(seen(prepared), photo((160, 100))) < 5


def test_a_sliver_keeps_at_least_one_pixel(tmp_path):
    path = saved(Image.new("RGB", (900, 1)), tmp_path / "a.png")
    assert seen(prepare(str(path), PrepareSettings(max_side=100))).size == (100, 1)


@pytest.mark.parametrize(("max_bytes", "keeps_size"), [(90_000, True), (20_000, False)])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_what_is_too_heavy_is_made_to_fit(tmp_path, name, max_bytes, keeps_size):
    path = saved(noise((400, 300)), tmp_path / name, quality=100)
    assert path.stat().st_size > max_bytes
    prepared = prepare(str(path), PrepareSettings(max_bytes=max_bytes))
    assert prepared.size <= max_bytes
    assert prepared.mime == "image/jpeg"
    assert (seen(prepared).size == (400, 300)) is keeps_size


def test_metadata_that_makes_a_file_too_heavy_is_just_left_out(tmp_path):
    path = saved(photo(), tmp_path / "a.jpg", comment=b"x" * 60_000)
    prepared = prepare(str(path), PrepareSettings(max_bytes=20_000))
    with Image.open(path) as original:
        assert seen(prepared).tobytes() == original.tobytes()


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_picture_goes_out(tmp_path, name):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]
    path = saved(frames[0], tmp_path / name, save_all=True, append_images=frames[1:])
    with Image.open(path) as check:
        assert len(list(ImageSequence.Iterator(check))) == 3
    result = seen(prepare(str(path), SETTINGS))
    assert getattr(result, "n_frames", 1) == 1
    red, green, blue = result.convert("RGB").getpixel((5, 5))
    assert (red > 240, green < 15, blue < 15) == (True, True, True)


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.bmp", "a.tiff"])
def test_formats_that_the_endpoint_does_not_take_become_jpeg(tmp_path, name):
    path = tmp_path / name
    if name == "a.heic":
        pillow_heif.from_pillow(photo()).save(path, quality=95, exif=exif().tobytes())
    else:
        saved(photo(), path)
    prepared = prepare(str(path), SETTINGS)
    assert prepared.mime == "image/jpeg"
    assert difference(seen(prepared), photo()) < 4


def test_the_format_is_what_the_bytes_say(tmp_path):
    path = tmp_path / "really-a-png.jpg"
    photo().save(path, format="PNG")
    assert prepare(str(path), SETTINGS).mime == "image/png"


def test_nothing_global_of_pillow_is_changed(tmp_path):
    before = (Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), dict(Image.EXTENSION))
    for suffix, quality in itertools.product((".jpg", ".heic"), (80,)):
        path = tmp_path / f"a{suffix}"
        pillow_heif.from_pillow(photo()).save(path, quality=quality) if (
            suffix == ".heic"
        ) else saved(photo(), path, exif=exif(6))
        prepare(str(path), SETTINGS)
    assert (Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), dict(Image.EXTENSION)) == before
