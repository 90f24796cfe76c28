"""The nearest of the shapes on offer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pictures.ratio import nearest_ratio

GOOGLE = ("21:9", "1:1", "4:3", "3:2", "2:3", "5:4", "4:5", "3:4", "16:9", "9:16")


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (1024, 1024, "1:1"),
        (1920, 1080, "16:9"),
        (1080, 1920, "9:16"),
        (4032, 3024, "4:3"),
        (5000, 10, "21:9"),
        (10, 5000, "9:16"),
        (1184, 864, "4:3"),
    ],
)
def test_known_pictures_get_their_shape(width, height, expected):
    assert nearest_ratio(width, height, GOOGLE) == expected


sides = st.integers(1, 100_000)


@given(sides, sides)
def test_no_other_choice_is_nearer(width, height):
    def distance(choice):
        across, down = choice.split(":")
        return abs(math.log(width / height) - math.log(int(across) / int(down)))

    best = distance(nearest_ratio(width, height, GOOGLE))
    assert all(best <= distance(choice) + 1e-9 for choice in GOOGLE)


@given(sides, sides)
def test_a_turned_picture_gets_the_turned_shape(width, height):
    pairs = ("1:1", "4:3", "3:4", "16:9", "9:16")
    across, down = nearest_ratio(width, height, pairs).split(":")
    turned = nearest_ratio(height, width, pairs).split(":")
    log = abs(math.log(width / height))
    # Exactly between two shapes the first wins, both ways.
    if all(abs(log - between) > 1e-6 for between in (0.0, math.log(4 / 3) / 2)):
        assert turned == [down, across] or log < 1e-6


@given(st.permutations(["2:1", "1:2"]))
def test_of_equally_near_choices_the_first_wins(choices):
    assert nearest_ratio(7, 7, choices) == choices[0]


@pytest.mark.parametrize(
    ("width", "height", "choices"), [(1, 1, []), (0, 1, ["1:1"]), (1, 1, ["wide"]), (1, 1, ["1:0"])]
)
def test_what_has_no_answer_is_an_error(width, height, choices):
    with pytest.raises(ValueError):
        nearest_ratio(width, height, choices)
