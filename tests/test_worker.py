"""What becomes of an attempt that does not succeed: in the ledger, in money, in the run."""

import asyncio
import os
import signal
import socket
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.events import Event
from pipeline.inputs import Inputs
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.running import RunResult
from pipeline.stores.local import LocalStore
from tests.conftest import Shop
from tests.endpoints.scripted_server import http, scripted_server
from tests.test_command import started, statuses, until

Emulators = Callable[..., RunningEmulator]
PRICE = 0.042
QUICK = {"wait_initial_s": 0.01, "wait_max_s": 0.05, "wait_jitter_s": 0.01}


def run(shop: Shop, url: str, **options: Any) -> RunResult:
    return asyncio.run(pipeline.run(shop.job, base_url=url, environ={}, **options))


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def first_attempt(shop: Shop) -> tuple[Any, ...]:
    return rows(shop, "SELECT status, cost_usd, cost_source FROM attempts WHERE number = 1")[0]


NOT_CHARGED = ("failed", 0.0, "none")
UNKNOWN = ("unknown", None, "none")
CHARGED = ("failed", PRICE, "header")


@pytest.mark.parametrize(
    ("fault", "closed", "billed"),
    [
        ("status_500", NOT_CHARGED, False),
        ("gateway_502_html", NOT_CHARGED, False),
        ("status_503", NOT_CHARGED, False),
        ("rate_limited", NOT_CHARGED, False),
        ("reset_before_work", UNKNOWN, False),
        ("status_504", UNKNOWN, False),
        ("status_524_after_billing", UNKNOWN, True),
        ("reset_after_work", UNKNOWN, True),
        ("never_answers", UNKNOWN, False),
        ("truncated_body", ("unknown", PRICE, "header"), True),
        ("bad_base64", CHARGED, True),
        ("not_a_picture", CHARGED, True),
    ],
)
def test_what_is_known_decides_and_the_money_follows(
    shop: Shop,
    emulator: Emulators,
    fault: str,
    closed: tuple[str, float | None, str],
    billed: bool,
) -> None:
    """One such fault, then a picture: what the ledger counts is never less than the bill."""
    endpoint = emulator(
        pictures="plain",
        script=[{"fault": fault, "times": 1}],
        limits={"retry_after": "seconds", "retry_after_s": 0},
    )
    shop.with_edits(1, retry=QUICK, endpoint={"timeout_s": 1 if fault == "never_answers" else 60})
    result = run(shop, endpoint.url)
    assert (result.totals.succeeded, result.totals.retries) == (1, 1)
    assert first_attempt(shop) == pytest.approx(closed)
    assert len(endpoint.bill.charges) == 1 + billed
    unknown_usd = PRICE if closed == UNKNOWN else 0.0
    assert result.totals.unknown_usd == pytest.approx(unknown_usd)
    assert result.totals.cost_usd + unknown_usd >= endpoint.bill.total_usd - 1e-9


@pytest.mark.parametrize("fault", ["refused_400", "refused_200_text"])
def test_a_refusal_is_an_answer(shop: Shop, emulator: Emulators, fault: str) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": fault}])
    result = run(shop.with_edits(1), endpoint.url)
    assert (result.totals.refused, len(endpoint.requests)) == (1, 1)
    [(status, cost)] = rows(shop, "SELECT status, cost_usd FROM attempts")
    assert (status, cost) == ("refused", 0.0)


