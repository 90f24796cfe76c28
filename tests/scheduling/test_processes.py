"""What is known of a run's process by its number and its log."""

import asyncio
import calendar
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.job import load_job
from pipeline.job.design import single_jobs
from pipeline.ledger import RunRow
from pipeline.scheduling.memory import Going
from pipeline.scheduling.processes import Processes, log_of, read_ending
from tests.conftest import Shop
from tests.test_command import until


def ended(**values: Any) -> str:
    totals = {"succeeded": 1, "cost_usd": 0.5, "reasons": []}
    said = {"event": "run_ended", "run_id": "r", "ended": "finished", "exit_code": 0}
    return json.dumps(said | {"totals": totals} | values, separators=(",", ":")) + "\n"


def log(folder: Path, *lines: str) -> Path:
    path = folder / "run.log"
    path.write_text("".join(lines))
    return path


def test_the_last_line_of_a_run_says_how_it_ended(tmp_path: Path) -> None:
    found = read_ending(log(tmp_path, '{"event":"planned"}\n', ended(made=["x"])), exit_code=0)
    assert (found.exit_code, found.ended, found.run_id, found.made) == (0, "finished", "r", ("x",))


def test_the_models_of_a_job_are_added_up(tmp_path: Path) -> None:
    one, other = ended(made=["a"]), ended(run_id="s", exit_code=3, made=["b"])
    found = read_ending(log(tmp_path, one, other), exit_code=None, runs=2)
    assert (found.exit_code, found.run_id, found.made) == (3, "s", ("a", "b"))
    assert found.totals == {"succeeded": 2, "cost_usd": 1.0}


def test_a_process_that_died_before_its_last_model_has_no_end(tmp_path: Path) -> None:
    found = read_ending(log(tmp_path, ended()), exit_code=None, runs=2)
    assert (found.exit_code, found.ended) == (None, None)
    stopped = log(tmp_path, ended(exit_code=5, ended="budget"))
    found = read_ending(stopped, exit_code=None, runs=2)
    assert (found.exit_code, found.ended) == (5, "budget"), "none comes after a cap"


@pytest.mark.parametrize("code", [-9, None])
def test_a_process_that_died_in_a_run_has_its_last_words(tmp_path: Path, code: int | None) -> None:
    found = read_ending(log(tmp_path, "Killed\n", '{"event":"snapshot"}\n'), exit_code=code)
    assert (found.exit_code, found.ended, found.error) == (code, None, "Killed")
    assert read_ending(tmp_path / "gone", exit_code=code).error is None


def test_a_run_that_could_not_start_says_why(tmp_path: Path) -> None:
    line = '{"event":"error","message":"m.csv: not there","exit_code":2}\n'
    found = read_ending(log(tmp_path, line), exit_code=None)
    assert (found.exit_code, found.error) == (2, "m.csv: not there")


@pytest.mark.skipif(os.name == "nt", reason="runs are adopted on POSIX")
def test_another_process_with_the_number_of_a_run_is_left_alone(shop: Shop) -> None:
    """After a restart of the machine the number may be anybody's, and must not be signalled."""
    job = load_job(shop.with_edits(1).job)
    path = log(shop.folder, "")
    going = Going(pid=os.getpid(), log=str(path), started_at=0.0)
    assert Processes({}).adopt(job, going) is None


@pytest.mark.skipif(os.name == "nt", reason="runs are adopted on POSIX")
def test_a_run_is_known_by_its_log_until_it_ends(shop: Shop) -> None:
    job = load_job(shop.write("no manifest").job)
    run = Processes({}).start(job, cap_usd=None)
    going = Going(pid=run.pid, log=str(run.log), started_at=0.0)
    assert Processes({}).adopt(job, going) is not None
    until(lambda: Processes({}).adopt(job, going) is None, seconds=60)
    assert Processes({}).outcome_of(job, going).exit_code == 2
    assert asyncio.run(run.ended()).exit_code == 2


def test_each_model_gets_its_part_of_the_log(shop: Shop) -> None:
    models = ["google/gemini-2.5-flash-image-edit", "google/nano-banana-edit"]
    job = load_job(shop.with_edits(1, models=models).job)
    outputs = [each.outputs.directory for each in single_jobs(job)]
    for folder in outputs:
        (folder / "runs").mkdir(parents=True)
    one, other = [
        f'{{"event":"run_started","run_id":"{name}"}}\n'
        + ended(run_id=name, outputs=str(folder))
        + "in words\n"
        for name, folder in zip("ab", outputs, strict=True)
    ]
    going = Going(pid=1, log=str(log(shop.folder, one, other)), started_at=0.0)
    assert Processes({}).outcome_of(job, going).exit_code == 0
    assert (outputs[0] / "runs" / "a.log").read_text() == one
    assert (outputs[1] / "runs" / "b.log").read_text() == other
    assert not Path(going.log).exists()
    # A process that died in its second run: what it said then is kept.
    cut_off = log(shop.folder, one, "Killed\n")
    assert Processes({}).outcome_of(job, going).exit_code is None
    assert cut_off.read_text().endswith("Killed\n")


def test_a_log_is_that_of_a_run_that_began_while_it_was_written(shop: Shop) -> None:
    """Numbers of processes come again: in a container every night."""
    job = load_job(shop.with_edits(1).job)
    runs = shop.outputs / "runs"
    runs.mkdir(parents=True)
    path = runs / "schedule-20260301T030000-7.log"
    path.touch()
    os.utime(path, (began := calendar.timegm((2026, 3, 1, 3, 0, 0)), began + 60))

    def run(at: float, pid: int = 7) -> RunRow:
        return RunRow(id="r", started_at=at, pid=pid, host="h", version="0", job="j")

    assert log_of(job, run(began + 30)) == path
    assert log_of(job, run(began + 30, pid=8)) is None
    assert log_of(job, run(began - 30)) is None
    assert log_of(job, run(began + 90)) is None
