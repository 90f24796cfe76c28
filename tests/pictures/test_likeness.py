"""Pictures that look the same, in one answer and across a run."""

import io
import threading

import pytest
from PIL import Image, ImageOps

from pipeline.pictures.checks.likeness import Likeness, SeenPictures, likeness_of, nearest
from pipeline.pictures.checks.run import run_checks
from pipeline.pictures.checks.settings import read_settings
from tests.pictures.check_samples import (
    NAMES,
    bytes_of,
    demo,
    jpeg,
    noisy,
    on,
    product,
    retouched,
)

SETTINGS = read_settings({"not_duplicate": True})


def like(picture: Image.Image, digest: bytes = b"") -> Likeness:
    return likeness_of(picture, digest)


def checked(picture, **more):
    data = picture if isinstance(picture, bytes) else bytes_of(picture)
    outcome = run_checks(SETTINGS, data, **more)
    return outcome.results[-1], outcome.likeness


def test_a_likeness_is_small():
    found = like(demo("mug"), b"d" * 32)
    assert (len(found.hash), len(found.cells), len(found.digest)) == (32, 768, 32)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "again",
    [jpeg, lambda picture: jpeg(picture, 40), lambda picture: bytes_of(noisy(picture, 4))],
    ids=["jpeg", "bad jpeg", "noise"],
)
def test_a_picture_is_known_again_however_it_is_stored(name, again):
    _, first = checked(demo(name))
    result, _ = checked(again(demo(name)), siblings=[first])
    assert not result.passed
    assert "the same picture as picture 1 of this answer" in result.message


def test_the_same_bytes_are_said_to_be_the_same_file():
    _, first = checked(demo("mug"))
    _, second = checked(demo("vase"))
    result, _ = checked(demo("vase"), siblings=[first, second])
    assert (result.passed, result.value) == (False, 0)
    assert result.message == "the same file as picture 2 of this answer"


@pytest.mark.parametrize("name", NAMES[1:])
def test_different_products_are_different(name):
    _, mug = checked(demo("mug"))
    result, _ = checked(demo(name), siblings=[mug])
    assert result.passed


def test_another_colour_is_another_picture():
    """The perceptual hash is of brightness, and cannot tell them apart; the cells do."""
    _, red = checked(on("white", product("#b03a2e")))
    result, _ = checked(on("white", product("#2e6cb0")), siblings=[red])
    assert result.passed
    assert result.value is not None


def test_a_retouched_and_a_mirrored_picture_are_others():
    _, first = checked(demo("teapot"))
    for other in (retouched(demo("teapot"), 0.15), ImageOps.mirror(demo("teapot"))):
        assert checked(other, siblings=[first])[0].passed


def test_the_run_remembers_pictures_of_other_edits():
    seen = SeenPictures()
    assert checked(demo("mug"), seen=seen, name="a")[0].passed
    result, _ = checked(jpeg(demo("mug")), seen=seen, name="b")
    assert not result.passed
    assert "the same picture as a:" in result.message
    assert len(seen) == 1, "a picture that was turned down is not remembered"


def test_an_edit_that_is_done_again_may_come_out_the_same():
    seen = SeenPictures()
    for _ in range(2):
        assert checked(demo("mug"), seen=seen, name="a")[0].passed


def test_only_the_answer_itself_is_looked_at_where_the_job_says_so():
    seen = SeenPictures()
    settings = read_settings({"not_duplicate": {"across_run": False}})
    for name in ("a", "b"):
        outcome = run_checks(settings, bytes_of(demo("mug")), seen=seen, name=name)
        assert outcome.passed
    assert len(seen) == 0


def test_a_picture_that_another_check_turns_down_is_not_remembered():
    seen = SeenPictures()
    settings = read_settings({"not_duplicate": True, "min_size": 5000})
    assert not run_checks(settings, bytes_of(demo("mug")), seen=seen, name="a").passed
    assert len(seen) == 0


def test_of_two_threads_with_the_same_picture_one_is_first():
    likeness = like(demo("mug"), b"same")
    for _ in range(20):
        seen, wins, ready = SeenPictures(), [], threading.Barrier(4)

        def claim(owner, seen=seen, wins=wins, ready=ready):
            ready.wait(60)
            if seen.claim(owner, likeness, difference=5) is None:
                wins.append(owner)

        threads = [threading.Thread(target=claim, args=(str(n),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1


def test_what_was_claimed_can_be_given_back():
    seen, likeness = SeenPictures(), like(demo("mug"), b"mug")
    assert seen.claim("a", likeness, difference=5) is None
    seen.release("b", likeness)
    assert seen.claim("b", likeness, difference=5) is not None
    seen.release("a", likeness)
    assert seen.claim("b", likeness, difference=5) is None


def test_the_nearest_of_many_is_found_among_thousands():
    """More than the structure starts with, so that it has grown."""
    seen = SeenPictures()
    for number in range(1500):
        hashed = number.to_bytes(4, "big") * 8
        seen.add(f"edit-{number}", Likeness(hashed, hashed, bytes([number % 256]) * 768))
    seen.add("mug", like(demo("mug"), b"mug"))
    with Image.open(io.BytesIO(jpeg(demo("mug")))) as again:
        other = like(again.convert("RGB"), b"other")
    match = seen.nearest("new", other)
    assert match is not None
    assert (match.owner, match.exact) == ("mug", False)
    assert match.difference < 5
    assert seen.nearest("mug", other) is None
    assert len(seen) == 1501


def test_nothing_is_near_an_empty_run():
    likeness = like(demo("mug"))
    assert SeenPictures().nearest("a", likeness) is None
    assert nearest(likeness, []) is None