@pytest.mark.parametrize("fault", ["empty_choices", "null_picture"])
def test_no_image_is_asked_for_once_more_and_not_six_times(
    shop: Shop, emulator: Emulators, fault: str
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": fault}])
    result = run(shop.with_edits(1, retry=QUICK), endpoint.url)
    assert (result.totals.failed, len(endpoint.requests)) == (1, 2)
    assert [reason.code for reason in result.totals.reasons] == ["no_image"]


def test_what_could_not_even_connect_is_free_and_tried_again(shop: Shop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        shop.with_edits(1, retry={**QUICK, "attempts": 3})
        result = run(shop, f"http://127.0.0.1:{port}")
    assert (result.totals.failed, result.totals.unknown_usd) == (1, 0)
    assert (
        rows(shop, "SELECT status, cost_usd, error_code FROM attempts")
        == [("failed", 0.0, "connection_failed")] * 3
    )


@pytest.mark.parametrize(
    ("profile", "source"),
    [
        ({"cost_headers": True, "shapes": {"data": 1}}, "header"),
        ({"cost_headers": False, "shapes": {"data": 1}}, "body"),
        ({"cost_headers": False, "shapes": {"choices": 1}}, "catalog"),
    ],
)
def test_the_ledger_says_who_said_what_an_unusable_answer_cost(
    shop: Shop, emulator: Emulators, profile: dict[str, Any], source: str
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "bad_base64", "times": 1}], **profile)
    run(shop.with_edits(1), endpoint.url)
    assert first_attempt(shop) == pytest.approx(("failed", PRICE, source))


def test_an_edit_whose_last_attempt_is_ambiguous_is_unknown(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "reset_after_work"}])
    result = run(shop.with_edits(1, retry={**QUICK, "attempts": 2}), endpoint.url)
    assert (result.totals.unknown, result.totals.failed) == (1, 0)
    assert result.totals.unknown_usd == pytest.approx(2 * PRICE)
    endpoint.use(script=[])
    assert run(shop, endpoint.url).totals.succeeded == 1, "on_unknown: retry asks again"


def test_the_budget_of_unknown_money_holds_what_is_beyond_it(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "reset_after_work"}])
    shop.with_edits(6, retry={**QUICK, "unknown_budget_usd": 0.10}, limits={"concurrency": 1})
    result = run(shop, endpoint.url)
    assert result.totals.unknown == 6
    assert len(endpoint.requests) == 6 + 2, "two were asked for again, within ten cents"
    [(message,)] = rows(shop, "SELECT error_message FROM edits WHERE id = 'e5'")
    assert "retry.unknown_budget_usd of $0.10" in message


