"""Parameters: what people write, as the model takes it, or why it does not."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import JobError
from pipeline.manifest import check_parameters, parse_parameter
from pipeline.manifest.problems import RowError
from pipeline.models import ModelSpec
from tests.manifest.reading import MODEL, edits, problem, read, write

SINGLE = ModelSpec(id="test/one", image_field="image", image_list=False, min_images=1, max_images=1)


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("num_images", "2", 2),
        ("num_images", 4, 4),
        ("num_images", "3.0", 3),
        ("n", "2", 2),
        ("aspect_ratio", "16:9", "16:9"),
        ("aspect_ratio", "auto", "auto"),
        ("aspect_ratio", "AUTO", "auto"),
        ("strength", "0.5", 0.5),
        ("strength", 1, 1),
        ("watermark", "yes", True),
        ("watermark", "0", False),
        ("watermark", "FALSE", False),
        ("watermark", True, True),
        ("image_size", "1024x768", {"width": 1024, "height": 768}),
        ("image_size", "1024 × 768", {"width": 1024, "height": 768}),
        ("image_size", {"width": 1024, "height": "768"}, {"width": 1024, "height": 768}),
        ("image_size", "2k", "2K"),
        ("safety", 2, "2"),
        ("negative_prompt", " blur ", "blur"),
    ],
)
def test_values_are_read_by_their_type(name: str, written: Any, value: Any) -> None:
    read_value = parse_parameter(MODEL, name, written)
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("num_images", "5", "num_images: '5' is out of range (from 1 to 4)"),
        ("num_images", 0, "out of range"),
        ("num_images", "2.5", "no whole number"),
        ("num_images", True, "no whole number"),
        ("num_images", "9" * 30, "no whole number"),
        ("seed", -1, "out of range (from 0 to 1000)"),
        ("strength", "nan", "no number"),
        ("strength", "0,5", "no number (0.5, with a point)"),
        ("watermark", "maybe", "neither true nor false"),
        ("aspect_ratio", "4:3", "'4:3' is not among the choices (one of 1:1, 16:9)"),
        ("image_size", "big", "or WIDTHxHEIGHT in pixels, one of square_hd, 2K"),
        ("image_size", "100x100", "a side of 100 pixels is out of range (from 512 to 2048)"),
        ("image_size", {"width": 1}, "a width and a height"),
        ("safety", "4", "not among the choices"),
        ("negative_prompt", ["x"], "no text"),
        ("sed", 1, "test/edit takes no 'sed' (did you mean 'seed'?); it takes aspect_ratio,"),
    ],
)
def test_what_the_model_does_not_take_is_refused(name: str, written: Any, message: str) -> None:
    with pytest.raises(RowError) as raised:
        parse_parameter(MODEL, name, written)
    assert message in str(raised.value)
    assert check_parameters(MODEL, {name: written}) == [str(raised.value)]


def test_all_problems_of_a_job_are_said_at_once() -> None:
    found = check_parameters(MODEL, {"num_images": 9, "sed": 1, "seed": 2, "strength": None})
    assert len(found) == 2
    assert check_parameters(MODEL, {}) == []


def test_one_picture_may_be_asked_for_where_a_model_makes_one(tmp_path: Path) -> None:
    path = write(tmp_path, "images,num_images\na.jpg,1\nb.jpg,2\n")
    found = read(path, model=SINGLE, parameters={"num_images": 1})
    assert found[0].parameters == {}  # type: ignore[union-attr]
    assert "test/one makes one picture a request" in str(found[1])


def test_a_rows_parameters_win_over_the_jobs(tmp_path: Path) -> None:
    path = write(tmp_path, "images,num_images,seed\na.jpg,2,\nb.jpg,,5\na.jpg,2,\n")
    found = [edit.parameters for edit in edits(path, parameters={"num_images": "3", "seed": 1})]
    assert found == [
        {"num_images": 2, "seed": 1},
        {"num_images": 3, "seed": 5},
        {"num_images": 2, "seed": 1},
    ]


def test_a_jobs_parameters_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "images\na.jpg\n")
    with pytest.raises(JobError, match=r"^parameters: test/edit takes no 'sise'; .*; seed: 'x' is"):
        read(path, parameters={"sise": 1, "seed": "x"})


def test_a_wrong_cell_is_a_problem_in_every_row_that_has_it(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,seed\na,x.jpg,-5\nb,x.jpg,-5\n")
    assert [row.id for row in read(path) if "out of range" in str(row)] == ["a", "b"]


def test_a_prompt_longer_than_the_model_takes_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, f"images,prompt\na.jpg,{'x' * 501}\n")
    assert "the prompt has 501 characters (shorten it: test/edit takes 500)" in str(problem(path))


def test_auto_is_no_wish_that_a_model_without_the_choice_could_refuse() -> None:
    assert check_parameters(SINGLE, {"aspect_ratio": "auto"}) == []
    assert check_parameters(SINGLE, {"aspect_ratio": "1:1"})
