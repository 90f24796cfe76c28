"""`pipeline status`: from another terminal, while a run goes on and when none does."""

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.snapshot import Snapshot
from tests.conftest import Shop, command_line, environment
from tests.terminal import on_a_terminal
from tests.test_command import started, statuses, until

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Emulators = Callable[..., RunningEmulator]

posix = pytest.mark.skipif(os.name == "nt", reason="there are no local sockets")


def is_under_way(shop: Shop, *, done: int = 1) -> Callable[[], bool]:
    def looked() -> bool:
        if not shop.outputs.exists():
            return False
        with suppress(sqlite3.OperationalError):  # the ledger is only being made
            return statuses(shop)["succeeded"] >= done
        return False

    return looked


def test_a_job_that_never_ran_says_so(command: Command, shop: Shop) -> None:
    done = command("status", shop.with_edits(1).job)
    assert done.returncode == 0
    assert "has not run yet" in done.stdout
    assert json.loads(command("status", shop.job, "--json").stdout)["live"] is None


@posix
def test_a_run_that_goes_on_is_shown_from_elsewhere_as_it_shows_itself(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=20)
    shop.with_edits(500, limits={"concurrency": 4}, budget={"run_usd": 25})
    with started("run", shop.job, "--base-url", endpoint.url) as run:
        until(is_under_way(shop))
        done = command("status", shop.job)
        assert done.returncode == 0, done.stderr
        for words in ("running", "of 500 edits", "in flight", "of $25.00", f"process {run.pid}"):
            assert words in done.stdout, f"{words!r} is not in:\n{done.stdout}"
        found = json.loads(command("status", shop.job, "--json").stdout)
        live = msgspec.convert(found["live"], Snapshot)
        assert (live.pid, live.expected, live.cap_usd) == (run.pid, 500, 25.0)
        assert live.done == sum(live.counts[name] for name in ("succeeded", "failed"))
        run.send_signal(signal.SIGINT)
        until(lambda: "stopping" in str(pipeline.status(shop.job).live))
        endpoint.go_on()
        assert run.wait(60) == 130
    after = command("status", shop.job)
    assert "interrupted, exit code 130" in after.stdout
    assert "the last runs" in after.stdout
    assert "interrupted (130)" in after.stdout
    assert json.loads(command("status", shop.job, "--json").stdout)["live"] is None


@posix
def test_watch_follows_a_run_to_its_end(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=20)
    shop.with_edits(48, limits={"concurrency": 2})
    with started("run", shop.job, "--base-url", endpoint.url):
        until(is_under_way(shop))
        with on_a_terminal("status", shop.job, "--watch", columns=80) as terminal:
            terminal.until("of 48 edits")
            terminal.until("pictures/min")
            assert [line for line in terminal.screen if "pictures/min" in line]
            endpoint.go_on()
            assert terminal.to_the_end() == 0
    assert not [line for line in terminal.screen if "pictures/min" in line], "the block is gone"
    assert "finished, exit code 0" in "\n".join(terminal.screen)
    assert not terminal.cursor_hidden


@posix
def test_ctrl_c_ends_the_watching_and_not_the_run(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=20)
    shop.with_edits(48, limits={"concurrency": 2})
    with started("run", shop.job, "--base-url", endpoint.url) as run:
        until(is_under_way(shop))
        with on_a_terminal("status", shop.job, "--watch") as terminal:
            terminal.until("of 48 edits")
            os.killpg(terminal.process.pid, signal.SIGINT)
            assert terminal.to_the_end() == 0
        assert not terminal.cursor_hidden
        assert "Traceback" not in terminal.seen
        endpoint.go_on()
        assert run.wait(60) == 0
    assert statuses(shop) == {"succeeded": 48}


@posix
def test_watch_without_a_terminal_is_a_line_a_second(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=20)
    shop.with_edits(48, limits={"concurrency": 2})
    with started("run", shop.job, "--base-url", endpoint.url):
        until(is_under_way(shop))
        with subprocess.Popen(
            command_line("status", shop.job, "--watch"),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as watching:
            assert watching.stdout is not None
            first = watching.stdout.readline()
            endpoint.go_on()
            said = watching.stdout.read()
    assert watching.returncode == 0
    assert "of 48 edits" in first
    assert "\x1b" not in said
    assert "finished, exit code 0" in said


def test_a_run_that_was_killed_is_not_said_to_go_on(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=20)
    shop.with_edits(500, limits={"concurrency": 2})
    with started("run", shop.job, "--base-url", endpoint.url) as run:
        until(is_under_way(shop))
        run.kill()
        run.wait(60)
    done = command("status", shop.job)
    assert done.returncode == 0
    assert f"it was cut off: process {run.pid} is gone" in done.stdout


@posix
def test_where_the_run_cannot_be_asked_the_ledger_is_shown_and_it_says_so(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=20)
    shop.with_edits(500, limits={"concurrency": 2})
    with started("run", shop.job, "--base-url", endpoint.url) as run:
        until(is_under_way(shop))
        (shop.outputs / "control.sock").unlink()
        done = command("status", shop.job)
        assert done.returncode == 0
        assert f"going on as process {run.pid}" in done.stdout
        assert "From the ledger:" in done.stdout
        assert "succeeded" in done.stdout
        found: dict[str, Any] = json.loads(command("status", shop.job, "--json").stdout)
        assert found["live"] is None
        assert found["not_live"]
