"""Renditions: geometry, colours, formats, ceilings, and what is said of them."""

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageDraw

from pipeline.errors import EditError, InputError, JobError
from pipeline.pictures.encoding import srgb_profile
from pipeline.pictures.placement import placed, placed_subject
from pipeline.pictures.provenance import Provenance, read_provenance, with_provenance
from pipeline.pictures.renditions import Rendered, RenditionSpec, render, rendition_key
from pipeline.pictures.upscaling import load_upscaler
from tests.pictures.picture_samples import (
    P3_POINTS,
    REFERENCE,
    difference,
    exif,
    noise,
    photo,
    profile,
)
from tests.pictures.provenance_samples import (
    FACTS,
    SOURCE_TYPE,
    exiftool,
    needs_exiftool,
    picture,
    with_c2pa,
)

SIDES = st.integers(1, 3000)


def png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def opened(made: Rendered) -> Image.Image:
    image = Image.open(io.BytesIO(made.data))
    image.load()
    assert image.size == (made.width, made.height)
    assert image.format == made.format.upper()
    return image


def product(size: tuple[int, int], box: tuple[int, int, int, int], ground: int = 255) -> bytes:
    """A dark block on a light ground, with a speck of dust in the corner."""
    image = Image.new("RGB", size, (ground,) * 3)
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(30, 80, 160))
    image.putpixel((3, 3), (0, 0, 0))
    return png(image)


def dark_box(image: Image.Image) -> tuple[int, int, int, int]:
    box = image.convert("L").point(lambda value: 255 if value < 170 else 0).getbbox()
    assert box is not None
    return box


# --- geometry


@settings(max_examples=300, deadline=None)
@given(
    source=st.tuples(SIDES, SIDES),
    canvas=st.tuples(SIDES, SIDES),
    fit=st.sampled_from(["contain", "cover", "exact", "inside"]),
    focus=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    allow_upscale=st.booleans(),
)
def test_any_picture_lands_inside_any_canvas(
    source: tuple[int, int],
    canvas: tuple[int, int],
    fit: Any,
    focus: tuple[float, float],
    allow_upscale: bool,
) -> None:
    found = placed(
        source,
        width=canvas[0],
        height=canvas[1],
        fit=fit,
        focus=focus,
        allow_upscale=allow_upscale,
    )
    left, top, right, bottom = found.spot
    assert 0 <= left < right <= found.canvas[0] <= canvas[0]
    assert 0 <= top < bottom <= found.canvas[1] <= canvas[1]
    assert -1e-6 <= found.window[0] < found.window[2] <= source[0] + 1e-6
    assert -1e-6 <= found.window[1] < found.window[3] <= source[1] + 1e-6
    if allow_upscale and fit != "inside":
        assert found.canvas == canvas
    if not allow_upscale:
        assert found.scale <= 1.0000001
    if fit in ("cover", "exact", "inside"):
        assert found.spot_size == found.canvas


@settings(max_examples=300, deadline=None)
@given(
    source=st.tuples(st.integers(40, 3000), st.integers(40, 3000)),
    corner=st.tuples(st.floats(0, 0.8), st.floats(0, 0.8)),
    share=st.tuples(st.floats(0.02, 0.2), st.floats(0.02, 0.2)),
    canvas=st.tuples(st.integers(50, 3000), st.integers(50, 3000)),
    fill=st.floats(0.3, 1),
)
def test_a_subject_fills_at_least_what_is_asked(
    source: tuple[int, int],
    corner: tuple[float, float],
    share: tuple[float, float],
    canvas: tuple[int, int],
    fill: float,
) -> None:
    left, top = (int(corner[side] * source[side]) for side in (0, 1))
    width, height = (max(1, int(share[side] * source[side])) for side in (0, 1))
    found = placed_subject(
        source, (left, top, left + width, top + height), canvas=canvas, fill=fill
    )
    takes = max(width * found.scale / canvas[0], height * found.scale / canvas[1])
    assert fill - 1e-9 <= takes <= 1 + 1e-9
    assert 0 <= found.spot[0] < found.spot[2] <= canvas[0]
    assert 0 <= found.spot[1] < found.spot[3] <= canvas[1]
    assert 0 <= found.window[0] < found.window[2] <= source[0]
    assert 0 <= found.window[1] < found.window[3] <= source[1]


