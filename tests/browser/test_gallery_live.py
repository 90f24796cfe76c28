"""The gallery on a server: decisions are sent as they are made, and kept until it has them."""

import functools
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.expecting import expect
from tests.browser.sample import Sample, sample

Opened = Callable[..., Any]


class Desk(http.server.ThreadingHTTPServer):
    """Serves a report and takes decisions; ``status`` is what it answers with."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
        self.status = 200
        self.refused: dict[str, str] = {}
        self.taken: list[tuple[str | None, list[dict[str, Any]]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/report/index.html"


class _Handler(http.server.SimpleHTTPRequestHandler):
    server: Desk

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.taken.append((self.headers["X-CSRF-Token"], said))
        refused = self.server.refused
        answer = {
            "applied": [one["id"] for one in said if one["id"] not in refused],
            "problems": [{"id": key, "message": words} for key, words in refused.items()],
        }
        body = json.dumps(answer).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def report(tmp_path: Path) -> Sample:
    made = sample(tmp_path, 12, troubled=False)
    made.live = {"decide": "/api/decisions", "read_only": False}
    return made


@pytest.fixture
def desk(report: Sample) -> Iterator[Desk]:
    server = Desk(report.folder)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
    yield server
    server.shutdown()
    server.server_close()


def test_decisions_go_to_the_server_with_the_token(
    report: Sample, desk: Desk, opened: Opened
) -> None:
    report.write(csrf_token="the-token")
    page = opened(desk.url)
    page.keyboard.press("a")
    page.keyboard.press("r")
    page.keyboard.type("warmer")
    page.keyboard.press("Enter")
    expect(page.locator("#export")).to_be_disabled()
    expect(page.locator("#decided-words")).to_have_text("2 of 12 decided")
    assert {token for token, _ in desk.taken} == {"the-token"}
    said = [one for _, some in desk.taken for one in some]
    assert said[-1] == {
        "id": "bag-00001",
        "decision": "redo",
        "note": "warmer",
        "prompt_mode": "append",
        "fingerprint": f"{1:064x}",
    }
    page.keyboard.press("Control+z")
    expect(page.locator("#decided-words")).to_have_text("1 of 12 decided")
    expect(page.locator("#export")).to_be_disabled()
    assert desk.taken[-1][1][0]["decision"] == "undecided"


def test_what_did_not_go_through_is_kept_said_and_sent_again(
    report: Sample, desk: Desk, opened: Opened
) -> None:
    report.write(csrf_token="the-token")
    page = opened(desk.url)
    desk.status = 503
    page.keyboard.press("x")
    expect(page.locator("#notices")).to_contain_text(
        "1 decision could not be saved: the server answered 503"
    )
    page.reload()
    expect(page.locator("#decided-words")).to_have_text("1 of 12 decided")
    expect(page.locator("#notices")).to_contain_text("503")
    desk.status = 200
    page.click("#notices button:not(.close)")
    expect(page.locator("#notices p")).to_have_count(0)
    assert [one["id"] for _, some in desk.taken for one in some] == ["shoe-00000"]


def test_what_the_server_does_not_take_is_named(report: Sample, desk: Desk, opened: Opened) -> None:
    report.write(csrf_token="the-token")
    desk.refused = {"shoe-00000": "it is being asked for at this moment"}
    page = opened(desk.url)
    page.keyboard.press("a")
    expect(page.locator("#notices")).to_contain_text(
        "Not taken: shoe-00000: it is being asked for at this moment"
    )


def test_a_read_only_page_decides_nothing(report: Sample, desk: Desk, opened: Opened) -> None:
    report.live = {"decide": "/api/decisions", "read_only": True}
    report.write()
    page = opened(desk.url)
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.locator(".stage")).to_be_visible()
    expect(page.locator(".decisions")).to_be_hidden()
    expect(page.locator("#decided-words")).to_have_text("0 of 12 decided")


def test_new_data_come_in_without_losing_the_place(
    report: Sample, desk: Desk, opened: Opened
) -> None:
    report.write(csrf_token="the-token")
    page = opened(desk.url + "#open=mug-00003")
    expect(page.locator(".where")).to_have_text("4 of 12")
    first = (report.rows.pop(0), report.details.pop(0))
    report.rows.append({**first[0], "variant": 2})
    report.details.append({**first[1], "prompt": "A new prompt"})
    report.write(csrf_token="the-token")
    page.evaluate("() => gallery.refresh()")
    expect(page.locator(".where")).to_have_text("3 of 12")
    expect(page.locator("#loupe h2")).to_have_text("mug-00003")
    page.keyboard.press("End")
    expect(page.locator("#loupe h2")).to_have_text("shoe-00000")
    expect(page.locator("#loupe aside")).to_contain_text("A new prompt")
