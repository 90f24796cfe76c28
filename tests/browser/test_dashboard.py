"""The live page in a real Chromium, against a real server, real runs and the emulator."""

import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.browser.expecting import expect
from tests.conftest import Shop, command_line, environment
from tests.dashboard.serving import KEY, Server, serving

Opened = Callable[..., Any]
Command = Callable[..., Any]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`${alert(3)}"


@pytest.fixture
def endpoint() -> Iterator[RunningEmulator]:
    running = RunningEmulator(pictures="plain", latency={"median_s": 0.02, "sigma": 0.1})
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def server(shop: Shop, endpoint: RunningEmulator) -> Iterator[Server]:
    shop.with_edits(
        40,
        endpoint={"base_url": endpoint.url},
        limits={"concurrency": 4, "adaptive": False},
        budget={"run_usd": 5},
    )
    with serving(shop.job.parent) as running:
        yield running


def started(page: Any, price: str) -> None:
    """Looks at the plan and starts it."""
    page.get_by_role("button", name="Start …").click()
    page.get_by_role("button", name="Look at the plan").click()
    page.get_by_role("button", name=f"Start for {price}").click()
    expect(page.locator("dialog")).to_have_count(0)


def test_a_run_is_started_watched_paused_and_stopped(
    server: Server, endpoint: RunningEmulator, opened: Opened
) -> None:
    endpoint.hold(after=3)
    page = opened(f"{server.url}/")
    expect(page.locator(".job .state")).to_have_text("never run")
    page.get_by_role("link", name="shop").click()
    started(page, "$1.68")
    expect(page.locator("#state-here")).to_have_text("running")
    expect(page.locator("#progress-words")).to_have_text("3 of 40 done")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state-here")).to_have_text("paused")
    endpoint.go_on()
    in_flight = page.locator("#tiles div", has_text="in flight").locator("dd")
    expect(in_flight).to_have_text(re.compile("^0 of "))
    expect(page.locator("#progress-words")).to_have_text("7 of 40 done")
    assert len(endpoint.requests) == 7, "what was in flight was answered, and nothing followed"
    endpoint.hold()
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state-here")).to_have_text("running")
    page.get_by_role("button", name="Tune …").click()
    page.get_by_label("Requests at once").fill("2")
    page.get_by_role("button", name="Tune", exact=True).click()
    expect(in_flight).to_have_text(re.compile(" of 2$"))
    page.get_by_role("button", name="Stop …").click()
    page.get_by_role("button", name="Stop the run").click()
    expect(page.locator("#state-here")).to_have_text("stopping")
    endpoint.go_on()
    expect(page.locator("#state-here")).to_have_text("interrupted")
    expect(page.locator("#history tbody tr:not(.more)")).to_have_count(1)
    expect(page.locator("#history .state")).to_have_text("interrupted")
    expect(page.locator("#log div", has_text="exit code 130")).to_have_count(1)
    expect(page.get_by_role("button", name="Start …")).to_be_visible()


def test_the_last_line_of_a_log_comes_although_the_run_has_ended(
    server: Server, shop: Shop, opened: Opened
) -> None:
    """Of a run from a command line. It has its end in the ledger before its process has written its
    last lines; here one comes when the page has long seen that end.
    """
    runs = shop.outputs / "runs"
    runs.mkdir(parents=True)
    words = ("run", shop.job, "--yes", "--log-json", "--limit", "2")
    with (runs / "mine.log").open("wb") as log:
        process = subprocess.Popen(
            command_line(*words),
            env=environment(KEY),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    last = server.until("jobs/shop", lambda s: s["last_run"] and s["last_run"]["ended"])["last_run"]
    log_file = (runs / "mine.log").rename(runs / f"{last['id']}.log")
    page = opened(f"{server.url}/jobs/shop")
    expect(page.locator("#history .state")).to_have_text("finished")
    expect(page.locator("#log")).to_contain_text("begins")
    # Nobody has asked for the end of the process, and so it is there.
    with log_file.open("a") as log_text:
        log_text.write('{"event": "run_ended"')
        log_text.flush()
        log_text.write(', "ended": "finished, told late", "exit_code": 0}\n')
    assert process.wait(60) == 0
    expect(page.locator("#log div", has_text="told late")).to_have_count(1)
    expect(page.locator("#log div", has_text="begins")).to_have_count(1)


def test_the_price_is_counted_again_when_the_wish_changes(server: Server, opened: Opened) -> None:
    page = opened(f"{server.url}/jobs/shop")
    page.get_by_role("button", name="Start …").click()
    page.get_by_label("At most so many edits").fill("3")
    page.keyboard.press("Enter")
    expect(page.locator(".plan .big")).to_have_text("$0.13")
    page.get_by_label("At most so many dollars").fill("0.05")
    expect(page.locator(".plan")).to_be_hidden()
    expect(page.get_by_role("button", name="Start for")).to_be_hidden()
    page.get_by_role("button", name="Look at the plan").click()
    expect(page.locator(".plan .big")).to_have_text("at most $0.050")
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)


def test_a_second_tab_is_told_that_a_run_goes_on(
    server: Server, endpoint: RunningEmulator, opened: Opened
) -> None:
    endpoint.hold()
    one = opened(f"{server.url}/jobs/shop")
    other = opened(f"{server.url}/jobs/shop")
    other.get_by_role("button", name="Start …").click()
    other.get_by_role("button", name="Look at the plan").click()
    expect(other.locator(".plan")).to_be_visible()
    started(one, "$1.68")
    other.get_by_role("button", name="Start for $1.68").click()
    expect(other.locator("dialog .wrong")).to_contain_text("a run of this job is going on")
    assert len(server.json("/api/jobs/shop/runs")) <= 1
    server.until("jobs/shop", lambda standing: standing["live"])
    server.post("/api/jobs/shop/stop")
    endpoint.go_on()
    server.until("jobs/shop", lambda standing: standing["process"]["exit_code"] is not None)


def test_a_picture_is_rejected_in_the_served_gallery_while_the_run_goes_on(
    server: Server, shop: Shop, endpoint: RunningEmulator, opened: Opened
) -> None:
    endpoint.hold(after=4)
    server.start("jobs/shop")
    server.until("jobs/shop", lambda standing: standing["edits"].get("succeeded", 0) == 4)
    page = opened(f"{server.url}/jobs/shop")
    page.get_by_role("link", name="Gallery").click()
    expect(page.locator(".card").first).to_be_visible()
    page.locator("#grid").focus()
    page.keyboard.press("x")
    server.until("jobs/shop", lambda standing: standing["edits"].get("rejected") == 1)
    assert server.json("/api/jobs/shop")["live"], "the run goes on"
    with sqlite3.connect(shop.outputs / "ledger.db") as ledger:
        [(decision,)] = ledger.execute("SELECT decision FROM decisions").fetchall()
    ledger.close()
    assert decision == "rejected"
    server.post("/api/jobs/shop/stop")
    endpoint.go_on()
    server.until("jobs/shop", lambda standing: standing["process"]["exit_code"] is not None)


def test_the_served_gallery_shows_what_comes(
    server: Server, endpoint: RunningEmulator, opened: Opened
) -> None:
    server.start("jobs/shop", limit=3)
    server.until("jobs/shop", lambda standing: standing["edits"] == {"succeeded": 3})
    page = opened(f"{server.url}/jobs/shop/gallery/")
    expect(page.locator(".card")).to_have_count(3)
    server.until("jobs/shop", lambda standing: standing["process"]["exit_code"] == 0)
    server.start("jobs/shop", limit=3)
    expect(page.locator(".card")).to_have_count(6)


def test_a_read_only_page_has_no_buttons_that_act(shop: Shop, opened: Opened) -> None:
    with serving(shop.with_edits(2).job.parent, "--read-only") as server:
        page = opened(f"{server.url}/jobs/shop")
        expect(page.locator("#state-here")).to_have_text("never run")
        expect(page.locator(".badge")).to_have_text("read-only")
        expect(page.locator("#actions button")).to_have_count(0)


def test_a_server_that_is_gone_is_said_and_waited_for(
    shop: Shop, opened: Opened, tmp_path: Path
) -> None:
    folder = shop.with_edits(2).job.parent
    with serving(folder) as server:
        page = opened(f"{server.url}/jobs/shop")
        expect(page.locator("#state-here")).to_have_text("never run")
        port = server.url.rpartition(":")[2]
        server.end()
        expect(page.locator("#notices")).to_contain_text("The server does not answer")
        with serving(folder, "--port", port) as again:
            expect(page.locator("#notices")).to_be_empty()
            # The new server has a new token; the page asks for it by itself.
            page.get_by_role("button", name="Start …").click()
            page.get_by_role("button", name="Look at the plan").click()
            expect(page.locator(".plan")).to_be_visible()
            assert again.process.poll() is None


def test_hostile_strings_do_nothing(
    shop: Shop, endpoint: RunningEmulator, opened: Opened, command: Command
) -> None:
    """In a job's name, its prompts, the endpoint's messages and a log. `opened` fails the test for
    any dialog, request or script.
    """
    shop.with_edits(
        2,
        prompt=HOSTILE,
        endpoint={"base_url": endpoint.url},
        retry={"attempts": 1, "wait_initial_s": 0.01},
    )
    endpoint.use(script=[{"when": {"nth": 1}, "fault": "status_500"}])
    (shop.job.parent / f"{HOSTILE.replace('/', '∕')}.yaml").write_text("manifest:\n")
    assert command("run", shop.job, env={"AIMLAPI_API_KEY": "x"}).returncode == 3
    [run] = [path.stem for path in (shop.outputs / "runs").glob("*.json")]
    said = f'{{"ts": 0, "event": "{HOSTILE[:28]}", "line": "<b>x</b>"}}\n{HOSTILE}\n'
    (shop.outputs / "runs" / f"{run}.log").write_text(said)
    with sqlite3.connect(shop.outputs / "ledger.db") as ledger:
        ledger.execute("UPDATE attempts SET error_message = ?", (HOSTILE,))
        ledger.execute("UPDATE edits SET error_message = ?, prompt = ?", (HOSTILE, HOSTILE))
    ledger.close()
    with serving(shop.job.parent) as server:
        page = opened(f"{server.url}/")
        expect(page.locator(".job")).to_have_count(2)
        expect(page.locator(".jobs")).to_contain_text(HOSTILE.replace("/", "∕"))
        page.goto(f"{server.url}/jobs/shop")
        expect(page.locator("#troubles")).to_contain_text(HOSTILE)
        expect(page.locator("#log")).to_contain_text(HOSTILE)
        for part, shown in (("charts", "svg"), ("settings", "pre"), ("gallery/", ".card")):
            page.goto(f"{server.url}/jobs/shop/{part}")
            expect(page.locator(f"main {shown}").first).to_be_visible()
            assert not page.locator("img[src=x], main script").count()


def test_the_list_can_be_used_without_a_mouse(server: Server, opened: Opened) -> None:
    page = opened(f"{server.url}/")
    expect(page.locator(".job")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator(".job a.title").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/shop")
    page.get_by_role("button", name="Start …").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Start a run")).to_be_visible()


@pytest.mark.parametrize("width", [380, 760, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(
    server: Server, opened: Opened, width: int, scheme: str
) -> None:
    shown = {"/": ".legend", "/jobs/shop": "#edits p", "/jobs/shop/settings": "pre"}
    for path, last in shown.items():
        page = opened(f"{server.url}{path}", width=width, color_scheme=scheme)
        expect(page.locator(f"main {last}").first).to_be_attached()
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, path
        page.close()
