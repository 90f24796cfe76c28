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
from pipeline.notifying.memory import read
from pipeline.scheduling.memory import Memory, peek, remember
from tests.conftest import MUG, Shop, command_line, environment
from tests.notifying.conftest import Hook, hook
from tests.scheduling.virtual import attempt
from tests.test_command import until

__all__ = ["hook"]

Command = Callable[..., "subprocess.CompletedProcess[str]"]
Emulators = Callable[..., RunningEmulator]

MODELS = [
    {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
    {"model": "google/nano-banana-edit", "name": "banana"},
]

TOMORROW = time.time() + 86_400
"""What was spent then counts today, also if midnight comes while a test runs."""

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

    def run_says(self, event: str) -> bool:
        """Whether the run that goes on has."""
        logs = (self.folder.parent / "outputs").glob("*/runs/schedule-*.log")
        return any(f'"event":"{event}"' in log.read_text() for log in logs)


class Lines:
    """A scheduler that goes on, and what it said."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    def of(self, event: str, job: str | None = None) -> list[dict[str, Any]]:
        said = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [one for one in said if one["event"] == event and job in (None, one.get("job"))]

    def wait_for(self, event: str, job: str | None = None, *, count: int = 1) -> dict[str, Any]:
        until(lambda: len(self.of(event, job)) >= count, seconds=60)
        return self.of(event, job)[count - 1]


@contextmanager
def scheduler(nights: Nights, *options: str, env: dict[str, str] | None = None) -> Iterator[Lines]:
    log = nights.folder.parent / f"scheduler-{time.monotonic_ns()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            command_line("schedule", nights.folder, "--json", *options),
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(env),
        )
    lines = Lines(process, log)
    try:
        yield lines
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def nights(tmp_path: Path, emulator: Emulators) -> Nights:
    return Nights(tmp_path / "shop", emulator(pictures="plain", latency={"median_s": 0}))


@posix
def test_two_jobs_of_one_key_run_beside_each_other_within_its_limits_and_money(
    nights: Nights,
) -> None:
    nights.job("bags", 40, missed=True, limits={"concurrency": 4}, schedule={"day_usd": 10})
    nights.job("shoes", 40, missed=True, limits={"concurrency": 4}, schedule={"day_usd": 10})
    nights.job("by-hand", 3, schedule={"day_usd": 10})
    nights.endpoint.hold()
    with scheduler(nights) as lines:
        for name in ("bags", "shoes"):
            lines.wait_for("limits_shared", name)
        nights.endpoint.go_on()
        ended = [lines.wait_for("run_ended", name) for name in ("bags", "shoes")]
        lines.process.send_signal(signal.SIGTERM)
        assert lines.process.wait(60) == 0
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
    nights.job("shoes", 50, missed=True, limits={"concurrency": 4})
    nights.endpoint.hold(after=4)
    with scheduler(nights) as lines:
        until(lambda: nights.endpoint.bill.pictures == 4, seconds=60)
        lines.process.send_signal(signal.SIGTERM)
        until(lambda: nights.run_says("stopping"), seconds=60)
        nights.endpoint.go_on()
        assert lines.process.wait(60) == 0
        ended = lines.wait_for("run_ended")
    assert (ended["exit_code"], ended["ended"], ended["unknown"]) == (130, "interrupted", 0)
    assert 4 < ended["succeeded"] < 50, "what was in flight, too"
    with scheduler(nights) as lines:
        assert lines.wait_for("run_ended")["exit_code"] == 0
    assert nights.endpoint.bill.pictures == 50


@posix
def test_a_killed_scheduler_leaves_its_runs_and_the_next_one_adopts_them(nights: Nights) -> None:
    nights.job("shoes", 20, missed=True, limits={"concurrency": 4})
    nights.endpoint.hold(after=3)
    with scheduler(nights) as lines:
        pid = lines.wait_for("run_started")["pid"]
        until(lambda: nights.endpoint.bill.pictures == 3, seconds=60)
        lines.process.kill()
        lines.process.wait()
    with scheduler(nights) as lines:
        assert lines.wait_for("run_adopted")["pid"] == pid
        nights.endpoint.go_on()
        ended = lines.wait_for("run_ended")
        assert not lines.of("run_started")
    assert (ended["exit_code"], ended["succeeded"]) == (0, 20)
    assert nights.endpoint.bill.pictures == 20


@posix
def test_whoever_is_to_be_told_hears_once_of_nights_without_money(
    nights: Nights, hook: Hook, command: Command
) -> None:
    notify = [{"url_env": "HOOK", "on": ["cap"]}, {"url_env": "GONE"}]
    nights.job("shoes", 1, missed=True, schedule={"day_usd": 0.5}, notify=notify)
    attempt(nights.outputs("shoes"), 0.5, at=TOMORROW)
    with scheduler(nights, env={"HOOK": hook.url}) as lines:
        trouble = lines.wait_for("not_told", "shoes")["text"]
        until(lambda: len(hook.calls) == 1, seconds=60)
    assert trouble.startswith("could not notify GONE: ")
    assert hook.titles == ["shoes: a run was left out, the day's money is spent"]
    assert "$0.50 of the day's $0.50 is spent" in hook.calls[0]["message"]
    memory = nights.outputs("shoes") / "ledger.db"
    until(lambda: read(memory).keys() == {"skipped money"}, seconds=60)
    done = command("schedule", nights.folder, "--once", "shoes", env={"HOOK": hook.url})
    assert (done.returncode, len(hook.calls)) == (5, 1)


@posix
def test_a_run_of_a_person_is_not_disturbed(nights: Nights) -> None:
    job = nights.job("shoes", 10, missed=True, limits={"concurrency": 2})
    nights.endpoint.hold(after=1)
    person = subprocess.Popen(
        command_line("run", job, "--quiet"), env=environment(), stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: nights.endpoint.bill.pictures == 1, seconds=60)
        with scheduler(nights) as lines:
            ended = lines.wait_for("run_ended")
        assert (ended["exit_code"], ended["meaning"]) == (6, "another run was going on")
        nights.endpoint.go_on()
        assert person.wait(60) == 0
    finally:
        person.kill()
        person.wait()
    assert nights.endpoint.bill.pictures == 10


@posix
def test_max_runtime_ends_a_run_as_ctrl_c_does(nights: Nights) -> None:
    """It began under a scheduler that was killed, so the next one finds it in the middle."""
    limits = {"concurrency": 2}
    nights.job("shoes", 20, missed=True, limits=limits)
    nights.endpoint.hold(after=3)
    with scheduler(nights) as lines:
        until(lambda: nights.endpoint.bill.pictures == 3, seconds=60)
    nights.job("shoes", 20, schedule={"max_runtime": 0.5}, limits=limits)
    with scheduler(nights) as lines:
        assert lines.wait_for("run_stopping")["why"] == "max_runtime is over"
        until(lambda: nights.run_says("stopping"), seconds=60)
        nights.endpoint.go_on()
        ended = lines.wait_for("run_ended")
    assert (ended["exit_code"], ended["unknown"]) == (130, 0)
    assert 3 < ended["succeeded"] < 20


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


def test_once_runs_all_models_of_a_job_and_then_its_exports(
    command: Command, nights: Nights
) -> None:
    exports = [{"format": "csv", "output": "../made/shoes.csv"}]
    nights.job("shoes", 3, schedule={"day_usd": 5}, models=MODELS, exports=exports)
    for name, usd in (("flash", 1), ("banana", 2)):
        attempt(nights.outputs("shoes") / name, usd, at=TOMORROW)
    done = command("schedule", nights.folder, "--once", "shoes", "--json")
    assert done.returncode == 0, done.stderr
    started, ended = map(json.loads, done.stdout.splitlines())
    assert started["cap_usd"] == 2
    assert (ended["exit_code"], ended["succeeded"], ended["images"]) == (0, 6, 6)
    assert ended["cost_usd"] == pytest.approx(6 * 0.042)
    made = [nights.folder.parent / "made" / f"shoes-{name}.csv" for name in ("flash", "banana")]
    assert ended["made"] == [f"export csv {path}: 3 rows" for path in made]
    assert all(path.is_file() for path in made)


def test_once_sends_nothing_when_the_days_money_is_spent(command: Command, nights: Nights) -> None:
    nights.job("bags", 3)
    attempt(nights.outputs("bags"), 0.1, at=TOMORROW)
    nights.job("shoes", 3, schedule={"day_usd": 0.1})
    done = command("schedule", nights.folder, "--once", "shoes", "--json")
    assert done.returncode == 5
    assert json.loads(done.stdout)["exit_code"] == 5
    assert "schedule.day_usd of $0.10 is reached" in done.stderr
    assert nights.endpoint.bill.pictures == 0


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
        until(lambda: command("schedule", nights.folder, "--health").returncode == 0, seconds=60)
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
