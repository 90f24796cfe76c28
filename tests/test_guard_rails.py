"""What ends an unattended run with a message instead of a bill, and what a person is asked."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints.catalog import model_spec
from pipeline.events import Event
from pipeline.guard_rails import GuardReport, Surroundings, judge
from pipeline.job import Job
from pipeline.models import ModelSpec
from pipeline.preview import Plan
from pipeline.running import RunResult
from tests.conftest import Shop
from tests.ledger.samples import change
from tests.terminal import on_a_terminal

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
MODEL = model_spec("google/gemini-2.5-flash-image-edit")
TODAY = date(2026, 9, 1)


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}, **options))


def a_job(**parts: Any) -> Job:
    return Job.model_validate(
        {"name": "x", "manifest": "x.csv", "outputs": {"directory": "outputs/x"}, **parts}
    )


def a_plan(requests: int = 10, **parts: Any) -> Plan:
    counts = dict.fromkeys(
        ("new", "changed", "again", "redo", "unchanged", "kept", "orphaned", "unreadable"), 0
    )
    values: dict[str, Any] = {
        **counts,
        "requests": requests,
        "pictures": requests,
        "cost_usd": requests * 0.042,
        "minutes": 1.0,
        "request_s": 6.0,
        "measured": True,
        "problems": (),
    }
    return Plan(**(values | parts))


def rails(
    job: Job, plan: Plan, model: ModelSpec = MODEL, **around: Any
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    found = judge(job, plan, model, Surroundings(**{"today": TODAY, **around}))
    return tuple([one.rail for one in found.stops]), found.warnings


# --- the judgement


@pytest.mark.parametrize(
    ("costs", "requests", "stops"),
    [
        ([0.42, 0.42, 0.42], 20, False),  # twice: allowed
        ([0.42, 0.42, 0.42], 21, True),
        ([0.42, 100.0, 0.42, 0.42], 21, True),  # one large night is not what is usual
        ([0.42, 0.42], 1000, False),  # two nights are no habit
        ([], 1000, False),
    ],
)
def test_the_plan_is_held_against_the_median_of_the_runs_before(
    costs: list[float], requests: int, stops: bool
) -> None:
    job = a_job(guards={"max_cost_growth": 2.0})
    assert bool(rails(job, a_plan(requests), costs=costs)[0]) is stops
    assert rails(a_job(), a_plan(requests), costs=costs)[0] == ()


def test_a_cap_bounds_what_a_run_may_cost() -> None:
    job = a_job(guards={"max_cost_growth": 2.0})
    costs = [1.0, 1.0, 1.0]
    assert rails(job, a_plan(1000), costs=costs, cap_usd=2.0)[0] == ()
    assert rails(job, a_plan(1000), costs=costs, cap_usd=2.1)[0] == ("max_cost_growth",)


def test_a_template_edit_that_would_pay_everything_again_is_stopped() -> None:
    job = a_job(guards={"max_changed_share": 0.2})
    assert rails(job, a_plan(120, changed=20, unchanged=80, new=100))[0] == ()
    assert rails(job, a_plan(21, changed=21, unchanged=79))[0] == ("max_changed_share",)
    assert rails(job, a_plan(5, changed=100))[0] == (), "--limit 5 pays for five"
    assert rails(job, a_plan(100, new=100))[0] == (), "nothing is known yet"


def test_the_disk_must_hold_the_plan_and_the_reserve() -> None:
    job = a_job(guards={"min_free_bytes": "100MB"})
    around: dict[str, Any] = {"picture_bytes": 5e6}
    assert rails(job, a_plan(10), free_bytes=150_000_000, **around)[0] == ()
    assert rails(job, a_plan(10), free_bytes=149_999_999, **around)[0] == ("min_free_bytes",)
    assert rails(job, a_plan(10), free_bytes=110_000_000)[0] == ("min_free_bytes",), "2 MB each"
    assert rails(job, a_plan(10), free_bytes=None)[0] == (), "the system does not say"
    assert rails(a_job(guards={"min_free_bytes": 0}), a_plan(10), free_bytes=0)[0] == ()
    remote = a_job(
        guards={"min_free_bytes": "100MB"},
        outputs={"directory": "x", "store": "s3://bucket/x"},
    )
    assert rails(remote, a_plan(10_000), free_bytes=100_000_000)[0] == (), "they go elsewhere"


def test_a_model_that_ends_is_warned_of_and_then_stopped() -> None:
    def on(until: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return rails(a_job(guards={"model_until": until}), a_plan())

    assert on("2026-09-16") == ((), ())
    assert on("2026-09-15")[1][0].startswith(f"{MODEL.id} may be asked until 2026-09-15, in 14")
    assert "today" in on("2026-09-01")[1][0]
    assert on("2026-08-31")[0] == ("model_until",)
    assert rails(a_job(guards={"superseded_model": "stop"}), a_plan())[0] == ("superseded_model",)
    other = model_spec("reve/edit-image")
    assert rails(a_job(guards={"superseded_model": "stop"}), a_plan(), other) == ((), ())


def test_nothing_to_do_meets_no_rail() -> None:
    job = a_job(guards={"model_until": "2020-01-01", "max_changed_share": 0.0})
    assert rails(job, a_plan(0, changed=5), free_bytes=0) == ((), ())


# --- in a run


def test_a_growing_bill_is_stopped_before_anything_is_sent(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    guards = {"max_cost_growth": 2.0}
    for edits in (2, 4, 6):
        assert run(shop.with_edits(edits, guards=guards), endpoint).exit_code == 0
    run(shop.with_edits(7), endpoint, limit=1)  # a trial is not compared with
    asked = len(endpoint.requests)
    result = run(shop.with_edits(12, guards=guards), endpoint)
    assert (result.ended, result.exit_code, result.error_type) == ("guarded", 5, "GuardError")
    assert len(endpoint.requests) == asked
    assert "$0.21, 2.5 times the $0.08 that is usual (the median of the last 3" in str(result.error)
    again = run(shop, endpoint, guards=False)
    assert (again.exit_code, again.totals.succeeded) == (0, 5)


def test_an_edited_template_is_stopped_and_a_person_may_let_it_pass(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    guards = {"max_changed_share": 0.5}
    rows = "id,images\na,mug.jpg\nb,mug.jpg\n"
    run(shop.write(rows, guards=guards), endpoint)
    shop.write(rows, prompt="Another", guards=guards)
    assert run(shop, endpoint).exit_code == 5
    shown: list[GuardReport] = []

    def refuse(report: GuardReport) -> bool:
        shown.append(report)
        return False

    assert run(shop, endpoint, allow=refuse).ended == "declined"
    assert [stop.rail for stop in shown[0].stops] == ["max_changed_share"]
    assert len(endpoint.requests) == 2
    assert run(shop, endpoint, allow=lambda report: True).totals.succeeded == 2


def test_another_model_is_named_with_what_it_would_cost_and_the_way_out(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    guards = {"max_changed_share": 0.2}
    run(shop.with_edits(10, guards=guards), endpoint)
    shop.with_edits(12, guards=guards, endpoint={"model": "google/nano-banana-edit"})
    result = run(shop, endpoint)
    assert (result.ended, result.exit_code) == ("guarded", 5)
    assert result.error == (
        "10 of 10 edits that were asked for before have changed (100%: the model was"
        f" {MODEL.id} and is google/nano-banana-edit now) and would be paid for again, for about"
        " $0.42; guards.max_changed_share allows 20%. Nothing was sent (what it would ask for:"
        f" pipeline plan {shop.job}; if that is meant: pipeline run {shop.job} --no-guards, which"
        " goes past them once)"
    )


def test_a_disk_that_fills_up_drains_the_run(
    shop: Shop, emulator: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0})
    endpoint.hold(after=3)
    free = [10**12]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free[0]))
    monkeypatch.setattr("pipeline.guard_rails.DISK_LOOK_S", 0.01)

    def observe(event: Event) -> None:
        if type(event).__name__ == "Finished":
            free[0] = 10**6
        elif type(event).__name__ == "Stopping":
            endpoint.go_on()

    shop.with_edits(50, limits={"concurrency": 2})
    result = run(shop, endpoint, observe=observe)
    assert (result.ended, result.exit_code) == ("guarded", 5)
    assert "only 1.0 MB is free" in str(result.error)
    assert 3 < result.totals.succeeded < 50
    assert (result.totals.failed, result.totals.unknown) == (0, 0)
    assert len(endpoint.bill.charges) == result.totals.succeeded, "what was paid is kept"
    assert run(shop, endpoint).exit_code == 5, "nor does the next run start"
    free[0] = 10**12
    assert run(shop, endpoint, limit=1).exit_code == 0


def test_a_warning_stops_nothing_and_is_told(shop: Shop, emulator: Emulators) -> None:
    until = (datetime.now(UTC).date() + timedelta(days=1)).isoformat()
    shop.with_edits(1, guards={"model_until": until, "warn_days": 30})
    events: list[Event] = []
    result = run(shop, emulator(pictures="plain"), observe=events.append)
    [found] = [event for event in events if isinstance(event, GuardReport)]
    assert result.exit_code == 0
    assert f"may be asked until {until}" in found.line


# --- the command


def test_the_command_ends_with_5_and_says_which_rail_and_the_way_out(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, guards={"min_free_bytes": "900000GB"})
    done = command("run", shop.job, "--base-url", endpoint.url, "--yes", "--json")
    assert done.returncode == 5
    told = json.loads(done.stdout)
    assert (told["ended"], told["error_type"]) == ("guarded", "GuardError")
    assert "guards.min_free_bytes" in told["error"]
    assert endpoint.requests == []
    assert command("run", shop.job, "--base-url", endpoint.url, "--no-guards").returncode == 0


def test_the_plan_says_which_rail_a_run_would_meet(shop: Shop, command: Command) -> None:
    done = command("plan", shop.with_edits(1, guards={"min_free_bytes": "900000GB"}).job)
    assert done.returncode == 0, done.stderr
    assert "guard rail: " in done.stdout
    assert "guard rail" not in command("plan", shop.with_edits(1).job).stdout


def test_the_plan_knows_what_is_left_of_the_days_money(
    shop: Shop, emulator: Emulators, command: Command
) -> None:
    endpoint = emulator(pictures="plain")
    guards = {"max_cost_growth": 2.0}
    for edits in (2, 4, 6):
        assert run(shop.with_edits(edits, guards=guards), endpoint).exit_code == 0
    # Counts today also if midnight comes in between.
    change(shop.outputs / "ledger.db", "UPDATE attempts SET started_at = started_at + 86400")
    shop.with_edits(12, guards=guards)
    assert "3.0 times the $0.08 that is usual" in command("plan", shop.job).stdout
    shop.with_edits(12, guards=guards, budget={"day_usd": 0.4})
    assert "guard rail" not in command("plan", shop.job).stdout, "$0.15 is left of the day"


def test_a_person_is_asked(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, guards={"min_free_bytes": "900000GB"})
    for answer, code, requests in (("n", 130, 0), ("y", 0, 1)):
        with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
            terminal.until("Go past the guard rail, this once? [y/N]")
            assert "guard rail: " in terminal.seen
            terminal.type(f"{answer}\n")
            assert terminal.to_the_end() == code
        assert len(endpoint.requests) == requests


@pytest.mark.parametrize(
    ("guards", "words"),
    [
        ({"max_cost_growth": 0}, "must be greater than 0"),
        ({"max_changed_share": 1.5}, "must be at most 1"),
        ({"min_free_bytes": "lots"}, "is no size"),
        ({"model_until": "soon"}, "guards.model_until"),
        ({"superseded_model": "ask"}, "not among the choices"),
        ({"max_costgrowth": 2}, "did you mean 'max_cost_growth'?"),
    ],
)
def test_a_guard_rail_that_cannot_be_is_refused(
    shop: Shop, guards: dict[str, Any], words: str
) -> None:
    with pytest.raises(pipeline.errors.JobError) as refused:
        pipeline.load_job(shop.with_edits(1, guards=guards).job)
    assert words in str(refused.value)
    assert Path(shop.job).name in str(refused.value)
