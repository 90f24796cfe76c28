"""`pipeline schedule`, the real command: its processes, signals, locks and lines."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.emulator.testing import RunningEmulator
from pipeline.scheduling.memory import Memory, peek, remember
from tests.conftest import MUG, Shop, command_line, environment
from tests.test_command import until

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Emulators = Callable[..., RunningEmulator]

posix = pytest.mark.skipif(os.name == "nt", reason="signals and local sockets")


class Nights:
    """A folder of jobs against one emulator."""

    def __init__(self, folder: Path, endpoint: RunningEmulator) -> None:
        self.folder = folder / "jobs"
        self.folder.mkdir(parents=True)
        self.endpoint = endpoint
        (folder / "mug.jpg").write_bytes(MUG.read_bytes())

    def job(self, name: str, edits: int, *, missed: bool = False, **parts: Any) -> Path:
        """``missed``: a time of its schedule went by a moment ago, and nobody was there."""
        rows = "".join(f"{name}{n},mug.jpg,edit number {n}\n" for n in range(edits))
        manifest = self.folder.parent / f"{name}.csv"
        manifest.write_text(f"id,images,prompt\n{rows}")
        schedule = {"cron": "0 3 1 1 *", "timezone": "UTC", **parts.pop("schedule", {})}
        path = self.folder / f"{name}.yaml"
        content = {
            "manifest": f"../{name}.csv",
            "endpoint": {"base_url": self.endpoint.url},
            "retry": {"wait_initial_s": 0.01, "wait_max_s": 0.05, "wait_jitter_s": 0.01},
            "schedule": schedule,
            **parts,
        }
        path.write_text(yaml.safe_dump(content))
        if missed:
            before = time.time() - 400 * 86_400
            memory = Memory(cron=schedule["cron"], timezone="UTC", until=before)
            remember(self.outputs(name), memory)
        return path

    def outputs(self, name: str) -> Path:
        return self.folder.parent / "outputs" / name


class Lines:
    """A scheduler that goes on, and what it said."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    def of(self, event: str, job: str | None = None) -> list[dict[str, Any]]:
        said = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [one for one in said if one["event"] == event and job in (None, one.get("job"))]

    def wait_for(self, event: str, job: str | None = None, *, count: int = 1) -> dict[str, Any]:
        until(lambda: len(self.of(event, job)) >= count, seconds=40)
        return self.of(event, job)[count - 1]


@contextmanager
def scheduler(nights: Nights, *options: str) -> Iterator[Lines]:
    log = nights.folder.parent / f"scheduler-{time.monotonic_ns()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command_line("schedule", nights.folder, "--json", *options),
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(),
        )
    lines = Lines(process, log)
    try:
        yield lines
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@pytest.fixture
def nights(tmp_path: Path, emulator: Emulators) -> Nights:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.15, "sigma": 0})
    return Nights(tmp_path / "shop", endpoint)


@posix
def test_two_jobs_of_one_key_run_beside_each_other_within_its_limits_and_money(
    nights: Nights,
) -> None:
    nights.job("bags", 40, missed=True, limits={"concurrency": 4}, schedule={"day_usd": 10})
    nights.job("shoes", 40, missed=True, limits={"concurrency": 4}, schedule={"day_usd": 10})
    nights.job("by-hand", 3, schedule={"day_usd": 10})
    with scheduler(nights) as lines:
        ended = [lines.wait_for("run_ended", name) for name in ("bags", "shoes")]
        lines.process.send_signal(signal.SIGTERM)
        assert lines.process.wait(20) == 0
        caps = [one["cap_usd"] for one in lines.of("run_started")]
        shared = lines.of("limits_shared")
        assert len(lines.of("scheduler_ended")) == 1
    assert [(one["exit_code"], one["succeeded"]) for one in ended] == [(0, 40), (0, 40)]
    assert caps == [5, 5]
    assert {one["job"] for one in shared if one["concurrency"] == 2} == {"bags", "shoes"}
    assert nights.endpoint.bill.pictures == 80
    for one in ended:
        log = nights.outputs(one["job"]) / "runs" / f"{one['run_id']}.log"
        assert '"event":"run_ended"' in log.read_text()
    memory = peek(nights.outputs("bags"))
    assert memory is not None
    assert memory.last is not None
    assert (memory.last.outcome, memory.last.exit_code) == ("finished", 0)


@posix
def test_sigterm_drains_and_a_new_scheduler_goes_on(nights: Nights) -> None:
    nights.job("shoes", 200, missed=True, limits={"concurrency": 4})
    with scheduler(nights) as lines:
        lines.wait_for("run_started")
        until(lambda: nights.endpoint.bill.pictures > 4)
        lines.process.send_signal(signal.SIGTERM)
        assert lines.process.wait(30) == 0
        ended = lines.wait_for("run_ended")
    assert (ended["exit_code"], ended["ended"], ended["unknown"]) == (130, "interrupted", 0)
    nights.endpoint.use(latency={"median_s": 0})
    with scheduler(nights) as lines:
        assert lines.wait_for("run_ended")["exit_code"] == 0
    assert nights.endpoint.bill.pictures == 200


@posix
def test_a_killed_scheduler_leaves_its_runs_and_the_next_one_adopts_them(nights: Nights) -> None:
    nights.job("shoes", 60, missed=True, limits={"concurrency": 4})
    with scheduler(nights) as lines:
        pid = lines.wait_for("run_started")["pid"]
        until(lambda: nights.endpoint.bill.pictures > 2)
        lines.process.kill()
        lines.process.wait(10)
    with scheduler(nights) as lines:
        assert lines.wait_for("run_adopted")["pid"] == pid
        ended = lines.wait_for("run_ended")
        assert not lines.of("run_started")
    assert (ended["exit_code"], ended["succeeded"]) == (0, 60)
    assert nights.endpoint.bill.pictures == 60


