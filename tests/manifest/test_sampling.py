"""Samples of a product: so many, the same for the same seed, and nearly the same when it grows."""

import math
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest

from pipeline.manifest import read_manifests
from pipeline.manifest.problems import RowError
from pipeline.manifest.sampling import highest_chosen, rank, read_weight
from tests.manifest.reading import KNOWN, MODEL, edits, read, write

PROMPTS = """
prompts:
  white: on white
  paint: "paint it {{ colour }}"
words:
  colour: [red, green, blue, {word: gold, weight: 8}]
"""


def sampled(tmp_path: Path, sets: int, count: str, rest: str = PROMPTS) -> list[str]:
    write(tmp_path, b"", "a.jpg")
    names = "\n".join([f"  - {{id: s{n}, images: a.jpg}}" for n in range(sets)])
    path = write(tmp_path, f"image_sets:\n{names}\n{rest}\ncount: {count}\n", "m.yaml")
    return [edit.id for edit in edits(path)]


def test_a_sample_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    assert len(sampled(tmp_path, 40, "77")) == 77
    assert len(sampled(tmp_path, 2, "77")) == 10, "there are no more"


def test_the_same_seed_makes_the_same_sample_and_another_seed_another(tmp_path: Path) -> None:
    first = sampled(tmp_path, 40, "{total: 50, seed: 7}")
    assert sampled(tmp_path, 40, "{total: 50, seed: 7}") == first
    assert sampled(tmp_path, 40, "{total: 50, seed: 8}") != first


def test_sets_that_are_added_push_out_no_more_than_they_bring(tmp_path: Path) -> None:
    before = set(sampled(tmp_path, 40, "60"))
    after = set(sampled(tmp_path, 50, "60"))
    new = {each for each in after if int(each.split("/")[0][1:]) >= 40}
    assert 0 < len(new) < 30
    assert after - before == new
    assert len(before - after) == len(new)


def test_a_larger_sample_holds_the_smaller_one(tmp_path: Path) -> None:
    assert set(sampled(tmp_path, 40, "20")) < set(sampled(tmp_path, 40, "60"))


def test_a_sample_per_set_does_not_change_when_sets_are_added(tmp_path: Path) -> None:
    before = sampled(tmp_path, 20, "{per_set: 2}")
    after = sampled(tmp_path, 30, "{per_set: 2}")
    assert len(before) == 40
    assert after[:40] == before


def test_the_sample_is_in_the_manifests_order(tmp_path: Path) -> None:
    found = sampled(tmp_path, 40, "{total: 30, per_set: 3}")
    numbers = [int(each.split("/")[0][1:]) for each in found]
    assert numbers == sorted(numbers)
    assert len(found) == 30


def test_what_weighs_more_is_chosen_more_often(tmp_path: Path) -> None:
    found = sampled(tmp_path, 400, "300")
    gold = len([each for each in found if each.endswith("/gold")])
    red = len([each for each in found if each.endswith("/red")])
    assert gold > 3 * red > 0


def test_a_heavier_set_and_prompt_are_chosen_more_often(tmp_path: Path) -> None:
    write(tmp_path, b"", "a.jpg")
    sets = "\n".join(
        [
            f"  - {{id: s{n}, images: a.jpg, sample_weight: {20 if n % 2 else 1}}}"
            for n in range(100)
        ]
    )
    path = write(
        tmp_path,
        f"image_sets:\n{sets}\nprompts:\n  often: {{prompt: x, sample_weight: 20}}\n"
        "  seldom: y\ncount: 60\n",
        "m.yaml",
    )
    found = edits(path)
    assert len([e for e in found if e.variables["prompt_name"] == "often"]) > 40
    assert len([e for e in found if int(e.variables["image_set"][1:]) % 2]) > 40


def test_ranks_follow_the_weights() -> None:
    wins = sum(rank("s", f"a{n}", 3.0) < rank("s", f"b{n}", 1.0) for n in range(4000))
    assert wins / 4000 == pytest.approx(0.75, abs=0.03)


def test_the_highest_rank_chosen_is_that_of_the_last_one() -> None:
    assert highest_chosen([5.0, 1.0, 3.0, 2.0], 2) == 2.0
    assert highest_chosen([5.0, 1.0], 2) == math.inf


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "many"])
def test_a_weight_is_a_number_above_zero(value: str) -> None:
    with pytest.raises(RowError, match="no number above 0"):
        read_weight(value, "sample_weight")


def test_a_product_of_a_hundred_thousand_is_sampled_in_the_memory_of_a_small_one(
    tmp_path: Path,
) -> None:
    def peak(sets: int) -> int:
        words, places = (", ".join([f"{c}{n}" for n in range(50)]) for c in "wp")
        lists = f"words: {{word: [{words}], place: [{places}]}}"
        tracemalloc.start()
        found = sampled(tmp_path, sets, "25", f"prompts: '{{{{ word }}}} {{{{ place }}}}'\n{lists}")
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(found) == 25
        return highest

    peak(1)  # imports are not counted
    assert peak(40) < peak(2) + 500_000


def test_a_product_streams(tmp_path: Path) -> None:
    """The first edits are there before the other thousands of millions are thought of."""
    write(tmp_path, b"", "a.jpg")
    words = ", ".join([f"w{n}" for n in range(1000)])
    path = write(
        tmp_path,
        f"image_sets: [a.jpg]\nprompts: '{{{{ a }}}} {{{{ b }}}} {{{{ c }}}}'\n"
        f"words: {{a: [{words}], b: {{list: [{words}]}}, c: [{words}]}}\n",
        "m.yaml",
    )
    rows = read_manifests(
        [path], model=MODEL, root=None, prompt=None, parameters={}, known_parameters=KNOWN
    )
    assert [edit.id for edit in islice(rows, 2)] == ["a/w0+w0+w0", "a/w0+w0+w1"]


def test_problems_of_sets_are_told_beside_the_sample(tmp_path: Path) -> None:
    write(tmp_path, b"", "a.jpg")
    path = write(
        tmp_path, "image_sets: [a.jpg, [b], {id: 'x/y', images: a.jpg}]\ncount: 1\n", "m.yaml"
    )
    assert len(read(path)) == 3
