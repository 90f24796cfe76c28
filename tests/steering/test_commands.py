"""`pause`, `resume`, `tune` and `stop` as people use them: two processes and the emulator."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import NotRunningError
from pipeline.snapshot import Snapshot
from tests.conftest import Shop, command_line, environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Python offers no local sockets on Windows")

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
SLOW: dict[str, Any] = {"pictures": "plain", "latency": {"median_s": 0.2, "sigma": 0}}


class Running:
    """A run in a process of its own."""

    def __init__(self, shop: Shop, endpoint: RunningEmulator, log: Path) -> None:
        self.shop = shop
        self.endpoint = endpoint
        self._log = log
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command_line("run", shop.job, "--base-url", endpoint.url, "--yes", "--json"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env=environment({"AIMLAPI_API_KEY": "key"}),
            )

    @property
    def asked(self) -> int:
        return len(self.endpoint.requests)

    @property
    def at_work(self) -> int:
        """Requests that the endpoint has and has not answered."""
        return sum(request["status"] is None for request in self.endpoint.requests)

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def shown(self) -> Snapshot:
        """As it shows itself."""
        live = pipeline.status(self.shop.job).live
        assert live is not None
        return live

    @property
    def is_still(self) -> bool:
        """Whether all that has left is back and has its record. Asks the run itself: what is on its
        way to the endpoint, the endpoint does not know.
        """
        now = self.shown
        return now.in_flight == 0 and now.done == self.asked

    def until(self, condition: Callable[[], bool], *, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it has ended:\n{self.said}"
            assert time.monotonic() < end, f"never:\n{self.said}"
            time.sleep(0.02)

    def ended(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=60)
        result: dict[str, Any] = json.loads(out)
        assert result["exit_code"] == self.process.returncode
        return result


@pytest.fixture
def running(shop: Shop, emulator: Emulators, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts a run of so many edits, and waits until it has asked for some."""
    started: list[Running] = []

    def start(edits: int, *, endpoint: RunningEmulator | None = None, **job: Any) -> Running:
        shop.with_edits(edits, **job)
        one = Running(shop, endpoint or emulator(**SLOW), tmp_path / "run.log")
        started.append(one)
        one.until(lambda: one.asked > 3)
        return one

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(60)
        if one.process.stdout is not None:
            one.process.stdout.close()


def test_a_paused_run_sends_nothing_until_it_is_resumed(
    running: Callable[..., Running], command: Command
) -> None:
    run = running(300, limits={"concurrency": 4})
    socket = run.shop.outputs / "control.sock"
    assert stat.S_IMODE(socket.lstat().st_mode) == 0o600
    paused = command("pause", run.shop.job)
    assert paused.returncode == 0, paused.stderr
    assert "is paused: nothing new leaves" in paused.stdout
    assert f"pipeline resume {run.shop.job}" in paused.stdout
    run.until(lambda: run.is_still)
    asked = run.asked
    time.sleep(0.05)
    assert run.asked == asked
    shown = pipeline.pause(run.shop.job)
    assert (shown.state, shown.in_flight, shown.done) == ("paused", 0, asked)
    pipeline.tune(run.shop.job, concurrency=50)
    run.endpoint.use(latency={"median_s": 0})
    resumed = command("resume", run.shop.job)
    assert "goes on" in resumed.stdout
    result = run.ended()
    assert (result["ended"], result["totals"]["succeeded"]) == ("finished", 300)
    assert run.asked == 300, "nothing was asked for twice"
    assert "paused: nothing new leaves" in run.said
    assert "resumed after" in run.said
    assert not socket.exists()


def test_tuning_changes_how_many_are_at_work_at_the_endpoint(
    running: Callable[..., Running], command: Command
) -> None:
    run = running(2000, limits={"concurrency": 2, "adaptive": False})
    run.endpoint.hold()
    run.until(lambda: run.at_work == 2)
    more = command("tune", run.shop.job, "--concurrency", "12")
    assert more.returncode == 0, more.stderr
    assert "is tuned, for this run only: at most 12 at once" in more.stdout
    run.until(lambda: run.at_work == 12)
    assert pipeline.tune(run.shop.job, concurrency=3).stated_concurrency == 3
    asked = run.asked
    run.endpoint.hold(after=12)
    run.until(lambda: run.asked == asked + 3 and run.at_work == 3)
    assert run.shown.in_flight == 3
    run.endpoint.go_on()
    assert "at most 12 at once (was 2)" in run.said
    pipeline.stop(run.shop.job)
    assert run.ended()["ended"] == "interrupted"


def test_tuning_a_rate_holds_at_once_and_none_removes_it(
    running: Callable[..., Running], command: Command
) -> None:
    run = running(800, limits={"concurrency": 8})
    tuned = command("tune", run.shop.job, "--requests-per-minute", "1", "--images-per-minute", "9")
    assert "at most 1 requests a minute, at most 9 pictures a minute" in tuned.stdout
    run.until(lambda: run.shown.in_flight == 0)
    asked = run.asked
    time.sleep(0.05)
    assert run.asked == asked, "its minute is used up"
    free = command("tune", run.shop.job, "--requests-per-minute", "none", "--json")
    assert json.loads(free.stdout)["requests_per_minute"] is None
    pipeline.tune(run.shop.job, images_per_minute=None)
    run.until(lambda: run.asked > asked + 30)
    pipeline.stop(run.shop.job)
    assert run.ended()["totals"]["succeeded"] == run.asked


