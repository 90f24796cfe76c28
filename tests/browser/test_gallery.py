"""The review gallery in a real Chromium: looking and deciding. Data are made to the contract."""

import csv
import io
import re
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


def exported(page: Any) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.click("#export")
    data = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename == "decisions.csv"
    assert data.startswith(b"\xef\xbb\xbf"), "so that a spreadsheet takes it for UTF-8"
    assert data.count(b"\r\n") == data.count(b"\n")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def decided(page: Any) -> str:
    return str(page.inner_text("#decided-words"))


# --- looking


def test_gallery_opens_from_disk(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    expect(page.locator(".card")).to_have_count(12)
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("img[data-src]")).to_have_count(0)
    page.evaluate(
        "() => Promise.all([...document.querySelectorAll('.card img')].map((i) => i.decode()))"
    )
    assert page.title() == "Catalog, white · review"
    assert page.get_attribute("#edit-0", "aria-label") == "shoe-00000, succeeded"


def test_full_size_is_loaded_for_the_open_edit_only(small: Sample, opened: Opened) -> None:
    page = opened("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(small.write().as_uri())
    expect(page.locator(".card")).to_have_count(12)
    assert not [url for url in asked if url.endswith(".png")]
    page.keyboard.press("Enter")
    expect(page.locator(".after img")).to_have_js_property("naturalWidth", 600)
    expect(page.locator(".before img")).to_have_js_property("naturalWidth", 600)
    assert sorted(url.rpartition("/")[2] for url in asked if url.endswith(".png")) == [
        "after-0.png",
        "before-0.png",
    ]
    expect(page.locator("#loupe aside")).to_contain_text("Put the product on pure white")


def test_slider_follows_the_mouse(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.click("#edit-0 .pair")
    handle = page.locator(".handle")
    expect(handle).to_have_attribute("aria-valuenow", "50")
    picture = page.locator(".after img").bounding_box()
    middle = picture["y"] + picture["height"] / 2
    page.mouse.move(picture["x"] + picture["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(picture["x"] + picture["width"] / 4, middle, steps=4)
    page.mouse.up()
    expect(handle).to_have_attribute("aria-valuenow", "25")
    grip = handle.bounding_box()
    assert grip["x"] + grip["width"] / 2 == pytest.approx(
        picture["x"] + picture["width"] / 4, abs=2
    )


def test_slider_follows_the_keyboard(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.keyboard.press("Enter")
    handle = page.locator(".handle")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    expect(handle).to_have_attribute("aria-valuenow", "48")
    page.keyboard.press("End")
    expect(handle).to_have_attribute("aria-valuetext", "100 percent before")
    expect(page.locator("#loupe h2")).to_have_text("shoe-00000"), "the arrows moved no edit"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+ArrowLeft")
    expect(handle).to_have_attribute("aria-valuenow", "95")


def test_both_pictures_zoom_and_pan_together(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.keyboard.press("Enter")
    page.keyboard.press("2")
    expect(page.locator(".after img")).to_have_js_property("naturalWidth", 600)
    expect(page.locator(".before img")).to_have_js_property("naturalWidth", 600)
    page.keyboard.press("z")
    expect(page.locator(".stage")).to_have_class(re.compile("zoomed"))
    area = page.locator(".pane.after").bounding_box()
    page.mouse.move(area["x"] + 100, area["y"] + 100)
    page.mouse.down()
    page.mouse.move(area["x"] + 160, area["y"] + 130, steps=3)
    page.mouse.up()
    places = page.evaluate(
        "[...document.querySelectorAll('.pane img')].map((i) => [i.style.transform, i.style.width])"
    )
    assert places[0] == places[1]
    page.keyboard.press("z")
    expect(page.locator(".stage")).not_to_have_class(re.compile("zoomed"))


def test_blink_shows_before_while_held(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.keyboard.press("Enter")
    page.keyboard.press("3")
    expect(page.locator(".pane.before")).to_be_hidden()
    page.keyboard.down("b")
    expect(page.locator(".pane.before")).to_be_visible()
    expect(page.locator(".pane.after")).to_be_hidden()
    page.keyboard.up("b")
    expect(page.locator(".pane.after")).to_be_visible()


def test_several_inputs_and_outputs_can_be_chosen(small: Sample, opened: Opened) -> None:
    small.rows.clear()
    small.details.clear()
    pictures = small.pictures(2)
    small.add(
        "two",
        before=[(p[0], p[1]) for p in pictures],
        after=[(p[2], p[3]) for p in pictures],
        takes=[
            {
                "number": 1,
                "variant": 1,
                "prompt": "White",
                "decision": "redo",
                "note": "too dark",
                "cost": 0.04,
                "outputs": [{"src": pictures[0][3], "thumb": pictures[0][2]}],
            }
        ],
        variant=2,
    )
    page = opened(small.write())
    page.keyboard.press("Enter")
    befores = page.locator(".choice").first.locator("button")
    expect(befores).to_have_text(["Input 1", "Input 2", "Take 1"])
    befores.nth(1).click()
    expect(page.locator(".before img")).to_have_attribute("src", re.compile("before-1"))
    page.locator(".choice").last.locator("button").nth(1).click()
    expect(page.locator(".after img")).to_have_attribute("src", re.compile("after-1"))
    expect(page.locator("#loupe aside")).to_contain_text("too dark")


# --- finding


def test_filters_sorting_and_groups_live_in_the_address(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.keyboard.press("/")
    page.keyboard.type("MUG")
    expect(page.locator(".card")).to_have_count(2)
    page.keyboard.press("Escape")
    page.select_option("select[title='Group by']", "column.category")
    expect(page.locator(".heading .value")).to_have_text(["Mugs"])
    assert page.evaluate("location.hash") == "#q=MUG&group=column.category"
    again = opened(page.url, context=page.context)
    expect(again.locator(".card")).to_have_count(2)
    page.go_back()
    expect(page.locator(".heading")).to_have_count(0)


def test_column_values_filter_with_their_counts(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.select_option("select[title='Column']", "category")
    expect(page.locator("select[title='Value'] option")).to_contain_text(
        ["category is …", "Bags (2)", "Chairs (2)"]
    )
    page.select_option("select[title='Value']", "=Bags")
    expect(page.locator(".card .id")).to_have_text(["bag-00001", "bag-00008"])
    page.click(".chip")
    expect(page.locator(".card")).to_have_count(12)


def test_sorting_puts_what_is_not_known_last(small: Sample, opened: Opened) -> None:
    for n, cost in enumerate((0.05, None, 0.01)):
        small.rows[n]["cost"] = cost
    page = opened(small.write().as_uri() + "#sort=-cost")
    ids = page.locator(".card .id")
    expect(ids.first).to_have_text("shoe-00000")
    expect(ids.last).to_have_text("bag-00001")
    page.click(".direction")
    expect(ids.last).to_have_text("bag-00001")


def test_groups_fold(small: Sample, opened: Opened) -> None:
    page = opened(small.write().as_uri() + "#group=category", height=2400)
    expect(page.locator(".heading")).to_have_count(7)
    page.click(".heading button >> nth=0")
    expect(page.locator(".card")).to_have_count(10)
    page.click("text=Collapse all")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.locator(".heading .number")).to_have_text(["2", "2", "1", "2", "2", "2", "1"])


# --- deciding


def test_ten_edits_are_reviewed_with_the_keyboard_and_exported(
    small: Sample, opened: Opened
) -> None:
    page = opened(small.write())
    page.keyboard.press("Enter")
    for key in "aaxaaxaa":
        page.keyboard.press(key)
    expect(page.locator("#decided-words")).to_have_text("8 of 12 decided")
    page.keyboard.press("r")
    page.keyboard.type('Warmer, "golden" light')
    expect(page.locator("#resulting")).to_contain_text('Warmer, "golden" light')
    page.keyboard.press("Enter")
    page.keyboard.press("r")
    page.keyboard.type("=A red cup on a white ground")
    page.check("dialog [value=replace]")
    expect(page.locator("#resulting")).to_have_text("=A red cup on a white ground")
    page.click("dialog .main")
    expect(page.locator("#decided-words")).to_have_text("10 of 12 decided")
    expect(page.locator("#loupe h2")).to_have_text("mug-00010")

    rows = exported(page)
    assert [(row["id"], row["decision"]) for row in rows] == [
        ("shoe-00000", "approved"),
        ("bag-00001", "approved"),
        ("lamp-00002", "rejected"),
        ("mug-00003", "approved"),
        ("chair-00004", "approved"),
        ("clock-00005", "rejected"),
        ("vase-00006", "approved"),
        ("shoe-00007", "approved"),
        ("bag-00008", "redo"),
        ("lamp-00009", "redo"),
    ]
    assert (rows[8]["note"], rows[8]["prompt_mode"]) == ('Warmer, "golden" light', "append")
    assert (rows[9]["note"], rows[9]["prompt_mode"]) == ("'=A red cup on a white ground", "replace")
    assert rows[9]["fingerprint"] == f"{9:064x}"
    expect(page.locator("dialog code")).to_have_text(
        "pipeline review jobs/catalog.yaml decisions.csv --rehearse"
    )


def test_decisions_survive_a_reload_and_can_be_taken_back(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.keyboard.press("a")
    page.keyboard.press("x")
    page.keyboard.press("n")
    expect(page.locator("#toast")).to_contain_text("Decide first")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("n")
    page.keyboard.type("too dark")
    page.keyboard.press("Enter")
    page.reload()
    expect(page.locator("#decided-words")).to_have_text("2 of 12 decided")
    assert page.get_attribute("#edit-1", "aria-label") == "bag-00001, succeeded, rejected, too dark"
    page.keyboard.press("x")
    page.keyboard.press("Control+z")
    expect(page.locator("#decided-words")).to_have_text("2 of 12 decided")
    page.keyboard.press("u")
    expect(page.locator("#decided-words")).to_have_text("1 of 12 decided")


def test_decisions_about_an_older_picture_are_dropped(small: Sample, opened: Opened) -> None:
    index = small.write()
    page = opened(index)
    page.keyboard.press("a")
    page.keyboard.press("a")
    expect(page.locator("#decided-words")).to_have_text("2 of 12 decided")
    small.rows[0]["fingerprint"] = "f" * 64
    small.write()
    page.reload()
    expect(page.locator("#decided-words")).to_have_text("1 of 12 decided")
    expect(page.locator("#notices")).to_contain_text("1 decision kept in this browser was about")


def test_what_the_ledger_took_over_is_not_exported_again(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.keyboard.press("a")
    page.keyboard.press("x")
    small.rows[0]["decision"] = 1
    small.write()
    page.reload()
    expect(page.locator("#decided-words")).to_have_text("2 of 12 decided")
    expect(page.locator("#export")).to_have_text("Export 1 decision")
    page.keyboard.press("u")
    rows = exported(page)
    assert [(row["id"], row["decision"]) for row in rows] == [
        ("shoe-00000", "undecided"),
        ("bag-00001", "rejected"),
    ]


def test_many_are_decided_at_once_after_a_question(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.click("#edit-1 .pick", force=True)
    page.click("#edit-3 .pair", modifiers=["Shift"])
    expect(page.locator("#selection strong")).to_have_text("3 selected")
    page.keyboard.press("x")
    expect(page.locator("dialog h2")).to_have_text("Reject 3 edits?")
    page.keyboard.press("Escape")
    expect(page.locator("#decided-words")).to_have_text("0 of 12 decided")
    page.keyboard.press("Control+a")
    page.keyboard.press("a")
    page.click("dialog .main")
    expect(page.locator("#decided-words")).to_have_text("12 of 12 decided")
    page.keyboard.press("Control+z")
    expect(page.locator("#decided-words")).to_have_text("0 of 12 decided")


def test_an_edit_without_a_picture_is_not_decided(small: Sample, opened: Opened) -> None:
    small.add("sad", status="failed", reason="server_error", message="503 six times")
    page = opened(small.write().as_uri() + "#open=sad")
    expect(page.locator("#loupe .decisions button").first).to_be_disabled()
    page.keyboard.press("a")
    expect(page.locator("#toast")).to_contain_text("no picture")
    expect(page.locator("#loupe aside")).to_contain_text("503 six times")
    assert decided(page) == "0 of 12 decided"


def test_exported_decisions_can_be_imported_elsewhere(
    small: Sample, opened: Opened, tmp_path: Path
) -> None:
    page = opened(small.write())
    table = tmp_path / "decisions.csv"
    table.write_bytes(
        "\ufeffid;decision;note;other\r\n"
        "shoe-00000;Approved;;1\r\n"
        'bag-00001;redo;"wärmer; ""sofort""\r\nund heller";2\r\n'.encode()
    )
    with page.expect_file_chooser() as chooser:
        page.click("#import")
    chooser.value.set_files(table)
    expect(page.locator("#decided-words")).to_have_text("2 of 12 decided")
    assert exported(page)[1]["note"] == 'wärmer; "sofort"\r\nund heller'
    page.keyboard.press("Escape")
    table.write_text("id,decision\nnobody,approved\nshoe-00000,maybe\n")
    with page.expect_file_chooser() as chooser:
        page.click("#import")
    chooser.value.set_files(table)
    expect(page.locator("dialog li")).to_have_text(
        ["line 2: no edit has the id nobody", "line 3: 'maybe' is no decision"]
    )


def test_storage_that_is_full_is_said_and_export_still_works(small: Sample, opened: Opened) -> None:
    page = opened(small.write())
    page.evaluate(
        "() => { Storage.prototype.setItem = () => "
        "{ throw new DOMException('', 'QuotaExceededError') } }"
    )
    page.keyboard.press("a")
    expect(page.locator("#notices")).to_contain_text("its storage is full")
    assert len(exported(page)) == 1
