"""Runs that are started and steered from the page: real processes against the emulator."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest

from pipeline.dashboard.reading import LOG_BYTES, read_log
from pipeline.dashboard.wishes import Wish
from pipeline.emulator.profile import shipped_profiles
from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop, command_line, environment
from tests.dashboard.serving import KEY, Server

Serve = Callable[..., Server]
Emulators = Callable[..., RunningEmulator]


def ended(standing: Any) -> bool:
    run, process = standing["last_run"], standing["process"]
    return bool(run and run["ended"] and process and process["exit_code"] is not None)


@pytest.fixture
def endpoint(emulator: Emulators) -> RunningEmulator:
    return emulator(pictures="plain", latency={"median_s": 0.02, "sigma": 0.1})


@pytest.fixture
def server(serve: Serve, shop: Shop, endpoint: RunningEmulator) -> Server:
    shop.with_edits(
        40,
        endpoint={"base_url": endpoint.url},
        limits={"concurrency": 4, "adaptive": False},
        budget={"run_usd": 5},
    )
    return serve(shop.job.parent)


def test_a_run_is_watched_from_its_plan_to_its_log(
    server: Server, shop: Shop, endpoint: RunningEmulator
) -> None:
    endpoint.hold(after=2)
    offer = server.post("/api/jobs/shop/plan", {"limit": 10}).json()
    assert (offer["plan"]["requests"], offer["plan"]["cost_usd"]) == (10, 0.42)
    assert (offer["complete"], offer["cap_usd"]) == (True, 5)
    assert not endpoint.requests, "a plan sends nothing"
    seen: list[Any] = []
    with server.events("/api/jobs/shop/events") as standings:
        started = server.post("/api/jobs/shop/start", {"ticket": offer["ticket"]})
        assert started.status_code == 202
        for standing in standings:
            seen.append(standing)
            if standing["live"] and standing["live"]["done"] == 2:
                endpoint.go_on()
            if ended(standing):
                break
    live = [each["live"] for each in seen if each["live"]]
    assert all(one["pid"] == started.json()["pid"] for one in live)
    done = [one["done"] for one in live]
    assert done == sorted(done)
    assert 2 in done, "the run answered while it went on"
    assert seen[-1]["state"] == "done"
    assert seen[-1]["edits"] == {"succeeded": 10}
    assert seen[-1]["process"]["exit_code"] == 0
    assert seen[-1]["money"]["spent"] == pytest.approx(endpoint.bill.total_usd)
    [run] = server.json("/api/jobs/shop/runs")
    assert (run["ended"], run["totals"]["succeeded"], run["has_log"]) == ("finished", 10, True)
    log = server.json(f"/api/jobs/shop/runs/{run['id']}/log")
    assert log["text"].count('"event":"edit_finished"') == 10
    assert KEY["AIMLAPI_API_KEY"] not in log["text"]
    rest = server.json(f"/api/jobs/shop/runs/{run['id']}/log?from={log['next']}")
    assert (rest["text"], rest["next"], rest["grows"]) == ("", log["size"], False)


def test_the_log_of_a_run_that_was_started_elsewhere_grows_until_its_process_ends(
    server: Server, shop: Shop, endpoint: RunningEmulator
) -> None:
    """A run has its end in the ledger before its process has written its last lines."""
    runs = shop.outputs / "runs"
    runs.mkdir(parents=True)
    with (runs / "mine.log").open("wb") as log:
        process = subprocess.Popen(
            command_line("run", shop.job, "--yes", "--log-json"),
            env=environment(KEY),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    # Its end stays unread here, and so its process is there, until `wait`.
    last = server.until("jobs/shop", lambda s: s["last_run"] and s["last_run"]["ended"])["last_run"]
    (runs / "mine.log").rename(runs / f"{last['id']}.log")
    address = f"/api/jobs/shop/runs/{last['id']}/log"
    assert server.json(address)["grows"]
    assert process.wait(60) == 0
    log_at_its_end = server.json(address)
    assert not log_at_its_end["grows"]
    assert log_at_its_end["next"] == log_at_its_end["size"]


def test_a_line_that_is_not_whole_yet_is_left_for_the_next_part(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text('{"event": "one"}\n{"event"')
    part = read_log([log], None, grows=True)
    assert (part["text"], part["next"]) == ('{"event": "one"}\n', 17)
    assert read_log([log], 17, grows=True)["text"] == ""
    log.write_text('{"event": "one"}\n{"event": "two"}\n')
    assert read_log([log], 17, grows=True)["text"] == '{"event": "two"}\n'
    log.write_text("cut off")
    assert read_log([log], None, grows=False)["text"] == "cut off"
    log.write_text("x" * (LOG_BYTES + 1))
    assert read_log([log], 0, grows=True)["next"] == LOG_BYTES


def test_a_ticket_is_good_once(server: Server) -> None:
    ticket = server.post("/api/jobs/shop/plan", {"limit": 1}).json()["ticket"]
    assert server.post("/api/jobs/shop/start", {"ticket": ticket}).status_code == 202
    server.until("jobs/shop", ended)
    again = server.post("/api/jobs/shop/start", {"ticket": ticket})
    assert again.status_code == 409
    assert "look at it again" in again.json()["error"]


def test_nothing_starts_without_a_ticket_or_with_another_jobs(server: Server, shop: Shop) -> None:
    ticket = server.post("/api/rehearsals/shop/plan", {"limit": 1}).json()["ticket"]
    for given in (ticket, "", "made-up"):
        assert server.post("/api/jobs/shop/start", {"ticket": given}).status_code == 409
    assert server.post("/api/jobs/shop/start", {}).status_code == 400
    assert not (shop.outputs / "runs").exists()


def test_a_plan_that_is_not_true_any_more_is_not_started(server: Server, shop: Shop) -> None:
    ticket = server.post("/api/jobs/shop/plan", {"limit": 1}).json()["ticket"]
    with shop.manifest.open("a") as manifest:
        manifest.write("one-more,mug.jpg,and dearer\n")
    answer = server.post("/api/jobs/shop/start", {"ticket": ticket})
    assert answer.status_code == 409
    assert "changed since" in answer.json()["error"]


def test_two_clicks_are_one_run(server: Server, endpoint: RunningEmulator) -> None:
    endpoint.hold()
    tickets = [server.post("/api/jobs/shop/plan", {}).json()["ticket"] for _ in range(2)]
    answers = [server.post("/api/jobs/shop/start", {"ticket": ticket}) for ticket in tickets]
    assert [answer.status_code for answer in answers] == [202, 409]
    assert "a run of this job is going on" in answers[1].json()["error"]
    server.until("jobs/shop", lambda standing: standing["live"])
    server.post("/api/jobs/shop/stop")
    endpoint.go_on()
    server.until("jobs/shop", ended)
    assert len(server.json("/api/jobs/shop/runs")) == 1


def test_pause_holds_everything_and_resume_goes_on(
    server: Server, endpoint: RunningEmulator
) -> None:
    endpoint.hold(after=3)
    server.start("jobs/shop")
    server.until("jobs/shop", lambda standing: standing["live"] and standing["live"]["done"] == 3)
    assert server.post("/api/jobs/shop/pause").json()["state"] == "paused"
    endpoint.go_on()
    held = server.until("jobs/shop", lambda s: s["live"] and s["live"]["in_flight"] == 0)
    assert (held["state"], held["tone"]) == ("paused", "warn")
    asked = len(endpoint.requests)
    assert asked == 7, "what was in flight was answered"
    with server.events("/api/jobs/shop/events") as standings:
        for _, standing in zip(range(3), standings, strict=False):
            assert standing["state"] == "paused"
    assert len(endpoint.requests) == asked
    assert server.post("/api/jobs/shop/resume").json()["state"] == "running"
    assert server.until("jobs/shop", ended)["edits"] == {"succeeded": 40}


def test_tune_changes_the_limits_and_stop_keeps_what_is_in_flight(
    server: Server, endpoint: RunningEmulator
) -> None:
    endpoint.hold()
    server.start("jobs/shop")
    server.until("jobs/shop", lambda standing: standing["live"])
    tuned = server.post("/api/jobs/shop/tune", {"concurrency": 2})
    assert tuned.json()["stated_concurrency"] == 2
    standing = server.until(
        "jobs/shop", lambda s: s["live"] and s["live"]["stated_concurrency"] == 2
    )
    assert standing["live"]["concurrency"] <= 2
    assert server.post("/api/jobs/shop/tune", {}).status_code == 400
    assert server.post("/api/jobs/shop/tune", {"concurrency": 0}).status_code == 400
    assert server.post("/api/jobs/shop/stop").status_code == 200
    endpoint.go_on()
    last = server.until("jobs/shop", ended)
    assert (last["state"], last["process"]["exit_code"]) == ("interrupted", 130)
    assert sum(last["edits"].values()) == len(endpoint.requests)


@pytest.mark.parametrize("action", ["pause", "resume", "stop"])
def test_without_a_run_there_is_nothing_to_steer(server: Server, action: str) -> None:
    answer = server.post(f"/api/jobs/shop/{action}")
    assert answer.status_code == 409
    assert "no run" in answer.json()["error"]


def test_a_start_that_fails_shows_its_code_and_its_last_words(server: Server, shop: Shop) -> None:
    """Here another program holds the lock and says nothing: the lock decides, not the page."""
    shop.outputs.mkdir(parents=True)
    with filelock.FileLock(shop.outputs / "lock"):
        server.start("jobs/shop")
        standing = server.until(
            "jobs/shop", lambda s: s["process"] and s["process"]["exit_code"] is not None
        )
    assert (standing["state"], standing["tone"]) == ("not started", "bad")
    assert standing["process"]["exit_code"] == 6
    assert "another run of this job is going on" in standing["process"]["last_words"]
    assert standing["words"] == standing["process"]["last_words"]


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(
    server: Server, shop: Shop, endpoint: RunningEmulator
) -> None:
    endpoint.hold()
    run = subprocess.Popen(
        command_line("run", shop.job, "--yes"),
        env=environment(KEY),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        live = server.until("jobs/shop", lambda standing: standing["live"])
        assert live["live"]["pid"] == run.pid, "started elsewhere, and watched all the same"
        offer = server.post("/api/jobs/shop/plan", {}).json()
        answer = server.post("/api/jobs/shop/start", {"ticket": offer["ticket"]})
        assert answer.status_code == 409
    finally:
        run.kill()
        run.wait(60)
    dead = server.until("jobs/shop", lambda standing: standing["state"] == "died")
    assert dead["tone"] == "bad"
    assert "it goes on" in dead["words"]


def test_what_was_refused_is_asked_for_again_and_nothing_else(
    server: Server, endpoint: RunningEmulator
) -> None:
    endpoint.use(script=[{"when": {"prompt_contains": "number 3"}, "fault": "refused_400"}])
    server.start("jobs/shop", limit=5)
    first = server.until("jobs/shop", ended)
    assert first["edits"] == {"succeeded": 4, "refused": 1}
    assert (first["state"], first["tone"]) == ("done, not all", "warn")
    assert [each["error_code"] for each in first["problems"]] == ["refused"]
    endpoint.use(script=[])
    offer = server.post("/api/jobs/shop/plan", {"command": "retry", "status": ["refused"]}).json()
    assert (offer["plan"]["requests"], offer["plan"]["cost_usd"]) == (1, 0.042)
    server.post("/api/jobs/shop/start", {"ticket": offer["ticket"]})
    server.until("jobs/shop", lambda s: s["edits"] == {"succeeded": 5} and ended(s))


def test_a_cap_that_stops_a_run_is_shown(server: Server) -> None:
    server.start("jobs/shop", max_cost_usd=0.1)
    standing = server.until("jobs/shop", ended)
    assert (standing["state"], standing["tone"]) == ("stopped at its cap", "warn")
    assert standing["process"]["exit_code"] == 5
    assert standing["money"]["spent"] <= 0.1


def test_a_rehearsal_has_a_page_of_its_own(server: Server, endpoint: RunningEmulator) -> None:
    server.start("rehearsals/shop", limit=2, profile="calm")
    assert server.until("rehearsals/shop", ended)["edits"] == {"succeeded": 2}
    assert not endpoint.requests, "it has its own endpoint"
    assert server.json("/api/jobs/shop")["state"] == "never run"
    [listed] = server.json("/api/jobs")
    assert listed["rehearsal"]["edits"] == {"succeeded": 2}


def test_words_cannot_become_options(server: Server, shop: Shop) -> None:
    offer = server.post("/api/jobs/shop/plan", {"only": ["--base-url=http://evil.example"]})
    assert offer.json()["plan"]["requests"] == 0
    assert "--only=--base-url=http://evil.example" in offer.json()["command"]


def test_the_profiles_on_offer_are_the_emulators() -> None:
    offered = Wish.__annotations__["profile"].__args__
    assert set(offered) == set(shipped_profiles())