def test_stopping_is_the_first_ctrl_c(running: Callable[..., Running], command: Command) -> None:
    run = running(1000, limits={"concurrency": 4})
    stopped = command("stop", run.shop.job)
    assert stopped.returncode == 0
    assert "is stopping: nothing new starts" in stopped.stdout
    assert f"pipeline run {run.shop.job}" in stopped.stdout
    result = run.ended()
    assert (result["ended"], result["exit_code"]) == ("interrupted", 130)
    assert result["totals"]["succeeded"] == run.asked, "what was in flight is kept"
    assert "stopping (pipeline stop)" in run.said


@pytest.mark.parametrize("how", ["stop", signal.SIGINT, signal.SIGTERM])
def test_a_paused_run_can_be_stopped(
    running: Callable[..., Running], how: str | signal.Signals
) -> None:
    run = running(1000, limits={"concurrency": 4})
    assert pipeline.pause(run.shop.job).state == "paused"
    if isinstance(how, str):
        assert pipeline.stop(run.shop.job).state == "stopping"
    else:
        run.process.send_signal(how)
    result = run.ended()
    assert result["exit_code"] == 130
    assert result["totals"]["succeeded"] == run.asked


def test_a_paused_run_that_is_killed_is_resumed_by_the_next(
    running: Callable[..., Running], command: Command
) -> None:
    run = running(40, limits={"concurrency": 4})
    assert pipeline.pause(run.shop.job).state == "paused"
    run.until(lambda: run.is_still)
    run.process.kill()
    run.process.wait(60)
    assert (run.shop.outputs / "control.sock").exists(), "nobody could take it away"
    refused = command("pause", run.shop.job)
    assert refused.returncode == 2
    assert "no run of this job is going on" in refused.stderr
    for act in (pipeline.resume, pipeline.stop, partial(pipeline.tune, concurrency=4)):
        with pytest.raises(NotRunningError):
            act(run.shop.job)
    again = command(
        *("run", run.shop.job, "--base-url", run.endpoint.url, "--json"),
        env={"AIMLAPI_API_KEY": "key"},
    )
    result = json.loads(again.stdout)
    assert result["totals"]["succeeded"] + result["totals"]["unchanged"] == 40
    assert run.asked == 40
    assert not (run.shop.outputs / "control.sock").exists()


def test_a_rehearsal_is_steered_with_its_option_and_whoever_forgets_it_is_told(
    shop: Shop, command: Command
) -> None:
    shop.with_edits(3000, limits={"concurrency": 2})
    process = subprocess.Popen(
        command_line("run", shop.job, "--rehearse", "--yes"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        socket = shop.outputs.with_name("shop-rehearsal") / "control.sock"
        end = time.monotonic() + 60
        while not socket.exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        forgot = command("stop", shop.job)
        assert forgot.returncode == 2
        assert "add --rehearse" in forgot.stderr
        assert command("stop", shop.job, "--rehearse").returncode == 0
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait(60)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "nothing to tune"),
        (["--concurrency", "0"], "--concurrency"),
        (["--concurrency", "9999"], "--concurrency"),
        (["--requests-per-minute", "0"], "--requests-per-minute"),
        (["--requests-per-minute", "nan"], "--requests-per-minute"),
        (["--images-per-minute", "fast"], "--images-per-minute"),
    ],
)
def test_limits_that_cannot_be_are_refused_with_the_option(
    shop: Shop, command: Command, options: list[str], problem: str
) -> None:
    shop.with_edits(1)
    refused = command("tune", shop.job, *options)
    assert refused.returncode == 2
    assert problem in refused.stderr


def test_any_program_can_steer_with_a_line_of_json(running: Callable[..., Running]) -> None:
    """Exactly as the page on steering shows it, in another process and with nothing of ours."""
    run = running(1000, limits={"concurrency": 4})

    def said_by(request: dict[str, Any]) -> dict[str, Any]:
        program = (
            "import socket, sys\n"
            "with socket.socket(socket.AF_UNIX) as s:\n"
            "    s.connect('control.sock'); s.sendall(sys.argv[1].encode() + b'\\n')\n"
            "    print(s.makefile().readline())"
        )
        done = subprocess.run(
            [sys.executable, "-S", "-c", program, json.dumps(request)],
            cwd=run.shop.outputs,
            capture_output=True,
            text=True,
            timeout=60,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    assert said_by({"request": "pause"})["snapshot"]["state"] == "paused"
    assert "not between 1 and" in said_by({"request": "tune", "concurrency": -1})["error"]
    tuned = said_by({"request": "tune", "concurrency": 7, "requests_per_minute": 90})["snapshot"]
    assert (tuned["stated_concurrency"], tuned["requests_per_minute"]) == (7, 90)
    assert said_by({"request": "stop"})["snapshot"]["state"] == "stopping"
    assert run.ended()["exit_code"] == 130
