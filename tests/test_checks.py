"""Checks in a run: what turns a picture down, what follows, what it costs, what is written."""

import asyncio
import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, JobError
from pipeline.events import Event
from pipeline.models import Decision
from pipeline.running import RunResult
from pipeline.setbacks import Retrying
from tests.conftest import MUG, Shop, command_line, environment
from tests.endpoints.scripted_server import http, scripted_server
from tests.test_command import until

Emulators = Callable[..., RunningEmulator]
PRICE = 0.042
ALL = {
    "min_size": 500,
    "ratio": True,
    "not_blank": True,
    "not_unchanged": True,
    "not_duplicate": True,
}
BLANK = {"fault": "blank_picture"}


def run(shop: Shop, url: str, **options: Any) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=url, environ={}, **options))


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def failed_checks(shop: Shop) -> list[tuple[str, str]]:
    return rows(shop, "SELECT edit_id, name FROM checks WHERE NOT passed ORDER BY 1, 2")


def images(shop: Shop) -> list[str]:
    folder = shop.outputs / "images"
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def table(shop: Shop) -> list[dict[str, str]]:
    with (shop.outputs / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- what turns a picture down


def test_an_ordinary_answer_passes_and_says_what_was_measured(
    shop: Shop, emulator: Emulators
) -> None:
    result = run(shop.with_edits(2, checks=ALL), emulator().url)
    assert (result.totals.succeeded, result.totals.checks) == (2, ())
    measured = rows(shop, "SELECT name, value, \"limit\" FROM checks WHERE edit_id = 'e0'")
    assert {name for name, _, _ in measured} == {"decodes", *ALL}
    assert ("min_size", 864.0, 500.0) in measured
    assert [row["checks"] for row in table(shop)] == ["", ""]


@pytest.mark.parametrize(
    ("checks", "fault", "failed"),
    [
        ({"not_blank": True}, "blank_picture", "not_blank"),
        ({"not_unchanged": True}, "no_op_edit", "not_unchanged"),
        ({"ratio": True}, "wrong_shape", "ratio"),
        ({"min_size": 5000}, None, "min_size"),
        ({"background_white": True}, None, "background_white"),
        ({"subject_kept": {"unmeasured": "reject"}}, None, "subject_kept"),
    ],
)
def test_each_check_turns_down_what_it_is_for(
    shop: Shop, emulator: Emulators, checks: dict[str, Any], fault: str | None, failed: str
) -> None:
    script = [{"fault": fault}] if fault else []
    result = run(shop.with_edits(1, checks=checks), emulator(script=script).url)
    assert (result.totals.rejected, result.exit_code) == (1, 3)
    assert [(one.name, one.edits) for one in result.totals.checks] == [(failed, 1)]
    [row] = table(shop)
    assert (row["status"], row["error_code"]) == ("rejected", "check_failed")
    assert (row["checks"], row["images"]) == (failed, f"images/{images(shop)[0]}")
    assert row["error_message"].startswith(f"{failed}: ")


def test_a_white_border_passes_its_check(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(script=[BLANK])
    result = run(shop.with_edits(1, checks={"background_white": True}), endpoint.url)
    assert result.totals.succeeded == 1


def test_the_same_picture_for_two_edits_is_turned_down_once(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(script=[{"fault": "repeated_picture"}])
    result = run(shop.with_edits(3, checks={"not_duplicate": True}), endpoint.url)
    assert (result.totals.succeeded, result.totals.rejected) == (1, 2)
    [(first,)] = rows(shop, "SELECT id FROM edits WHERE status = 'succeeded'")
    for (message,) in rows(shop, "SELECT error_message FROM edits WHERE status = 'rejected'"):
        assert f"the same file as {first}" in message


def test_a_later_run_knows_the_pictures_of_earlier_ones(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(script=[{"fault": "repeated_picture"}])
    run(shop.with_edits(1, checks={"not_duplicate": True}), endpoint.url)
    result = run(shop.with_edits(2, checks={"not_duplicate": True}), endpoint.url)
    assert (result.totals.unchanged, result.totals.rejected) == (1, 1)
    assert failed_checks(shop) == [("e1", "not_duplicate")]


def test_what_was_turned_down_does_not_stand_in_the_way_of_others(
    shop: Shop, emulator: Emulators
) -> None:
    """A picture that fails is not remembered: the next edit may bring the same."""
    checks = {"not_duplicate": True, "min_size": 5000}
    endpoint = emulator(script=[{"fault": "repeated_picture"}])
    run(shop.with_edits(2, checks=checks), endpoint.url)
    assert failed_checks(shop) == [("e0", "min_size"), ("e1", "min_size")]


def test_a_jpeg_that_is_called_png_is_a_picture(shop: Shop) -> None:
    """What it is called is never asked: its bytes are JPEG, and so is its name here."""
    import base64

    picture = base64.b64encode(MUG.read_bytes()).decode()
    answer = {"images": [{"url": None, "b64_json": picture, "content_type": "image/png"}]}

    async def go() -> RunResult:
        async with scripted_server(http(answer)) as server:
            return await pipeline.run(shop.job, base_url=server.url, environ={}, preflight=False)

    shop.with_edits(1, checks={"min_size": 100, "not_unchanged": True})
    result = asyncio.run(go())
    assert images(shop) == ["e0.jpg"]
    assert failed_checks(shop) == [("e0", "not_unchanged")]
    assert result.totals.rejected == 1


def test_a_picture_that_breaks_off_inside_is_turned_down(shop: Shop) -> None:
    """Its container is whole, so it is kept; only decoding finds out."""
    import base64
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    head = (64).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixels = zlib.compress(bytes(64 * 193))[:20]
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels)
    data += chunk(b"IEND", b"")
    answer = {"data": [{"url": None, "b64_json": base64.b64encode(data).decode()}]}

    async def go() -> RunResult:
        async with scripted_server(http(answer)) as server:
            return await pipeline.run(shop.job, base_url=server.url, environ={}, preflight=False)

    shop.with_edits(1, checks={"decodes": True})
    assert asyncio.run(go()).totals.rejected == 1
    assert failed_checks(shop) == [("e0", "decodes")]


# --- asked again


def test_a_wrong_picture_is_asked_for_again_and_the_right_one_kept(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(script=[{**BLANK, "times": 1}])
    events: list[Event] = []
    result = run(
        shop.with_edits(1, checks={**ALL, "rerolls": 2}), endpoint.url, observe=events.append
    )
    assert (result.totals.succeeded, result.totals.rerolls, result.totals.retries) == (1, 1, 1)
    assert result.totals.cost_usd == pytest.approx(2 * PRICE)
    assert endpoint.bill.total_usd == pytest.approx(2 * PRICE)
    assert images(shop) == ["e0.png"]
    assert failed_checks(shop) == []
    [said] = [event for event in events if isinstance(event, Retrying)]
    assert (said.code, said.wait_s) == ("check_failed", 0.0)
    assert "hardly anything is to be seen" in said.message
    attempts = rows(shop, "SELECT number, status, error_code FROM attempts ORDER BY number")
    assert attempts == [(1, "succeeded", "check_failed"), (2, "succeeded", None)]


def test_the_best_of_all_answers_is_kept_when_none_is_right(
    shop: Shop, emulator: Emulators
) -> None:
    """The second fails one check, the others two."""
    checks = {"min_size": 5000, "not_blank": True, "rerolls": 2}
    endpoint = emulator(script=[{**BLANK, "when": {"nth": 1}}, {**BLANK, "when": {"nth": 3}}])
    result = run(shop.with_edits(1, checks=checks), endpoint.url)
    assert (result.totals.rejected, result.totals.rerolls) == (1, 2)
    assert failed_checks(shop) == [("e0", "min_size")]
    [(path, sha256)] = rows(shop, "SELECT path, sha256 FROM images")
    assert path == "images/e0.png"
    assert images(shop) == ["e0.png"]
    with Image.open(shop.outputs / path) as picture:
        assert len(picture.convert("RGB").getcolors(2_000_000) or ()) > 2, "not the blank one"
    import hashlib

    assert hashlib.sha256((shop.outputs / path).read_bytes()).hexdigest() == sha256
    assert "asked again 2 times" in table(shop)[0]["error_message"]


def test_re_rolls_cost_no_more_than_they_may_with_many_in_flight(
    shop: Shop, emulator: Emulators
) -> None:
    """Twelve edits at once, money for three re-rolls: exactly three are asked."""
    endpoint = emulator(pictures="plain", script=[BLANK], latency={"median_s": 0.02})
    shop.with_edits(
        12,
        checks={"not_blank": True, "rerolls": 5, "reroll_budget_usd": 3 * PRICE + 0.01},
        limits={"concurrency": 12},
    )
    result = run(shop, endpoint.url)
    assert (result.totals.rejected, result.totals.rerolls) == (12, 3)
    assert len(endpoint.requests) == 15
    assert result.totals.cost_usd == pytest.approx(15 * PRICE)
    messages = [row["error_message"] for row in table(shop)]
    assert all("checks.reroll_budget_usd is used up" in message for message in messages)


def test_the_run_s_own_cap_holds_for_re_rolls_and_loses_no_picture(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", script=[BLANK])
    shop.with_edits(
        1, checks={"not_blank": True, "rerolls": 5}, budget={"run_usd": 2 * PRICE + 0.001}
    )
    result = run(shop, endpoint.url)
    assert (result.totals.rejected, len(endpoint.requests)) == (1, 2)
    assert "budget.run_usd" in table(shop)[0]["error_message"]
    assert images(shop) == ["e0.png"]


def test_a_re_roll_that_fails_leaves_the_picture_that_was_there(
    shop: Shop, emulator: Emulators
) -> None:
    script = [{**BLANK, "when": {"nth": 1}}, {"fault": "refused_400"}]
    endpoint = emulator(pictures="plain", script=script)
    result = run(shop.with_edits(1, checks={"not_blank": True, "rerolls": 3}), endpoint.url)
    assert (result.totals.rejected, result.totals.refused) == (1, 0)
    assert images(shop) == ["e0.png"]
    assert "asked again, and no picture came" in table(shop)[0]["error_message"]


def test_a_seed_is_another_one_each_time(shop: Shop, emulator: Emulators) -> None:
    shop.with_edits(
        1,
        endpoint={"model": "google/nano-banana-edit", "price_usd": 0.04},
        parameters={"seed": 7},
        checks={"not_blank": True, "rerolls": 2},
    )
    endpoint = emulator(pictures="plain", script=[BLANK])
    run(shop, endpoint.url)
    assert [request["body"]["seed"] for request in endpoint.requests] == [7, 8, 9]


# --- identical and missing pictures


def test_identical_pictures_are_dropped(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "identical_pictures"}])
    result = run(shop.with_edits(1, parameters={"num_images": 3}), endpoint.url)
    assert (result.totals.succeeded, result.totals.images, result.totals.short) == (1, 1, 1)
    assert images(shop) == ["e0.png"]
    assert len(endpoint.requests) == 1


def test_topping_up_asks_for_exactly_what_is_missing(shop: Shop, emulator: Emulators) -> None:
    script = [{"fault": "identical_pictures", "when": {"nth": 1}}]
    endpoint = emulator(pictures="plain", script=script)
    shop.with_edits(1, parameters={"num_images": 4}, checks={"top_up": True})
    result = run(shop, endpoint.url)
    assert [request["body"]["num_images"] for request in endpoint.requests] == [4, 3]
    assert (result.totals.succeeded, result.totals.images, result.totals.short) == (1, 4, 0)
    assert images(shop) == ["e0-2.png", "e0-3.png", "e0-4.png", "e0.png"]
    assert len({sha256 for (sha256,) in rows(shop, "SELECT sha256 FROM images")}) == 4


def test_a_model_that_only_repeats_itself_is_not_asked_for_ever(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "repeated_picture"}])
    shop.with_edits(1, parameters={"num_images": 2}, checks={"top_up": True})
    endpoint.use(script=[{"fault": "identical_pictures"}])
    result = run(shop, endpoint.url)
    assert result.totals.succeeded == 1
    assert len(endpoint.requests) <= 4


def test_one_missing_picture_of_several_is_asked_for_alone(shop: Shop, emulator: Emulators) -> None:
    """Three of four come and stay; one is asked for."""
    script = [{"fault": "fewer_pictures", "when": {"nth": 1}}]
    endpoint = emulator(pictures="plain", script=script)
    shop.with_edits(1, parameters={"num_images": 4}, checks={"top_up": True, "rerolls": 1})
    result = run(shop, endpoint.url)
    assert [request["body"]["num_images"] for request in endpoint.requests] == [4, 1]
    assert result.totals.images == 4
    assert result.totals.cost_usd == pytest.approx(4 * PRICE)


# --- a person's word, retries, checking again


def test_a_retry_keeps_what_was_there_until_a_right_picture_comes(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", script=[BLANK])
    run(shop.with_edits(1, checks={"not_blank": True}), endpoint.url)
    before = (shop.outputs / "images" / "e0.png").read_bytes()

    async def again() -> RunResult:
        return await pipeline.retry(
            shop.job, reason="check_failed", base_url=endpoint.url, environ={}
        )

    result = asyncio.run(again())
    assert (result.totals.rejected, len(endpoint.requests)) == (1, 2)
    assert (shop.outputs / "images" / "e0.png").read_bytes() == before
    assert images(shop) == ["e0.png"]
    endpoint.use(script=[])
    assert asyncio.run(again()).totals.succeeded == 1
    assert (shop.outputs / "images" / "e0.png").read_bytes() != before
    assert images(shop) == ["e0.png"]
    assert failed_checks(shop) == []


def test_a_person_may_approve_what_a_check_turned_down_and_take_it_back(
    shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(1, checks={"not_blank": True}), emulator(script=[BLANK]).url)

    def say(word: Any) -> None:
        asyncio.run(pipeline.review(shop.job, [Decision(id="e0", decision=word)]))

    say("approved")
    assert rows(shop, "SELECT status, error_code FROM edits") == [("succeeded", None)]
    assert failed_checks(shop) == [("e0", "not_blank")], "what was measured stays"
    say("undecided")
    assert rows(shop, "SELECT status, error_code FROM edits") == [("rejected", "check_failed")]


def test_checks_go_with_a_picture_that_is_set_aside_and_come_back(
    shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(1, checks={"not_blank": True}), emulator(script=[BLANK]).url)
    asyncio.run(pipeline.review(shop.job, [Decision(id="e0", decision="redo")]))
    assert rows(shop, "SELECT count(*) FROM checks") == [(0,)]
    asyncio.run(pipeline.review(shop.job, [Decision(id="e0", decision="undecided")]))
    assert failed_checks(shop) == [("e0", "not_blank")]
    assert rows(shop, "SELECT status, error_code FROM edits") == [("rejected", "check_failed")]


def test_moved_limits_are_applied_to_stored_pictures_at_no_cost(
    shop: Shop, emulator: Emulators, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    endpoint = emulator()
    run(shop.with_edits(3, checks={"min_size": 500}), endpoint.url)
    asyncio.run(pipeline.review(shop.job, [Decision(id="e1", decision="approved")]))
    shop.with_edits(3, checks={"min_size": 5000})
    done = command("recheck", shop.job)
    assert done.returncode == 0, done.stderr
    assert "3 edits with 3 pictures looked at" in done.stdout
    assert "turned down now" in done.stdout
    assert rows(shop, "SELECT id, status FROM edits ORDER BY id") == [
        ("e0", "rejected"),
        ("e1", "succeeded"),
        ("e2", "rejected"),
    ]
    assert [row["checks"] for row in table(shop)] == ["min_size"] * 3
    asyncio.run(pipeline.review(shop.job, [Decision(id="e1", decision="undecided")]))
    assert rows(shop, "SELECT status FROM edits WHERE id = 'e1'") == [("rejected",)]
    shop.with_edits(3, checks={"min_size": 100})
    found = json.loads(command("recheck", shop.job, "--json").stdout)
    assert (found["right_now"], found["turned_down"], found["checks"]) == (3, 0, [])
    assert len(endpoint.requests) == 3


def test_checking_again_needs_checks_and_a_ledger(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="the job has no checks"):
        asyncio.run(pipeline.recheck(shop.with_edits(1).job))
    with pytest.raises(ConfigError, match="there is no ledger yet"):
        asyncio.run(pipeline.recheck(shop.with_edits(1, checks={"ratio": True}).job))


# --- checks of the user's own


OWN = """
import threading
from pipeline.pictures.checks.values import CheckResult

def wide(picture):
    width, height = picture.size
    return CheckResult("wide", width / height, 9.0, width / height >= 9.0, f"{picture.name} is not")

def broken(picture):
    return 1 / 0

def slow(picture):
    threading.Event().wait()
"""


@pytest.fixture
def own_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_checks_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


@pytest.mark.parametrize(
    ("check", "within_s", "said"),
    [
        ("wide", 60, "wide: e0 is not"),
        ("broken", 60, "broken: could not be measured: ZeroDivisionError: division by zero"),
        ("slow", 0.1, "slow: could not be measured: TimeoutError: no answer within 0.1 s"),
    ],
)
def test_a_check_of_the_user_s_own_turns_down_or_fails_by_itself(
    shop: Shop, emulator: Emulators, own_checks: str, check: str, within_s: float, said: str
) -> None:
    checks = {"custom": [f"{own_checks}:{check}"], "custom_timeout_s": within_s}
    result = run(shop.with_edits(1, checks=checks), emulator(pictures="plain").url)
    assert result.totals.rejected == 1
    assert table(shop)[0]["error_message"] == said


def test_a_check_that_cannot_be_loaded_stops_the_run_before_it_begins(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, checks={"custom": ["nowhere_at_all:check"]})
    with pytest.raises(JobError, match="nowhere_at_all"):
        run(shop, endpoint.url)
    assert endpoint.requests == []
    assert rows(shop, "SELECT count(*) FROM runs") == [(0,)]


# --- what is shown


def test_the_plan_names_the_checks_and_the_worst_case(
    shop: Shop, command: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    shop.with_edits(10, checks={"ratio": True, "not_blank": True, "rerolls": 2})
    shown = command("plan", shop.job).stdout
    assert "checked: ratio, not_blank; with all re-rolls at most $1.26" in shown
    shop.with_edits(10, checks={"ratio": True, "rerolls": 2, "reroll_budget_usd": 0.1})
    assert pipeline.plan(shop.job).with_rerolls_usd == pytest.approx(0.52)


def test_the_summary_groups_what_checks_turned_down(
    shop: Shop,
    emulator: Emulators,
    command: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    endpoint = emulator(pictures="plain", script=[BLANK])
    shop.with_edits(3, checks={"not_blank": True, "min_size": 5000})
    done = command("run", shop.job, "--base-url", endpoint.url, "--yes")
    assert done.returncode == 3
    assert "turned down by checks" in done.stdout
    assert "3 ×  not_blank" in done.stdout
    assert "3 ×  min_size" in done.stdout
    shown = json.loads(command("status", shop.job, "--json").stdout)
    assert shown["run"]["totals"]["checks"][0]["edits"] == 3


def test_the_gallery_has_what_was_measured(shop: Shop, emulator: Emulators) -> None:
    from pipeline.ledger import open_reader
    from pipeline.ledger.checked import checks_of

    run(shop.with_edits(1, checks={"not_blank": True}), emulator(script=[BLANK]).url)
    reader = open_reader(shop.outputs / "ledger.db")
    assert reader is not None
    with reader:
        [decodes, blank] = checks_of(reader, ["e0"])["e0"]
    assert (decodes.name, decodes.passed) == ("decodes", True)
    assert (blank.name, blank.passed, blank.limit, blank.position) == ("not_blank", False, 12.0, 1)
    pipeline.report(shop.job)
    data = "".join([path.read_text() for path in (shop.outputs / "report").rglob("*.js*")])
    assert "hardly anything is to be seen in it" in data


# --- killed, and many


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_run_that_is_killed_between_two_re_rolls_goes_on(shop: Shop, emulator: Emulators) -> None:
    """What came before is in the ledger with its picture, and is asked for again."""
    endpoint = emulator(
        pictures="plain", script=[{**BLANK, "when": {"nth": 1}}, {"fault": "never_answers"}]
    )
    shop.with_edits(1, checks={"not_blank": True, "rerolls": 3})
    process = subprocess.Popen(
        command_line("run", shop.job, "--base-url", endpoint.url, "--yes"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: len(endpoint.requests) == 2, seconds=60)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert rows(shop, "SELECT status, error_code FROM edits") == [("pending", "check_failed")]
    assert (shop.outputs / rows(shop, "SELECT path FROM images")[0][0]).is_file()
    endpoint.use(script=[])
    result = run(shop, endpoint.url)
    assert result.totals.succeeded == 1
    assert images(shop) == ["e0.png"]
    assert failed_checks(shop) == []


def test_a_thousand_edits_with_checks_on(shop: Shop, emulator: Emulators) -> None:
    """Every tenth is blank at first; all are right in the end, and the bill says so."""
    script = [{**BLANK, "when": {"prompt_contains": f"number {n}7"}, "times": 1} for n in range(99)]
    endpoint = emulator(pictures="plain", script=script)
    shop.with_edits(
        1000,
        checks={"min_size": 500, "not_blank": 1, "rerolls": 3},
        limits={"concurrency": 64},
    )
    result = run(shop, endpoint.url)
    assert (result.totals.succeeded, result.totals.rejected) == (1000, 0)
    assert result.totals.rerolls > 50
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)
    assert len(images(shop)) == 1000


def test_numpy_waits_until_pictures_are_looked_at() -> None:
    code = "import sys, pipeline.running; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_picture_without_checks_is_not_decoded(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1), emulator(pictures="plain").url)
    assert rows(shop, "SELECT count(*) FROM checks") == [(0,)]
    with Image.open(io.BytesIO((shop.outputs / "images" / "e0.png").read_bytes())) as picture:
        assert picture.size == (1184, 864)
