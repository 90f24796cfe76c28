"""The command on a real terminal: the live block, the question about money, Ctrl-C."""

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop, command_line, environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals as POSIX has them")
Emulators = Callable[..., RunningEmulator]

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command whose input and errors are a pseudo-terminal; ``seen``: what it showed."""

    def __init__(self, *arguments: str | Path) -> None:
        self._here, there = os.openpty()
        self.process = subprocess.Popen(
            command_line(*arguments),
            stdin=there,
            stdout=there,
            stderr=there,
            env=environment({"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}),
            start_new_session=True,
        )
        os.close(there)
        self.seen = ""

    def until(self, text: str, *, seconds: float = 30) -> None:
        """Reads until it has shown ``text``."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"never showed {text!r}:\n{self.seen}"
            if not self._read(0.1):
                assert text in self.seen, f"ended without {text!r}:\n{self.seen}"

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def to_the_end(self) -> int:
        while self._read(30):
            pass
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        os.close(self._here)

    def _read(self, seconds: float) -> bool:
        """False: it has ended."""
        if not select.select([self._here], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._here, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.seen += ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r", "")
        return bool(data)


@contextmanager
def on_a_terminal(*arguments: str | Path) -> Iterator[Terminal]:
    terminal = Terminal(*arguments)
    try:
        yield terminal
    finally:
        terminal.close()


def test_a_live_block_shows_what_goes_on_and_a_summary_stays(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.15})
    shop.with_edits(20, limits={"concurrency": 4})
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("in flight")
        assert terminal.to_the_end() == 0
    assert "20 new → 20 requests, 20 pictures, $0.84" in terminal.seen
    assert "pictures/min" in terminal.seen
    assert "20 succeeded" in terminal.seen
    assert "Traceback" not in terminal.seen


def test_it_asks_before_it_spends_more_than_the_job_says(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(4, confirm_above_usd=0.1)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("Go on? [y/N]")
        terminal.type("n\n")
        assert terminal.to_the_end() == 130
    assert "Nothing was sent" in terminal.seen
    assert not endpoint.bill.charges
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("Go on? [y/N]")
        terminal.type("y\n")
        assert terminal.to_the_end() == 0
    assert endpoint.bill.pictures == 4


def test_yes_and_little_money_are_not_asked_about(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(4, confirm_above_usd=0.1)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, "--yes") as terminal:
        assert terminal.to_the_end() == 0
    shop.with_edits(5, confirm_above_usd=0.1)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        assert terminal.to_the_end() == 0
    assert "Go on?" not in terminal.seen
    assert endpoint.bill.pictures == 5


def test_ctrl_c_leaves_a_clean_screen_and_says_how_to_go_on(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.3})
    shop.with_edits(40, limits={"concurrency": 4}, confirm_above_usd=100)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("in flight")
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.to_the_end() == 130
    assert "interrupted after" in terminal.seen
    assert "goes on where this run stopped" in terminal.seen
    assert "Traceback" not in terminal.seen
