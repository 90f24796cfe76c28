"""Every page and dialog, held against axe-core's rules: names, roles, order, contrast.

In the light colours by all rules; in the dark ones by those that look at colours.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.comparing import write_page
from pipeline.emulator.testing import RunningEmulator
from tests.browser.expecting import expect
from tests.browser.sample import sample
from tests.conftest import Shop
from tests.dashboard.serving import Server, serving

Opened = Callable[..., Any]

MODELS = [
    {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
    {"model": "flux/kontext-pro/image-to-image", "name": "kontext", "price_usd": 0.06},
]
COLOURS = ("color-contrast", "link-in-text-block")


def faults(page: Any) -> list[str]:
    """What axe finds in the page as it is now, in light and in dark: rule, element, advice."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    found = []
    for scheme, only in (("light", ()), ("dark", COLOURS)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # No preload: it fetches style sheets, which a page from disk may not.
        options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
        if only:
            options["runOnly"] = {"type": "rule", "values": list(only)}
        for rule in axe.run(page, options=options).response["violations"]:
            for node in rule["nodes"]:
                why = " ".join(node["failureSummary"].split())
                found.append(f"{scheme}: {rule['id']}: {node['html'][:200]}: {why}")
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A job of which an edit was refused and a run leaves a log; and another that never ran."""
    endpoint = RunningEmulator(
        pictures="plain",
        script=[{"when": {"prompt_contains": "number 1"}, "fault": "refused_400"}],
    )
    try:
        shop = Shop(tmp_path_factory.mktemp("ran"))
        shop.with_edits(3, endpoint={"base_url": endpoint.url}, budget={"run_usd": 5})
        result = asyncio.run(pipeline.run(shop.job, environ={}))
        log = shop.outputs / "runs" / f"{result.run_id}.log"
        log.write_text(
            '{"ts": 0, "event": "edit_finished", "edit_id": "e0", "status": "succeeded",'
            ' "seconds": 1.5, "cost_usd": 0.042, "attempts": 2}\n'
            '{"ts": 1, "event": "stalled", "reason": "nothing for a minute"}\nnot JSON\n'
        )
        (shop.job.parent / "wrong.yaml").write_text("manifest:\n")
        yield shop
    finally:
        endpoint.stop()


@pytest.fixture(scope="module")
def server(ran: Shop) -> Iterator[Server]:
    with serving(ran.job.parent) as running:
        yield running


# --- the gallery


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(tmp_path_factory.mktemp("report"), 24).write()


def test_the_grid_its_filters_and_groups(report: Path, opened: Opened) -> None:
    page = opened(report)
    expect(page.locator(".card").first).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("x")
    page.click("#edit-3 .pick", force=True)
    expect(page.locator("#selection")).to_be_visible()
    assert faults(page) == []
    page.evaluate("location.hash = 'group=category&q=oak&status=succeeded'")
    expect(page.locator(".heading").first).to_be_visible()
    assert faults(page) == []
    page.evaluate("location.hash = 'q=nowhere'")
    expect(page.locator("#empty h2")).to_be_visible()
    assert faults(page) == []


def test_the_loupe_and_the_questions(report: Path, opened: Opened) -> None:
    page = opened(report.as_uri() + "#open=shoe-00000")
    expect(page.locator("#loupe aside")).to_contain_text("Attempts")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    assert faults(page) == []
    for key, title in (("r", "Redo"), ("?", "Keys")):
        page.keyboard.press(key)
        expect(page.locator("dialog h2")).to_contain_text(title)
        assert faults(page) == []
        page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("Control+a")
    page.keyboard.press("x")
    expect(page.locator("dialog h2")).to_contain_text("Reject")
    assert faults(page) == []


def test_the_run_with_its_charts(server: Server, opened: Opened) -> None:
    page = opened(f"{server.url}/jobs/shop/gallery/#tab=run")
    expect(page.locator("#run .chart").first).to_be_visible()
    assert faults(page) == []


# --- the live page


def test_the_list_of_jobs(server: Server, opened: Opened) -> None:
    page = opened(f"{server.url}/")
    expect(page.locator(".job")).to_have_count(2)
    assert faults(page) == []


def test_a_job_and_what_it_asks_before_a_start(server: Server, opened: Opened) -> None:
    page = opened(f"{server.url}/jobs/shop")
    expect(page.locator("#log")).to_contain_text("not JSON")
    assert faults(page) == []
    for begin in ("Start …", "Ask again …"):
        page.get_by_role("button", name=begin).click()
        page.get_by_role("button", name="Look at the plan").click()
        expect(page.locator(".plan")).to_be_visible()
        assert faults(page) == []
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)


def test_a_job_whose_run_goes_on(shop: Shop, opened: Opened) -> None:
    endpoint = RunningEmulator(pictures="plain")
    try:
        endpoint.hold(after=1)
        shop.with_edits(4, endpoint={"base_url": endpoint.url}, limits={"concurrency": 2})
        with serving(shop.job.parent) as server:
            server.start("jobs/shop")
            page = opened(f"{server.url}/jobs/shop")
            expect(page.locator("#progress-words b")).to_have_text("1")
            assert faults(page) == []
            for begin in ("Tune …", "Stop …"):
                page.get_by_role("button", name=begin).click()
                expect(page.locator("dialog")).to_be_visible()
                assert faults(page) == []
                page.keyboard.press("Escape")
                expect(page.locator("dialog")).to_have_count(0)
            endpoint.go_on()
            server.until("jobs/shop", lambda standing: standing["state"] == "done")
    finally:
        endpoint.stop()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/jobs/wrong", "does not load"),
        ("/rehearsals/shop", "No rehearsal yet"),
        ("/jobs/shop/charts", "The same as a table"),
        ("/jobs/shop/settings", "manifest:"),
        ("/nothing", "nothing at this address"),
    ],
)
def test_the_quiet_pages(server: Server, opened: Opened, path: str, words: str) -> None:
    page = opened(f"{server.url}{path}")
    expect(page.locator("main")).to_contain_text(words)
    assert faults(page) == []


def test_the_page_that_asks_for_a_token(ran: Shop, opened: Opened) -> None:
    with serving(ran.job.parent, env={"PIPELINE_SERVE_TOKEN": "a-token-of-good-length"}) as server:
        page = opened(f"{server.url}/")
        page.fill("[name=token]", "x")
        page.keyboard.press("Enter")
        expect(page.locator(".wrong")).to_be_visible()
        assert faults(page) == []


# --- the comparison


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    endpoint = RunningEmulator(pictures="plain", latency={"median_s": 0})
    try:
        shop = Shop(tmp_path_factory.mktemp("compared")).with_edits(2, models=MODELS)
        for name in ("flash", "kontext"):
            one = f"{shop.job}@{name}"
            asyncio.run(pipeline.run(one, base_url=endpoint.url, environ={}))
    finally:
        endpoint.stop()
    return write_page(pipeline.load_job(shop.job)).index


def test_the_comparison(comparison: Path, opened: Opened) -> None:
    page = opened(comparison)
    expect(page.locator(".bench figure")).to_have_count(3)
    page.keyboard.press("a")
    assert faults(page) == []
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert faults(page) == []
    page.keyboard.press("Escape")
    page.click("#tab-named")
    assert faults(page) == []
    page.click("#show")
    expect(page.locator(".row")).to_have_count(2)
    assert faults(page) == []
