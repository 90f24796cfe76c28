"""The command on a real terminal: the live block, the question about money, Ctrl-C."""

import os
import signal
from collections.abc import Callable

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop
from tests.terminal import on_a_terminal

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals as POSIX has them")
Emulators = Callable[..., RunningEmulator]


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
