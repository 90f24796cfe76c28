"""Two processes at once, a full disk, a clock that jumps, a server that never answers."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.emulator.testing import RunningEmulator
from tests.chaos.killing import asked_of, rows
from tests.conftest import Shop, command_line, environment
from tests.test_command import started, until

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def statuses(shop: Shop, table: str = "edits") -> Counter[str]:
    return Counter(status for (status,) in rows(shop, f"SELECT status FROM {table}"))


def assert_paid_once(shop: Shop, endpoint: RunningEmulator, edits: int) -> None:
    """Every edit has succeeded and was charged once, and the ledger knows it to the cent."""
    assert statuses(shop) == {"succeeded": edits}
    assert len(endpoint.bill.charges) == len(asked_of(endpoint)) == edits
    [(total,)] = rows(shop, "SELECT total(cost_usd) FROM attempts")
    assert total == pytest.approx(endpoint.bill.total_usd)


def assert_bill_is_ledger(command: Command, shop: Shop, endpoint: RunningEmulator) -> None:
    """After `reconcile`, to the cent, whatever was unknown before."""
    line = ("reconcile", shop.job, "--base-url", endpoint.url, "--delay", "0.2", "--wait", "20")
    done = command(*line)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "unknown" not in statuses(shop, "attempts")
    [(total,)] = rows(shop, "SELECT total(cost_usd) FROM attempts")
    assert total == pytest.approx(endpoint.bill.total_usd)


def asked_for(endpoint: RunningEmulator, count: int) -> bool:
    return len(asked_of(endpoint)) >= count


# --- two processes


def test_of_two_processes_one_works_and_the_other_refuses(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    shop.with_edits(20, limits={"concurrency": 4})
    line = ("run", shop.job, "--base-url", endpoint.url)
    with started(*line) as first, started(*line) as second:
        until(lambda: {first.poll(), second.poll()} != {None})
        endpoint.go_on()
        errors = {process: process.communicate(timeout=60)[1] for process in (first, second)}
    [refused] = [process for process in errors if process.returncode == 6]
    [worked] = [process for process in errors if process.returncode == 0]
    assert "another run of this job is going on" in errors[refused]
    assert errors[worked].count("succeeded") >= 1
    assert_paid_once(shop, endpoint, 20)


# --- a full disk


def with_small_files(*arguments: str | Path, largest: int) -> list[str]:
    """The command in a process that cannot write a file of more than ``largest`` bytes."""
    words = (
        "import resource, runpy, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest}, {largest}));"
        "sys.argv[0] = 'pipeline';"
        "runpy.run_module('pipeline', run_name='__main__')"
    )
    return [sys.executable, "-c", words, *map(str, arguments)]


@pytest.mark.skipif(os.name == "nt", reason="no RLIMIT_FSIZE")
def test_a_picture_that_finds_no_room_ends_the_run_and_the_next_one_goes_on(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", plain_bytes=900_000, latency={"median_s": 0.05})
    shop.with_edits(12, limits={"concurrency": 2})
    full = subprocess.run(
        with_small_files("run", shop.job, "--base-url", endpoint.url, largest=800_000),
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert full.returncode == 4, full.stderr
    assert "Traceback" not in full.stderr
    assert len(asked_of(endpoint)) <= 4, "nothing more is spent"
    assert statuses(shop) == {}, "nothing was marked failed"
    assert statuses(shop, "attempts").keys() == {"unknown"}, "what was paid is not forgotten"
    before = len(endpoint.bill.charges)
    assert command("run", shop.job, "--base-url", endpoint.url).returncode == 0
    assert statuses(shop) == {"succeeded": 12}
    assert len(endpoint.bill.charges) == before + 12
    assert_bill_is_ledger(command, shop, endpoint)


def small_disk() -> str:
    """How to run a shell that may mount a disk of its own, without being root if need be; empty
    where that is forbidden. What it mounts goes with it.
    """
    for line in ("unshare --mount", "unshare --map-root-user --mount"):
        probe = f"{line} sh -c 'mount -t tmpfs -o size=64k tmpfs /mnt'"
        try:
            if subprocess.run(["sh", "-c", probe], capture_output=True, timeout=20).returncode == 0:
                return line
        except (OSError, subprocess.SubprocessError):
            return ""
    return ""


def test_a_full_disk_ends_the_run_and_no_success_is_lost(
    command: Command, shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    unshare = small_disk()
    if not unshare:
        pytest.skip("mounting a small tmpfs is not allowed here")
    endpoint = emulator(pictures="plain", plain_bytes=100_000, latency={"median_s": 0.03})
    shop.with_edits(60, limits={"concurrency": 4}, guards={"min_free_bytes": 0})
    shop.outputs.mkdir(parents=True)
    saved = tmp_path / "saved"
    run = shlex.join(command_line("run", shop.job, "--base-url", endpoint.url))
    here = shlex.quote(str(shop.outputs))
    script = f"""
        mount -t tmpfs -o size=2500k tmpfs {here} || exit 99
        {run}
        code=$?
        cp -a {here} {shlex.quote(str(saved))}
        exit $code
    """
    full = subprocess.run(
        [*unshare.split(), "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert full.returncode == 4, (full.stdout, full.stderr)
    assert "Traceback" not in full.stderr
    assert "space" in full.stderr.lower()
    spent = len(endpoint.bill.charges)
    assert spent < 40, "it did not go on paying for what cannot be kept"
    shutil.rmtree(shop.outputs)
    shutil.copytree(saved, shop.outputs)  # the same outputs, on a disk with room
    kept = statuses(shop)["succeeded"]
    assert kept >= 5
    assert statuses(shop) == {"succeeded": kept}, "nothing was marked failed"
    assert command("run", shop.job, "--base-url", endpoint.url).returncode == 0
    assert statuses(shop) == {"succeeded": 60}
    assert len(endpoint.bill.charges) == spent + 60 - kept, "no success was asked for again"
    assert_bill_is_ledger(command, shop, endpoint)
    assert command("fsck", shop.job).returncode == 0, "every picture is whole"


# --- a clock that jumps


SITECUSTOMIZE = """\
import os, time
real = time.time
def jumping():
    try:
        with open(os.environ["CLOCK_SHIFT"]) as file:
            return real() + float(file.read() or 0)
    except FileNotFoundError:
        return real()
