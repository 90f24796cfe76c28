"""Contact sheets: a page to mail around, whatever is on it."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from picture_samples import photo, saved
from PIL import Image, PdfParser

from pipeline.errors import ConfigError, StoreError
from pipeline.pictures.contact_sheet import (
    MAX_PAGES,
    PAGE,
    Heading,
    Pair,
    draw_sheet,
    room,
    spread,
)

HEADING = Heading("Catalog", "14 Nov 2026, 02:00", "3 edits  ·  2 succeeded, 1 failed  ·  $0.08")


@pytest.fixture
def preview(tmp_path: Path) -> Path:
    return saved(photo((384, 256)), tmp_path / "preview.webp")


def pairs(count: int, preview: Path | None, **changes: Any) -> list[Pair]:
    values: dict[str, Any] = {
        "status": "succeeded",
        "reason": "",
        "decision": "approved",
        "before": preview,
        "after": preview,
    }
    return [Pair(number=n + 1, id=f"shoe-{n}", **(values | changes)) for n in range(count)]


def ink(image: Image.Image, box: tuple[int, int, int, int]) -> int:
    """Dark pixels in a part of a page."""
    return sum(image.convert("L").crop(box).histogram()[:128])


def pages_of(pdf: Path) -> int:
    with PdfParser.PdfParser(str(pdf)) as parsed:
        return len(parsed.pages)


def test_a_jpeg_is_one_page_that_ends_where_its_pictures_end(tmp_path: Path, preview: Path) -> None:
    few, many = tmp_path / "few.jpg", tmp_path / "many.jpg"
    assert draw_sheet(pairs(3, preview), HEADING, few) == 1
    assert draw_sheet(pairs(500, preview), HEADING, many) == 1
    with Image.open(few) as small, Image.open(many) as full:
        assert small.format == full.format == "JPEG"
        assert small.width == full.width == PAGE[0]
        assert small.height < full.height // 2
        assert full.height <= PAGE[1]


def test_pictures_and_words_are_on_it(tmp_path: Path, preview: Path) -> None:
    path = tmp_path / "a.jpg"
    draw_sheet(pairs(1, preview), HEADING, path)
    with Image.open(path) as page:
        assert ink(page, (96, 96, 800, 160)) > 300, "the title"
        colours = page.crop((96, 290, 560, 520)).convert("RGB").getcolors(1 << 20)
        assert colours is not None
        assert len(colours) > 2000, "a photograph"


def test_a_pdf_has_pages_up_to_a_number(tmp_path: Path, preview: Path) -> None:
    path = tmp_path / "a.pdf"
    on_a_page = room("JPEG")
    assert draw_sheet(pairs(on_a_page + 1, None), HEADING, path) == 2
    assert pages_of(path) == 2
    assert room("PDF") == MAX_PAGES * on_a_page


def test_more_than_fits_is_spread_from_the_first_to_the_last(preview: Path) -> None:
    chosen = spread(pairs(1000, None), 10)
    numbers = [pair.number for pair in chosen]
    assert len(numbers) == 10
    assert (numbers[0], numbers[-1]) == (1, 1000)
    gaps = {b - a for a, b in itertools.pairwise(numbers)}
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("name", ["a.jpg", "a.pdf"])
def test_nothing_to_show_is_a_page_that_says_so(tmp_path: Path, name: str) -> None:
    assert draw_sheet([], HEADING, tmp_path / name) == 1
    assert (tmp_path / name).stat().st_size > 1000


def test_a_preview_that_has_gone_leaves_a_gap_not_an_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.webp"
    broken.write_bytes(b"RIFF")
    gone = pairs(1, tmp_path / "gone.webp")
    draw_sheet([*gone, *pairs(1, broken)], HEADING, tmp_path / "a.jpg")


@pytest.mark.parametrize("name", ["靴" * 300, "a\nb\tc\0d", "🎉", "W" * 5000, "‮evil", "(\\) Tj"])
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    pair = Pair(
        number=7, id=name, status="failed", reason=name, decision="", before=None, after=None
    )
    draw_sheet([pair], Heading(name, name, name), tmp_path / "a.pdf")
    assert pages_of(tmp_path / "a.pdf") == 1


@pytest.mark.parametrize("name", ["sheet.png", "sheet", "sheet.pdf.exe"])
def test_another_format_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.jpg or a \.pdf"):
        draw_sheet([], HEADING, tmp_path / name)


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        draw_sheet([], HEADING, tmp_path / "file" / "a.jpg")
