"""YAML manifests: products, pairs, and what is refused."""

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.models import Problem
from tests.manifest.reading import edits, problem, read, write


def manifest(tmp_path: Path, text: str) -> Path:
    return write(tmp_path, text, "m.yaml")


def test_every_set_meets_every_prompt(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        """
defaults: {aspect_ratio: 16:9, season: summer, parameters: {seed: 3}}
image_sets:
  - id: shoe
    images: [a.jpg, b.jpg]
    sku: 007
    price: 1.50
  - images: c.jpg | d.jpg
    sku: yes
    num_images: 2
prompts:
  white: "{{ sku }} on white in {{ season }} for {{ price|default('?') }}"
  beach: {prompt: at the beach, parameters: {seed: 4}, season: winter}
""",
    )
    found = edits(path, prompt=None, parameters={"seed": 1, "strength": 0.5})
    assert [edit.id for edit in found] == ["shoe/white", "shoe/beach", "c/white", "c/beach"]
    assert [edit.place for edit in found] == ["m.yaml:4", "m.yaml:4", "m.yaml:8", "m.yaml:8"]
    assert found[0].prompt == "007 on white in summer for 1.50"
    assert found[2].prompt == "yes on white in summer for ?"
    assert found[0].parameters == {"aspect_ratio": "16:9", "seed": 3, "strength": 0.5}
    assert found[3].parameters == {**found[0].parameters, "seed": 4, "num_images": 2}
    assert found[1].variables == {"season": "winter", "sku": "007", "price": "1.50"}
    assert [len(edit.images) for edit in found] == [2, 2, 2, 2]
    assert found[0].output == "shoe/white"


@pytest.mark.parametrize(
    ("prompts", "ids"),
    [
        ("[on white]", ["a", "b"]),
        ("on white", ["a", "b"]),
        ("[one, two]", ["a/1", "a/2", "b/1", "b/2"]),
        ("[{name: w, prompt: one}]", ["a/w", "b/w"]),
        ("[one, {name: w, prompt: two}]", ["a/1", "a/w", "b/1", "b/w"]),
    ],
)
def test_prompts_may_have_names_or_numbers(tmp_path: Path, prompts: str, ids: list[str]) -> None:
    path = manifest(tmp_path, f"image_sets: [a.jpg, {{images: b.jpg}}]\nprompts: {prompts}\n")
    assert [edit.id for edit in edits(path)] == ids


def test_without_prompts_a_default_is_used(tmp_path: Path) -> None:
    text = "image_sets: [{images: a.jpg}, {images: b.jpg, prompt: mine}]\n"
    path = manifest(tmp_path, text)
    assert [edit.prompt for edit in edits(path, prompt="the job's")] == ["the job's", "mine"]
    path = manifest(tmp_path, f"defaults: {{prompt: the manifest's}}\n{text}")
    assert [edit.prompt for edit in edits(path, prompt="x")] == ["the manifest's", "mine"]
    assert "no prompt" in str(read(manifest(tmp_path, text), prompt=None)[0])


def test_each_file_can_be_a_set(tmp_path: Path) -> None:
    for name in ("p/10.jpg", "p/9.jpg", "p/x:y.jpg", "p/b.jpg"):
        write(tmp_path, "x", name)
    path = manifest(
        tmp_path,
        "image_sets:\n  - {id: b, images: c.jpg}\n  - {each: p/*.jpg, images: logo.png, k: v}\n",
    )
    found = edits(path)
    assert [edit.id for edit in found] == ["b", "9", "10", "b-2", "x_y"]
    assert [ref.source for ref in found[1].images] == ["p/9.jpg", "logo.png"]
    assert found[1].variables == {"k": "v"}
    path = manifest(tmp_path, "image_sets:\n  - {each: none/*.jpg}\n")
    assert "matches no file" in problem(path).message