@posix
def test_a_run_of_a_person_is_not_disturbed(nights: Nights) -> None:
    job = nights.job("shoes", 100, missed=True, limits={"concurrency": 2})
    person = subprocess.Popen(
        command_line("run", job, "--quiet"), env=environment(), stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: nights.endpoint.bill.pictures > 0)
        with scheduler(nights) as lines:
            ended = lines.wait_for("run_ended")
        assert (ended["exit_code"], ended["meaning"]) == (6, "another run was going on")
        nights.endpoint.use(latency={"median_s": 0})
        assert person.wait(30) == 0
    finally:
        person.kill()
        person.wait(10)
    assert nights.endpoint.bill.pictures == 100


@posix
def test_max_runtime_ends_a_run_as_ctrl_c_does(nights: Nights) -> None:
    limits = {"concurrency": 1}
    nights.job("shoes", 900, missed=True, schedule={"max_runtime": "6s"}, limits=limits)
    with scheduler(nights) as lines:
        ended = lines.wait_for("run_ended")
        assert lines.of("run_stopping")[0]["why"] == "max_runtime is over"
    assert (ended["exit_code"], ended["unknown"]) == (130, 0)
    assert ended["succeeded"] < 900


def test_once_runs_a_job_now_and_ends_as_it_did(command: Command, nights: Nights) -> None:
    nights.job("shoes", 3, schedule={"day_usd": 5})
    done = command("schedule", nights.folder, "--once", "shoes", "--json")
    assert done.returncode == 0, done.stderr
    started, ended = map(json.loads, done.stdout.splitlines())
    assert (started["event"], started["cap_usd"]) == ("run_started", 5)
    assert (ended["event"], ended["succeeded"], ended["next"][5:]) == (
        "run_ended",
        3,
        "01-01T03:00:00Z",
    )
    again = command("schedule", nights.folder, "--once", "shoes")
    assert "ended with 0, all done: nothing was left to do" in again.stdout


def test_once_has_the_exit_code_of_the_run(command: Command, nights: Nights) -> None:
    nights.job("shoes", 3)
    (nights.folder.parent / "shoes.csv").write_text("id,images,prompt\na,gone.jpg,x\n")
    done = command("schedule", nights.folder, "--once", "shoes", "--json")
    ended = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, ended["exit_code"], ended["failed"]) == (3, 3, 1)


def test_once_sends_nothing_when_the_days_money_is_spent(command: Command, nights: Nights) -> None:
    nights.job("bags", 3)
    command("schedule", nights.folder, "--once", "bags")
    nights.job("shoes", 3, schedule={"day_usd": 0.1})
    done = command("schedule", nights.folder, "--once", "shoes", "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["exit_code"] == 5
    assert "schedule.day_usd of $0.10 is reached" in done.stderr
    assert nights.endpoint.bill.pictures == 3


def test_once_knows_near_names(command: Command, nights: Nights) -> None:
    nights.job("shoes", 1)
    done = command("schedule", nights.folder, "--once", "shoe")
    assert done.returncode == 2
    assert "there is no job 'shoe' (did you mean 'shoes'?)" in done.stderr


def test_the_list_has_local_and_utc_times(command: Command, nights: Nights) -> None:
    nights.job("shoes", 1, schedule={"cron": "0 3 1 7 *", "timezone": "Europe/Berlin"})
    nights.job("bags", 1, schedule={"cron": "0 3 1 1 *", "timezone": "America/New_York"})
    (nights.folder / "broken.yaml").write_text("manifest: m.csv\nschedule: {cron: soon}\n")
    done = command("schedule", nights.folder, "--list")
    assert done.returncode == 0, done.stderr
    assert "07-01 03:00 CEST" in done.stdout
    assert "01:00" in done.stdout
    assert "01-01 03:00 EST" in done.stdout
    assert "No scheduler follows them" in done.stdout
    assert "Does not load: broken.yaml:2: schedule.cron: 'soon' has 1 fields" in done.stdout
    found = json.loads(command("schedule", nights.folder, "--list", "--json").stdout)["jobs"]
    shoes = next(job for job in found if job["job"] == "shoes")
    assert [one["utc"][5:] for one in shoes["next"]] == ["07-01T01:00:00Z"] * 5
    assert next(job for job in found if job["job"] == "broken")["problem"]


@posix
def test_health_tells_whether_a_scheduler_is_there(command: Command, nights: Nights) -> None:
    nights.job("shoes", 1)
    assert command("schedule", nights.folder, "--health").returncode == 2
    with scheduler(nights) as lines:
        lines.wait_for("job_followed")
        until(lambda: command("schedule", nights.folder, "--health").returncode == 0)
        done = command("schedule", nights.folder, "--health", "--json")
        assert json.loads(done.stdout) == {"followed": 1}
    done = command("schedule", nights.folder, "--health")
    assert (done.returncode, "no scheduler follows shoes" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--list", "--once", "x"], "do not go together"),
        (["--jitter"], "--jitter goes with --once"),
        (["--format", "systemd"], "go with `pipeline schedule export JOB`"),
        (["elsewhere"], "schedule takes one folder"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    command: Command, shop: Shop, options: list[str], words: str
) -> None:
    shop.with_edits(1)
    done = command("schedule", shop.job.parent, *options)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_a_folder_that_is_not_there_is_said(command: Command, tmp_path: Path) -> None:
    done = command("schedule", tmp_path / "gone")
    assert done.returncode == 2
    assert "there is no such folder" in done.stderr
