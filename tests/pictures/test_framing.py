"""Padding and cropping to a model's shapes, and the way back: geometry, without a pixel."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pipeline.errors import InputError, JobError
from pipeline.pictures import framing
from pipeline.pictures.framing import Framing, frame, parse_size, region, result_size, shapes, whole

GOOGLE = ("21:9", "1:1", "4:3", "3:2", "2:3", "5:4", "4:5", "3:4", "16:9", "9:16")
ANSWERS = {
    "1:1": (1024, 1024),
    "2:3": (832, 1248),
    "3:2": (1248, 832),
    "3:4": (864, 1184),
    "4:3": (1184, 864),
    "4:5": (896, 1152),
    "5:4": (1152, 896),
    "9:16": (768, 1344),
    "16:9": (1344, 768),
    "21:9": (1536, 672),
}
OFFERED = shapes(GOOGLE)

sides = st.integers(1, 20_000)
odd = st.sampled_from([(1, 3000), (857, 1024), (12_000, 700), (3, 2), (1, 1), (9999, 10_000)])
sizes = st.one_of(st.tuples(sides, sides), odd)


@given(sizes, st.sampled_from([1024, 2048]))
@example((1, 3000), 2048)
@example((857, 1024), 2048)
def test_padding_keeps_all_of_the_input_and_comes_back_within_a_pixel(size, max_side):
    made = frame(size, OFFERED, fit="pad", max_side=max_side)
    left, top, right, bottom = made.box
    assert 0 <= left < right <= made.canvas[0]
    assert 0 <= top < bottom <= made.canvas[1]
    assert result_size(made, ANSWERS[made.ratio], "original") == size
    # A point of the input, where it is in the answer, and from there back.
    answer = ANSWERS[made.ratio]
    box = region(made, answer)
    for share in (Fraction(0), Fraction(1, 3), Fraction(1)):
        for axis in (0, 1):
            start, end = made.shares[axis], made.shares[axis + 2]
            there = (start + share * (end - start)) * answer[axis]
            back = (float(there) - box[axis]) / (box[axis + 2] - box[axis]) * size[axis]
            assert abs(back - share * size[axis]) < 1e-6 * max(1, size[axis])


@given(sizes)
def test_what_is_sent_has_the_ratio_that_is_asked_for_within_a_pixel(size):
    for fit in ("pad", "crop"):
        try:
            made = frame(size, OFFERED, fit=fit, max_side=2048)
        except InputError:
            assume(False)
        across, down = map(int, made.ratio.split(":"))
        width, height = made.canvas
        # Half a pixel of rounding, and one that is let pass.
        wide, high = width - height * across / down, height - width * down / across
        assert abs(wide) <= 1.5 or abs(high) <= 1.5
        if fit == "pad" and made.changes:
            assert max(width, height) <= 2048


@given(sizes)
def test_padded_pixels_stay_square(size):
    """The input inside the frame has its own ratio, as far as whole pixels can show it."""
    made = frame(size, OFFERED, fit="pad", max_side=2048)
    if not made.changes:
        return
    inside = (made.box[2] - made.box[0], made.box[3] - made.box[1])
    longer = size.index(max(size))
    scale = inside[longer] / size[longer]
    for axis in (0, 1):
        assert abs(inside[axis] - size[axis] * scale) <= 1.5
    assert abs(made.box[0] - (made.canvas[0] - made.box[2])) <= 1, "in the middle"
    assert abs(made.box[1] - (made.canvas[1] - made.box[3])) <= 1


@given(sizes)
def test_cropping_keeps_one_side_whole_and_the_middle_of_the_other(size):
    try:
        made = frame(size, OFFERED, fit="crop", max_side=2048)
    except InputError:
        assert max(size) > 5 * min(size)
        return
    width, height = made.canvas
    assert width == size[0] or height == size[1] or not made.changes
    assert width <= size[0] + 1
    assert height <= size[1] + 1
    assert made.box[2] - made.box[0] == size[0] or not made.changes
    assert made.kept_size == made.canvas
    assert region(made, (500, 400)) == (0, 0, 500, 400), "all of the answer is the input's"


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("size", [(1024, 1024), (1600, 900), (1601, 900), (4000, 3000), (30, 20)])
def test_an_input_of_a_listed_shape_is_left_as_it_is(size, fit):
    made = frame(size, OFFERED, fit=fit, max_side=2048)
    assert not made.changes
    assert made.ratio
    assert str(made).endswith("sent whole")


def test_the_input_is_padded_to_the_pixels_that_come_back_where_they_are_known():
    """Google's "4:5" is 896 x 1152: padded to that, nothing has to be stretched."""
    made = frame((800, 1000), shapes(GOOGLE, ANSWERS), fit="pad", max_side=2048)
    width, height = made.canvas
    assert made.ratio == "4:5"
    assert abs(width * 1152 / 896 - height) <= 1
    exact = region(made, (896, 1152))
    assert exact[2] - exact[0] == pytest.approx((exact[3] - exact[1]) * 0.8, rel=0.003)


