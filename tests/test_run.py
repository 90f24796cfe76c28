"""The main job through the Python API, against the emulator over real HTTP."""

import asyncio
import csv
import hashlib
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.engine import Finished
from pipeline.errors import ConfigError, JobError, LockedError, ManifestError
from pipeline.events import Event, Started
from pipeline.ledger import open_reader
from pipeline.running import READ_AHEAD, RunResult
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]
PLAIN: dict[str, Any] = {"pictures": "plain"}


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    options.setdefault("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, **options))


def results(shop: Shop) -> dict[str, dict[str, str]]:
    with (shop.outputs / "results.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_every_edit_gets_its_picture_and_its_row(shop: Shop, emulator: Emulators) -> None:
    shop.write(
        "id,images,prompt,num_images,Colour\n"
        "white,mug.jpg,,,red\n"
        "pair,mug.jpg|mug.jpg,Both of them,2,\n"
    )
    endpoint = emulator(**PLAIN)
    result = run(shop, endpoint)
    assert (result.exit_code, result.totals.succeeded, result.totals.images) == (0, 2, 3)
    table = results(shop)
    assert table["white"]["images"] == "images/white.png"
    assert table["pair"]["images"] == "images/pair.png;images/pair-2.png"
    assert table["white"]["prompt"] == "Make it white"
    assert table["white"]["Colour"] == "red"
    for path, digest in rows(shop, "SELECT path, sha256 FROM images"):
        assert hashlib.sha256((shop.outputs / path).read_bytes()).hexdigest() == digest
    assert (shop.outputs / "runs" / f"{result.run_id}.json").is_file()


def test_the_ledger_says_what_the_bill_says(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    result = run(shop.with_edits(20), endpoint)
    [(spent,)] = rows(shop, "SELECT total(cost_usd) FROM attempts")
    assert spent == pytest.approx(endpoint.bill.total_usd)
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)
    charged = {charge.client_request_id for charge in endpoint.bill.charges}
    assert charged == {name for (name,) in rows(shop, "SELECT id FROM attempts")}


def test_the_second_run_asks_for_nothing(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN, script=[{"when": {"prompt_contains": "number 3"}, "fault": "refused_400"}]
    )
    assert run(shop.with_edits(5), endpoint).exit_code == 3
    asked = len(endpoint.requests)
    again = run(shop, endpoint)
    assert again.exit_code == 0
    assert (again.totals.unchanged, again.totals.kept) == (4, 1)
    assert len(endpoint.requests) == asked


def test_sorting_moving_and_stating_a_default_ask_for_nothing(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(3), endpoint)
    asked = len(endpoint.requests)
    shop.write(
        "prompt,num_images,aspect_ratio,images,id\n"
        + "".join([f"edit number {n},1,auto,moved/mug.jpg,e{n}\n" for n in (2, 0, 1)])
    )
    moved = shop.manifest.parent / "moved"
    moved.mkdir()
    (shop.manifest.parent / "mug.jpg").rename(moved / "mug.jpg")
    assert run(shop, endpoint).totals.unchanged == 3
    assert len(endpoint.requests) == asked


def test_only_what_changed_is_asked_again_and_leaves_no_stale_picture(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(3), endpoint)
    endpoint.use(formats={"jpeg": 1})
    shop.manifest.write_text(shop.manifest.read_text().replace("number 1", "number one"))
    result = run(shop, endpoint)
    assert (result.totals.succeeded, result.totals.unchanged) == (1, 2)
    assert {path.name for path in (shop.outputs / "images").iterdir()} == {
        "e0.png",
        "e1.jpg",
        "e2.png",
    }


def test_an_attempt_is_in_the_ledger_before_its_request_arrives(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(10), endpoint)
    started = dict(rows(shop, "SELECT id, started_at FROM attempts"))
    seen = {
        r["client_request_id"]: datetime.fromisoformat(r["at"]).timestamp()
        for r in endpoint.requests
    }
    assert started.keys() == seen.keys()
    assert all(started[name] < seen[name] + 0.001 for name in seen), "to the log's millisecond"


def test_a_record_is_durable_before_anybody_is_told(shop: Shop, emulator: Emulators) -> None:
    told: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, Finished):
            reader = open_reader(shop.outputs / "ledger.db")
            assert reader is not None
            with reader:
                known = reader.fingerprint_of(event.record.edit.id)
                assert known == (event.record.fingerprint, "succeeded")
            assert all((shop.outputs / image.path).exists() for image in event.record.images)
            told.append(event.record.edit.id)

    run(shop.with_edits(5), emulator(**PLAIN), observe=look)
    assert len(told) == 5


def test_passing_faults_pass_and_the_money_adds_up(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator("storm", seed=11, drip_s=0.1, latency={"median_s": 0})
    shop.with_edits(
        60,
        limits={"concurrency": 12},
        retry={
            "attempts": 12,
            "no_image_attempts": 8,
            "wait_initial_s": 0.01,
            "wait_max_s": 0.05,
            "wait_jitter_s": 0.01,
        },
    )
    result = run(shop, endpoint)
    totals = result.totals
    assert totals.failed == 0, totals.reasons
    assert totals.succeeded + totals.refused == 60
    by_attempt = dict(rows(shop, "SELECT id, coalesce(cost_usd, reserved_usd) FROM attempts"))
    unknown = {name for (name,) in rows(shop, "SELECT id FROM attempts WHERE status = 'unknown'")}
    billed = {c.client_request_id: c.usd for c in endpoint.bill.charges}
    assert billed.keys() <= by_attempt.keys(), "nothing is billed that the ledger does not know"
    for name, usd in by_attempt.items():
        if name not in unknown:
            assert usd == pytest.approx(billed.get(name, 0.0)), name


@pytest.mark.parametrize("fault", ["no_credits", "model_withdrawn"])
def test_a_fatal_answer_stops_the_run_and_marks_nothing_failed(
    shop: Shop, emulator: Emulators, fault: str
) -> None:
    endpoint = emulator(**PLAIN, faults={fault: 1.0})
    result = run(shop.with_edits(50, limits={"concurrency": 2}), endpoint)
    assert (result.exit_code, result.ended) == (4, "fatal")
    assert rows(shop, "SELECT count(*) FROM edits") == [(0,)]
    assert len(endpoint.requests) <= 4
    assert result.error


def test_a_wrong_key_stops_at_once_and_is_shown_nowhere(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, accepted_key="right")
    key = "sk-very-secret-0123456789"
    shop.with_edits(5)
    result = run(shop, endpoint, environ={"AIMLAPI_API_KEY": key})
    assert result.exit_code == 4
    for path in shop.folder.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path
    assert key not in repr(result)


def test_a_cap_stops_before_it_is_passed(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    result = run(shop.with_edits(20, budget={"run_usd": 0.20}), endpoint)
    assert (result.exit_code, result.ended) == (5, "budget")
    assert result.totals.succeeded == 4
    assert endpoint.bill.total_usd <= 0.20
    assert run(shop, endpoint).totals.succeeded == 4, "the next run has its own allowance"


def test_the_cap_of_a_day_counts_earlier_runs(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(20, budget={"day_usd": 0.20})
    assert run(shop, endpoint).totals.succeeded == 4
    assert run(shop, endpoint).totals.succeeded == 0
    assert endpoint.bill.total_usd <= 0.20


def test_a_missing_input_fails_its_edit_and_no_other(shop: Shop, emulator: Emulators) -> None:
    shop.write("id,images\ngood,mug.jpg\nbad,gone.jpg\n")
    endpoint = emulator(**PLAIN)
    result = run(shop, endpoint)
    assert result.exit_code == 3
    assert results(shop)["bad"]["error_code"] == "input"
    assert "gone.jpg" in results(shop)["bad"]["error_message"]
    (shop.manifest.parent / "gone.jpg").write_bytes((shop.manifest.parent / "mug.jpg").read_bytes())
    assert run(shop, endpoint).totals.succeeded == 1, "tried again once it is there"


def test_wrong_rows_at_the_start_refuse_the_run_all_at_once(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    shop.write("id,images,num_images\na,mug.jpg,9\na,mug.jpg,1\nb,../../x.jpg,1\n")
    with pytest.raises(ManifestError) as error:
        run(shop, endpoint)
    assert len(str(error.value).splitlines()) == 3
    assert all(f"shop.csv:{row}: " in str(error.value) for row in (2, 3, 4))
    assert endpoint.requests == []


def test_a_wrong_row_late_in_a_long_manifest_fails_alone(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(READ_AHEAD + 10)
    with shop.manifest.open("a") as file:
        file.write("late,mug.jpg|mug.jpg|mug.jpg|mug.jpg,too many\n")
    result = run(shop, endpoint, only=["e5001", "late"])
    assert (result.totals.succeeded, result.totals.failed) == (1, 1)
    assert "at most 3" in results(shop)["late"]["error_message"]


def test_an_unknown_outcome_is_held_for_a_person_if_the_job_says_so(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(
        **PLAIN, script=[{"when": {"prompt_contains": "number 1"}, "fault": "reset_after_work"}]
    )
    shop.with_edits(3, retry={"on_unknown": "hold"})
    result = run(shop, endpoint)
    assert (result.totals.succeeded, result.totals.unknown) == (2, 1)
    assert result.totals.unknown_usd == pytest.approx(0.042)
    assert rows(shop, "SELECT status, cost_usd FROM attempts WHERE edit_id = 'e1'") == [
        ("unknown", None)
    ]
    again = run(shop, endpoint)
    assert again.totals.kept == 1
    assert len(endpoint.bill.charges) == 3


def test_what_could_not_be_used_is_kept_for_a_person(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN,
        script=[
            {"when": {"prompt_contains": "number 0"}, "fault": "not_a_picture", "times": 1},
            {"when": {"prompt_contains": "number 1"}, "fault": "empty_choices", "times": 1},
        ],
    )
    result = run(shop.with_edits(2), endpoint)
    assert (result.totals.succeeded, result.totals.retries) == (2, 2)
    kept = {path.stem for path in (shop.outputs / "unparsed").iterdir()}
    assert kept == {
        name for (name,) in rows(shop, "SELECT id FROM attempts WHERE status = 'failed'")
    }
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)


def test_only_takes_globs_and_limit_counts_requests(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(12)
    assert run(shop, endpoint, only=["e1*"]).totals.succeeded == 3
    assert run(shop, endpoint, limit=4).totals.succeeded == 4
    with pytest.raises(ConfigError, match="nothing-like-it"):
        run(shop, endpoint, only=["nothing-like-it"])


def test_a_ledger_belongs_to_one_endpoint(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1), emulator(**PLAIN))
    assert run(shop, emulator(**PLAIN)).totals.unchanged == 1, "on whatever port"
    with pytest.raises(ConfigError, match="--accept-origin"):
        asyncio.run(pipeline.run(shop.job, environ={"AIMLAPI_API_KEY": "k"}))


def test_without_a_key_nothing_starts_and_the_ways_out_are_named(shop: Shop) -> None:
    with pytest.raises(ConfigError) as error:
        asyncio.run(pipeline.run(shop.with_edits(1).job, environ={}))
    assert "AIMLAPI_API_KEY" in str(error.value)
    assert "--rehearse" in str(error.value)
    assert not shop.outputs.exists()


def test_the_key_may_lie_in_a_dotenv_beside_the_job(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, accepted_key="from-the-file")
    shop.with_edits(1)
    (shop.job.parent / ".env").write_text("AIMLAPI_API_KEY=from-the-file\n")
    assert run(shop, endpoint).exit_code == 0


def test_two_runs_of_one_job_exclude_each_other(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    endpoint.hold()
    shop.with_edits(2)
    refused: list[LockedError] = []

    async def both() -> RunResult:
        async def second(event: Event) -> None:
            with pytest.raises(LockedError, match="process") as error:
                await pipeline.run(shop.job, base_url=endpoint.url, environ={})
            refused.append(error.value)
            endpoint.go_on()

        tasks: list[asyncio.Task[None]] = []

        def observe(event: Event) -> None:
            if isinstance(event, Started):
                tasks.append(asyncio.create_task(second(event)))

        result = await pipeline.run(shop.job, base_url=endpoint.url, environ={}, observe=observe)
        await asyncio.gather(*tasks)
        return result

    assert asyncio.run(both()).exit_code == 0
    assert len(refused) == 1


def test_declining_the_plan_sends_nothing(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    plans: list[pipeline.Plan] = []

    def decline(plan: pipeline.Plan) -> bool:
        plans.append(plan)
        return False

    result = run(shop.with_edits(3), endpoint, confirm=decline)
    assert result.ended == "declined"
    assert (plans[0].requests, plans[0].cost_usd) == (3, pytest.approx(0.126))
    assert endpoint.requests == []


def test_plan_tells_new_changed_unchanged_and_orphaned(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(4, limits={"requests_per_minute": 2, "concurrency": 100})
    assert pipeline.plan(shop.job).new == 4
    assert pipeline.plan(shop.job).minutes == pytest.approx(2.0)
    run(shop.with_edits(4), endpoint)
    shop.write("id,images,prompt\ne0,mug.jpg,edit number 0\ne1,mug.jpg,else\nnew,mug.jpg,x\n")
    found = pipeline.plan(shop.job)
    assert (found.new, found.changed, found.unchanged, found.orphaned) == (1, 1, 1, 2)
    assert (found.requests, found.pictures, found.measured) == (2, 2, True)
    assert len(endpoint.requests) == 4


def test_read_ledger_gives_a_data_frame(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(3), emulator(**PLAIN))
    for source in (shop.job, shop.outputs, shop.outputs / "ledger.db"):
        frame = pipeline.read_ledger(source)
        assert list(frame["id"]) == ["e0", "e1", "e2"]
    assert frame["cost_usd"].sum() == pytest.approx(0.126)


async def test_it_runs_inside_a_running_loop(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    result = await pipeline.run(shop.with_edits(2).job, base_url=endpoint.url, environ={})
    assert result.totals.succeeded == 2


def test_urls_pass_as_they_are_or_are_fetched_and_embedded(
    shop: Shop, emulator: Emulators, picture_server: Callable[[Path], str]
) -> None:
    shop.with_edits(1)
    url = picture_server(shop.manifest.parent / "mug.jpg")
    endpoint = emulator(**PLAIN)
    shop.write(f"id,images\nu,{url}\n")
    assert run(shop, endpoint).exit_code == 0
    assert endpoint.requests[-1]["body"]["image_urls"][0]["url"] == url
    shop.write(f"id,images,prompt\nu,{url},embedded\n", inputs={"embed_urls": True})
    assert run(shop, endpoint).exit_code == 0
    assert endpoint.requests[-1]["body"]["image_urls"][0]["mime"] == "image/jpeg"
    shop.write(f"id,images,prompt\nu,{url}.gone,embedded\n", inputs={"embed_urls": True})
    assert "404" in str(run(shop, endpoint).totals.reasons)


def test_a_data_uri_is_prepared_like_a_file(shop: Shop, emulator: Emulators) -> None:
    import base64

    endpoint = emulator(**PLAIN)
    shop.with_edits(1)
    data = base64.b64encode((shop.manifest.parent / "mug.jpg").read_bytes()).decode()
    shop.write(f'id,images\nd,"data:image/png;base64,{data}"\n')
    assert run(shop, endpoint).exit_code == 0
    assert endpoint.requests[0]["body"]["image_urls"][0]["mime"] == "image/jpeg", "the true type"


def test_the_nearest_listed_ratio_is_sent_unless_the_row_says_otherwise(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    shop.write("id,images,prompt,aspect_ratio\na,mug.jpg,x,\nb,mug.jpg,y,21:9\n")
    run(shop, endpoint)
    sent = {r["body"]["prompt"]: r["body"]["aspect_ratio"] for r in endpoint.requests}
    assert sent["y"] == "21:9"
    assert sent["x"] in ("4:3", "5:4", "3:2", "1:1")


def test_a_job_file_that_is_wrong_says_where(shop: Shop) -> None:
    shop.with_edits(1, promt="x")
    with pytest.raises(JobError, match=r"shop.yaml:\d+: unknown key 'promt' .*'prompt'"):
        pipeline.load_job(shop.job)