def test_a_budget_of_unknown_money_needs_a_price(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(1, endpoint={"model": "reve/edit-image"}, retry={"unknown_budget_usd": 1.0})
    with pytest.raises(pipeline.errors.JobError, match=r"endpoint\.price_usd"):
        run(shop, endpoint.url, preflight=False)
    assert endpoint.requests == []


def test_an_edit_that_is_too_old_is_given_up(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", faults={"status_503": 1.0}, max_faulty_attempts=1000)
    retry = {**QUICK, "attempts": 100, "breaker_after": 1000, "edit_timeout_s": 0.1}
    result = run(shop.with_edits(1, retry=retry), endpoint.url)
    assert result.totals.failed == 1
    [(message,)] = rows(shop, "SELECT error_message FROM edits")
    assert "retry.edit_timeout_s" in message
    assert 1 < len(endpoint.requests) < 100


def test_an_outage_is_waited_out_with_one_request_at_a_time(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", faults={"status_503": 1.0}, max_faulty_attempts=1000)
    shop.with_edits(
        100, limits={"concurrency": 8}, retry={**QUICK, "attempts": 100, "breaker_after": 5}
    )
    seen: list[EndpointDown | EndpointUp] = []
    before: list[int] = []

    def observe(event: Event) -> None:
        if isinstance(event, EndpointDown):
            seen.append(event)
            asyncio.get_running_loop().call_later(0.3, mend)
        elif isinstance(event, EndpointUp):
            seen.append(event)

    def mend() -> None:
        before.append(len(endpoint.requests))
        endpoint.use(faults={})

    result = run(shop, endpoint.url, observe=observe)
    assert result.totals.succeeded == 100
    assert [type(event) for event in seen] == [EndpointDown, EndpointUp]
    assert before[0] < 5 + 8 + 12, "those before it opened, those in flight, and a few probes"


def test_an_outage_without_end_ends_the_run_and_hardly_an_edit(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", faults={"status_503": 1.0}, max_faulty_attempts=1000)
    retry = {**QUICK, "breaker_after": 5, "outage_s": 0.3}
    result = run(shop.with_edits(200, retry=retry, limits={"concurrency": 4}), endpoint.url)
    assert (result.exit_code, result.ended) == (4, "fatal")
    assert f"pipeline run {shop.job}" in (result.error or "")
    assert len(endpoint.requests) < 40
    assert result.totals.failed < 5
    assert rows(shop, "SELECT count(*) FROM attempts WHERE status = 'started'") == [(0,)]


async def test_a_daily_quota_stops_the_run_if_the_job_says_so(shop: Shop) -> None:
    shop.with_edits(50, limits={"concurrency": 2, "on_quota": "stop"})
    said = {"message": "Daily limit of 100 images reached", "statusCode": 429}
    async with scripted_server(http(b"{}", status=503)) as server:
        server.on("/v1/images/generations", http(said, status=429))
        result = await pipeline.run(shop.job, base_url=server.url, environ={}, preflight=False)
        assert len(server.of("/v1/images/generations")) <= 2
    assert (result.exit_code, result.ended) == (4, "fatal")
    assert "Daily limit of 100 images" in (result.error or "")
    assert f"pipeline run {shop.job}" in (result.error or "")
    assert rows(shop, "SELECT count(*) FROM edits") == [(0,)]
    assert rows(shop, "SELECT DISTINCT status, cost_usd FROM attempts") == [("failed", 0.0)]


def test_nothing_but_429s_for_long_stops_it_too(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        pictures="plain",
        faults={"rate_limited": 1.0},
        max_faulty_attempts=1000,
        limits={"retry_after": "seconds", "retry_after_s": 0},
    )
    limits = {"concurrency": 2, "on_quota": "stop", "quota_after_s": 0.2}
    result = run(shop.with_edits(20, limits=limits, retry=QUICK), endpoint.url)
    assert (result.exit_code, result.ended) == (4, "fatal")
    assert "nothing but 429s" in (result.error or "")
    assert result.totals.finished == 0


def test_pictures_whose_disk_never_answers_fail_their_edit_alone(
    shop: Shop, emulator: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare = Inputs._prepare

    async def hanging(self: Inputs, ref: Any, *rest: Any) -> Any:
        if ref.source == "slow.jpg":
            await asyncio.Event().wait()
        return await prepare(self, ref, *rest)

    monkeypatch.setattr(Inputs, "_prepare", hanging)
    shop.write(
        "id,images\ngood,mug.jpg\nbad,slow.jpg\n",
        retry={**QUICK, "edit_timeout_s": 3.0},
        limits={"stall_s": 3.0},
    )
    (shop.manifest.parent / "slow.jpg").write_bytes(
        (shop.manifest.parent / "mug.jpg").read_bytes() + b"x"
    )
    endpoint = emulator(pictures="plain")
    result = run(shop, endpoint.url)
    assert (result.totals.succeeded, result.totals.failed) == (1, 1)
    assert [reason.code for reason in result.totals.reasons] == ["input"]


def test_a_disk_that_never_answers_ends_the_run_and_what_was_paid_is_visible(
    shop: Shop, emulator: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hanging(self: LocalStore, *_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(LocalStore, "put", hanging)
    endpoint = emulator(pictures="plain")
    shop.with_edits(3, retry={**QUICK, "edit_timeout_s": 3.0}, limits={"stall_s": 3.0})
    result = run(shop, endpoint.url)
    assert (result.exit_code, result.ended) == (4, "fatal")
    assert "writing (store)" in (result.error or "")
    attempts = rows(shop, "SELECT status, cost_usd, error_code FROM attempts")
    assert attempts == [("unknown", pytest.approx(PRICE), "not_kept")] * len(attempts)
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_a_drain_ends_at_its_deadline_and_says_what_is_unknown(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 60})
    shop.with_edits(20, limits={"concurrency": 4, "drain_s": 0.2})
    with started("run", shop.job, "--base-url", endpoint.url) as process:
        until(lambda: len(endpoint.requests) >= 4)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert statuses(shop, "attempts") == {"unknown": 4}
    assert "limits.drain_s): 4 in flight are cut off" in err
