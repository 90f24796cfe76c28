"""Pieces of prompts in ``prompts/`` beside the manifest."""

import os
from pathlib import Path

import pytest

from pipeline.errors import JobError
from tests.manifest.reading import edits, problem, read, write

ROW = "id,images,kind\na,a.jpg,mug\n"


def test_a_prompt_includes_files_and_those_see_the_row(tmp_path: Path) -> None:
    write(tmp_path, "Keep the {{ kind }}{% include 'deep/end.txt' %}\n", "prompts/keep.txt")
    write(tmp_path, "\ufeff, all of it.\r\n", "prompts/deep/end.txt")
    found = edits(write(tmp_path, ROW), prompt="White. {% include 'keep.txt' %}")
    assert found[0].prompt == "White. Keep the mug, all of it."


def test_a_row_chooses_its_file(tmp_path: Path) -> None:
    write(tmp_path, "on oak", "prompts/mug.txt")
    path = write(tmp_path, ROW + "b,b.jpg,lamp\n")
    first, second = read(path, prompt="Put it {% include kind ~ '.txt' %}")
    assert not hasattr(first, "message")
    assert first.prompt == "Put it on oak"  # type: ignore[union-attr]
    assert str(second) == (
        "shoes.csv:3: the include 'lamp.txt' is not in prompts/ (there are mug.txt)"
    )
    found = edits(path, prompt="Put it {% include kind ~ '.txt' ignore missing %}!")
    assert [edit.prompt for edit in found] == ["Put it on oak!", "Put it !"]


def test_yaml_prompts_include_too(tmp_path: Path) -> None:
    write(tmp_path, "on oak", "prompts/oak.txt")
    text = "image_sets: [a.jpg]\nprompts: {oak: \"Put it {% include 'oak.txt' %}\"}\n"
    assert edits(write(tmp_path, text, "m.yaml"))[0].prompt == "Put it on oak"


def test_each_manifest_has_its_own_folder(tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        write(tmp_path, f"from {name}", f"{name}/prompts/x.txt")
        paths.append(write(tmp_path, f"id,images\n{name},a.jpg\n", f"{name}/m.csv"))
    found = edits(*paths, prompt="{% include 'x.txt' %}")
    assert [edit.prompt for edit in found] == ["from one", "from two"]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (
            "{% include 'kep.txt' %}",
            r"'kep\.txt' is not in prompts/ \(did you mean 'keep\.txt'\?\)",
        ),
        ("{% include '../secret.txt' %}", r"leads out of prompts/"),
        ("{% include '/etc/passwd' %}", r"leads out of prompts/"),
        ("{% include 'c:/x' %}", r"leads out of prompts/"),
        ("{% include 'broken.txt' %}", r"prompts/broken\.txt:2: unexpected end"),
        ("{% include 'latin.txt' %}", r"prompts/latin\.txt: the byte at offset 1 is not UTF-8"),
        ("{% include 'large.txt' %}", r"prompts/large\.txt: larger than 128 kB"),
        ("{% import 'keep.txt' as x %}", "'import' is not part of these templates"),
    ],
)
def test_what_cannot_be_included_is_said_before_any_row(
    tmp_path: Path, prompt: str, said: str
) -> None:
    write(tmp_path, "secret", "secret.txt")
    write(tmp_path, "keep", "prompts/keep.txt")
    write(tmp_path, "a\n{% if x", "prompts/broken.txt")
    write(tmp_path, "a\xe4".encode("latin-1"), "prompts/latin.txt")
    write(tmp_path, "a" * 200_000, "prompts/large.txt")
    with pytest.raises(JobError, match=said):
        read(write(tmp_path, ROW), prompt=prompt)


def test_without_the_folder_it_says_where_it_would_be(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="there is no folder prompts/ beside the manifest"):
        read(write(tmp_path, ROW), prompt="{% include 'a.txt' %}")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "secret", "secret.txt")
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "x.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(JobError, match="is a link that leads out of prompts/"):
        read(write(tmp_path, ROW), prompt="{% include 'x.txt' %}")


def test_a_circle_is_named(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        write(tmp_path, f"{{% include '{other}.txt' %}}", f"prompts/{name}.txt")
    found = problem(write(tmp_path, ROW), prompt="{% include 'a.txt' %}")
    assert "prompts/c.txt includes itself: c.txt → a.txt → b.txt → c.txt" in found.message


def test_the_same_file_twice_is_no_circle(tmp_path: Path) -> None:
    write(tmp_path, "{% include 'end.txt' %}", "prompts/a.txt")
    write(tmp_path, "!", "prompts/end.txt")
    prompt = "{% include 'a.txt' %}{% include 'end.txt' %}{% include 'a.txt' %}"
    assert edits(write(tmp_path, ROW), prompt=prompt)[0].prompt == "!!!"


def test_a_name_that_an_included_file_needs_is_asked_of_the_row(tmp_path: Path) -> None:
    write(tmp_path, "{{ colur }}", "prompts/a.txt")
    found = problem(write(tmp_path, "images,colour\na.jpg,red\n"), prompt="{% include 'a.txt' %}")
    assert str(found).startswith(
        "shoes.csv:2: prompts/a.txt:1: the template's 'colur' is not defined"
        " (did you mean 'colour'?)"
    )


def test_an_included_file_that_fails_is_named(tmp_path: Path) -> None:
    write(tmp_path, "Cheap\n{{ 10 / price|float }}", "prompts/deal.txt")
    path = write(tmp_path, "images,price\na.jpg,0\n")
    assert str(problem(path, prompt="{% include 'deal.txt' %}")) == (
        "shoes.csv:2: prompts/deal.txt:2: cannot be rendered: float division by zero (correct it)"
    )


def test_a_name_that_may_be_missing_is_not_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "on oak", "prompts/oak.txt")
    path = write(tmp_path, ROW)
    assert edits(path, prompt="It{% include 'no.txt' ignore missing %}")[0].prompt == "It"
    found = edits(path, prompt="It {% include ['no.txt', 'oak.txt'] %}")
    assert found[0].prompt == "It on oak"


def test_what_includes_unfold_is_bounded(tmp_path: Path) -> None:
    """Ten files that include the next one ten times: ten thousand million pieces."""
    for level in range(10):
        write(tmp_path, f"{{% include '{level + 1}.txt' %}}" * 10, f"prompts/{level}.txt")
    write(tmp_path, "", "prompts/10.txt")
    found = problem(write(tmp_path, ROW), prompt="x{% include '0.txt' %}")
    assert "the template includes more than 1,000 files" in found.message


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    found = problem(write(tmp_path, ROW), prompt="{% include 1 + 1 %}")
    assert "include takes a file's name, not '2'" in found.message
