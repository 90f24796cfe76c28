"""The whole round: a run, its gallery, decisions by a person, `review`, and a run that redoes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.emulator.testing import RunningEmulator
from tests.browser.expecting import expect
from tests.conftest import Shop


def test_a_redo_with_a_note_is_asked_again_and_its_new_take_is_shown(
    shop: Shop,
    emulator: Callable[..., RunningEmulator],
    command: Callable[..., Any],
    opened: Callable[..., Any],
    tmp_path: Path,
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(4)
    key = {"AIMLAPI_API_KEY": "a-key-for-the-emulator"}

    def does(*arguments: str | Path, code: int = 0) -> str:
        done = command(*arguments, env=key)
        assert done.returncode == code, done.stdout + done.stderr
        return str(done.stdout)

    does("run", shop.job, "--base-url", endpoint.url, "--quiet")
    assert len(endpoint.requests) == 4
    does("report", shop.job)

    page = opened(shop.outputs / "report" / "index.html")
    expect(page.locator(".card")).to_have_count(4)
    page.keyboard.press("Enter")
    expect(page.locator(".after img")).to_have_attribute("src", re.compile("/images/e0.png$"))
    page.keyboard.press("a")
    page.keyboard.press("x")
    page.keyboard.press("r")
    page.keyboard.type("Make the shadow softer")
    expect(page.locator("#resulting")).to_have_text("edit number 2\nMake the shadow softer")
    page.keyboard.press("Enter")
    with page.expect_download() as download:
        page.click("#export")
    decisions = tmp_path / "decisions.csv"
    download.value.save_as(decisions)
    shown = page.inner_text("dialog code")
    assert shown.startswith("pipeline review ")
    assert shown.endswith(" decisions.csv")

    assert "approved" in does("review", shop.job, decisions)
    does("run", shop.job, "--base-url", endpoint.url, "--quiet")
    asked = endpoint.requests[4:]
    assert len(asked) == 1, "the redo, and nothing else"

    does("report", shop.job)
    page.goto((shop.outputs / "report" / "index.html").as_uri())
    page.reload()
    expect(page.locator("#decided-words")).to_have_text("2 of 4 decided")
    expect(page.locator("#export")).to_be_disabled()
    assert page.get_attribute("#edit-1", "data-decision") == "rejected"
    page.click("#edit-2 .pair")
    expect(page.locator("#loupe aside .prompt")).to_have_text(
        "edit number 2\nMake the shadow softer"
    )
    expect(page.locator("#loupe .choice button")).to_have_text(["Input", "Take 1"])
