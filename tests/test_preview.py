"""Which of a job's edits are meant, and the table of what would be made of them."""

import pytest

from pipeline.models import Edit, Problem
from pipeline.preview import chosen
from pipeline.preview.made import LONGEST_LABEL, MOST_KINDS, OTHERS, Tally


def edit(name: str, **more: object) -> Edit:
    given = {"images": (), "prompt": "p", "parameters": {}, "variables": {}, "place": "m.csv:2"}
    return Edit(id=name, output=name, **{**given, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ((), ["a", "b[1]", "c2", "wrong"]),
        (("a", "wrong"), ["a", "wrong"]),
        (("[ab]*",), ["a", "b[1]"]),
        (("b[1]",), ["b[1]"]),
        (("?2", "a"), ["a", "c2"]),
        (("A",), []),
    ],
)
def test_edits_are_chosen_by_id_or_glob(only: tuple[str, ...], expected: list[str]) -> None:
    rows = [edit("a"), edit("b[1]"), edit("c2"), Problem(place="m.csv:5", message="x", id="wrong")]
    assert [row.id for row in chosen(rows, only)] == expected


def test_what_would_be_made_is_counted_in_bounded_memory() -> None:
    tally = Tally()
    for number in range(MOST_KINDS + 10):
        tally.add(edit(f"s{number}/white", prompt="on white"), asks=number % 2 == 0)
    made = tally.made()
    assert (made.sets, made.prompts) == (MOST_KINDS + 1, 1)
    assert made.by_set[0].name == OTHERS
    assert (made.by_set[0].edits, made.by_set[0].to_ask) == (10, 5)
    assert [(row.name, row.edits) for row in made.by_prompt] == [("white", MOST_KINDS + 10)]


def test_long_names_are_cut_and_sizes_are_written_as_people_do() -> None:
    tally = Tally()
    size = {"image_size": {"width": 1024, "height": 768}}
    tally.add(edit("a", prompt="word " * 50, parameters=size), asks=True)
    made = tally.made()
    assert len(made.by_prompt[0].name) == LONGEST_LABEL
    assert made.by_parameter[0].name == "image_size=1024x768"
    assert made.examples[0].prompt == "word " * 50