time.time = jumping
"""


def test_a_clock_that_jumps_changes_nothing_but_the_dates(
    command: Command, shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(40, limits={"concurrency": 4}, budget={"run_usd": 40 * 0.042})
    endpoint.hold(after=8)
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    shift = tmp_path / "shift"
    process = subprocess.Popen(
        command_line("run", shop.job, "--base-url", endpoint.url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"PYTHONPATH": str(tmp_path), "CLOCK_SHIFT": str(shift)}),
    )
    try:
        for answered, hours in ((8, 30), (16, -30)):
            until(partial(asked_for, endpoint, answered + 4))
            shift.write_text(str(hours * 3600))
            endpoint.hold(after=8)
        endpoint.go_on()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    [(first, last)] = rows(shop, "SELECT min(started_at), max(started_at) FROM attempts")
    assert last - first > 59 * 3600, "it jumped in the middle of things, both ways"
    assert_paid_once(shop, endpoint, 40)
    assert command("run", shop.job, "--base-url", endpoint.url).returncode == 0
    assert_paid_once(shop, endpoint, 40)
    assert_bill_is_ledger(command, shop, endpoint)


# --- a server that accepts and never answers


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Accepts every connection, as the system does for a program that sleeps, and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(("on_unknown", "asked"), [("hold", 1), ("retry", 2)])
def test_where_nobody_ever_answers_the_run_ends_by_itself_and_says_unknown(
    command: Command, shop: Shop, silent_server: str, on_unknown: str, asked: int
) -> None:
    quick = {"attempts": 2, "wait_initial_s": 0.01, "wait_max_s": 0.02, "wait_jitter_s": 0.01}
    shop.with_edits(
        4,
        endpoint={"timeout_s": 1.0},
        limits={"concurrency": 4},
        retry={**quick, "on_unknown": on_unknown, "breaker_after": 100},
    )
    done = command("run", shop.job, "--base-url", silent_server, "--no-preflight")
    assert done.returncode == 3, done.stderr
    assert statuses(shop) == {"unknown": 4}
    assert statuses(shop, "attempts") == {"unknown": 4 * asked}


def test_an_answer_that_never_comes_holds_up_nobody_else(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    silent = [{"fault": "never_answers", "when": {"prompt_contains": "number 1"}, "times": 1}]
    endpoint = emulator(pictures="plain", script=silent)
    shop.with_edits(
        20,
        endpoint={"timeout_s": 3.0},
        limits={"concurrency": 20, "adaptive": False},
        retry={"wait_initial_s": 0.01, "wait_max_s": 0.02, "breaker_after": 100},
    )
    done = command("run", shop.job, "--base-url", endpoint.url)
    assert done.returncode == 0, done.stderr
    assert statuses(shop) == {"succeeded": 20}
    assert statuses(shop, "attempts") == {"succeeded": 20, "unknown": 11}