def test_known_inputs():
    made = frame((857, 1024), OFFERED, fit="pad", max_side=2048)
    assert (made.ratio, made.canvas, made.box) == ("4:5", (857, 1071), (0, 23, 857, 1047))
    assert str(made) == "857 x 1024, padded to 857 x 1071 for 4:5 (23 top, 24 bottom)"
    made = frame((6000, 1000), OFFERED, fit="crop", max_side=2048)
    assert (made.ratio, made.canvas, made.box) == ("21:9", (2333, 1000), (-1833, 0, 4167, 1000))
    assert str(made) == "6000 x 1000, cropped to 2333 x 1000 for 21:9"
    made = frame((1, 3000), OFFERED, fit="pad", max_side=2048)
    assert (made.ratio, made.canvas, made.box) == ("9:16", (1152, 2048), (575, 0, 576, 2048))


def test_a_thread_of_a_picture_is_not_cropped_to_nothing():
    with pytest.raises(InputError, match="there would be 1 x 2 left of it"):
        frame((1, 3000), OFFERED, fit="crop", max_side=2048)


def test_an_answer_of_another_shape_is_not_guessed_at():
    made = frame((857, 1024), OFFERED, fit="pad", max_side=2048)
    with pytest.raises(ValueError, match="the answer is 1024 x 1024, not 4:5 as asked"):
        region(made, (1024, 1024))


def test_without_fit_every_size_is_sent_whole():
    made = frame((857, 1024), OFFERED, fit="none", max_side=512)
    assert made == whole((857, 1024), max_side=512)
    assert (made.shown_size, made.kept_size) == ((428, 512), (857, 1024))
    assert frame((857, 1024), (), fit="pad", max_side=2048) == whole((857, 1024), max_side=2048)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("as_returned", (897, 1072)),
        ("same_as_input", (857, 1024)),
        ("original", (857, 1024)),
        ((2000, 2000), (2000, 2000)),
    ],
)
def test_sizes_of_the_result(wanted, expected):
    made = frame((857, 1024), shapes(GOOGLE, ANSWERS), fit="pad", max_side=2048)
    assert made.ratio == "4:5"
    width, height = result_size(made, (896, 1152), wanted)
    assert abs(width - expected[0]) <= 1
    assert abs(height - expected[1]) <= 1


def test_the_size_as_sent_is_smaller_than_the_original_where_max_side_made_it_so():
    made = frame((6000, 3900), OFFERED, fit="pad", max_side=2048)
    assert result_size(made, ANSWERS[made.ratio], "same_as_input") == (2048, 1331)
    assert result_size(made, ANSWERS[made.ratio], "original") == (6000, 3900)
    made = frame((6000, 1000), OFFERED, fit="crop", max_side=2048)
    assert result_size(made, ANSWERS[made.ratio], "same_as_input") == (2048, 878)
    assert result_size(made, ANSWERS[made.ratio], "original") == (2333, 1000)


@given(sizes)
def test_a_framing_survives_json(size):
    made = frame(size, OFFERED, fit="pad", max_side=2048)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Framing) == made


def test_shapes_are_ratios_or_sizes():
    assert [(one.width, one.height) for one in shapes(["1344x768", "2:1"])] == [(7, 4), (2, 1)]
    for bad in ("square", "1:0", "", "-1:2"):
        with pytest.raises(ValueError, match="is no shape"):
            shapes([bad])


def test_sizes_are_read_from_a_job():
    assert parse_size("same_as_input") == "same_as_input"
    assert parse_size("2000x1500") == (2000, 1500)
    for bad in ("2000", "0x5", "20000x20", "large", "x"):
        with pytest.raises(JobError, match=r"outputs\.size"):
            parse_size(bad)


def test_a_pixel_or_a_models_rounding_is_the_same_shape():
    assert framing.same_shape((896, 1152), (4, 5))
    assert framing.same_shape((4, 3), (1184, 864))
    assert not framing.same_shape((1024, 1024), (896, 1152))
