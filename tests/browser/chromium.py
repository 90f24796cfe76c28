"""Where Chromium is on this machine, and how to get it: `python -m tests.browser.chromium`.

`make test` calls it once. It looks for an installed Chromium, Chrome or Edge; where there is none,
it tries Debian's package as root, else the build that Playwright downloads. What came of it is
written into a file that is given as argument, so that it is not tried before every test run.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

VARIABLE = "PIPELINE_CHROMIUM"
"""Names the executable, if it is in none of the usual places."""

REQUIRED = "REQUIRE_BROWSER"
"""Set by `.ci/run`: browser tests fail where there is no browser, instead of being skipped."""

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "msedge"),
)
PLACES = (
    "/usr/lib/chromium/chromium",
    "/snap/bin/chromium",
    "/opt/google/chrome/chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
PLAYWRIGHTS_OWN = (
    *("chromium-*/*/chrome", "chromium-*/*/chrome.exe"),
    "chromium-*/*/*/Contents/MacOS/*",
)
_AT_MOST_S = 600
"""For all that is tried together."""


def find() -> Path | None:
    """The executable to test with."""
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        return Path(found) if found else None
    for path in (*map(shutil.which, NAMES), *PLACES, *_playwrights_own()):
        if path and Path(path).is_file():
            return Path(path)
    return None


def _playwrights_own() -> Iterator[Path]:
    home = Path.home()
    folders = (
        Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or home / ".cache/ms-playwright"),
        home / "Library/Caches/ms-playwright",
        home / "AppData/Local/ms-playwright",
    )
    for folder in folders:
        for pattern in PLAYWRIGHTS_OWN:
            yield from sorted(folder.glob(pattern), reverse=True)


def help_command() -> str:
    """What a person types to get one."""
    if sys.platform.startswith("linux") and shutil.which("apt-get"):
        sudo = "" if _is_root() else "sudo "
        return f"{sudo}apt-get install -y chromium"
    return f"{sys.executable} -m playwright install chromium"


def obtain() -> Path | None:
    """Finds Chromium, or tries to get it. Takes some minutes at most, and says what it does."""
    found = find()
    if found:
        return found
    print("No Chromium here: getting one for the browser tests (once) ...", flush=True)
    end = time.monotonic() + _AT_MOST_S
    for commands in _ways():
        if all(_done(command, end - time.monotonic()) for command in commands):
            found = find()
            if found:
                return found
    print(f"There is none to be had. Browser tests will be skipped. Try: {help_command()}")
    return None


def _ways() -> Iterator[Sequence[Sequence[str]]]:
    if _is_root() and shutil.which("apt-get"):
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")
        yield (install,)
        yield (("apt-get", "update", "-qq"), install)
    yield ((sys.executable, "-m", "playwright", "install", "chromium"),)


def _done(command: Sequence[str], seconds: float) -> bool:
    if seconds <= 0:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def main() -> None:
    found = obtain()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(f"{found or 'none: ' + help_command()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
