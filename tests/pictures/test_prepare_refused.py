"""What is no picture, or none that is whole, is an `InputError` that says what to do."""

import io
import os
import random
import socket
import struct
import zlib

import pillow_heif
import pytest
from picture_samples import exif, photo, png_chunk, raw_png, saved
from PIL import Image

from pipeline.errors import InputError, JobError
from pipeline.pictures.prepare import PrepareSettings, digest_file, prepare

SETTINGS = PrepareSettings()


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "an MP4 or MOV video"),
        (b"GIF is a format of pictures", "text: 'GIF is a format of pictu'"),
        (b"BMW, Audi and Mercedes are makers of cars", "text"),
        (b"<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"II*\0\x10\0\0\0CR\x02\0", "a camera's raw file"),
        (b"\x01\x02\x03\x04\xff\xfe\xfd\xfc", "starts with 01 02 03 04 ff fe fd fc"),
        (b"", "empty"),
        (b"\xff\xd8", "starts with ff d8"),
    ],
)
def test_what_is_no_picture_is_refused_whatever_it_is_called(tmp_path, head, what):
    path = tmp_path / "product.jpg"
    path.write_bytes(head)
    with pytest.raises(InputError) as caught:
        prepare(str(path), SETTINGS, name="product.jpg")
    assert f"product.jpg: is not a picture that can be read ({what}" in str(caught.value)
    with pytest.raises(InputError):
        prepare(head, SETTINGS)


def test_a_folder_a_pipe_a_socket_and_a_device_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for a writer
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
    for name, what in [
        (str(tmp_path), "a folder"),
        (str(tmp_path / "pipe.jpg"), "a pipe or a socket"),
        (str(tmp_path / "socket.jpg"), "a pipe or a socket"),
        (os.devnull, "a device"),
    ]:
        for ask in (lambda n=name: prepare(n, SETTINGS), lambda n=name: digest_file(n)):
            with pytest.raises(InputError, match=f"is {what}, not a file"):
                ask()


def test_missing_and_unreadable_files_say_what_to_do(tmp_path):
    with pytest.raises(InputError, match="restore it or correct the manifest"):
        prepare(str(tmp_path / "gone.jpg"), SETTINGS)
    with pytest.raises(InputError, match="no path that can exist"):
        prepare("a\0b.jpg", SETTINGS)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = saved(photo(), tmp_path / "a.jpg")
    path.chmod(0)
    with pytest.raises(InputError, match="right to read it"):
        prepare(str(path), SETTINGS)


@pytest.mark.parametrize("name", ["a.jpg", "b.jpg", "a.png", "a.webp", "a.gif", "a.tiff", "a.avif"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_cut_off_picture_is_found(tmp_path, name, share):
    options = {"exif": exif()} if name == "b.jpg" else {}
    path = saved(photo((200, 150)), tmp_path / name, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=f"{name}: "):
        prepare(str(path), SETTINGS, name=name)


def test_a_cut_off_heic_is_found(tmp_path):
    path = tmp_path / "a.heic"
    pillow_heif.from_pillow(photo((200, 150))).save(path, quality=90)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="cannot be decoded as HEIC"):
        prepare(str(path), SETTINGS)


@pytest.mark.parametrize(
    "data",
    [
        raw_png(60_000, 60_000, 8, 2, b""),
        raw_png(60_000, 60_000, 8, 3, b"", png_chunk(b"PLTE", bytes(3))),
        b"\xff\xd8\xff\xc0\0\x11\x08\xea\x60\xea\x60\x03" + bytes(9) + b"\xff\xda\0\2\xff\xd9",
        b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b"," + bytes(30),
        b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, *(0,) * 6),
        b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xff\xff\xff\x0f" + bytes(9),
    ],
    ids=["png", "palette png", "jpeg", "gif", "bmp", "webp"],
)
def test_a_header_that_promises_too_many_pixels_is_not_decoded(data):
    with pytest.raises(InputError, match="more than 200 million"):
        prepare(data, SETTINGS)


def test_the_message_about_a_bomb_names_its_size():
    with pytest.raises(InputError, match="60000 x 60000 pixels, more than 200 million"):
        prepare(raw_png(60_000, 60_000, 8, 2, b""), SETTINGS, name="bomb.png")


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_a_picture_without_pixels_is_refused(size):
    with pytest.raises(InputError, match="no pixels"):
        prepare(raw_png(*size, 8, 2, b""), SETTINGS)


def test_text_that_would_unpack_to_gigabytes_is_not_unpacked(tmp_path):
    path = saved(photo().convert("P"), tmp_path / "a.png")
    plain = path.read_bytes()
    bomb = b"bomb\0\0" + zlib.compress(bytes(30_000_000), 9)
    for kind in (b"zTXt", b"iCCP"):
        path.write_bytes(plain[:33] + png_chunk(kind, bomb) + plain[33:])
        assert prepare(str(path), SETTINGS).mime == "image/png"


def test_a_raw_file_s_preview_is_not_taken_for_the_picture(tmp_path):
    path = saved(photo(), tmp_path / "a.tiff", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(InputError, match="camera's raw file"):
        prepare(str(path), SETTINGS)


def test_settings_that_cannot_work_are_refused_when_the_job_is_read():
    PrepareSettings(background="#fff").check()
    for settings, key in [
        (PrepareSettings(background="wite"), "inputs.background"),
        (PrepareSettings(max_side=4), "inputs.max_side"),
        (PrepareSettings(max_bytes=10), "inputs.max_bytes"),
    ]:
        with pytest.raises(JobError, match=key):
            settings.check()


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "gif", "tiff", "bmp", "avif", "heif"])
def test_damage_of_any_kind_ends_in_a_picture_or_an_input_error(name):
    buffer = io.BytesIO()
    if name == "heif":
        pillow_heif.from_pillow(photo((40, 30))).save(buffer, quality=50)
    else:
        options = {"exif": exif(6)} if name in ("png", "jpeg", "webp") else {}
        photo((40, 30)).save(buffer, name, **options)
    whole = buffer.getvalue()
    dice = random.Random(name)
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 1, 4, 20))):
            at = dice.randrange(len(data) if dice.random() < 0.5 else min(len(data), 200))
            data[at] = dice.choice((0, 1, 0x7F, 0xFF, dice.randrange(256)))
        if dice.random() < 0.2:
            del data[dice.randrange(len(data)) :]
        try:
            prepared = prepare(bytes(data), SETTINGS)
        except InputError:
            continue
        assert prepared.width * prepared.height > 0


def test_a_file_that_shrinks_is_noticed(tmp_path):
    from pipeline.pictures.source import FileSource, read_parts

    path = saved(photo(), tmp_path / "a.jpg")
    parts = prepare(str(path), SETTINGS).parts
    with FileSource(str(path), "a.jpg") as source:
        path.write_bytes(b"")
        with pytest.raises(InputError, match="changed while it was read"):
            source.read(0, 100)
    with pytest.raises(InputError, match="changed while it was read"):
        read_parts(parts, "a.jpg")


def test_pillow_s_own_limit_does_not_come_before_ours(monkeypatch, tmp_path):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("a.png", "a.bmp"):
        path = saved(photo().convert("P"), tmp_path / name)
        assert prepare(str(path), SETTINGS).width == 96