# --- fits


def test_contain_shows_all_of_it_on_the_background() -> None:
    made = render(
        png(photo((300, 100))),
        RenditionSpec(width=200, height=200, format="png", background="#204060"),
    )
    image = opened(made)
    assert image.getpixel((100, 20)) == image.getpixel((100, 180)) == (0x20, 0x40, 0x60)
    inner = image.crop((0, 67, 200, 133))
    assert difference(inner, photo((300, 100)).resize((200, 66), Image.Resampling.LANCZOS)) < 3


@pytest.mark.parametrize(("focus", "at"), [((0, 0.5), 0), ((0.5, 0.5), 100), ((1, 0.5), 200)])
def test_cover_cuts_around_the_focus(focus: tuple[float, float], at: int) -> None:
    spec = RenditionSpec(width=100, height=100, fit="cover", focus=focus, format="png")
    expected = photo((300, 100)).crop((at, 0, at + 100, 100))
    assert difference(opened(render(png(photo((300, 100))), spec)), expected) == 0


def test_exact_stretches_and_says_so() -> None:
    made = render(png(photo((300, 100))), RenditionSpec(width=100, height=100, fit="exact"))
    assert opened(made).size == (100, 100)
    assert made.notes == ("stretched: 200% narrower than it was",)
    assert not render(
        png(photo((300, 100))), RenditionSpec(width=150, height=50, fit="exact")
    ).notes


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(100, 100, (100, 33)), (None, 50, (150, 50)), (90, None, (90, 30))],
)
def test_inside_has_no_margin(width: int | None, height: int | None, size: tuple[int, int]) -> None:
    spec = RenditionSpec(width=width, height=height, fit="inside", format="webp")
    assert opened(render(png(photo((300, 100))), spec)).size == size


def test_a_jpeg_that_is_decoded_smaller_comes_out_like_a_png() -> None:
    """Half of the pixels are never decoded; the shape is still that of all of them."""
    image = photo((1713, 2047))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    for spec in (
        RenditionSpec(width=200, fit="inside", format="png"),
        RenditionSpec(width=150, height=90, fit="cover", focus=(0.3, 0.9), format="png"),
        RenditionSpec(width=151, height=151, format="png"),
    ):
        one, other = render(buffer.getvalue(), spec), render(png(image), spec)
        assert difference(opened(one), opened(other)) < 1.5
        assert not one.notes


# --- pixels there are, and pixels there are not


def test_enlarging_is_said_and_by_how_much() -> None:
    made = render(png(photo((500, 400))), RenditionSpec(width=1000, height=1000))
    assert made.enlarged == 2
    assert made.notes == ("enlarged 2.00 times with Lanczos: the picture has 500 × 400 pixels",)


@pytest.mark.parametrize(
    ("fit", "size"),
    [("contain", (500, 500)), ("cover", (400, 400)), ("exact", (400, 400)), ("inside", (500, 400))],
)
def test_without_enlarging_the_frame_becomes_smaller(fit: Any, size: tuple[int, int]) -> None:
    spec = RenditionSpec(width=1000, height=1000, fit=fit, allow_upscale=False)
    made = render(png(photo((500, 400))), spec)
    assert opened(made).size == size
    assert made.enlarged == 1
    assert "and enlarging is off" in made.notes[-1]


