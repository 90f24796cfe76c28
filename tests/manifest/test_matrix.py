"""Designed manifests: what multiplies, what is left out, and what everything is called."""

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.models import Problem
from tests.manifest.reading import edits, problem, read, write


def manifest(tmp_path: Path, text: str) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write(tmp_path, b"", name)
    return write(tmp_path, text, "m.yaml")


SETS = """
image_sets:
  - {id: a, images: a.jpg, category: shoe}
  - {id: b, images: b.jpg, category: bag}
"""


def ids(tmp_path: Path, text: str) -> list[str]:
    return [edit.id for edit in edits(manifest(tmp_path, SETS + text))]


def test_sets_prompts_axes_and_variants_multiply(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        SETS
        + """
prompts: {white: on white, "dark": "in the dark, {{ mood }}"}
matrix:
  aspect_ratio: [1:1, 16:9]
  mood: [calm]
variants: 2
""",
    )
    found = edits(path)
    assert len(found) == 2 * 2 * 2 * 2
    assert [edit.id for edit in found[:4]] == [
        "a/white/1_1+calm",
        "a/white/1_1+calm+v2",
        "a/white/16_9+calm",
        "a/white/16_9+calm+v2",
    ]
    last = found[-1]
    assert (last.prompt, last.variant) == ("in the dark, calm", 2)
    assert last.parameters["aspect_ratio"] == "16:9"
    assert last.variables == {
        "image_set": "b",
        "prompt_name": "dark",
        "category": "bag",
        "mood": "calm",
    }
    assert last.output == "b/dark/16_9+calm+v2"


def test_an_axis_wins_over_the_set_and_the_prompt(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        """
image_sets: [{id: a, images: a.jpg, seed: 1}]
prompts: [{prompt: on white, seed: 2}]
matrix: {seed: [3, 4]}
""",
    )
    assert [edit.parameters["seed"] for edit in edits(path)] == [3, 4]


def test_exclude_looks_at_axes_sets_prompts_columns_and_words(tmp_path: Path) -> None:
    found = ids(
        tmp_path,
        """
prompts: {paint: "paint it {{ colour }}", white: on white}
words: {colour: [red, blue]}
matrix:
  aspect_ratio: ["1:1", "16:9"]
  exclude:
    - {aspect_ratio: 16:9, prompt: paint}
    - {category: sho*, colour: blue}
    - {set: b, prompt: white}
""",
    )
    assert found == [
        "a/paint/1_1+red",
        "a/white/1_1",
        "a/white/16_9",
        "b/paint/1_1+red",
        "b/paint/1_1+blue",
    ]


def test_include_adds_to_what_fits_and_makes_the_rest(tmp_path: Path) -> None:
    """The example of GitHub's documentation for matrices, in the words of pictures."""
    path = manifest(
        tmp_path,
        """
image_sets: [{id: a, images: a.jpg}]
prompts: "{{ fruit }} {{ animal }} {{ colour|default('') }} {{ shape|default('') }}"
matrix:
  fruit: [apple, pear]
  animal: [cat, dog]
  include:
    - {colour: green}
    - {colour: pink, animal: cat}
    - {fruit: apple, shape: circle}
    - {fruit: banana, animal: ""}
    - {fruit: banana, animal: cat}
""",
    )
    assert [edit.prompt for edit in edits(path)] == [
        "apple cat pink circle",
        "apple dog green circle",
        "pear cat pink",
        "pear dog green",
        "banana",
        "banana cat",
    ]


def test_include_brings_back_what_exclude_removed_and_may_name_a_prompt(tmp_path: Path) -> None:
    found = ids(
        tmp_path,
        """
prompts: {white: on white, wide: a wide view}
matrix:
  aspect_ratio: ["1:1", "16:9"]
  exclude: [{aspect_ratio: "16:9"}]
  include: [{aspect_ratio: "16:9", prompt: wide, set: a}]
""",
    )
    assert found == ["a/white/1_1", "a/wide/1_1", "a/wide/16_9", "b/white/1_1", "b/wide/1_1"]