def test_pairs_are_explicit(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        """
image_sets:
  - {id: shoe, images: a.jpg, sku: S1, seed: 1}
  - {id: mug, images: b.jpg, sku: M1}
prompts: {white: "{{ sku }} on white", beach: at the beach}
edits:
  - {set: shoe, prompt: white}
  - {set: shoe, prompt: white, seed: 2}
  - {set: mug, prompt: "in the {{ where }}", where: rain, id: wet-mug}
  - {set: mug, images: logo.png, prompt: beach, variant: 2}
  - {images: [c.jpg, d.jpg], prompt: blue, parameters: {num_images: 2}}
""",
    )
    found = edits(path)
    assert [(edit.id, edit.prompt) for edit in found] == [
        ("shoe/white", "S1 on white"),
        ("shoe/white-2", "S1 on white"),
        ("wet-mug", "in the rain"),
        ("mug/beach", "at the beach"),
        ("c", "blue"),
    ]
    assert [edit.parameters.get("seed") for edit in found] == [1, 2, None, None, None]
    assert found[3].variant == 2
    assert [len(edit.images) for edit in found] == [1, 1, 1, 2, 2]


def test_a_wrong_row_is_a_problem_with_its_line(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        """image_sets:
  - {id: a, images: a.jpg}
  - {id: A, images: b.jpg}
  - {id: ../up, images: b.jpg}
  - [a.jpg]
  - {images: ../b.jpg}
  - {id: r, images: b.jpg, resolution: 4K}
  - {id: p, images: b.jpg, parameters: [1]}
  - {id: q, images: b.jpg, parameters: {sede: 1}}
  - {id: s, images: {a: b}}
  - {id: t, each: "*.jpg"}
""",
    )
    found = read(path)
    assert [row.place for row in found if isinstance(row, Problem)] == [
        f"m.yaml:{line}" for line in range(3, 12)
    ]
    assert "id 'A' is taken by m.yaml:2" in str(found[1])
    assert "did you mean 'seed'" in str(found[7])


def test_wrong_pairs_are_problems(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        "image_sets:\n  - {id: shoe, images: a.jpg}\n  - {id: shoe, images: b.jpg}\n"
        "edits:\n  - {set: sheo, prompt: x}\n  - {set: [shoe]}\n  - just text\n  - {set: shoe}\n",
    )
    found = [str(row) for row in read(path, prompt=None)]
    assert found[0].startswith("m.yaml:3: image set 'shoe' is there already, in line 2")
    assert found[1].startswith("m.yaml:5: no image set has the id 'sheo' (did you mean 'shoe'?)")
    assert [line.partition(": ")[0] for line in found[2:]] == [f"m.yaml:{n}" for n in (6, 7, 8)]


def test_a_set_with_a_prompt_does_not_meet_others(tmp_path: Path) -> None:
    path = manifest(tmp_path, "image_sets:\n  - {images: a.jpg, prompt: x}\nprompts: [y, z]\n")
    assert "remove one of the two" in problem(path).message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.yaml: no mapping"),
        ("- a\n", "m.yaml: no mapping"),
        ("image_set: []\n", "m.yaml:1: unknown key 'image_set' (did you mean 'image_sets'?)"),
        ("prompts: [x]\n", "m.yaml:1: no image sets"),
        ("image_sets: {a: b}\n", "m.yaml:1: 'image_sets' is no list"),
        ("image_sets: [a.jpg]\nprompts: [[x]]\n", "m.yaml:2: a prompt is a text, or a mapping"),
        ("image_sets: [a.jpg]\nprompts: {a/b: x}\n", "m.yaml:2: the prompt's name 'a/b' cannot"),
        (
            "image_sets: [a.jpg]\nprompts:\n  a: x\n  A: y\n",
            "m.yaml:4: the prompt 'A' is there twice",
        ),
        ("image_sets: [a.jpg]\nprompts:\n  - {name: x}\n", "m.yaml:3: no prompt"),
        (
            "image_sets: [a.jpg]\nprompts: [{prompt: x, seed: z}]\n",
            "m.yaml:2: seed: 'z' is no whole",
        ),
        ("image_sets: [a.jpg]\ndefaults: {id: x}\n", "m.yaml:2: id, images and variant belong"),
        ("image_sets: [a.jpg]\ndefaults: {size: 5}\n", "m.yaml:2: model test/edit takes no size"),
        ("image_sets: [a.jpg]\ndefaults: [x]\n", "m.yaml:2: defaults is a mapping"),
        ("image_sets:\n  - a: {{ x }}\n", "m.yaml:2: a key that is no text"),
        ("image_sets:\n\t- a\n", "m.yaml:2: found character that cannot start any token"),
        ("a: 1\n---\nb: 2\n", "m.yaml:2: a second document"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_reading(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ManifestError) as raised:
        read(manifest(tmp_path, text))
    assert str(raised.value).startswith(message)
