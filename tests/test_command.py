"""The real command, in a process of its own, against the emulator over real HTTP."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop, command_line, environment

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@contextmanager
def started(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """The command, going on; killed at the end if it still is."""
    process = subprocess.Popen(
        command_line(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=60)


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def charged(endpoint: RunningEmulator) -> set[str | None]:
    """The requests that were charged, by their ids."""
    return {charge.client_request_id for charge in endpoint.bill.charges}


def heard(process: "subprocess.Popen[str]", words: str) -> None:
    """Reads what the command says on standard error, until it has said ``words``."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if words in line:
            return
        said.append(line)
    raise AssertionError(f"it never said {words!r}: {said}")


def statuses(shop: Shop, table: str = "edits") -> Counter[str]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return Counter(status for (status,) in connection.execute(f"SELECT status FROM {table}"))
    finally:
        connection.close()


def test_from_nothing_to_pictures_in_two_commands(command: Command, tmp_path: Path) -> None:
    assert command("init", "shop").returncode == 0
    done = command("run", "shop/jobs/catalog.yaml", "--rehearse")
    assert done.returncode == 0, done.stderr
    assert "2 succeeded" in done.stdout
    outputs = tmp_path / "shop" / "outputs" / "catalog-rehearsal"
    assert {path.name for path in (outputs / "images").iterdir()} == {
        "mug-white.png",
        "mug-shelf.png",
    }
    assert "Nothing to do" in command("run", "shop/jobs/catalog.yaml", "--rehearse").stdout


def test_init_overwrites_nothing(command: Command, tmp_path: Path) -> None:
    command("init", "shop")
    mine = tmp_path / "shop" / "jobs" / "catalog.yaml"
    mine.write_text("mine")
    again = command("init", "shop")
    assert again.returncode == 2
    assert "nothing is overwritten" in again.stderr
    assert mine.read_text() == "mine"