def test_an_include_for_one_prompt_adds_only_there(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        SETS
        + """
prompts: {white: on white, wide: a wide view}
matrix:
  aspect_ratio: ["1:1"]
  include: [{seed: 7, prompt: wide}]
""",
    )
    assert {e.variables["prompt_name"]: e.parameters.get("seed") for e in edits(path)} == {
        "white": None,
        "wide": 7,
    }


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{category: shoe}", ["a"]),
        ("{category: {not: shoe}}", ["b"]),
        ("{category: [SHOE, bag]}", ["a", "b"]),
        ("{set: 'b*'}", ["b"]),
        ("\"category == 'bag' or set == 'x'\"", ["b"]),
    ],
)
def test_a_prompt_goes_with_the_sets_that_its_condition_names(
    tmp_path: Path, when: str, expected: list[str]
) -> None:
    found = ids(tmp_path, f"prompts: {{only: {{prompt: on white, when: {when}}}}}\n")
    assert found == [f"{each}/only" for each in expected]


def test_an_expression_may_look_at_columns_that_only_some_sets_have(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        """
image_sets:
  - {id: a, images: a.jpg, price: 30}
  - {id: b, images: b.jpg}
prompts: {dear: {prompt: on velvet, when: "price | float > 20"}}
""",
    )
    assert [edit.id for edit in edits(path)] == ["a/dear"]


def test_an_expression_that_fails_for_one_set_says_for_which(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        """
image_sets:
  - {id: a, images: a.jpg, kind: ""}
  - {id: b, images: b.jpg, kind: x}
prompts: {one: {prompt: on velvet, when: "kind and kind > 3"}}
""",
    )
    with pytest.raises(ManifestError, match=r"^m\.yaml:5: 'when' fails for image set 'b'"):
        read(path)


def test_words_multiply_only_the_prompts_that_mention_them(tmp_path: Path) -> None:
    write(tmp_path, "# places\nbeach\nforest\t3\n\n", "words/scenes.txt")
    found = ids(
        tmp_path,
        """
prompts:
  white: on white
  scene: "{% if scene %}at the {{ scene }}{% endif %}"
words: {scene: {file: words/scenes.txt}}
""",
    )
    assert found == [
        *("a/white", "a/scene/beach", "a/scene/forest"),
        *("b/white", "b/scene/beach", "b/scene/forest"),
    ]


def test_words_of_an_included_file_count(tmp_path: Path) -> None:
    write(tmp_path, "in {{ colour }}", "prompts/shade.txt")
    found = ids(
        tmp_path,
        """
prompts: {shade: "paint it {% include 'shade.txt' %}"}
words: {colour: [red, blue]}
""",
    )
    assert found == ["a/shade/red", "a/shade/blue", "b/shade/red", "b/shade/blue"]


def test_a_prompt_with_words_may_use_every_filter(tmp_path: Path) -> None:
    found = ids(
        tmp_path,
        """
prompts: {shade: "{{ category|slug }} in {{ colour }}"}
words: {colour: [red]}
""",
    )
    assert found == ["a/shade/red", "b/shade/red"]


def test_picked_words_do_not_change_when_sets_come_and_words_are_moved(tmp_path: Path) -> None:
    text = """
prompts: {{paint: "paint it {{{{ colour }}}}"}}
words: {{colour: {{list: [{words}], pick: 2}}}}
"""
    words = ["red", "blue", "green", "pink", "grey", "black"]
    before = ids(tmp_path, text.format(words=", ".join(words)))
    assert len(before) == 4
    after = ids(tmp_path, text.format(words=", ".join(reversed(words))))
    assert sorted(after) == sorted(before)


