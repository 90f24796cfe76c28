"""The gallery when there is nothing to show, or something is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.expecting import expect
from tests.browser.sample import Sample, sample

Opened = Callable[..., Any]


@pytest.fixture
def small(tmp_path: Path) -> Sample:
    return sample(tmp_path, 12, troubled=False)


def test_an_empty_ledger_says_what_to_run(tmp_path: Path, opened: Opened) -> None:
    page = opened(Sample(tmp_path).write())
    expect(page.locator("#empty code")).to_have_text("pipeline run jobs/catalog.yaml --rehearse")


def test_nothing_found_offers_to_show_all(small: Sample, opened: Opened) -> None:
    page = opened(small.write().as_uri() + "#q=nowhere")
    expect(page.locator("#empty h2")).to_have_text("Nothing matches")
    page.click("#empty button")
    expect(page.locator(".card")).to_have_count(12)


def test_all_failed_says_why(tmp_path: Path, opened: Opened) -> None:
    made = Sample(tmp_path)
    for n in range(3):
        made.add(f"e{n}", status="failed", reason="server_error", before=())
    page = opened(made.write())
    expect(page.locator("#empty")).to_contain_text("None of the 3 edits has a picture")
    expect(page.locator("#empty")).to_contain_text("server error (3)")


def test_missing_files_are_named(small: Sample, opened: Opened) -> None:
    index = small.write()
    (index.parent / "data" / "details-0000.js").unlink()
    for picture in (index.parent / "thumbs").rglob("before-*.webp"):
        picture.unlink()
    page = opened(index)
    expect(page.locator("#edit-0 em")).to_have_text("picture missing")
    page.keyboard.press("Enter")
    expect(page.locator("#loupe aside")).to_contain_text("data/details-0000.js is missing")
    (index.parent / "data" / "index.js").unlink()
    page.reload()
    expect(page.locator("#empty")).to_contain_text("data/index.js is missing")
