"""Excel workbooks, written by openpyxl: another reader and writer than ours."""

import datetime
import itertools
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from pipeline.errors import ManifestError
from pipeline.manifest import read_manifests, workbook
from tests.manifest.reading import MODEL, edits, problem, read, write


def book(path: Path, rows: list[list[Any]], change: Callable[[Any], None] | None = None) -> Path:
    made = Workbook()
    sheet = made.active
    for row in rows:
        sheet.append(row)
    if change:
        change(sheet)
    made.save(path)
    return path


def changed(path: Path, part: str, change: Callable[[bytes], bytes]) -> Path:
    """One part of the archive replaced: what openpyxl would never write."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts[part] = change(parts.get(part, b""))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def with_shared_texts(path: Path, texts: bytes) -> Path:
    """Excel's own way: A2's text stands in a part of its own, as number 0."""
    relation = (
        b'<Relationship Id="s" Target="sharedStrings.xml" Type="http://schemas.openxmlformats.org/'
        b'officeDocument/2006/relationships/sharedStrings"/></Relationships>'
    )
    changed(
        path,
        "xl/_rels/workbook.xml.rels",
        lambda data: data.replace(b"</Relationships>", relation),
    )
    cell = b'<c r="B2" t="s"><v>0</v></c></row></sheetData>'
    changed(path, SHEET, lambda data: data.replace(b"</row></sheetData>", cell))
    return changed(path, "xl/sharedStrings.xml", lambda data: texts)


SHEET = "xl/worksheets/sheet1.xml"


def test_a_row_is_an_edit_and_its_place_is_excels(tmp_path: Path) -> None:
    path = book(
        tmp_path / "shoes.xlsx",
        [
            ["id", "images", "Product Name", "num_images"],
            ["a", "a.jpg|b.jpg", "Red & blue", 2],
            [],
            ["b", "c.jpg", "größe 9", None],
        ],
    )
    first, second = edits(path, prompt="a {{ product_name }}")
    assert (first.place, second.place) == ("shoes.xlsx:2", "shoes.xlsx:4")
    assert (first.prompt, second.prompt) == ("a Red & blue", "a größe 9")
    assert first.parameters == {"num_images": 2}
    assert len(first.images) == 2


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        (123, "00000", "00123"),
        (123456, "000-000-000", "000-123-456"),
        (7, '"SKU-"0000', "SKU-0007"),
        (4006381333931, "General", "4006381333931"),
        (0.1 + 0.2, "General", "0.3"),
        (12.0, "General", "12"),
        (2.5, "0.00", "2.50"),
        (2.675, "0.00", "2.68"),
        (1234567, "#,##0", "1234567"),
        (0.125, "0.0%", "12.5%"),
        ("00123", "@", "00123"),
        (True, "General", "TRUE"),
        (datetime.date(2026, 3, 1), "DD.MM.YYYY", "2026-03-01"),
        (
            datetime.datetime(2026, 3, 1, 14, 30),  # noqa: DTZ001
            "m/d/yy h:mm",
            "2026-03-01 14:30",
        ),
        (datetime.time(9, 5), "h:mm", "09:05"),
        (1.5, "[h]:mm", "36:00"),
        (5, '0.0 "days"', "5"),
        (1e30, "0.00", "1e+30"),
        (-1e300, "0%", "-1e+300"),
        (999_999_999_999_999, f"0.{'0' * 30}%", f"99999999999999900.{'0' * 30}%"),
        (5, f"0.{'0' * 99}", "5"),
    ],
)
def test_numbers_are_what_the_cell_shows(tmp_path: Path, value: Any, code: str, shown: str) -> None:
    def style(sheet: Any) -> None:
        sheet["C2"].number_format = code

    path = book(tmp_path / "m.xlsx", [["id", "images", "x"], ["a", "a.jpg", value]], style)
    assert edits(path)[0].variables == {"x": shown}


def test_a_number_with_its_zeros_is_an_id(tmp_path: Path) -> None:
    def style(sheet: Any) -> None:
        sheet["A2"].number_format = "00000"

    path = book(tmp_path / "m.xlsx", [["SKU", "images"], [123, "a.jpg"]], style)
    assert edits(path, columns={"id": ("SKU",)})[0].id == "00123"


def test_dates_count_from_1904_where_the_workbook_says_so(tmp_path: Path) -> None:
    made = Workbook()
    made.epoch = datetime.datetime(1904, 1, 1)  # noqa: DTZ001
    made.active.append(["images", "day"])
    made.active.append(["a.jpg", datetime.date(2026, 3, 1)])
    made.save(tmp_path / "m.xlsx")
    assert edits(tmp_path / "m.xlsx")[0].variables == {"day": "2026-03-01"}


def test_a_formula_counts_with_the_value_that_it_had(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["images", "x"], ["a.jpg", "=1+1"]])
    found = problem(path)
    assert str(found).startswith("m.xlsx:2: cell B2 is a formula that was never calculated")
    changed(
        path,
        SHEET,
        lambda data: data.replace(b"<v></v>", b"<v>2</v>").replace(b"<v />", b"<v>2</v>"),
    )
    assert edits(path)[0].variables == {"x": "2"}


def test_cells_in_error_are_named(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["id", "images", "x"], ["a", "a.jpg", "#N/A"]])
    assert str(problem(path)).startswith("m.xlsx:2: cell C2 is #N/A (mend or empty it")


def test_a_merged_cell_counts_for_each_of_its_rows(tmp_path: Path) -> None:
    rows = [
        ["id", "images", "kind"],
        ["a", "a.jpg", "mug"],
        ["b", "b.jpg"],
        ["c", "c.jpg"],
        ["d", "d.jpg", "vase"],
    ]
    path = book(tmp_path / "m.xlsx", rows, lambda sheet: sheet.merge_cells("C2:C4"))
    assert [edit.variables["kind"] for edit in edits(path)] == ["mug", "mug", "mug", "vase"]


def test_hidden_rows_and_columns_are_read_like_others(tmp_path: Path) -> None:
    def hide(sheet: Any) -> None:
        sheet.row_dimensions[2].hidden = True
        sheet.column_dimensions["C"].hidden = True

    rows = [["id", "images", "kind"], ["a", "a.jpg", "mug"], ["b", "b.jpg", "vase"]]
    found = edits(book(tmp_path / "m.xlsx", rows, hide))
    assert [(edit.id, edit.variables["kind"]) for edit in found] == [("a", "mug"), ("b", "vase")]


def test_the_first_sheet_that_is_not_hidden_is_read_or_the_one_that_is_named(
    tmp_path: Path,
) -> None:
    made = Workbook()
    made.active.title = "notes"
    made.active.sheet_state = "hidden"
    for name in ("Spring", "Summer 26"):
        sheet = made.create_sheet(name)
        sheet.append(["images"])
        sheet.append([f"{name[:2]}.jpg"])
    path = tmp_path / "m.xlsx"
    made.save(path)
    assert edits(path)[0].id == "Sp"
    named = path.with_name("m.xlsx#summer 26")
    assert (edits(named)[0].id, edits(named)[0].place) == ("Su", "m.xlsx#summer 26:2")
    with pytest.raises(ManifestError, match=r"'Sumer 26' \(did you mean 'Summer 26'\?\)"):
        read(path.with_name("m.xlsx#Sumer 26"))


def test_rows_stream(tmp_path: Path) -> None:
    """The first edit is there although the sheet is cut off further down."""
    rows: list[list[Any]] = [["id", "images"], *[[f"e{n}", "a.jpg"] for n in range(20_000)]]
    path = changed(book(tmp_path / "m.xlsx", rows), SHEET, lambda data: data[:-30])
    found = read_manifests([path], model=MODEL, root=None, prompt="x", parameters={})
    assert [row.id for row in itertools.islice(found, 2)] == ["e0", "e1"]
    with pytest.raises(ManifestError, match=r"m\.xlsx:\d+: no well-formed XML"):
        list(found)


def test_rich_text_and_escapes_are_their_letters(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["images", "x"], ["a.jpg"]])
    with_shared_texts(
        path,
        b"<x:sst xmlns:x='x'><x:si><x:r><x:t>Red</x:t></x:r><x:r><x:t xml:space='preserve'>"
        b" shoe_x000A_9</x:t></x:r><x:rPh><x:t>kana</x:t></x:rPh></x:si></x:sst>",
    )
    assert edits(path)[0].variables == {"x": "Red shoe\n9"}


def test_escaped_halves_of_a_character_are_put_together(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["images", "x"], ["a.jpg", "_xD83D__xDE00_ _xD83D_"]])
    assert edits(path)[0].variables == {"x": "😀 \ufffd"}


# --- hostile


BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><x>&c;</x>'


@pytest.mark.parametrize("part", [SHEET, "xl/workbook.xml", "xl/styles.xml", "_rels/.rels"])
def test_entities_are_refused(tmp_path: Path, part: str) -> None:
    path = book(tmp_path / "m.xlsx", [["images"], ["a.jpg"]])
    changed(path, part, lambda data: BOMB)
    with pytest.raises(ManifestError, match="document type"):
        read(path)


def test_entities_among_shared_texts_are_refused(tmp_path: Path) -> None:
    path = with_shared_texts(book(tmp_path / "m.xlsx", [["images", "x"], ["a.jpg"]]), BOMB)
    with pytest.raises(ManifestError, match="document type"):
        read(path)


def test_a_zip_bomb_is_bounded(tmp_path: Path) -> None:
    """200 MB of one text in 200 kB: refused after what a row may hold, not after all of it."""
    path = book(tmp_path / "m.xlsx", [["images"], ["a.jpg"]])
    cell = (
        b'<row r="3"><c r="A3" t="inlineStr"><is><t>' + b"A" * 200_000_000 + b"</t></is></c></row>"
    )
    changed(path, SHEET, lambda data: data.replace(b"</sheetData>", cell + b"</sheetData>"))
    assert path.stat().st_size < 400_000
    with pytest.raises(ManifestError, match=r"m\.xlsx:3: a row with too much text"):
        read(path)


def test_shared_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_TEXTS", 1_000_000)
    path = book(tmp_path / "m.xlsx", [["images", "x"], ["a.jpg"]])
    with_shared_texts(path, b"<sst><si><t>" + b"A" * 2_000_000 + b"</t></si></sst>")
    with pytest.raises(ManifestError, match="MB of XML"):
        read(path)


def test_an_endless_tag_is_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["images"], ["a.jpg"]])
    changed(path, SHEET, lambda data: b'<worksheet a="' + b"A" * 40_000_000)
    with pytest.raises(ManifestError, match="one tag is longer"):
        read(path)


@pytest.mark.parametrize(
    "cell",
    [
        b'<c r="ZZZZ2"><v>1</v></c>',
        b'<c r="XFE2"><v>1</v></c>',
        b'<c r="A2" t="s"><v>99</v></c>',
        b'<c r="A2" t="s"><v>-</v></c>',
        b'<c r="A2" s="-9"><v>nan</v></c><c r="B2" s="9999999999"><v>1e999</v></c>',
        b'<c r="A2" s="\xc2\xb2"><v>5</v></c>',
        b'<c r="A2" s="' + b"9" * 5000 + b'"><v>5</v></c>',
    ],
)
def test_impossible_cells_are_no_bug(tmp_path: Path, cell: bytes) -> None:
    path = book(tmp_path / "m.xlsx", [["images"], ["a.jpg"]])
    row = b'<row r="2">' + cell + b"</row>"

    def change(data: bytes) -> bytes:
        start = data.index(b'<row r="2"')
        return data[:start] + row + b"</sheetData></worksheet>"

    changed(path, SHEET, change)
    with suppress(ManifestError):
        for row in read(path):
            assert row.place == "m.xlsx:2"


def test_numbers_of_rows_that_only_look_like_digits_do_not_count(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["images"], ["a.jpg"]])
    changed(path, SHEET, lambda data: data.replace(b'<row r="2"', b'<row r="\xc2\xb2"'))
    assert edits(path)[0].place == "m.xlsx:2"


def test_merged_cells_that_overlap_are_no_bug(tmp_path: Path) -> None:
    """Excel does not write them: the one that starts last counts."""
    rows = [["id", "images", "kind"], ["a", "a.jpg", "mug"], ["b", "a.jpg", "vase"], ["c", "a.jpg"]]
    path = book(tmp_path / "m.xlsx", rows)
    merged = (
        b'</sheetData><mergeCells><mergeCell ref="C2:C9"/><mergeCell ref="C3:C9"/></mergeCells>'
    )
    changed(path, SHEET, lambda data: data.replace(b"</sheetData>", merged))
    assert [edit.variables["kind"] for edit in edits(path)] == ["mug", "vase", "vase"]


def test_a_packing_that_is_not_known_is_damage(tmp_path: Path) -> None:
    """Also where it is in the middle of the sheet that the archive breaks off."""
    path = book(tmp_path / "m.xlsx", [["images"], *[[f"{n}.jpg"] for n in range(5000)]])
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo(SHEET).header_offset
    data[at + 2000 : at + 2100] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(ManifestError, match=r"^m\.xlsx: the file is damaged: .* \(save it again\)"):
        read(path)


def test_rows_out_of_order_are_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "m.xlsx", [["images"], ["a.jpg"], ["b.jpg"]])
    changed(path, SHEET, lambda data: data.replace(b'<row r="3"', b'<row r="2"'))
    with pytest.raises(ManifestError, match=r"row 2 stands behind it"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("m.csv", b"PK\x03\x04rest", r"says \.csv, but it is a workbook or another archive"),
        ("m.xlsx", b"id,images\na,a.jpg\n", r"says a workbook, but it is plain text"),
        ("m.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook .* or one with a password"),
        ("m.xlsx", b"", "it is empty"),
        ("m.xlsx", b"PK\x03\x04 broken", "no workbook"),
        ("m.csv", b"<!DOCTYPE html><html>", "a web page"),
        ("m.tsv", b"<?xml version='1.0'?><rss>", "it is XML"),
        ("m.csv", b"%PDF-1.7", "a PDF document"),
        ("m.parquet", b"id,images\n", "says Parquet, but it is plain text"),
        ("m.xml", b"PK\x03\x04", "a workbook"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told_apart(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        read(write(tmp_path, content, name))


def test_an_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(ManifestError, match="no Excel workbook"):
        read(path)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_workbooks_are_no_bug(tmp_path: Path, seed: int) -> None:
    """Bytes of the archive, and of its parts, are changed at random."""
    rng = random.Random(seed)
    path = book(tmp_path / "m.xlsx", [["id", "images"], *[[f"e{n}", "a.jpg"] for n in range(20)]])
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()

    def spoiled(data: bytes) -> bytes:
        changed_data = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            changed_data[rng.randrange(len(changed_data))] = rng.randrange(256)
        return bytes(changed_data)

    for _ in range(40):
        path.write_bytes(spoiled(whole))
        with suppress(ManifestError):
            read(path)
        path.write_bytes(whole)
        changed(path, rng.choice(names), spoiled)
        with suppress(ManifestError):
            read(path)
