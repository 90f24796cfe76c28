"""The command on a real terminal: the live block, the question about money, Ctrl-C."""

import os
import re
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
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=10)
    shop.with_edits(20, limits={"concurrency": 4}, budget={"run_usd": 5})
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("10 of 20 edits")
        assert terminal.cursor_hidden
        endpoint.go_on()
        assert terminal.to_the_end() == 0
    assert "20 new → 20 requests, 20 pictures, $0.84" in terminal.seen
    assert "of 20 edits" in terminal.seen
    assert "pictures/min" in terminal.seen
    text = "\n".join(terminal.screen)
    assert "pictures/min" not in text, "the block is gone"
    for words in ("20 succeeded", "$0.84 of the cap of $5.00", "pipeline report"):
        assert words in text, f"{words!r} is not in:\n{text}"
    assert not terminal.cursor_hidden
    assert "Traceback" not in terminal.seen


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_block_stays_in_place_at_any_width(
    shop: Shop, emulator: Emulators, columns: int
) -> None:
    endpoint = emulator(
        pictures="plain",
        script=[{"fault": "status_503", "times": 1}],
    )
    endpoint.hold(after=8)
    shop.with_edits(16, limits={"concurrency": 4})
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, columns=columns) as terminal:
        terminal.until("× server_error")
        text = "\n".join(terminal.screen)
        endpoint.go_on()
        assert terminal.to_the_end() == 0
    for words in ("running", "of 16 edits", "pictures/min", "spent"):
        assert text.count(words) == 1, f"{words!r} more than once in:\n{text}"
    shown = text[text.index("running") :].splitlines()
    assert all(len(line) < columns for line in shown)
    assert b"\x1b[2J" not in terminal.raw, "never the whole screen"
    assert b"\x1b[2K" not in terminal.raw, "no line is erased before it is written"


def test_a_window_that_becomes_wider_and_narrower_keeps_one_block(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    shop.with_edits(40, limits={"concurrency": 4}, confirm_above_usd=100)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, columns=70) as terminal:
        terminal.until("in flight")
        for columns in (110, 60):
            terminal.resize(columns)
            before = len(terminal.seen)
            while terminal.seen.count("pictures/min", before) < 4:
                terminal.until("pictures/min")
                terminal._read(0.1)
            text = "\n".join(terminal.screen)
            assert text.count("pictures/min") == 1, text
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.until("stopping")
        endpoint.go_on()
        assert terminal.to_the_end() == 130


def test_hostile_names_do_nothing_to_the_terminal(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.1})
    rows = ["id,images,prompt", '"[bold]靴靴[/]",mug.jpg,x']
    rows += [f'"[red]b{n}[/]",no\u202e\x1b[31m{n}.jpg,x' for n in range(3)]
    shop.write("\n".join(rows) + "\n")
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, columns=80) as terminal:
        terminal.to_the_end()
    assert b"\x1b[31m1.jpg" not in terminal.raw
    assert "\u202e" not in terminal.seen
    assert "Traceback" not in terminal.seen


def test_no_color_has_none(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.1})
    shop.with_edits(6)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, NO_COLOR="1") as terminal:
        assert terminal.to_the_end() == 0
    assert "pictures/min" in terminal.seen
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7][;m]", terminal.raw)


def test_a_dumb_terminal_gets_plain_lines(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(3)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, TERM="dumb") as terminal:
        assert terminal.to_the_end() == 0
    assert "3 of 3 edits, 3 succeeded" in terminal.seen
    assert b"\x1b" not in terminal.raw


def test_quiet_on_a_terminal_is_silent_but_asks_about_money(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(2)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, "--quiet") as terminal:
        assert terminal.to_the_end() == 0
    assert terminal.raw == b""
    shop.with_edits(4, confirm_above_usd=0.01)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, "--quiet") as terminal:
        terminal.until("Go on? [y/N]")
        terminal.type("n\n")
        assert terminal.to_the_end() == 130


def test_verbose_lines_stay_above_the_block(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.2})
    shop.with_edits(6, limits={"concurrency": 2})
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, "--verbose") as terminal:
        terminal.until("e3: succeeded")
        terminal.until("pictures/min")
        assert terminal.to_the_end() == 0
    text = "\n".join(terminal.screen)
    for number in range(6):
        assert text.count(f"e{number}: succeeded") == 1, text


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
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=10)
    shop.with_edits(40, limits={"concurrency": 4}, confirm_above_usd=100)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("10 of 40 edits")
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.until("stopping")
        endpoint.go_on()
        assert terminal.to_the_end() == 130
    assert "stopping" in terminal.seen
    text = "\n".join(terminal.screen)
    assert "interrupted after" in text
    assert "goes on where this run stopped" in text
    assert "pictures/min" not in text
    assert "^C" not in text
    assert not terminal.cursor_hidden
    assert "Traceback" not in terminal.seen
