"""Makes the pictures of the review gallery from a real run: `python docs/images/screens.py`.

`gallery.jpg` is the overview, `gallery-loupe.jpg` one edit, large and dark, `gallery-run.jpg` the
charts. The run is the demo job, rehearsed, in a temporary folder; nothing is asked on the network.
Needs Chromium: see CONTRIBUTING.md.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import find, help_command  # noqa: E402 - after its place is known

RUN = ("run", "jobs/demo.yaml", "--rehearse", "--profile", "demo", "--quiet")
REPORT = ("report", "jobs/demo.yaml", "--rehearse")
DECISIONS = "aaxaaraa"
NOTE = "Softer shadow, and a little more room around the product."
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name in ("jobs", "manifests"):
            shutil.copytree(ROOT / name, folder / name)
        for arguments in (RUN, REPORT):
            subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", "pipeline", *arguments],
                cwd=folder,
                env={**os.environ, "COLUMNS": "100"},
                stdout=subprocess.DEVNULL,
                check=arguments is REPORT,  # the demo has edits that do not succeed
            )
        shoot(folder / "outputs" / "demo-rehearsal" / "report" / "index.html")


def shoot(index: Path) -> None:
    address = index.as_uri()
    with opened(address, "light") as page:
        decide(page)
        page.wait_for_timeout(500)
        saved(page, "gallery.jpg")
        page.click("#tab-run")
        saved(page, "gallery-run.jpg")
    with opened(address, "dark") as page:
        page.keyboard.press("End")
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        page.wait_for_timeout(800)
        saved(page, "gallery-loupe.jpg")


def decide(page: Any) -> None:
    for key in DECISIONS:
        page.keyboard.press(key)
        if key == "r":
            page.keyboard.type(NOTE)
            page.keyboard.press("Enter")
    page.evaluate("() => document.querySelector('#toast').classList.remove('shown')")
    page.evaluate("() => document.querySelector('#grid').scrollTo(0, 0)")


@contextmanager
def opened(
    address: str, scheme: str, *, height: int = 800, scale: float = 1.5, shown: str = ".card img"
) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    executable = find()
    if executable is None:
        raise SystemExit(f"no Chromium here; this command gets one: {help_command()}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(executable), args=[*FLAGS])
        context = browser.new_context(
            viewport={"width": 1280, "height": height},
            device_scale_factor=scale,
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            timezone_id="UTC",
            locale="en-GB",
        )
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector(shown)
        yield page
        browser.close()


def saved(page: Any, name: str, most: int = 260_000) -> None:
    """``most``: bytes that the picture may have."""
    for quality in range(88, 60, -4):
        page.screenshot(path=HERE / name, type="jpeg", quality=quality)
        if (HERE / name).stat().st_size < most:
            break


if __name__ == "__main__":
    main()
