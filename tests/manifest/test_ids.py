"""Names: safe everywhere, unique without regard to letter case, across all manifests."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import JobError
from pipeline.manifest.names import Claims, MadeNames, name_problem, output_problem, sanitised
from pipeline.models import Edit, Problem
from tests.manifest.reading import MODEL, edits, problem, read, write


@pytest.mark.parametrize(
    "name",
    ["a", "shoe-17", "Schuh ä", "鞋", "a.b", "x" * 120, "_con", "console", "com10", "-", "a b"],
)
def test_ordinary_names_are_allowed(name: str) -> None:
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "a/b", "a\\b", "a:b", "a*", "a?", 'a"', "a|b", "<a>", "a\n", "a\x7f", "a.",
     "a ", " a", ".hidden", "con", "CON", "nul.txt", "Com1", "com¹.x", "lpt9.tar.gz", "aux ",
     "x" * 121, "鞋" * 67, "a\u202eb", "a\ud800", "a\u2028b"],
)  # fmt: skip
def test_names_that_some_system_cannot_store_are_refused(name: str) -> None:
    assert name_problem(name)


@given(st.text(max_size=300))
def test_any_text_can_be_made_a_name(text: str) -> None:
    name = sanitised(text)
    assert not name or name_problem(name) is None
    assert sanitised(name) == name
    assert not name or name_problem(f"{name}-1234567") is None


def test_an_id_comes_from_the_first_picture_and_is_made_unique(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "images\nx/Shoe.jpg|x/logo.png\ny/shoe.png\nshoe\nshoe-2.jpg\nhttps://h/p/red%20shoe.jpg?w=1\n"
        "con.jpg\nh/.jpg\n",
    )
    assert [edit.id for edit in edits(path)] == [
        *("Shoe", "shoe-2", "shoe-3", "shoe-2-2", "red shoe", "_con", "jpg"),
    ]


def test_a_thousand_rows_of_one_picture_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path, "images\n" + "a.jpg\n" * 1000)
    assert [edit.id for edit in edits(path)] == ["a", *[f"a-{n}" for n in range(2, 1001)]]


def test_a_stated_id_is_never_changed_and_must_be_safe(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images\nA b.C,x.jpg\n../up,x.jpg\nnul,x.jpg\n")
    found = read(path)
    assert found[0].id == "A b.C"
    assert str(found[1]) == (
        "shoes.csv:3: the id '../up' cannot name a file: '/' cannot be part of a file name"
        " everywhere (change the id)"
    )
    assert [row.id for row in found[1:]] == ["shoes.csv:3", "shoes.csv:4"]


def test_composed_and_decomposed_letters_are_one_id(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images\nma\u0308x,x.jpg\nM\u00c4X,x.jpg\n")
    found = read(path)
    assert found[0].id == "m\u00e4x"
    assert "is taken by shoes.csv:2" in str(found[1])


def test_a_clash_names_both_rows_and_takes_no_others_name(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images\nshoe-1,x.jpg\nother,x.jpg\nShoe-1,x.jpg\n")
    row = problem(path)
    assert str(row).startswith("shoes.csv:4: id 'Shoe-1' is taken by shoes.csv:2 (")
    assert row.id == "shoes.csv:4"


def test_ids_are_unique_across_manifests(tmp_path: Path) -> None:
    first = write(tmp_path, "id,images\n\nshoe,x.jpg\n", "a/shoes.csv")
    second = write(tmp_path, "id,images\nSHOE,x.jpg\n", "b/shoes.csv")
    third = write(tmp_path, '{"id": "Shoe", "images": "x.jpg"}\n', "more.jsonl")
    places = [row.message for row in read(first, second, third) if isinstance(row, Problem)]
    assert [message[: message.index(" (")] for message in places] == [
        "id 'SHOE' is taken by a/shoes.csv:3",
        "id 'Shoe' is taken by a/shoes.csv:3",
    ]


def test_the_further_pictures_of_an_edit_take_names_too(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,num_images\nshoe,x.jpg,3\nshoe-2,x.jpg,\nshoe-4,x.jpg,\n")
    row = problem(path)
    assert row.place == "shoes.csv:3"
    assert "'shoe-2' is what one of the several pictures of shoes.csv:2 will be called" in str(row)


def test_several_pictures_do_not_overwrite_what_came_before(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,num_images\nshoe-2,x.jpg,\nshoe,x.jpg,2\n")
    row = problem(path)
    assert str(row).startswith("shoes.csv:3: picture name 'shoe-2' is taken by shoes.csv:2")
    assert row.id == "shoe"


def test_made_ids_leave_room_for_several_pictures(tmp_path: Path) -> None:
    path = write(tmp_path, "images\na.jpg\na.jpg\nb-2.jpg\nb.jpg\n")
    ids = [edit.id for edit in edits(path, parameters={"num_images": 2})]
    assert ids == ["a", "a-3", "b-2", "b-3"]


def test_the_output_is_a_template_with_folders(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,Kind\na,x.jpg,Shoes\nb,x.jpg,Mugs: small\n")
    found = read(path, output="{{ kind }}/{{ id }}")
    assert isinstance(found[0], Edit)
    assert (found[0].id, found[0].output) == ("a", "Shoes/a")
    assert "':' cannot be part of a file name" in str(found[1])
    found = read(path, output="{{ kind|slug }}/{{ id }}")
    assert [row.output for row in found if isinstance(row, Edit)] == ["Shoes/a", "Mugs_ small/b"]


@pytest.mark.parametrize(
    "output", ["../{{ id }}", "/{{ id }}", "a//{{ id }}", "{{ id }}/", "nul/{{ id }}"]
)
def test_an_output_never_leaves_its_folder(tmp_path: Path, output: str) -> None:
    path = write(tmp_path, "id,images\na,x.jpg\n")
    assert "cannot name a file" in problem(path, output=output).message


def test_two_outputs_of_one_name_are_a_clash(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "id,images,sku,num_images\na,x.jpg,S1,2\nb,x.jpg,s1,\nc,x.jpg,S1-2,\nS1,x.jpg,free,\n",
    )
    found = read(path, output="out/{{ sku }}")
    messages = [str(row) for row in found if isinstance(row, Problem)]
    assert messages[0].startswith("shoes.csv:3: output 'out/s1' is taken by shoes.csv:2")
    assert "pictures of shoes.csv:2" in messages[1]
    assert len(messages) == 2


def test_an_output_without_variables_is_an_error_of_the_job(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"^outputs\.image: 'picture' gives all pictures one name"):
        read(write(tmp_path, "images\na.jpg\n"), output="picture")


@given(st.lists(st.text(max_size=4), max_size=60))
def test_claims_agree_with_a_plain_dict(names: list[str]) -> None:
    claims = Claims()
    known: dict[str, int] = {}
    for place, name in enumerate(filter(str.isascii, names), start=1):
        owner = known.setdefault(name.lower(), place)
        assert claims.claim(name, place) == (0 if owner == place else owner)
        assert claims.owner(name.upper()) == owner


def test_many_claims_are_kept_apart() -> None:
    claims = Claims()
    names = [f"{number:x}" for number in random.Random(1).sample(range(10**9), 50_000)]
    assert all(claims.claim(name, place) == 0 for place, name in enumerate(names, start=1))
    assert [claims.owner(name.upper()) for name in names[:1000]] == list(range(1, 1001))
    assert claims.owner("never claimed") == 0


def test_numbers_of_many_stems_stay_right_when_they_are_forgotten() -> None:
    made, taken = MadeNames(), set[str]()

    def new(stem: str) -> str:
        name = made.free(stem, lambda name: name not in taken)
        taken.add(name)
        return name

    for stem in range(30_000):
        new(f"s{stem}")
        new(f"s{stem}")
    assert new("s0") == "s0-3"


def test_folders_of_an_output_are_checked_one_by_one() -> None:
    assert output_problem("a/b/c") is None
    assert output_problem("a/../c")
    assert output_problem("/".join(["x" * 100] * 5))
    assert MODEL.max_images == 3
