"""CSV as spreadsheets write it."""

import csv
import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.manifest import read_manifests
from pipeline.models import Edit, Problem
from tests.manifest.reading import KNOWN, MODEL, edits, problem, read, write


def test_a_row_is_an_edit(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "id,images,prompt,num_images,aspect_ratio,Product Name\n"
        "shoe-17,images/a.jpg | images/b.jpg,on sand,2,1:1,Red shoe\n",
    )
    (edit,) = edits(path, parameters={"seed": 7})
    assert (edit.id, edit.output, edit.place) == ("shoe-17", "shoe-17", "shoes.csv:2")
    assert edit.prompt == "on sand"
    assert edit.parameters == {"seed": 7, "num_images": 2, "aspect_ratio": "1:1"}
    assert edit.variables == {"Product Name": "Red shoe"}
    assert [ref.source for ref in edit.images] == ["images/a.jpg", "images/b.jpg"]
    assert edit.images[0].path == str((tmp_path / "images/a.jpg").resolve())
    assert edit.variant == 1


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_write_is_read(
    tmp_path: Path, delimiter: str, end: str, encoding: str
) -> None:
    rows = [["id", "images", "farbe"], ["ä1", "a.jpg|b.jpg", 'größe "9"'], ["b2", "c.jpg", "x;y,z"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    found = edits(write(tmp_path, text.getvalue().encode(encoding)))
    assert [edit.id for edit in found] == ["ä1", "b2"]
    assert [edit.variables["farbe"] for edit in found] == ['größe "9"', "x;y,z"]
    assert len(found[0].images) == 2


def test_the_delimiter_that_excel_is_told_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, "sep=;\r\nid;images\r\na;x.jpg\r\n")
    assert edits(path)[0].place == "shoes.csv:3"


def test_row_numbers_are_lines_even_with_quoted_newlines(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'images,prompt\na.jpg,"two\nlines\n"\n\nb.jpg,"three\r\n\r\nlines"\nc.jpg,one\n',
    )
    found = edits(path)
    assert [edit.place for edit in found] == ["shoes.csv:2", "shoes.csv:6", "shoes.csv:9"]
    assert [edit.prompt for edit in found] == ["two\nlines", "three\n\nlines", "one"]


def test_empty_rows_and_columns_at_the_end_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,,\na,x.jpg,,\n,,,\n  ,\t,,\n\nb,y.jpg\n,,,\n")
    assert [edit.id for edit in edits(path)] == ["a", "b"]


def test_image_columns_are_taken_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, "image_10,image,Image2\nc.jpg,a.jpg,b.jpg\n")
    assert [ref.source for ref in edits(path)[0].images] == ["a.jpg", "b.jpg", "c.jpg"]


def test_known_columns_are_found_in_any_letter_case(tmp_path: Path) -> None:
    path = write(tmp_path, "ID,Images,Prompt,Aspect Ratio\na,x.jpg,hello,16:9\n")
    (edit,) = edits(path)
    assert (edit.id, edit.prompt, edit.parameters) == ("a", "hello", {"aspect_ratio": "16:9"})


def test_variants_are_numbers_from_one(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,variant\na,x.jpg,\nb,x.jpg,2\nc,x.jpg,3.0\nd,x.jpg,0\n")
    assert [row.variant for row in read(path) if isinstance(row, Edit)] == [1, 2, 3]
    assert str(problem(path)).startswith("shoes.csv:5: variant '0' is no whole number from 1")


def test_a_prompt_comes_from_the_row_or_else_from_the_job(tmp_path: Path) -> None:
    path = write(tmp_path, "images,prompt\na.jpg,mine\nb.jpg, \n")
    assert [edit.prompt for edit in edits(path, prompt="default")] == ["mine", "default"]
    row = problem(path, prompt=None)
    assert row.place == "shoes.csv:3"
    assert "no prompt" in row.message
    assert row.id == "b"


def test_all_that_is_wrong_with_a_row_is_said_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path, "id,images,prompt,num_images,seed\na,file:///etc/passwd,{{ x }},9,never\n"
    )
    row = problem(path)
    assert row.id == "a"
    for part in ("file: is not read", "num_images: '9' is out of range (from 1 to 4)",
                 "seed: 'never' is no whole number", "'x' is not defined"):  # fmt: skip
        assert part in row.message


@pytest.mark.parametrize(
    ("encoding", "text", "offset", "line"),
    [("latin-1", "id,images\na,schön.jpg\n", 15, 2), ("cp1252", "id,images,preis €\n", 16, 1)],
)
def test_another_encoding_is_refused_with_its_offset(
    tmp_path: Path, encoding: str, text: str, offset: int, line: int
) -> None:
    path = write(tmp_path, text.encode(encoding))
    with pytest.raises(ManifestError, match=rf"^shoes\.csv:{line}: the byte at offset {offset} "):
        read(path)


