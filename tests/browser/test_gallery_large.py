"""The gallery with 20,000 edits: only what is on the screen is in the page."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.expecting import expect
from tests.browser.sample import sample

EDITS = 20_000
ELEMENTS = 2_500
"""In the whole page, at most, wherever somebody has scrolled."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("large"), EDITS).write()


def test_twenty_thousand_edits_scroll_in_a_bounded_page(
    large: Path, opened: Callable[..., Any]
) -> None:
    page = opened(large)
    expect(page.locator("#edit-0")).to_be_visible()
    most = page.evaluate(
        """async () => {
            const grid = document.getElementById("grid");
            let most = 0;
            for (let part = 0; part <= 60; part += 1) {
                grid.scrollTop = grid.scrollHeight * part / 60;
                await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
                most = Math.max(most, document.getElementsByTagName("*").length);
            }
            return most;
        }"""
    )
    assert 300 < most < ELEMENTS
    expect(page.locator(f"#edit-{EDITS - 1}")).to_be_visible()
    expect(page.locator("img[data-src]")).to_have_count(0)


def test_twenty_thousand_edits_are_searched_grouped_and_decided(
    large: Path, opened: Callable[..., Any]
) -> None:
    page = opened(large.as_uri() + "#q=lamp-19&group=material&sort=-seconds")
    expect(page.locator(".result")).to_have_text("143 of 20,000 edits")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator(".where")).to_have_text("143 of 143")
    # From the file with the details of this edit.
    expect(page.locator("#loupe aside")).to_contain_text("Lamps")
    page.keyboard.press("g")
    page.keyboard.press("Control+a")
    page.keyboard.press("a")
    page.click("dialog .main")
    expect(page.locator("#export")).to_have_text("Export 130 decisions")
    page.reload()
    expect(page.locator("#export")).to_have_text("Export 130 decisions")
