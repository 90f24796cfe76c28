import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ledger import Ledger, open_reader
from pipeline.ledger.schema import migrate
from pipeline.ledger.text import clean, json_text
from pipeline.ledger.view import FIXED, add_columns, make_view
from tests.ledger.samples import MODEL, a_record, an_edit, an_image, opened, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = opened(path)
    yield ledger
    ledger.close()


def rows_of(path: Path) -> list[dict[str, Any]]:
    with open_reader(path) as reader:
        rows = list(reader.results())
        assert all(tuple(row) == reader.columns() for row in rows)
        return rows


async def test_a_row_reads_as_the_design_says(path: Path, ledger: Ledger) -> None:
    edit = an_edit("shoe-1", variables={"Product Name": "Runner", "sku": "007"})
    images = (an_image("images/shoe-1.png"), an_image("images/shoe-1-2.png"))
    await ledger.record(a_record(edit=edit, images=images, cost_usd=0.042 * 3, attempts=3))
    assert rows_of(path) == [
        {
            "id": "shoe-1",
            "status": "succeeded",
            "attempts": 3,
            "prompt": "Put the shoe on pure white.",
            "model": MODEL,
            "images": "images/shoe-1.png;images/shoe-1-2.png",
            "cost_usd": 0.126,
            "error_code": None,
            "error_message": None,
            "duration_s": 5.25,
            "started_at": "2026-01-31T03:00:00.000Z",
            "finished_at": "2026-01-31T03:00:05.250Z",
            "fingerprint": "f" * 64,
            "run_id": "run-1",
            "variant": 1,
            "decision": None,
            "note": None,
            "finished": None,
            "checks": None,
            "Product Name": "Runner",
            "sku": "007",
        }
    ]


async def test_pictures_are_joined_in_the_providers_order(path: Path, ledger: Ledger) -> None:
    images = tuple(an_image(f"images/{n}.png") for n in range(12, 0, -1))
    await ledger.record(a_record(images=images))
    assert rows_of(path)[0]["images"] == ";".join(image.path for image in images)


async def test_a_new_column_appears_with_the_record_that_has_it(path: Path, ledger: Ledger) -> None:
    with open_reader(path) as reader:
        assert reader.columns() == FIXED
        await ledger.record(a_record(edit=an_edit("a", variables={"colour": "red"})))
        assert reader.columns() == (*FIXED, "colour")
        await ledger.record(a_record(edit=an_edit("b", variables={"size": "42"})))
        assert reader.columns() == (*FIXED, "colour", "size")
        assert [(row["colour"], row["size"]) for row in reader.results()] == [
            ("red", None),
            (None, "42"),
        ]


async def test_columns_survive_the_next_run(path: Path) -> None:
    for edit_id, name in (("a", "colour"), ("b", "size")):
        ledger = opened(path)
        await ledger.record(a_record(edit=an_edit(edit_id, variables={name: edit_id})))
        ledger.close()
    assert [(row["colour"], row["size"]) for row in rows_of(path)] == [("a", None), (None, "b")]


async def test_columns_that_are_called_like_the_fixed_ones_get_another_name(
    path: Path, ledger: Ledger
) -> None:
    variables = {"status": "sold out", "Status": "x", "row_status": "y", "": "z", "RUN_ID": "r"}
    await ledger.record(a_record(edit=an_edit(variables=variables)))
    (row,) = rows_of(path)
    assert row["status"] == "succeeded"
    assert {name: row[name] for name in row if name not in FIXED} == {
        "row_status": "sold out",
        "row_Status_2": "x",
        "row_status_3": "y",
        "column": "z",
        "row_RUN_ID": "r",
    }


HOSTILE = [
    '"',
    '"; DROP TABLE edits; --',
    "'",
    "a'b\"c\\d",
    "\\",
    "$.x",
    "$",
    "a.b[0]",
    "2020",
    "[0]",
    "line\nbreak\ttab\r",
    "Ünïcödé ✓ 商品",
    "=cmd()",
    " spaces ",
    "%s ? :x",
    "x" * 5000,
    "SELECT",
    "\x1b[31m",
]


async def test_hostile_column_names_are_just_names(path: Path, ledger: Ledger) -> None:
    variables = {name: f"value {n}" for n, name in enumerate(HOSTILE)}
    await ledger.record(a_record(edit=an_edit(variables=variables)))
    (row,) = rows_of(path)
    assert [row[name] for name in row if name not in FIXED] == list(variables.values())
    assert read(path, "SELECT count(*) FROM edits") == [(1,)]


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=()), max_size=8),
        st.text(st.characters(exclude_categories=()), max_size=8),
        max_size=6,
    )
)
def test_any_columns_come_back_with_their_values(variables: dict[str, str]) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection, Path(":memory:"))
    whole = {clean(name): clean(value) for name, value in variables.items()}
    make_view(connection, add_columns(connection, {}, whole))
    connection.execute(
        "INSERT INTO edits VALUES "
        "('e', '', '', '', '', '', ?, '', '', 1, 1, 0, '', '', 0, 0, '', '', '')",
        (json_text(variables),),
    )
    row = connection.execute("SELECT * FROM results").fetchone()
    connection.close()
    assert row[len(FIXED) :] == tuple(whole.values())


async def test_more_columns_than_sqlite_takes_lose_no_record(path: Path, ledger: Ledger) -> None:
    variables = {f"column {n}": str(n) for n in range(2500)}
    await ledger.record(a_record("shoe-1", edit=an_edit("shoe-1", variables=variables)))
    await ledger.record(a_record("shoe-2", edit=an_edit("shoe-2", variables=variables)))
    with open_reader(path) as reader:
        columns = reader.columns()
        assert len(columns) == 2000
        assert next(reader.results())[columns[-1]] == str(2000 - len(FIXED) - 1)
    assert read(path, "SELECT variables ->> '$.\"column 2499\"' FROM edits") == [("2499",)] * 2


async def test_rows_come_in_the_order_of_the_manifest(path: Path, ledger: Ledger) -> None:
    for edit_id, place in (
        ("c", "shoes.csv:10"),
        ("a", "shoes.csv:9"),
        ("b", "shoes.csv:100"),
        ("e", "bags.yaml:3"),
        ("d", "bags.yaml:3"),
        ("f", ""),
    ):
        await ledger.record(a_record(edit=an_edit(edit_id, place=place)))
    assert [row["id"] for row in rows_of(path)] == ["f", "d", "e", "a", "c", "b"]


async def test_a_view_of_an_older_program_is_made_anew(path: Path) -> None:
    opened(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP VIEW results")
    connection.execute("CREATE VIEW results AS SELECT id FROM edits")
    connection.commit()
    connection.close()
    opened(path).close()
    with open_reader(path) as reader:
        assert reader.columns() == FIXED
