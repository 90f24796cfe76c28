"""Pictures whose pixels are fine: their own bytes go out, less the metadata."""

import io
import struct
from pathlib import Path

import pytest
from picture_samples import (
    REFERENCE,
    difference,
    exif,
    noise,
    photo,
    saved,
    seen,
    sent,
    with_chunk,
)
from PIL import Image, ImageCms

from pipeline.models import FileSlice
from pipeline.pictures.prepare import PrepareSettings, digest_file, prepare

SETTINGS = PrepareSettings()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".jpg", {"quality": 90}),
        (".jpg", {"progressive": True}),
        (".png", {}),
        (".png", {"dpi": (300, 300)}),
        (".webp", {}),
        (".webp", {"lossless": True}),
    ],
)
def test_a_picture_that_needs_nothing_is_one_slice_of_its_file(tmp_path, suffix, options):
    path = saved(photo(), tmp_path / f"a{suffix}", **options)
    prepared = prepare(str(path), SETTINGS)
    assert prepared.parts == (FileSlice(path=str(path), offset=0, length=path.stat().st_size),)
    assert (prepared.width, prepared.height) == (96, 64)
    assert prepared.encoded is None


@pytest.mark.parametrize(
    "path",
    sorted(REFERENCE.glob("*.[jp][pn]g")) if REFERENCE.is_dir() else [],
    ids=lambda p: p.name,
)
def test_the_provider_s_own_example_pictures_keep_every_pixel(path):
    prepared = prepare(str(path), SETTINGS)
    with Image.open(path) as original:
        assert seen(prepared).tobytes() == original.tobytes()
    assert all(isinstance(part, FileSlice) for part in prepared.parts)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_place_and_camera_are_left_out_and_no_pixel_changes(tmp_path, name):
    path = saved(photo(), tmp_path / name, exif=exif(), xmp=b"<x:xmpmeta>Berlin</x:xmpmeta>")
    assert b"SecretCamera" in path.read_bytes()
    prepared = prepare(str(path), SETTINGS)
    assert b"Berlin" not in sent(prepared)
    with Image.open(path) as original:
        assert seen(prepared).tobytes() == original.convert(seen(prepared).mode).tobytes()
    assert not all(isinstance(part, bytes) for part in prepared.parts)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_an_srgb_profile_is_left_out_without_touching_pixels(tmp_path, name):
    path = saved(photo(), tmp_path / name, icc_profile=SRGB)
    with Image.open(path) as original:
        assert seen(prepare(str(path), SETTINGS)).tobytes() == original.tobytes()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_broken_profile_is_ignored(tmp_path, name):
    path = saved(photo(), tmp_path / name, icc_profile=b"not a profile" * 20)
    with Image.open(path) as original:
        assert seen(prepare(str(path), SETTINGS)).tobytes() == original.tobytes()


def test_every_jpeg_segment_that_is_no_picture_is_left_out(tmp_path):
    plain = saved(photo(), tmp_path / "a.jpg").read_bytes()
    extra = b"".join(
        struct.pack(">BBH", 0xFF, marker, 2 + len(body)) + body
        for marker, body in [
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0SecretCamera"),
            (0xE2, b"MPF\0SecretCamera"),
            (0xEB, b"JP\0\1SecretCamera"),
            (0xED, b"Photoshop 3.0\0SecretCamera"),
            (0xFE, b"SecretCamera"),
        ]
    )
    path = tmp_path / "b.jpg"
    path.write_bytes(plain[:20] + extra + plain[20:])
    assert sent(prepare(str(path), SETTINGS)) == plain


@pytest.mark.parametrize("kind", [b"tEXt", b"eXIf", b"tIME", b"caBX", b"prVt"])
def test_png_chunks_that_are_no_picture_are_left_out(tmp_path, kind):
    plain = saved(photo(), tmp_path / "a.png").read_bytes()
    path = tmp_path / "b.png"
    path.write_bytes(with_chunk(plain, kind, b"Author\0SecretCamera"))
    assert sent(prepare(str(path), SETTINGS)) == plain


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_what_lies_behind_the_end_is_left_out(tmp_path, name):
    path = saved(photo(), tmp_path / name)
    plain = path.read_bytes()
    path.write_bytes(plain + b"\0\0\0\x18ftypmp42 a film of the same moment")
    assert sent(prepare(str(path), SETTINGS)) == plain


def test_a_second_picture_behind_a_camera_s_first_is_left_out(tmp_path):
    path = saved(photo(), tmp_path / "a.jpg", exif=exif())
    plain = sent(prepare(str(path), SETTINGS))
    path.write_bytes(path.read_bytes() * 2)  # ends with an end mark, too
    assert sent(prepare(str(path), SETTINGS)) == plain


def test_a_webp_beside_its_metadata_needs_no_long_header(tmp_path):
    path = saved(photo(), tmp_path / "a.webp", exif=exif(), icc_profile=SRGB)
    data = sent(prepare(str(path), SETTINGS))
    assert data == saved(photo(), tmp_path / "b.webp").read_bytes()


def test_a_large_jpeg_is_sent_from_disk_and_not_loaded(tmp_path):
    path = saved(noise((1500, 1100)), tmp_path / "a.jpg", quality=95, exif=exif())
    assert path.stat().st_size > 1_500_000
    prepared = prepare(str(path), SETTINGS)
    assert all(isinstance(part, FileSlice) for part in prepared.parts)
    assert len(prepared.parts) == 2


def test_a_png_with_alpha_that_hides_nothing_goes_out_as_it_is(tmp_path):
    path = saved(photo().convert("RGBA"), tmp_path / "a.png")
    prepared = prepare(str(path), SETTINGS)
    assert prepared.parts == (FileSlice(path=str(path), offset=0, length=path.stat().st_size),)


def test_bytes_are_prepared_like_files(tmp_path):
    path = saved(photo(), tmp_path / "a.jpg", exif=exif())
    assert sent(prepare(path.read_bytes(), SETTINGS)) == sent(prepare(path, SETTINGS))


def test_a_file_in_very_many_pieces_is_joined(tmp_path):
    image = photo()
    path = tmp_path / "a.png"
    plain = io.BytesIO()
    image.save(plain, "PNG")
    data = plain.getvalue()
    for _ in range(100):
        data = with_chunk(with_chunk(data, b"tEXt", b"a\0b"), b"pHYs", bytes(9))
    path.write_bytes(data)
    prepared = prepare(str(path), SETTINGS)
    assert len(prepared.parts) == 1
    assert difference(seen(prepared), image) == 0


def test_the_digest_is_blake3_of_the_bytes(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"abc" * 300_000)
    from blake3 import blake3

    assert digest_file(path) == blake3(path.read_bytes()).hexdigest()


def test_the_key_of_the_settings_is_stable():
    # In every fingerprint: another text here would make every user pay for every edit again.
    assert SETTINGS.key() == "side=2048 bytes=7000000 background=white"


def test_importing_loads_no_pillow(tmp_path: Path):
    import subprocess
    import sys

    code = "import pipeline.pictures.prepare, pipeline.pictures.shared, pipeline.pictures.verify"
    code += "; import sys; sys.exit('PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
