"""What `pipeline schedule export` writes, held against the tools that are to read it."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from pipeline.cron import Cron
from pipeline.errors import ConfigError
from pipeline.job import load_job
from pipeline.scheduling.units import FORMATS, export
from pipeline.scheduling.units.github_actions import write as workflow
from pipeline.scheduling.units.systemd import calendars
from pipeline.scheduling.units.unit import unit_of
from tests.conftest import Shop

Command = Callable[..., "subprocess.CompletedProcess[str]"]

DEPLOY = Path(__file__).parents[2] / "deploy"

EVERYTHING = {
    "cron": "30 2 * * 1-5",
    "timezone": "Europe/Berlin",
    "jitter": "10m",
    "deadline": "2h",
    "max_runtime": "4h",
}
CRONS = (
    "30 2 * * *",
    "*/20 * * * *",
    "0 3 * * 1-5",
    "15 4 1,15 * *",
    "0 0 13 * FRI",
    "0 3 L * *",
    "0 3 * * MON#1",
    "0 3 * * 5L",
    "0 3 * JAN-MAR 7",
    "5-10/5 9-17/2 * * *",
    "0 12 31 * *",
    "0 3 */10 * MON",
)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def written(shop: Shop, kind: str, **schedule: Any) -> dict[str, str]:
    shop.with_edits(1, schedule=schedule or EVERYTHING)
    return export(shop.job, kind, command="/usr/bin/true")


# --- systemd


@needs_systemd
def test_systemd_accepts_the_units(shop: Shop, tmp_path: Path) -> None:
    for schedule in (EVERYTHING, {"cron": "@hourly", "catch_up": "none"}):
        files = written(shop, "systemd", **schedule)
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", *[str(tmp_path / name) for name in files]],
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("cron", CRONS)
def test_systemd_means_the_same_times(cron: str) -> None:
    start = datetime(2026, 1, 30, 12, tzinfo=UTC)
    ours = [
        datetime.fromtimestamp(at, UTC)
        for at in islice(Cron(cron).times(start.timestamp(), UTC), 25)
    ]
    theirs: set[datetime] = set()
    for calendar in calendars(Cron(cron)):
        done = subprocess.run(
            [
                *("systemd-analyze", "calendar", "--iterations=25"),
                f"--base-time={start:%Y-%m-%d %H:%M:%S} UTC",
                f"{calendar} UTC",
            ],
            capture_output=True,
            text=True,
            env={**os.environ, "TZ": "UTC"},
        )
        assert done.returncode == 0, f"{calendar}: {done.stderr}"
        found = re.findall(r"(?:elapse|#\d+): \w+ (\S+ \S+) UTC", done.stdout)
        theirs |= {datetime.strptime(one, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for one in found}
    assert sorted(theirs)[:25] == ours, calendars(Cron(cron))


def test_systemd_units_say_what_the_job_says(shop: Shop) -> None:
    files = written(shop, "systemd")
    assert files.keys() == {"pipeline-shop.service", "pipeline-shop.timer"}
    service, timer = files["pipeline-shop.service"], files["pipeline-shop.timer"]
    assert "OnCalendar=Mon,Tue,Wed,Thu,Fri *-*-* 02:30:00 Europe/Berlin" in timer
    assert "RandomizedDelaySec=600" in timer
    assert "Persistent=true" in timer
    assert f"ExecStart=/usr/bin/true schedule {shop.job.parent} --once shop --json" in service
    assert "TimeoutStopSec=390" in service


@needs_systemd
def test_strange_names_are_quoted_for_systemd(tmp_path: Path) -> None:
    shop = Shop(tmp_path / 'a "b" 100% $HOME c')
    files = written(shop, "systemd")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / "pipeline-shop.service")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- crontab


def test_a_crontab_line_is_a_schedule_and_a_command_that_runs(shop: Shop, tmp_path: Path) -> None:
    [(name, text)] = written(shop, "crontab").items()
    assert name == "pipeline-shop.crontab"
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[0] == "CRON_TZ=Europe/Berlin"
    fields, command = lines[1].split(" ", 5)[:5], lines[1].split(" ", 5)[5]
    assert fields == ["30", "2", "*", "*", "1-5"]
    assert "Debian's cron takes the machine's" in text
    assert "deadline" in text, "what cron cannot do is said"
    # As cron does it: an escaped % is one, and /bin/sh runs the rest.
    done = subprocess.run(["/bin/sh", "-c", command.replace(r"\%", "%")], timeout=60)
    assert done.returncode == 0
    words = shlex.split(command.split(">>")[0])
    assert words[1:3] == ["schedule", str(shop.job.parent)]
    assert words[3:] == ["--once", "shop", "--jitter", "--json"]


def test_a_crontab_escapes_what_cron_would_take_for_a_line_end(tmp_path: Path) -> None:
    [text] = written(Shop(tmp_path / "100% wool"), "crontab").values()
    assert r"100\% wool" in text


@pytest.mark.parametrize("kind", ["crontab", "kubernetes", "github-actions"])
@pytest.mark.parametrize("cron", ["0 3 L * *", "0 3 * * MON#1", "0 3 * * 5L"])
def test_what_plain_cron_does_not_know_is_refused(shop: Shop, kind: str, cron: str) -> None:
    with pytest.raises(ConfigError, match="does not know"):
        written(shop, kind, cron=cron)


@pytest.mark.parametrize("kind", ["crontab", "kubernetes"])
def test_what_only_some_crons_know_is_written_so_that_all_do(shop: Shop, kind: str) -> None:
    [text] = written(shop, kind, cron="5/20 3 * JUL 5-7").values()
    assert "5,25,45 3 * JUL 0,5,6" in text


# --- Kubernetes


def test_a_cron_job_says_what_the_job_says(shop: Shop) -> None:
    [text] = written(shop, "kubernetes").values()
    found = yaml.safe_load(text)
    spec = found["spec"]
    assert (found["apiVersion"], found["kind"]) == ("batch/v1", "CronJob")
    assert (spec["schedule"], spec["timeZone"]) == ("30 2 * * 1-5", "Europe/Berlin")
    assert (spec["concurrencyPolicy"], spec["startingDeadlineSeconds"]) == ("Forbid", 7200)
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 390
    assert pod["securityContext"]["runAsNonRoot"]
    [container] = pod["containers"]
    assert container["args"] == ["schedule", "/data/jobs", "--once", "shop", "--json", "--jitter"]
    assert "&id" not in text


def test_kubernetes_schema_accepts_what_is_written(shop: Shop) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for schedule in (EVERYTHING, {"cron": "@hourly", "catch_up": "none"}):
        [text] = written(shop, "kubernetes", **schedule).values()
        validate.validate(yaml.safe_load(text), "1.33", strict=True)
    for document in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()):
        validate.validate(document, "1.33", strict=True)


def test_names_become_names_that_kubernetes_takes(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.with_edits(1, schedule=EVERYTHING)
    odd = shop.job.with_name("Ünser Katalog_2026 — (sehr sehr lang und noch länger).yaml")
    shop.job.rename(odd)
    [(file, text)] = export(odd, "kubernetes", command="x").items()
    name = yaml.safe_load(text)["metadata"]["name"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?", name)
    assert file == f"{name}.yaml"


# --- GitHub


def test_a_workflow_is_one(shop: Shop) -> None:
    [(name, text)] = written(shop, "github-actions").items()
    assert name == "pipeline-shop.yml"
    found = yaml.safe_load(text)
    assert found["name"] == "Image edits: shop"
    [job] = found["jobs"].values()
    assert job["timeout-minutes"] == 267
    assert found["concurrency"]["cancel-in-progress"] is False
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert "pipeline schedule jobs --once shop --jitter --json" in runs


@pytest.mark.parametrize(
    ("cron", "zone"),
    [
        ("30 2 * * *", "Europe/Berlin"),
        ("30 0 * * 1", "Europe/Berlin"),
        ("0 22 * * FRI", "America/New_York"),
        ("*/30 6-8 * * *", "Asia/Kolkata"),
        ("0 */6 * * *", "Pacific/Auckland"),
        ("15 * * * *", "Asia/Kathmandu"),
        ("0 3 1 * *", "UTC"),
        ("0 12 1 * *", "Europe/Berlin"),
    ],
)
def test_lines_in_utc_mean_the_same_times_all_year(shop: Shop, cron: str, zone: str) -> None:
    """Each line counts while its offset is in force; the hours around a change are left out."""
    shop.with_edits(1, schedule={"cron": cron, "timezone": zone})
    [text] = workflow(unit_of(load_job(shop.job), command="x"), year=2026).values()
    tz = ZoneInfo(zone)
    found = re.findall(r'- cron: "(.*?)"(?:  # while \S+ is (\S+))?', text)
    start, end = (datetime(2026, month, 1, 12, tzinfo=UTC).timestamp() for month in (1, 12))

    def times(line: str, within: Any) -> set[float]:
        return {*takewhile(lambda at: at < end, Cron(line).times(start, within))}

    theirs: set[float] = set()
    for line, offset in found:
        theirs |= {
            at
            for at in times(line, UTC)
            if not offset or datetime.fromtimestamp(at, tz).strftime("%z") == offset
        }
    near_change = {
        at for at in times(cron, tz) ^ theirs if _offset(tz, at - 7200) != _offset(tz, at + 7200)
    }
    assert times(cron, tz) ^ theirs == near_change
    assert len(near_change) <= 6


def test_the_guard_lets_one_of_the_two_lines_pass(shop: Shop, tmp_path: Path) -> None:
    [text] = written(shop, "github-actions", cron="30 2 * * *", timezone="Europe/Berlin").values()
    found = yaml.safe_load(text)
    lines = [one["cron"] for one in found[True]["schedule"]]  # YAML takes 'on' for true
    [guard] = [step["run"] for step in found["jobs"]["run"]["steps"] if step.get("id") == "now"]
    said = []
    for number, line in enumerate([*lines, ""]):
        output = tmp_path / f"output-{number}"
        env = {"PATH": os.environ["PATH"], "LINE": line, "GITHUB_OUTPUT": str(output)}
        done = subprocess.run(["/bin/sh", "-e", "-c", guard], env=env, timeout=60)
        assert done.returncode == 0
        said.append(output.read_text().strip())
    assert sorted(said[:2]) == ["due=false", "due=true"]
    assert said[2] == "due=true", "started by hand"


def test_a_workflow_that_github_would_not_start_so_often_is_refused(shop: Shop) -> None:
    assert written(shop, "github-actions", cron="*/5 * * * *")
    with pytest.raises(ConfigError, match="every five minutes at most"):
        written(shop, "github-actions", cron="*/4 * * * *")


def test_what_falls_on_another_day_of_the_month_in_utc_is_refused(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="other days of the month"):
        written(shop, "github-actions", cron="30 0 1 * *", timezone="Europe/Berlin")


# --- the command


@pytest.mark.parametrize("kind", FORMATS)
def test_the_command_prints_or_writes_them(
    command: Command, shop: Shop, tmp_path: Path, kind: str
) -> None:
    shop.with_edits(1, schedule=EVERYTHING)
    done = command("schedule", "export", shop.job, "--format", kind)
    assert done.returncode == 0, done.stderr
    assert "--once shop" in done.stdout or "- --once" in done.stdout
    folder = tmp_path / "units"
    done = command("schedule", "export", shop.job, "--format", kind, "--output", folder)
    assert {Path(line) for line in done.stdout.split()} == set(folder.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "sytemd"], "did you mean 'systemd'?"),
        ([], "takes a job and a format"),
    ],
)
def test_a_wrong_format_is_said(
    command: Command, shop: Shop, options: list[str], words: str
) -> None:
    shop.with_edits(1, schedule=EVERYTHING)
    done = command("schedule", "export", shop.job, *options)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


def test_a_job_without_a_schedule_is_said(command: Command, shop: Shop) -> None:
    done = command("schedule", "export", shop.with_edits(1).job, "--format", "systemd")
    assert done.returncode == 2
    assert "it has no schedule to export" in done.stderr


# --- deploy/


def test_compose_runs_commands_and_options_that_exist() -> None:
    """As far as can be told without Docker: the file parses, and its commands are ours."""
    import typer.main

    from pipeline.cli.commands import app

    root: Any = typer.main.get_command(app)
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    health = json.loads(re.search(r"HEALTHCHECK.*?CMD (\[.*?\])", dockerfile, re.DOTALL)[1])  # type: ignore[index]
    default = json.loads(re.search(r"\nCMD (\[.*?\])", dockerfile)[1])  # type: ignore[index]
    commands = [service["command"] for service in services.values()]
    assert len(commands) == 2
    for name, *words in [*commands, health[1:], default]:
        context = root.commands[name].make_context(name, [str(word) for word in words])
        assert str(context.params.get("folder") or context.params["words"][0]) == "/data/jobs"


def test_the_image_is_not_roots() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in dockerfile


@needs_systemd
def test_systemd_accepts_the_service_of_the_scheduler(tmp_path: Path) -> None:
    text = (DEPLOY / "pipeline-schedule.service").read_text()
    unit = tmp_path / "pipeline-schedule.service"
    unit.write_text(text.replace("/opt/pipeline/bin/pipeline", "/usr/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def _offset(zone: ZoneInfo, at: float) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()
