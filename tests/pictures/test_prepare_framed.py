"""Inputs padded and cropped to a shape of the model's before they are sent."""

import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.models import FileSlice
from pipeline.pictures.framing import shapes
from pipeline.pictures.prepare import PrepareSettings, prepare
from pipeline.pictures.shared import PreparedCache
from tests.pictures.picture_samples import difference, exif, photo, saved, seen

SQUARE = shapes(["1:1"])
PAD = PrepareSettings(fit="pad", shapes=SQUARE)
CROP = PrepareSettings(fit="crop", shapes=SQUARE)


def test_fingerprints_change_only_where_fit_is_used():
    plain = "side=2048 bytes=7000000 background=white"
    assert PrepareSettings(shapes=SQUARE).key() == plain
    assert PAD.key() == f"{plain} fit=pad"
    assert CROP.key() == f"{plain} fit=crop"
    assert PrepareSettings(fit="pad", fill="edge").key() == f"{plain} fit=pad fill=edge"
    assert PAD.unfitted() == PrepareSettings()


def test_padding_shows_the_background_and_the_input_untouched(tmp_path):
    image = photo((96, 64))
    path = saved(image, tmp_path / "a.png")
    settings = PrepareSettings(fit="pad", shapes=SQUARE, background="#102030")
    prepared = prepare(str(path), settings)
    sent = seen(prepared)
    assert sent.size == (96, 96)
    assert prepared.framing.box == (0, 16, 96, 80)
    assert prepared.framing.ratio == "1:1"
    assert difference(sent.crop(prepared.framing.box), image) == 0
    assert {sent.getpixel(at) for at in ((0, 0), (95, 15), (0, 80), (95, 95))} == {(16, 32, 48)}


def test_padding_may_repeat_the_edge(tmp_path):
    image = photo((64, 96))
    prepared = prepare(
        str(saved(image, tmp_path / "a.png")),
        PrepareSettings(fit="pad", fill="edge", shapes=SQUARE),
    )
    sent = seen(prepared)
    assert prepared.framing.box == (16, 0, 80, 96)
    for row in (0, 50, 95):
        assert sent.getpixel((0, row)) == image.getpixel((0, row))
        assert sent.getpixel((95, row)) == image.getpixel((63, row))


def test_the_middle_is_what_cropping_keeps(tmp_path):
    image = photo((96, 64))
    prepared = prepare(str(saved(image, tmp_path / "a.png")), CROP)
    assert prepared.framing.box == (-16, 0, 80, 64)
    assert difference(seen(prepared), image.crop((16, 0, 80, 64))) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("settings", [PAD, CROP])
def test_a_turned_photograph_is_framed_as_it_is_displayed(tmp_path, orientation, settings):
    upright = photo((96, 64))
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    path = saved(stored, tmp_path / "a.jpg", exif=exif(orientation), quality=98, subsampling=0)
    prepared = prepare(str(path), settings)
    assert prepared.framing.input_size == (96, 64)
    sent = seen(prepared)
    if settings.fit == "pad":
        assert difference(sent.crop((0, 16, 96, 80)), upright) < 3
    else:
        assert difference(sent, upright.crop((16, 0, 80, 64))) < 3


def test_a_cropped_panorama_is_sent_with_all_the_pixels_it_has(tmp_path):
    """A JPEG is decoded smaller where that is enough; for its middle alone that is not enough."""
    image = photo((4000, 400))
    path = saved(image, tmp_path / "a.jpg", quality=95)
    settings = PrepareSettings(fit="crop", shapes=SQUARE, max_side=400)
    sent = seen(prepare(str(path), settings))
    assert sent.size == (400, 400)
    assert difference(sent, image.crop((1800, 0, 2200, 400))) < 2


def test_the_padded_picture_is_no_larger_than_max_side(tmp_path):
    path = saved(photo((300, 1000)), tmp_path / "a.jpg")
    settings = PrepareSettings(fit="pad", shapes=SQUARE, max_side=500)
    prepared = prepare(str(path), settings)
    assert (prepared.width, prepared.height) == (500, 500)
    assert prepared.framing.box == (175, 0, 325, 500)
    assert prepared.framing.shown_size == (150, 500)


def test_a_picture_of_the_shape_goes_out_from_its_file_as_ever(tmp_path):
    path = saved(photo((64, 64)), tmp_path / "a.jpg")
    prepared = prepare(str(path), PAD)
    assert all(isinstance(part, FileSlice) for part in prepared.parts)
    assert not prepared.framing.changes


def test_transparency_is_laid_on_the_background_before_padding(tmp_path):
    image = photo((64, 32))
    image.putalpha(Image.new("L", image.size, 0))
    prepared = prepare(str(saved(image, tmp_path / "a.png")), PAD)
    assert seen(prepared).convert("RGB").getextrema() == ((255, 255),) * 3


def test_what_cropping_would_destroy_is_refused_with_the_picture_named(tmp_path):
    path = saved(Image.new("RGB", (1, 300)), tmp_path / "thread.png")
    with pytest.raises(InputError, match=r"thread\.png: is 1 x 300: cropped to 1:1"):
        prepare(str(path), CROP)


def test_the_cache_tells_frames_apart(tmp_path):
    path = str(saved(photo((96, 64)), tmp_path / "a.png"))
    cache = PreparedCache()
    wide = PrepareSettings(fit="pad", shapes=shapes(["2:1"]))
    assert cache.get(path, "d", PAD).framing.ratio == "1:1"
    assert cache.get(path, "d", wide).framing.ratio == "2:1"
    assert cache.get(path, "d", PAD).framing.ratio == "1:1"
