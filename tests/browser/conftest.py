"""Real Chromium, once per worker; for each test a fresh context that may talk to this machine only.

Playwright's synchronous API keeps an event loop on the test's thread: inside a test with a `page`,
run commands as processes (fixture `command`), not through `asyncio.run`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import REQUIRED, VARIABLE, find, help_command
from tests.browser.expecting import PATIENCE_MS

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--mute-audio", "--remote-debugging-port=0", "about:blank"),
    # Nothing but this machine has an address, numbers included.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
STARTS_WITHIN_S = 60
HERE = ("127.0.0.1", "localhost", "::1")

WATCH = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`);
});
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running Chromium's debugging port."""
    executable = find()
    if executable is None:
        named = f" ({VARIABLE} names none)" if os.environ.get(VARIABLE) else ""
        message = f"no Chromium here{named}; this command gets one: {help_command()}"
        if os.environ.get(REQUIRED):
            pytest.fail(message)
        pytest.skip(message)
    profile = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [str(executable), *FLAGS, f"--user-data-dir={profile}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield f"http://127.0.0.1:{port_of(profile, process)}"
    finally:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STARTS_WITHIN_S)


def port_of(profile: Path, process: "subprocess.Popen[bytes]") -> int:
    said = profile / "DevToolsActivePort"
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end:
        assert process.poll() is None, "Chromium ended by itself"
        lines = said.read_text().splitlines() if said.exists() else []
        if len(lines) > 1:
            return int(lines[0])
        time.sleep(0.05)
    raise AssertionError("Chromium did not start")


@pytest.fixture
def opened(chromium: str) -> Iterator[Callable[..., Any]]:
    """Opens a page: `opened(address, width=…, height=…, **context)`; several share a `context=`.

    Afterwards it fails if a page asked for anything that is not on this machine, broke its own
    content security policy, raised an error, or opened a dialog.
    """
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.connect_over_cdp(chromium)
        contexts = []

        def context_of(width: int = 1280, height: int = 800, **settings: Any) -> Any:
            settings.setdefault("reduced_motion", "reduce")
            context = browser.new_context(viewport={"width": width, "height": height}, **settings)
            context.add_init_script(WATCH)
            context.on("request", lambda request: complaints.extend(stranger(request.url)))
            context.on("page", lambda page: listen(page, complaints))
            contexts.append(context)
            return context

        def open_page(address: str | Path, *, context: Any = None, **settings: Any) -> Any:
            page = (context or context_of(**settings)).new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(address.as_uri() if isinstance(address, Path) else address)
            return page

        yield open_page
        for context in contexts:
            context.close()
    assert not complaints


def stranger(address: str) -> list[str]:
    parts = urlsplit(address)
    if parts.scheme in ("file", "data", "blob", "about") or parts.hostname in HERE:
        return []
    return [f"asked for {address}"]


def listen(page: Any, complaints: list[str]) -> None:
    page.on("pageerror", lambda error: complaints.append(f"error: {error.stack or error}"))
    page.on("dialog", lambda dialog: dismissed(dialog, complaints))
    page.on("console", lambda message: complaints.extend(violation(message.text)))


def dismissed(dialog: Any, complaints: list[str]) -> None:
    complaints.append(f"dialog: {dialog.message}")
    dialog.dismiss()


def violation(text: str) -> list[str]:
    return [text] if "Content Security Policy" in text else []