def test_a_wrong_encoding_late_in_the_file_is_found_before_the_first_row(tmp_path: Path) -> None:
    path = write(tmp_path, b"images\n" + b"a.jpg\n" * 300_000 + b"\xe4.jpg\n")
    with pytest.raises(ManifestError, match=r"^shoes\.csv:300002: the byte at offset 1800007 "):
        next(iter(read_manifests([path], model=MODEL, root=None, prompt="x", parameters={})))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\n\n,,\n", "it is empty"),
        (b"id,images\na,\0.jpg\n", "shoes.csv:2: a NUL byte at offset 12"),
        ("id,images\na,b.jpg\n".encode("utf-16-le"), "a NUL byte at offset 1"),
        (b"id,images,id\n", "shoes.csv:1: column 'id' is there twice"),
        (b"images,Product Name,product_name\n", "'product_name' is there as 'Product Name' too"),
        (b"id,imgaes\n", "no column 'images' (did you mean 'images' by 'imgaes'?)"),
        (b"id,images\ra,b.jpg\r", "bare carriage returns"),
        (b'images\na.jpg\n"b.jpg\nc.jpg\n', "shoes.csv:3: a quote that this row opens is never"),
        (b"images,resolution\n", "test/edit takes no resolution"),
        (b"images,size\n", "give the column another name"),
        (b"images,promt\n", "nothing uses column 'promt' (did you mean 'prompt'?)"),
        (b"images,Aspect Ration\n", "(did you mean 'aspect_ratio'?)"),
        (b"images" + b",x" * 20_000, "20,001 columns"),
    ],
)
def test_a_file_that_cannot_be_read_ends_the_reading(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ManifestError) as raised:
        read(write(tmp_path, content))
    assert message in str(raised.value)
    assert str(raised.value).startswith("shoes.csv")


def test_no_prompt_anywhere_is_an_error_with_a_guess(tmp_path: Path) -> None:
    path = write(tmp_path, "images,promt\na.jpg,hello\n")
    with pytest.raises(ManifestError, match="did you mean 'prompt' by 'promt'"):
        read(path, prompt=None)


def test_a_near_miss_that_the_prompt_uses_is_a_variable(tmp_path: Path) -> None:
    path = write(tmp_path, "images,prompts\na.jpg,hello\n")
    assert edits(path, prompt="say {{ prompts }}")[0].prompt == "say hello"


def test_a_cell_without_a_column_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images\na,x.jpg,stray\nb,y.jpg,,\nc,z,jpg\n")
    found = read(path)
    assert [type(row) for row in found] == [Problem, Edit, Problem]
    assert "cell 3 ('stray') belongs to no column" in str(found[0])


def test_text_behind_a_quote_is_a_problem_of_its_row_alone(tmp_path: Path) -> None:
    path = write(tmp_path, 'id,images\n"a" b,x.jpg\nc,y.jpg\n')
    found = read(path)
    assert str(found[0]).startswith("shoes.csv:2: text behind a closing quote")
    assert found[1].place == "shoes.csv:3"


def test_a_cell_of_many_megabytes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b'images\n"' + (b"x" * 1023 + b"\n") * 11 * 1024 + b'"\n')
    with pytest.raises(ManifestError, match=r"^shoes\.csv:2: a cell is longer than 10 MB"):
        read(path)


def test_a_line_without_end_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b"images\n" + b"x" * (33 * 1024 * 1024))
    with pytest.raises(ManifestError, match=r"^shoes\.csv:2: a line longer than 32 MB"):
        read(path)


def test_an_inline_picture_larger_than_the_csv_modules_limit_is_read(tmp_path: Path) -> None:
    uri = "data:image/png;base64," + "A" * 400_000
    path = write(tmp_path, f'images,x\n"{uri}",1\n')
    (edit,) = edits(path)
    assert edit.images[0].kind == "data"
    assert edit.id == "edit"


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    """The writer of the pipe cannot go on before its rows were taken."""
    pipe = tmp_path / "rows.csv"
    os.mkfifo(pipe)
    taken = threading.Event()

    def write_rows() -> None:
        with pipe.open("wb", buffering=0) as file:
            file.write(b"images\na.jpg\nb.jpg\n")
            assert taken.wait(60)
            file.write(b"c.jpg\n")

    writer = threading.Thread(target=write_rows)
    writer.start()
    rows = read_manifests([pipe], model=MODEL, root=None, prompt="x", parameters={})
    assert [next(rows).id, next(rows).id] == ["a", "b"]
    taken.set()
    assert [row.id for row in rows] == ["c"]
    writer.join()


def test_a_manifest_half_read_can_be_left(tmp_path: Path) -> None:
    path = write(tmp_path, "images\n" + "a.jpg\n" * 1000)
    rows = read_manifests([path], model=MODEL, root=None, prompt="x", parameters={})
    next(rows)
    del rows  # an open file left behind would be a warning, and so an error


def test_edits_without_parameters_of_their_own_share_the_jobs(tmp_path: Path) -> None:
    path = write(tmp_path, "images,seed\na.jpg,\nb.jpg,\n")
    first, second = edits(path, parameters={"num_images": 2})
    assert first.parameters is second.parameters


def test_missing_manifests_and_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"^gone\.csv: No such file"):
        read(tmp_path / "gone.csv")
    with pytest.raises(ManifestError, match=r"^a\.docx: .*\.csv, \.tsv, \.xlsx"):
        read(write(tmp_path, "", "a.docx"))
    with pytest.raises(ManifestError, match="no such folder"):
        read(write(tmp_path, "images\n"), root=tmp_path / "gone")


def test_a_later_manifest_that_is_wrong_is_found_before_the_first_row(tmp_path: Path) -> None:
    good = write(tmp_path, "images\na.jpg\n")
    with pytest.raises(ManifestError, match=r"^bad\.csv:1: "):
        next(
            read_manifests(
                [good, write(tmp_path, "id,sku\n", "bad.csv")],
                model=MODEL,
                root=None,
                prompt="x",
                parameters={},
            )
        )


_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    rows=st.lists(st.tuples(_text, _text), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_a_spreadsheet_quotes_comes_back_as_it_was(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, end: str
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "images", "colour", "note"])
    for number, row in enumerate(rows):
        writer.writerow([f"e{number}", "a.jpg", *row])
    found = edits(write(tmp_path, text.getvalue()), known_parameters=KNOWN)
    assert [tuple(edit.variables.values()) for edit in found] == rows
