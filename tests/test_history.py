"""Every run, what it did, and what was different from the one before."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.past_runs import PastRun, RunChange, change_in_words
from pipeline.running import RunResult
from tests.conftest import Shop, command_line, environment
from tests.test_command import statuses, until

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}, **options))


def latest(shop: Shop) -> PastRun:
    return pipeline.history(shop.job, limit=1)[0]


def change_of(shop: Shop) -> RunChange:
    change = latest(shop).change
    assert change is not None
    return change


def test_a_run_says_what_is_new_changed_failing_and_well_again(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    rows = "id,images,prompt\na,mug.jpg,1\nb,mug.jpg,2\nc,gone.jpg,3\n"
    run(shop.write(rows), endpoint)
    first = change_of(shop)
    assert (first.since, first.new, first.newly_failing, first.recovered) == (None, 2, 1, 0)
    run(shop.write(rows.replace("mug.jpg,2", "mug.jpg,other") + "d,mug.jpg,4\n"), endpoint)
    second = change_of(shop)
    assert (second.new, second.changed, second.newly_failing, second.recovered) == (1, 1, 0, 0)
    assert second.since == pipeline.history(shop.job)[1].id
    (shop.manifest.parent / "gone.jpg").write_bytes((shop.manifest.parent / "mug.jpg").read_bytes())
    run(shop, endpoint)
    third = change_of(shop)
    assert (third.new, third.changed, third.newly_failing, third.recovered) == (1, 0, 0, 1)
    assert change_in_words(third)[:2] == ["1 new", "1 recovered"]


def test_an_input_that_is_away_for_two_nights_fails_newly_once(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    mug = shop.with_edits(2).manifest.parent / "mug.jpg"
    run(shop, endpoint)
    mug.rename(mug.with_name("away.jpg"))
    for newly in (2, 0):
        run(shop, endpoint)
        assert (change_of(shop).new, change_of(shop).newly_failing) == (0, newly)


def test_a_run_of_nothing_is_no_run_to_compare_with(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(2), endpoint)
    run(shop, endpoint)
    assert (latest(shop).change, latest(shop).finished) == (None, 0)
    run(shop.with_edits(3), endpoint)
    assert change_of(shop).since == pipeline.history(shop.job)[-1].id


def test_another_price_is_said(shop: Shop, emulator: Emulators) -> None:
    model = "google/gemini-2.5-flash-image-edit"
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(2), endpoint)
    endpoint.use(prices={model: 0.063})
    run(shop.with_edits(4), endpoint)
    change = change_of(shop)
    assert change.price_ratio == pytest.approx(1.5)
    assert change.cost_usd == pytest.approx(0.126 - 0.084)
    assert latest(shop).price_usd == pytest.approx(0.063)
    assert "50% dearer a picture" in change_in_words(change)


def test_small_differences_are_not_worth_a_word() -> None:
    change = RunChange(
        since="x",
        new=0,
        changed=None,
        newly_failing=0,
        recovered=0,
        cost_usd=0.001,
        price_ratio=1.005,
        seconds_ratio=0.95,
    )
    assert change_in_words(change) == []


def test_a_canary_counts_each_edit_once(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(9), emulator(pictures="plain"), canary=3)
    assert (change_of(shop).new, latest(shop).counts) == (9, {"succeeded": 9})


def test_runs_of_chosen_edits_are_marked(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(3), endpoint, only=["e0"])
    run(shop, endpoint)
    whole, chosen = pipeline.history(shop.job)
    assert (whole.partial, chosen.partial) == (False, True)


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_run_has_the_figures_that_its_attempts_left(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0})
    endpoint.hold(after=4)
    shop.with_edits(9, limits={"concurrency": 2})
    line = command_line("run", shop.job, "--base-url", endpoint.url, "--yes")
    process = subprocess.Popen(
        line, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until(lambda: len(endpoint.bill.charges) == 4, seconds=60)
    until(lambda: statuses(shop)["succeeded"] == 4, seconds=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = latest(shop)
    assert (killed.ended, killed.duration_s) == (None, None)
    assert killed.counts["succeeded"] == 4
    assert killed.cost_usd == pytest.approx(0.042 * 4)
    endpoint.go_on()
    run(shop, endpoint)
    after, before = pipeline.history(shop.job)
    assert (before.ended, before.duration_s) == ("process_ended", None)
    assert after.change is not None
    assert after.change.since == before.id


def test_no_ledger_is_no_history(shop: Shop) -> None:
    assert pipeline.history(shop.with_edits(1).job) == ()
    with pytest.raises(pipeline.errors.ConfigError, match="--limit"):
        pipeline.history(shop.job, limit=0)


def test_an_older_ledger_has_runs_without_these_counts(shop: Shop, emulator: Emulators) -> None:
    import sqlite3

    endpoint = emulator(pictures="plain")
    run(shop.with_edits(1), endpoint)
    run(shop.with_edits(2), endpoint)
    with sqlite3.connect(shop.outputs / "ledger.db") as ledger:
        ledger.execute(
            "UPDATE runs SET totals = json_remove(totals, '$.new', '$.changed', "
            "'$.newly_failing', '$.recovered', '$.partial')"
        )
    ledger.close()
    newer, older = pipeline.history(shop.job)
    assert older.change is None
    assert newer.change is not None
    assert (newer.change.new, newer.change.price_ratio) == (None, 1.0)


# --- the commands


def test_history_shows_each_run_with_its_difference_and_what_stopped_it(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(pictures="plain")
    run(shop.with_edits(2), endpoint)
    run(shop.with_edits(9, budget={"run_usd": 0.1}), endpoint)
    done = command("history", shop.job)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    assert "at a cap (5)" in lines[0]
    assert "$0.084  2 succeeded" in lines[0]
    assert lines[1].startswith("2 new")
    assert "budget.run_usd of $0.10 is reached" in done.stdout
    assert "2 new" in lines[-1]
    assert len(command("history", shop.job, "--limit", "1").stdout.strip().splitlines()) < len(
        lines
    )


def test_history_as_json_is_a_line_for_each_run(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    run(shop.with_edits(2), emulator(pictures="plain"))
    [line] = command("history", shop.job, "--json").stdout.splitlines()
    found = json.loads(line)
    assert list(found) == list(PastRun.__struct_fields__)
    assert found["change"]["new"] == 2
    assert command("history", shop.with_edits(1, name="other").job, "--json").stdout == ""


def test_the_history_of_a_job_of_several_models_has_the_runs_of_all(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    models = [
        {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
        {"model": "google/nano-banana-edit", "name": "banana"},
    ]
    url = emulator(pictures="plain").url
    shop.with_edits(2, models=models)
    assert command("run", shop.job, "--base-url", url, "--quiet").returncode == 0
    assert command("run", f"{shop.job}@flash", "--base-url", url, "--quiet").returncode == 0
    runs = pipeline.history(shop.job)
    assert [(run.model, run.finished) for run in runs] == [
        ("flash", 0),
        ("banana", 2),
        ("flash", 2),
    ]
    assert [run.model for run in pipeline.history(shop.job, limit=2)] == ["flash", "banana"]
    assert [run.model for run in pipeline.history(f"{shop.job}@banana")] == [""]
    shown = command("history", shop.job).stdout
    assert [line.split()[1] for line in shown.splitlines() if "finished" in line] == [
        run.model for run in runs
    ]


def test_status_shows_the_differences_of_the_last_runs(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    run(shop.with_edits(3), emulator(pictures="plain"))
    shown = command("status", shop.job).stdout
    assert "3 succeeded" in shown
    assert "3 new" in shown
    told = json.loads(command("status", shop.job, "--json").stdout)
    assert told["history"][0]["change"]["new"] == 3


def test_the_live_page_has_the_differences(shop: Shop, emulator: Emulators) -> None:
    from pipeline.dashboard.folder import Side
    from pipeline.dashboard.standing import history

    endpoint = emulator(pictures="plain")
    run(shop.with_edits(3), endpoint)
    run(shop, endpoint)
    side = Side(job=pipeline.load_job(shop.job), key="shop", path=shop.job, rehearsal=False)
    assert [past.different for past in history(side)] == [(), ("3 new",)]