def test_long_words_have_short_labels_that_stay(tmp_path: Path) -> None:
    long = "a very long description of a place that goes on and on, "
    path = manifest(
        tmp_path,
        f"""
image_sets: [{{id: a, images: a.jpg}}]
prompts: "{{{{ scene }}}}"
words: {{scene: ["{long}one", "{long}two", "half/half", "half?half"]}}
""",
    )
    found = edits(path)
    assert len({edit.id for edit in found}) == 4
    assert all(len(edit.id) < 50 for edit in found)
    assert found[2].id == "a/half_half"
    assert found[3].id.startswith("a/half_half-")


def test_a_set_per_file_may_be_called_by_its_path(tmp_path: Path) -> None:
    for name in ("shoes/red/1.jpg", "shoes/blue/1.jpg"):
        write(tmp_path, b"", name)
    path = write(
        tmp_path, "image_sets: [{each: 'shoes/**/*.jpg', ids: path}]\nprompts: on white\n", "m.yaml"
    )
    assert {edit.id for edit in edits(path)} == {"shoes-red-1", "shoes-blue-1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("matrix: [1]", "m.yaml:7: matrix is a mapping"),
        ("matrix: {seed: 3}", "matrix.seed is no list"),
        ("matrix: {seed: [3, 3]}", "matrix.seed: '3' is there twice"),
        ("matrix: {prompt: [x]}", "matrix.prompt: this is no axis"),
        ("matrix: {resolution: [1K]}", "takes no resolution"),
        ("matrix: {seed: [1], exclude: [{sede: 1}]}", "exclude: there is no 'sede' (did you mean"),
        ("matrix: {seed: [1], include: [{prompt: white}]}", "an entry has no values"),
        ("words: {colour: [red]}", "no prompt mentions any of the word lists"),
        ("words: {seed: [1]}", "'seed' cannot name a word list"),
        ("words: {colour: {file: ../../x.txt}}", "outside the manifest's folder"),
        ("words: {colour: {file: x.txt}}", "No such file"),
        ("variants: 0", "variants: '0' is no whole number"),
        ("count: none", "count: 'none' is no whole number"),
        ("count: {seed: 3}", "neither 'total' nor 'per_set'"),
        ("count: {totl: 3}", "did you mean 'total'?"),
        ("matirx: {}", "did you mean 'matrix'?"),
        ("variants: 2\nedits: [{set: a}]", "'edits' are explicit pairs"),
    ],
)
def test_what_is_wrong_with_a_design_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = manifest(tmp_path, f"{SETS}prompts:\n  white: on white\n{text}\n")
    with pytest.raises(ManifestError) as raised:
        read(path)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("{categroy: shoe}", "there is no 'categroy' (did you mean 'category'?)"),
        ("{category: {like: shoe}}", "is no value"),
        ("'categroy == 1'", "'categroy' is not defined (did you mean 'category'?)"),
        ("'1 %}{% x'", "is more than an expression"),
    ],
)
def test_a_condition_that_could_never_hold_is_refused(tmp_path: Path, when: str, said: str) -> None:
    path = manifest(tmp_path, f"{SETS}prompts: [{{prompt: on white, when: {when}}}]\n")
    with pytest.raises(ManifestError) as raised:
        read(path)
    assert str(raised.value).startswith("m.yaml:5: ")
    assert said in str(raised.value)


def test_a_value_that_the_model_does_not_take_is_a_problem_of_its_edits(tmp_path: Path) -> None:
    found = read(manifest(tmp_path, SETS + "matrix: {aspect_ratio: ['1:1', '7:1']}\n"))
    assert len(found) == 4
    assert len([str(each) for each in found if isinstance(each, Problem)]) == 2


def test_a_set_with_a_prompt_of_its_own_beside_prompts_is_a_problem(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "image_sets: [{id: a, images: a.jpg, prompt: x}, b.jpg]\nprompts: {w: on white}\n"
        "variants: 2\n",
    )
    assert "remove one of the two" in str(problem(path))