def test_json_is_one_line_on_stdout_and_the_rest_is_on_stderr(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    done = command("run", shop.with_edits(3).job, "--base-url", endpoint.url, "--json")
    [line] = done.stdout.splitlines()
    summary = json.loads(line)
    assert summary["totals"]["succeeded"] == 3
    assert summary["exit_code"] == done.returncode == 0
    lines = done.stderr.splitlines()
    assert "3 of 3 edits, 3 succeeded" in lines[-1]
    assert "\x1b" not in done.stderr + done.stdout


def test_without_a_key_one_red_line_and_the_two_ways_out(command: Command, shop: Shop) -> None:
    done = command("run", shop.with_edits(1).job)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no API key: the environment variable AIMLAPI_API_KEY")
    assert "--rehearse" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_reads_everything_and_names_every_problem(command: Command, shop: Shop) -> None:
    good = "".join([f"e{n},mug.jpg,1\n" for n in range(6000)])
    shop.write(f"id,images,num_images\n{good}late,gone.jpg,1\nworse,mug.jpg,7\n")
    done = command("check", shop.job)
    assert done.returncode == 2
    assert "2 problems" in done.stderr
    assert "shop.csv:6002: " in done.stderr
    assert "shop.csv:6003: " in done.stderr
    shop.with_edits(3)
    assert "3 edits, 3 pictures: all is well" in command("check", shop.job).stdout


def test_problems_are_cut_at_fifty_and_counted(command: Command, shop: Shop) -> None:
    shop.write("id,images,num_images\n" + "".join([f"e{n},mug.jpg,9\n" for n in range(80)]))
    done = command("check", shop.job)
    assert done.stderr.count("shop.csv:") == 50
    assert "30 more" in done.stderr
    assert "80 problems" in done.stderr


def test_plan_spends_nothing_and_speaks_json(command: Command, shop: Shop) -> None:
    done = command("plan", shop.with_edits(100).job, "--json")
    plan = json.loads(done.stdout)
    assert (plan["new"], plan["requests"], plan["cost_usd"]) == (100, 100, 4.2)
    assert "$4.20" in command("plan", shop.job).stdout
    assert not shop.outputs.exists()


def test_status_works_while_a_run_is_going_on(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=5)
    shop.with_edits(200, limits={"concurrency": 4})
    with started("run", shop.job, "--base-url", endpoint.url) as process:
        until(lambda: len(endpoint.requests) >= 9)
        found = command("status", shop.job)
        assert "of 200 edits" in found.stdout
        assert "succeeded" in found.stdout
        assert json.loads(command("status", shop.job, "--json").stdout)["in_flight"] > 0
        second = command("run", shop.job, "--base-url", endpoint.url)
        assert second.returncode == 6
        assert f"process {process.pid}" in second.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interruption_keeps_what_was_paid_for(
    shop: Shop, emulator: Emulators, number: signal.Signals
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=2)
    shop.with_edits(200, limits={"concurrency": 4})
    with started("run", shop.job, "--base-url", endpoint.url) as process:
        until(lambda: len(endpoint.requests) >= 6)
        process.send_signal(number)
        heard(process, "in flight are finished and kept")
        endpoint.go_on()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "goes on where this run stopped" in out
    assert statuses(shop) == {"succeeded": len(endpoint.bill.charges)}
    assert statuses(shop, "attempts").keys() == {"succeeded"}
    assert (shop.outputs / "results.csv").exists()


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_the_second_interruption_waits_for_nothing(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 60})
    shop.with_edits(20, limits={"concurrency": 4})
    with started("run", shop.job, "--base-url", endpoint.url) as process:
        until(lambda: len(endpoint.requests) >= 4)
        process.send_signal(signal.SIGINT)
        heard(process, "in flight are finished and kept")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert statuses(shop) == {}
    assert statuses(shop, "attempts") == {"unknown": 4}


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_after_a_kill_no_finished_edit_is_asked_again_and_no_picture_is_lost(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(60, limits={"concurrency": 6})
    for _ in range(3):
        before = {seen["client_request_id"] for seen in endpoint.requests}
        endpoint.hold(after=12)
        with started("run", shop.job, "--base-url", endpoint.url) as process:
            until(lambda before=before: len(charged(endpoint) - before) >= 12)
            process.kill()
    endpoint.go_on()
    done = command("run", shop.job, "--base-url", endpoint.url, "--json")
    assert done.returncode == 0, done.stderr
    assert statuses(shop) == {"succeeded": 60}
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    images = dict(connection.execute("SELECT edit_id, path FROM images").fetchall())
    ends = dict(connection.execute("SELECT id, status FROM attempts").fetchall())
    edits = dict(connection.execute("SELECT id, edit_id FROM attempts").fetchall())
    connection.close()
    assert all((shop.outputs / path).stat().st_size for path in images.values())
    paid = Counter(edits[charge.client_request_id] for charge in endpoint.bill.charges)
    twice = {edit for edit, count in paid.items() if count > 1}
    unknown = {edits[name] for name, status in ends.items() if status == "unknown"}
    assert twice <= unknown, "what may have been paid twice is visible as unknown"
    assert len(unknown) <= 3 * 12, "at most what a crew of 12 had in hand at each kill"
    assert not list((shop.outputs / ".drafts").glob("*")), "no leftovers"


def test_errors_of_every_kind_are_one_line_and_no_traceback(
    command: Command, shop: Shop, tmp_path: Path
) -> None:
    shop.with_edits(1)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00bad")
    (tmp_path / "list.yaml").write_text("- a\n- b\n")
    (tmp_path / "bomb.yaml").write_text("a: &a [x]\nb: &b [*a,*a]\nmanifest: [*b, *b]\n")
    for arguments in (
        ("run", "missing.yaml"),
        ("run", tmp_path),
        ("check", "binary.yaml"),
        ("check", "list.yaml"),
        ("check", "bomb.yaml"),
        ("run", shop.job, "--base-url", "ftp://x"),
        ("run", shop.job, "--rehearse", "--profile", "nonsense"),
        ("emulator", "--profile", "nonsense"),
    ):
        done = command(*arguments)
        assert done.returncode in (1, 2), (arguments, done)
        assert done.stderr.startswith("error: "), (arguments, done.stderr)
        assert "Traceback" not in done.stderr, arguments


def test_an_output_that_nobody_reads_is_no_bug(shop: Shop) -> None:
    shop.with_edits(5)
    process = subprocess.Popen(
        f'"{sys.executable}" -m pipeline plan "{shop.job}" | true',
        shell=True,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    _, err = process.communicate(timeout=60)
    assert b"Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_the_emulator_says_where_it_listens_and_ends_on_ctrl_c(shop: Shop) -> None:
    import urllib.request

    with started("emulator", "--profile", "calm") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http"))
        with urllib.request.urlopen(f"{url}/v1/models", timeout=60) as answer:
            assert b"gemini-2.5-flash-image-edit" in answer.read()
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert process.returncode == 0


def test_a_rehearsal_leaves_no_emulator_behind_when_it_is_killed(shop: Shop) -> None:
    import psutil

    shop.with_edits(500, limits={"concurrency": 1})
    with started("run", shop.job, "--rehearse") as process:
        until(lambda: len(psutil.Process(process.pid).children()) == 1)
        [endpoint] = psutil.Process(process.pid).children()
        process.kill()
    endpoint.wait(60)


def test_help_names_every_command(command: Command) -> None:
    done = command("--help")
    from pipeline.cli.commands import PANELS, ROOMS

    for panel, names in PANELS.items():
        assert f" {panel} " in done.stdout
        for name in names:
            assert f"│ {name} " in done.stdout, "none is forgotten"
    listed = {name for names in PANELS.values() for name in names}
    written = {one.callback.__name__ for room in ROOMS for one in room.app.registered_commands}
    assert written <= listed
    assert command("--version").stdout.startswith("pipeline ")
