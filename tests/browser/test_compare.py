"""The comparison page in a real Chromium: a blind vote by keyboard, its export, the names."""

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.comparing import read_votes, summed_up, write_page
from pipeline.emulator.testing import RunningEmulator
from tests.browser.expecting import expect
from tests.conftest import Shop

Opened = Callable[..., Any]
MODELS = [
    {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
    {"model": "flux/kontext-pro/image-to-image", "name": "kontext", "price_usd": 0.06},
]


@pytest.fixture
def page_file(shop: Shop, emulator: Callable[..., RunningEmulator]) -> Path:
    endpoint = emulator(pictures="plain", latency={"median_s": 0})
    shop.with_edits(3, models=MODELS)
    for name in ("flash", "kontext"):
        one = f"{shop.job}@{name}"
        asyncio.run(pipeline.run(one, base_url=endpoint.url, environ={}))
    return write_page(pipeline.load_job(shop.job)).index


def test_votes_by_key_are_exported_with_the_models_behind_the_letters(
    page_file: Path, opened: Opened, tmp_path: Path
) -> None:
    page = opened(page_file)
    expect(page.locator(".bench figure")).to_have_count(3)
    page.evaluate(
        "() => Promise.all([...document.querySelectorAll('.bench img')].map((i) => i.decode()))"
    )
    assert "flash" not in page.content()
    assert "kontext" not in page.content()
    page.keyboard.press("a")
    expect(page.locator("#which")).to_have_text("2 of 3")
    page.keyboard.press("2")
    page.keyboard.press("t")
    expect(page.locator("#progress")).to_have_text("3 of 3 voted")
    page.fill("#voter", "=ann")
    with page.expect_download() as download:
        page.click("#export")
    data = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename == "votes.csv"
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["choice"] for row in rows] == ["A", "B", "tie"]
    for row in rows[:2]:
        shown = dict(part.split("=") for part in row["shown"].split(";"))
        assert shown[row["choice"]] == row["model"]
        assert set(shown.values()) == {"flash", "kontext"}
    assert rows[2]["model"] == ""
    assert {(row["voter"], row["blind"]) for row in rows} == {("'=ann", "yes")}
    file = tmp_path / "votes.csv"
    file.write_bytes(data)
    assert summed_up(read_votes([file])).votes == 3


def test_votes_outlive_the_page_and_can_be_taken_back(page_file: Path, opened: Opened) -> None:
    page = opened(page_file)
    page.click("#choose-A")
    page.reload()
    expect(page.locator("#progress")).to_have_text("1 of 3 voted")
    expect(page.locator("#which")).to_have_text("2 of 3")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".bench figure.chosen")).to_have_count(1)
    page.keyboard.press("Delete")
    expect(page.locator("#progress")).to_have_text("0 of 3 voted")


def test_names_are_shown_on_request_and_votes_after_that_are_not_blind(
    page_file: Path, opened: Opened
) -> None:
    page = opened(page_file)
    page.keyboard.press("b")
    page.click("#tab-named")
    expect(page.locator("#revealed")).to_be_hidden()
    page.click("#show")
    expect(page.locator("#result h2")).to_have_text("Your 1 blind vote")
    expect(page.locator(".row")).to_have_count(3)
    expect(page.locator(".row").first.locator("strong")).to_have_text(
        ["before", "flash", "kontext"]
    )
    expect(page.locator(".cell.won")).to_have_count(1)
    page.click("#tab-vote")
    page.keyboard.press("a")
    page.click("#tab-named")
    expect(page.locator("#result .note")).to_contain_text("1 cast with the names in view is left")


def test_the_page_fits_a_telephone(page_file: Path, opened: Opened) -> None:
    page = opened(page_file, width=390, height=800)
    expect(page.locator(".bench figure")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
