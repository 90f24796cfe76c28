"""An earlier take is taken back: by way of decisions.csv, or straight to the ledger."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.browser.expecting import expect
from tests.browser.test_accessibility import faults
from tests.conftest import Shop
from tests.dashboard.serving import serving
from tests.test_review import files, run, say

Opened = Callable[..., Any]
Does = Callable[..., str]

BUTTON = "aside .takes button"


@pytest.fixture
def does(command: Callable[..., Any]) -> Does:
    def done(*arguments: str | Path) -> str:
        ended = command(*arguments)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return str(ended.stdout)

    return done


@pytest.fixture
def redone(shop: Shop, emulator: Callable[..., RunningEmulator]) -> Shop:
    """Two edits; the second has been redone, so it has take 1."""
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(2), endpoint)
    say(shop, "e1", "redo", "warmer")
    run(shop, endpoint)
    return shop


def saved(page: Any, place: Path) -> dict[str, str]:
    """The one row of the decisions.csv that the page exports."""
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(place)
    [row] = csv.DictReader(io.StringIO(place.read_text(encoding="utf-8-sig")))
    page.keyboard.press("Escape")
    return row


def test_from_disk_it_is_a_decision_like_the_others(
    redone: Shop, does: Does, opened: Opened, tmp_path: Path
) -> None:
    does("report", redone.job)
    index = redone.outputs / "report" / "index.html"
    page = opened(index.as_uri() + "#open=e1")
    back = page.locator(BUTTON)
    expect(back).to_have_attribute("aria-label", "Take this one back: take 1")
    expect(back).to_have_attribute("aria-pressed", "false")
    back.focus()
    page.keyboard.press("Enter")
    expect(back).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".told .decision")).to_have_text("↶ take 1 back")
    expect(page.locator("#decided-words")).to_have_text("1 of 2 decided")
    assert faults(page) == []

    page.reload()  # this browser keeps it
    expect(page.locator(".told .decision")).to_have_text("↶ take 1 back")
    back.click()
    expect(back).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#export")).to_be_disabled()
    page.keyboard.press("Control+z")
    expect(back).to_have_attribute("aria-pressed", "true")

    decisions = tmp_path / "decisions.csv"
    row = saved(page, decisions)
    assert (row["id"], row["decision"], row["take"]) == ("e1", "restore", "1")
    expect(page.locator("dialog")).to_have_count(0)
    elsewhere = opened(index, accept_downloads=True)
    with elsewhere.expect_file_chooser() as chooser:
        elsewhere.click("#import")
    chooser.value.set_files(decisions)
    expect(elsewhere.locator("#edit-1")).to_have_attribute(
        "aria-label", "e1, succeeded, take 1 back"
    )
    assert saved(elsewhere, tmp_path / "again.csv")["take"] == "1"

    before = files(redone)
    assert "taken back" in does("review", redone.job, decisions)
    assert files(redone)["images/e1.png"] == before["takes/e1-v1.png"]
    does("report", redone.job)
    page.reload()
    expect(back).to_have_attribute("data-take", "2")
    expect(page.locator("#export")).to_be_disabled()
    expect(page.locator("#notices p")).to_have_count(0)


def test_a_row_that_does_not_say_which_take_is_not_imported(
    redone: Shop, does: Does, opened: Opened, tmp_path: Path
) -> None:
    does("report", redone.job)
    page = opened(redone.outputs / "report" / "index.html")
    table = tmp_path / "decisions.csv"
    table.write_text("id,decision,take\ne1,restore,\ne0,restore,one\n")
    with page.expect_file_chooser() as chooser:
        page.click("#import")
    chooser.value.set_files(table)
    expect(page.locator("dialog li")).to_have_text(
        ["line 2: which take of e1 is not said", "line 3: which take of e0 is not said"]
    )


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_served_the_ledger_has_it_at_once(
    redone: Shop, opened: Opened, width: int, scheme: str
) -> None:
    before = files(redone)
    with serving(redone.job.parent) as server:
        page = opened(f"{server.url}/jobs/shop/gallery/#open=e1", width=width, color_scheme=scheme)
        back = page.locator(BUTTON)
        back.click()
        # The picture that gave way is a take now, and can be taken back in turn.
        expect(back).to_have_attribute("data-take", "2")
        expect(page.locator("#toast")).to_contain_text("Take 1 is the picture of e1 again")
        expect(page.locator("#loupe aside .prompt")).to_have_text("edit number 1")
        expect(page.locator("#loupe h2")).to_be_focused()
        expect(page.locator("#export")).to_be_disabled()
        expect(page.locator(".takes img")).to_have_js_property("complete", True)
        expect(page.locator(".takes img")).not_to_have_js_property("naturalWidth", 0)
        assert files(redone)["images/e1.png"] == before["takes/e1-v1.png"]
        assert files(redone)["takes/e1-v2.png"] == before["images/e1.png"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("Control+z")  # what was said before is about another picture
        expect(page.locator("#toast")).to_contain_text("nothing to take back")
        back.click()
        expect(back).to_have_attribute("data-take", "3")
        assert files(redone)["images/e1.png"] == before["images/e1.png"]


def test_served_what_cannot_be_taken_back_is_said_and_forgotten(
    redone: Shop, opened: Opened
) -> None:
    (redone.outputs / "takes" / "e1-v1.png").unlink()
    with serving(redone.job.parent) as server:
        page = opened(f"{server.url}/jobs/shop/gallery/#open=e1")
        page.locator(BUTTON).click()
        expect(page.locator("#notices")).to_contain_text(re.compile("Not taken: e1: "))
        expect(page.locator(BUTTON)).to_have_attribute("aria-pressed", "false")
        expect(page.locator("#export")).to_be_disabled()