def doubled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An upscaler that knows one factor, as real ones do."""
    return image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST)


def failing(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    raise RuntimeError("no weights")


def test_an_upscaler_is_used_where_pixels_are_missing_and_only_there() -> None:
    upscaler = load_upscaler(f"{__name__}:doubled")
    small, spec = png(noise((40, 30))), RenditionSpec(width=80, height=60, format="png")
    made = render(small, spec, upscaler=upscaler)
    assert "by the upscaler" in made.notes[0]
    expected = Image.open(io.BytesIO(small)).resize((80, 60), Image.Resampling.NEAREST)
    assert difference(opened(made), expected) == 0
    large = png(noise((160, 120)))
    assert render(large, spec, upscaler=upscaler) == render(large, spec)


def test_an_upscaler_that_fails_is_named_and_not_replaced_in_silence() -> None:
    with pytest.raises(EditError, match="the upscaler failed: RuntimeError: no weights"):
        render(png(photo()), RenditionSpec(width=500, height=500), upscaler=failing)


@pytest.mark.parametrize(
    "name", ["nobody", "no.such.module:function", "pipeline:nothing", "sys:path"]
)
def test_an_upscaler_that_is_not_there_is_a_configuration_error(name: str) -> None:
    with pytest.raises(JobError, match="upscaler: "):
        load_upscaler(name)


# --- the subject


@pytest.mark.parametrize("ground", [255, 248])
def test_the_subject_takes_its_share_of_the_frame_and_stands_in_the_middle(ground: int) -> None:
    small = product((1200, 900), (700, 100, 1000, 700), ground)
    spec = RenditionSpec(width=1000, height=1000, fill=0.85, format="png", sharpening="none")
    image = opened(render(small, spec))
    left, top, right, bottom = dark_box(image)
    assert 850 <= bottom - top <= 862
    assert abs((top + bottom) / 2 - 500) <= 4
    assert abs((left + right) / 2 - 500) <= 4
    assert abs((right - left) / (bottom - top) - 300 / 600) < 0.01


def test_around_the_subject_the_picture_goes_on_as_far_as_it_reaches() -> None:
    """A soft shadow is not cut off by a straight line, and the rest is background."""
    small = product((600, 400), (250, 100, 350, 300), 248)
    spec = RenditionSpec(width=400, height=800, fill=0.3, format="png", sharpening="none")
    image = opened(render(small, spec))
    assert image.getpixel((200, 240)) == (248, 248, 248)
    assert image.getpixel((200, 20)) == (255, 255, 255)


def test_a_thin_part_belongs_to_the_subject_and_dust_does_not() -> None:
    image = Image.new("RGB", (800, 800), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((300, 300, 500, 500), fill="navy")
    draw.line((500, 400, 700, 400), fill="navy", width=1)
    image.putpixel((10, 790), (0, 0, 0))
    made = render(
        png(image), RenditionSpec(width=800, height=800, fill=1, format="png", sharpening="none")
    )
    left, _, right, _ = dark_box(opened(made))
    assert left <= 2
    assert right >= 798


def test_transparency_says_where_the_subject_is() -> None:
    image = Image.new("RGBA", (400, 400), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle((100, 150, 199, 249), fill=(255, 255, 255, 255))
    spec = RenditionSpec(
        width=200, height=200, fill=0.9, format="png", alpha="keep", sharpening="none"
    )
    box = (
        opened(render(png(image), spec)).getchannel("A").point(lambda v: 255 * (v > 128)).getbbox()
    )
    assert box is not None
    assert 176 <= box[2] - box[0] <= 184


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (png(Image.new("RGB", (90, 60), "white")), "no subject was found"),
        (png(photo()), "reaches all four edges, or the background is not white"),
        (product((100, 100), (40, 40, 100, 80)), "cut off by the picture's edge (right)"),
    ],
)
def test_what_stands_in_the_way_of_a_subjects_margin_is_said(data: bytes, note: str) -> None:
    made = render(data, RenditionSpec(width=200, height=200, fill=0.85))
    assert any(note in said for said in made.notes)


def test_a_white_point_makes_nearly_white_ground_white() -> None:
    small = product((100, 100), (40, 40, 60, 60), 251)
    spec = RenditionSpec(width=100, height=100, format="png")
    assert opened(render(small, spec)).getpixel((10, 50)) == (251, 251, 251)
    whiter = msgspec.structs.replace(spec, white_point=250)
    image = opened(render(small, whiter))
    assert image.getpixel((10, 50)) == (255, 255, 255)
    assert image.getpixel((50, 50)) == (31, 82, 163)


# --- colour and alpha


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "tRNS"])
def test_transparent_pixels_come_out_in_the_background_never_black(mode: str) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((24, 24, 40, 40), fill=(200, 200, 200, 255))
    options: dict[str, Any] = {}
    if mode == "tRNS":
        image = Image.new("RGB", (64, 64))
        ImageDraw.Draw(image).rectangle((24, 24, 40, 40), fill=(200, 200, 200))
        options["transparency"] = (0, 0, 0)
    elif mode != "RGBA":
        image = image.convert(mode)
    spec = RenditionSpec(width=64, height=64, background="#ffcc00", format="png")
    made = opened(render(png(image, **options), spec))
    assert made.mode == "RGB"
    assert made.getpixel((4, 4)) == (255, 204, 0)
    red, green, blue = made.getpixel((32, 32))
    assert abs(red - 200) < 3 > abs(green - 200)
    assert abs(blue - 200) < 3


@pytest.mark.parametrize("form", ["png", "webp", "avif"])
def test_alpha_is_kept_where_it_is_wanted(form: Any) -> None:
    spec = RenditionSpec(width=60, height=90, alpha="keep", format=form)
    image = opened(render(picture("PNG", "RGBA"), spec))
    assert image.mode == "RGBA"
    assert image.getpixel((30, 2))[3] == 0, "the margin is clear"
    assert image.getchannel("A").getextrema()[1] > 240


def test_clear_pixels_lend_no_colour_to_their_neighbours() -> None:
    image = Image.new("RGBA", (200, 200), (255, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((50, 50, 150, 150), fill=(0, 0, 255, 255))
    spec = RenditionSpec(width=50, height=50, alpha="keep", format="png")
    made = opened(render(png(image), spec))
    for x in range(50):
        red, _, _, alpha = made.getpixel((x, 25))
        assert alpha < 8 or red < 8


def test_other_colour_spaces_become_srgb() -> None:
    green = Image.new("RGB", (64, 64), (0, 200, 0))
    data = png(green, icc_profile=profile(P3_POINTS))
    made = opened(render(data, RenditionSpec(width=64, height=64, format="png")))
    red, value, _ = made.getpixel((32, 32))
    assert red == 0
    assert value > 200, "P3's green is greener than sRGB's"
    assert made.info["icc_profile"] == srgb_profile()
    stripped = RenditionSpec(width=64, height=64, format="png", profile="strip")
    assert "icc_profile" not in opened(render(data, stripped)).info


def test_the_profile_is_srgb_and_carries_no_date() -> None:
    named = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile())))
    assert "sRGB" in named
    assert srgb_profile()[24:36] == bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0))


def test_turned_pictures_are_upright_and_their_places_gone() -> None:
    data = picture("JPEG", exif=exif(6), quality=95)
    made = render(data, RenditionSpec(width=64, height=96, fit="exact", format="png"))
    turned = photo().transpose(Image.Transpose.ROTATE_270)
    assert difference(opened(made), turned) < 6
    assert not made.notes
    assert b"SecretCamera" not in made.data
    assert not opened(made).getexif()


def test_shrinking_sharpens_a_little_and_enlarging_does_not() -> None:
    data = png(noise((400, 400)).resize((200, 200), Image.Resampling.LANCZOS).resize((400, 400)))

    def contrast(sharpening: Any, side: int) -> float:
        spec = RenditionSpec(width=side, height=side, format="png", sharpening=sharpening)
        image = opened(render(data, spec)).convert("L")
        return sum(abs(value - 128) for value in image.tobytes()) / side**2

    assert contrast("none", 200) < contrast("mild", 200) < contrast("strong", 200)
    assert contrast("strong", 800) == contrast("none", 800)


def test_white_stays_white() -> None:
    white = png(Image.new("RGB", (600, 500), "white"))
    for form in ("jpeg", "png", "webp"):
        spec = RenditionSpec(width=300, height=300, format=form, sharpening="strong")
        assert opened(render(white, spec)).getextrema() == ((255, 255),) * 3


# --- formats and ceilings


@pytest.mark.parametrize("form", ["jpeg", "webp", "avif"])
def test_a_byte_ceiling_is_met_by_the_best_quality_that_fits(form: Any) -> None:
    data = png(photo((500, 500)).effect_spread(20))
    free = render(data, RenditionSpec(width=240, height=240, format=form), provenance=FACTS)
    least = render(
        data,
        RenditionSpec(width=240, height=240, format=form, quality=5),
        provenance=FACTS,
    )
    ceiling = (len(free.data) + len(least.data)) // 2
    spec = RenditionSpec(width=240, height=240, format=form, max_bytes=ceiling, min_quality=5)
    made = render(data, spec, provenance=FACTS)
    assert len(made.data) <= ceiling
    assert made.quality is not None
    assert free.quality is not None
    assert made.quality < free.quality
    assert f"quality {made.quality} instead of {free.quality}" in made.notes[-1]
    better = msgspec.structs.replace(spec, quality=made.quality + 1, max_bytes=None)
    assert len(render(data, better, provenance=FACTS).data) > ceiling


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_a_ceiling_that_cannot_be_met_is_an_error_never_a_large_file(form: Any) -> None:
    spec = RenditionSpec(width=300, height=300, format=form, max_bytes=2000)
    with pytest.raises(
        EditError, match=r"cannot be made smaller than [\d,]+ bytes.*the limit is 2,000"
    ):
        render(png(noise((300, 300))), spec)


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_the_same_picture_and_spec_give_the_same_bytes(form: Any) -> None:
    spec = RenditionSpec(width=120, height=80, format=form, fit="cover")
    data = png(photo((300, 200)))
    assert render(data, spec, provenance=FACTS) == render(data, spec, provenance=FACTS)


@pytest.mark.parametrize("form", ["png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"])
def test_every_format_that_is_read_can_be_rendered(form: str) -> None:
    made = render(picture(form), RenditionSpec(width=48, height=32, format="png"))
    assert difference(opened(made), photo((48, 32))) < 25


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(picture("PNG")[:-40])
    spec = RenditionSpec(width=48, height=32)
    with pytest.raises(InputError, match=r"cut\.png.*cut off"):
        render(path, spec)
    with pytest.raises(InputError, match="is not there"):
        render(tmp_path / "none.png", spec)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"width": 10}, "fit 'contain' needs width and height"),
        ({"fit": "inside"}, "needs one of width and height"),
        ({"width": 0, "height": 5}, "choose 1 to"),
        ({"width": 9, "height": 9, "fill": 0.9, "fit": "cover"}, "fill"),
        ({"width": 9, "height": 9, "focus": (0.5, 1.5)}, "focus"),
        ({"width": 9, "height": 9, "alpha": "keep"}, "JPEG has no transparency"),
        ({"width": 9, "height": 9, "format": "png", "quality": 80}, "PNG loses nothing"),
        ({"width": 9, "height": 9, "quality": 101}, "choose 1 to 100"),
        ({"width": 9, "height": 9, "max_bytes": 100}, "too small"),
        ({"width": 9, "height": 9, "tolerance": 300}, "tolerance"),
        ({"width": 9, "height": 9, "white_point": 20}, "white_point"),
        ({"width": 9, "height": 9, "background": "whit"}, "is not a colour"),
    ],
)
def test_a_spec_that_cannot_work_is_refused_by_its_key(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(JobError, match=r"renditions\.web.*") as found:
        RenditionSpec(**wrong).check("renditions.web")
    assert what in str(found.value)


# --- provenance


@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_a_rendition_says_what_it_is_and_what_it_was_made_from(form: Any, tmp_path: Path) -> None:
    import hashlib

    source = tmp_path / "mug-1.png"
    source.write_bytes(picture("PNG"))
    spec = RenditionSpec(width=48, height=32, format=form)
    path = tmp_path / f"made{spec.extension}"
    path.write_bytes(render(source, spec, provenance=FACTS, rendition="web").data)
    found = read_provenance(path)
    assert (found.format, found.rendition) == (form, "web")
    assert found.digital_source == "compositeWithTrainedAlgorithmicMedia"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert found.derived_from == f"mug-1.png urn:sha256:{digest}"
    assert (found.alt_text, found.fingerprint) == (FACTS.alt_text, FACTS.fingerprint)


@needs_exiftool
@pytest.mark.parametrize("form", ["jpeg", "png", "webp", "avif"])
def test_exiftool_reads_a_rendition(form: Any, tmp_path: Path) -> None:
    spec = RenditionSpec(width=48, height=32, format=form)
    path = tmp_path / f"made{spec.extension}"
    path.write_bytes(render(picture("PNG"), spec, provenance=FACTS, rendition="web").data)
    found = exiftool(path)
    assert found["XMP-iptcExt:DigitalSourceType"] == SOURCE_TYPE
    assert found["XMP-iep:Rendition"] == "web"
    assert found["XMP-xmpMM:DerivedFromDocumentID"].startswith("urn:sha256:")
    assert found["ExifTool:Validate"] == "OK"


def test_what_the_original_says_is_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "made.jpg"
    spec = RenditionSpec(width=48, height=32)
    path.write_bytes(render(with_provenance(picture("PNG"), FACTS), spec, name="o.png").data)
    found = read_provenance(path)
    assert (found.model, found.alt_text) == (FACTS.model, FACTS.alt_text)
    assert found.created == "2026-09-21T14:13:20Z"
    assert found.derived_from is not None
    assert found.derived_from.startswith("o.png ")
    assert read_xmp(render(picture("PNG"), spec), tmp_path) == {}, "nobody said anything"


def test_an_endpoints_label_outlives_the_rendition(tmp_path: Path) -> None:
    theirs = Provenance(digital_source="trainedAlgorithmicMedia", software="Somebody's model")
    data = with_provenance(picture("PNG"), theirs)
    made = render(data, RenditionSpec(width=48, height=32), provenance=FACTS)
    assert read_xmp(made, tmp_path)["Iptc4xmpExt:DigitalSourceType"].endswith(
        "/trainedAlgorithmicMedia"
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_signature_over_other_bytes_is_not_carried_over(form: str) -> None:
    made = render(with_c2pa(form), RenditionSpec(width=48, height=32), provenance=FACTS)
    assert b"jumb" not in made.data


def read_xmp(made: Rendered, folder: Path) -> dict[str, str]:
    path = folder / "read"
    path.write_bytes(made.data)
    return read_provenance(path).xmp


def test_the_key_changes_with_what_changes_the_bytes() -> None:
    spec = RenditionSpec(width=100, height=100)
    key = rendition_key("ab", spec)
    changed = [
        rendition_key("cd", spec),
        rendition_key("ab", msgspec.structs.replace(spec, quality=80)),
        rendition_key("ab", spec, provenance=FACTS),
        rendition_key("ab", spec, rendition="web"),
        rendition_key("ab", spec, upscaler="other"),
    ]
    assert len({key, *changed}) == len(changed) + 1
    assert key == rendition_key("ab", msgspec.structs.replace(spec, folder="web", file="x"))


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference pictures are not here")
@pytest.mark.parametrize("name", ["edited-sample.png", "landscape.jpg", "mushroom.jpg"])
def test_real_photographs_keep_their_look(name: str) -> None:
    source = REFERENCE / name
    made = render(source, RenditionSpec(width=400, fit="inside", quality=95))
    with Image.open(source) as image:
        expected = image.convert("RGB").resize((made.width, made.height), Image.Resampling.LANCZOS)
    assert difference(opened(made), expected) < 4


@pytest.mark.parametrize("form", ["jpeg", "webp", "png", "avif"])
def test_a_strip_of_pixels_is_not_enlarged_without_an_end(form: Any) -> None:
    """200 wide would be 600,000 high: refused before a pixel of that is made."""
    spec = RenditionSpec(width=200, fit="inside", format=form)
    with pytest.raises(EditError, match=r"strip: has 1 × 3000 pixels, and would become 200 × 600,"):
        render(png(photo((1, 3000))), spec, name="strip")
    made = render(png(photo((1, 3000))), msgspec.structs.replace(spec, allow_upscale=False))
    assert (made.width, made.height) == (1, 3000)


def test_what_an_encoder_cannot_do_ends_one_rendition() -> None:
    from pipeline.pictures.encoding import encoded

    with pytest.raises(EditError, match="cannot be encoded as WEBP"):
        encoded(Image.new("RGB", (16_400, 2)), "webp", quality=80)
