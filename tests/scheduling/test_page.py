"""When jobs run next, on the live page."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.scheduling import listed
from pipeline.scheduling.memory import Following
from tests.conftest import Shop
from tests.dashboard.conftest import serve
from tests.dashboard.serving import Server
from tests.scheduling.test_schedule_command import MODELS, Nights, nights, posix, scheduler
from tests.test_command import until

__all__ = ["nights", "serve"]


def test_the_page_says_when_a_job_runs_next_and_whether_anybody_is_there(
    shop: Shop, serve: Callable[..., Server]
) -> None:
    shop.with_edits(1, schedule={"cron": "0 3 1 7 *", "timezone": "Europe/Berlin"})
    server = serve(shop.job.parent)
    found = server.json("/api/jobs/shop")["coming"]
    assert found["local"].endswith("-07-01 03:00 CEST")
    assert datetime.fromtimestamp(found["at"], UTC).strftime("%m-%d %H:%M") == "07-01 01:00"
    assert found["followed"] is False

    following = Following()
    assert following.take(shop.outputs)
    try:
        assert server.json("/api/jobs/shop")["coming"]["followed"] is True
    finally:
        following.close()


def test_each_model_of_a_job_runs_when_the_whole_one_does(
    shop: Shop, serve: Callable[..., Server]
) -> None:
    models = ["google/gemini-2.5-flash-image-edit", "google/nano-banana-edit"]
    shop.with_edits(1, models=models, schedule={"cron": "@daily", "jitter": "1h"})
    following = Following()
    assert following.take(shop.outputs)
    try:
        found = serve(shop.job.parent).json("/api/jobs/shop@nano-banana-edit")["coming"]
    finally:
        following.close()
    [listed_now] = listed(shop.job.parent)
    assert found["followed"] is True
    assert found["at"] == pytest.approx(
        listed_now.next[0].at + listed_now.next[0].jitter_s, abs=0.1
    ), "with the lot of the whole job"


def test_a_job_without_a_schedule_and_a_rehearsal_have_no_next_run(
    shop: Shop, serve: Callable[..., Server]
) -> None:
    schedule: dict[str, Any] = {"cron": "@daily"}
    shop.with_edits(1)
    server = serve(shop.job.parent)
    assert server.json("/api/jobs/shop")["coming"] is None
    shop.with_edits(1, schedule=schedule)
    assert server.json("/api/jobs/shop")["coming"]["local"].endswith("00:00 UTC")
    assert server.json("/api/rehearsals/shop")["coming"] is None


@posix
def test_the_log_of_a_scheduled_run_is_shown_while_it_goes_on(
    nights: Nights, serve: Callable[..., Server]
) -> None:
    nights.job("shoes", 3, missed=True, models=MODELS, limits={"concurrency": 1})
    nights.endpoint.hold(after=4)
    with scheduler(nights) as lines:
        until(lambda: nights.endpoint.bill.pictures == 4)
        server = serve(nights.folder)
        address = "/api/jobs/shoes@banana"
        until(lambda: any(run["has_log"] for run in server.json(f"{address}/runs")))
        [run] = server.json(f"{address}/runs")
        log = f"{address}/runs/{run['id']}/log"
        until(lambda: f'"run_started","run_id":"{run["id"]}"' in server.json(log)["text"])
        assert server.json(log)["grows"]
        nights.endpoint.go_on()
        lines.wait_for("run_ended")
        for name in ("flash", "banana"):
            address = f"/api/jobs/shoes@{name}/runs"
            [run] = server.json(address)
            part = server.json(f"{address}/{run['id']}/log")
            assert run["has_log"]
            assert not part["grows"]
            events = [line for line in part["text"].splitlines() if line.startswith("{")]
            said = [json.loads(line) for line in events]
            assert {one["run_id"] for one in said if one["event"] == "run_ended"} == {run["id"]}
            assert sum(one["event"] == "edit_finished" for one in said) == 3
