"""Unknown outcomes, settled with the provider's own books: the emulator's, over real HTTP."""

import asyncio
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.books.reconciling import Reconciliation
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, FatalError, LockedError
from pipeline.locking import locked
from pipeline.repair.findings import FsckReport
from pipeline.running import RunResult
from tests.conftest import Shop
from tests.test_command import charged, started, until

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    options.setdefault("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, **options))


def reconcile(shop: Shop, endpoint: RunningEmulator, **options: Any) -> Reconciliation:
    options.setdefault("delay_s", 0.0)
    return asyncio.run(pipeline.reconcile(shop.job, base_url=endpoint.url, environ={}, **options))


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def change(shop: Shop, statement: str) -> None:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    with connection:
        connection.execute(statement)
    connection.close()


def faults(*pairs: tuple[int, str]) -> list[dict[str, Any]]:
    return [
        {"when": {"prompt_contains": f"number {n}"}, "fault": fault, "times": 1}
        for n, fault in pairs
    ]


def assert_exact(shop: Shop, endpoint: RunningEmulator) -> None:
    """Attempt by attempt, the ledger says what the bill says."""
    billed = {charge.client_request_id: charge.usd for charge in endpoint.bill.charges}
    for name, status, cost, source, inference in rows(
        shop, "SELECT id, status, cost_usd, cost_source, inference_id FROM attempts"
    ):
        assert status != "unknown", name
        assert cost == pytest.approx(billed.get(name, 0.0)), name
        assert source != "none" or not cost, name
        if name in billed and cost:
            assert inference, name
    [(total,)] = rows(shop, "SELECT total(cost_usd) FROM attempts")
    assert total == pytest.approx(endpoint.bill.total_usd)


def test_each_unknown_attempt_is_settled_as_the_books_say(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN,
        script=faults((1, "reset_after_work"), (2, "status_524_after_billing"), (3, "status_504")),
    )
    assert run(shop.with_edits(5), endpoint).totals.succeeded == 5
    found = reconcile(shop, endpoint)
    assert (found.billed_have.count, found.billed_have.usd) == (5, 0.21)
    assert (found.billed_lost.count, found.billed_lost.usd) == (2, 0.084)
    assert (found.not_billed.count, found.not_billed.usd) == (1, 0.042)
    assert (found.undecided.count, found.billed_unknown.count, found.unconfirmed.count) == (0, 0, 0)
    assert (found.settled, found.exit_code, found.unknown_usd) == (3, 0, 0.0)
    assert found.ledger_usd == pytest.approx(endpoint.bill.total_usd)
    assert {item.edit_id for item in found.billed_lost.items} == {"e1", "e2"}
    assert rows(
        shop,
        "SELECT edit_id, status, error_code, cost_source FROM attempts "
        "WHERE error_code LIKE 'reconciled%' ORDER BY edit_id",
    ) == [
        ("e1", "failed", "reconciled_billed_lost", "log"),
        ("e2", "failed", "reconciled_billed_lost", "log"),
        ("e3", "failed", "reconciled_not_billed", "log"),
    ]
    assert_exact(shop, endpoint)
    spent = dict(rows(shop, "SELECT id, cost_usd FROM edits"))
    assert spent == pytest.approx({"e0": 0.042, "e1": 0.084, "e2": 0.084, "e3": 0.042, "e4": 0.042})


def test_doing_it_again_changes_nothing_and_says_the_same(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN, script=faults((1, "reset_after_work"), (2, "status_504"), (3, "truncated_body"))
    )
    run(shop.with_edits(4), endpoint)
    first = reconcile(shop, endpoint)
    before = rows(shop, "SELECT * FROM attempts ORDER BY id"), rows(shop, "SELECT * FROM edits")
    again = reconcile(shop, endpoint)
    after = rows(shop, "SELECT * FROM attempts ORDER BY id"), rows(shop, "SELECT * FROM edits")
    assert first.settled == 3
    assert again.settled == 0
    assert before == after
    for name in ("billed_have", "billed_lost", "not_billed", "undecided", "billed_unknown"):
        assert getattr(first, name) == getattr(again, name), name


def test_a_storm_is_settled_to_the_cent(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator("storm", seed=5, drip_s=0.1, latency={"median_s": 0})
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
    run(shop, endpoint)
    [(unknown,)] = rows(shop, "SELECT count(*) FROM attempts WHERE status = 'unknown'")
    assert unknown > 0
    found = reconcile(shop, endpoint, delay_s=1.0, wait_s=10.0)
    assert found.undecided.count == 0
    assert found.billed_unknown.count == 0
    have, lost = found.billed_have, found.billed_lost
    assert have.count + lost.count == len(endpoint.bill.charges)
    assert have.usd + lost.usd == pytest.approx(endpoint.bill.total_usd)
    assert_exact(shop, endpoint)


def test_what_is_too_fresh_stays_undecided_until_the_books_show_it(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN, billing_delay_s=600, script=faults((1, "reset_after_work")))
    run(shop.with_edits(2), endpoint)
    found = reconcile(shop, endpoint, delay_s=600.0)
    assert (found.undecided.count, found.settled, found.exit_code) == (3, 0, 3)
    assert found.unknown_usd == pytest.approx(0.042)
    assert rows(shop, "SELECT count(*) FROM attempts WHERE status = 'unknown'") == [(1,)]
    endpoint.use(billing_delay_s=0.0)
    found = reconcile(shop, endpoint, delay_s=600.0)
    assert (found.undecided.count, found.billed_lost.count, found.exit_code) == (0, 1, 0)
    assert_exact(shop, endpoint)


def test_waiting_asks_again_until_it_is_decided(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, billing_delay_s=0.6, script=faults((1, "reset_after_work")))
    run(shop.with_edits(2), endpoint)
    told: list[str] = []
    found = reconcile(shop, endpoint, delay_s=5.0, wait_s=20.0, observe=told.append)
    assert found.undecided.count == 0
    assert found.billed_lost.count == 1
    assert told
    assert "undecided" in told[0]


def test_books_that_lag_prove_nothing(shop: Shop, emulator: Emulators) -> None:
    """Answered requests are missing from them too: so an absent row is no proof."""
    endpoint = emulator(**PLAIN, billing_delay_s=600, script=faults((1, "reset_after_work")))
    run(shop.with_edits(3), endpoint)
    found = reconcile(shop, endpoint, delay_s=0.0)
    assert (found.settled, found.undecided.count, found.exit_code) == (0, 4, 3)
    assert "lag, or this is the key of another account" in found.notes[0]


def test_a_charge_that_no_attempt_explains_is_named(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(3), endpoint)
    [(lost,)] = rows(shop, "SELECT id FROM attempts WHERE edit_id = 'e1'")
    change(shop, "DELETE FROM attempts WHERE edit_id = 'e1'")
    found = reconcile(shop, endpoint)
    assert (found.billed_unknown.count, found.billed_unknown.usd) == (1, 0.042)
    assert found.billed_unknown.items[0].id == lost, "by the id that it was asked with"
    assert found.billed_have.count == 2


def test_an_absent_row_is_no_proof_while_a_charge_without_an_id_fits(
    shop: Shop, emulator: Emulators
) -> None:
    """Should the provider drop the ids that we send, a charge may be of any attempt of its time."""
    endpoint = emulator(**PLAIN, script=faults((1, "reset_after_work")))
    run(shop.with_edits(3), endpoint)
    [(name,)] = rows(shop, "SELECT id FROM attempts WHERE status = 'unknown'")
    world = endpoint._emulator._server.world
    world.account.log[:] = [
        replace(row, client_request_id=None if row.client_request_id == name else "x")
        for row in world.account.log
    ]
    found = reconcile(shop, endpoint)
    assert (found.undecided.count, found.settled, found.billed_unknown.count) == (1, 0, 1)
    assert "charges without any id of ours" in found.notes[0]


def test_a_cost_that_was_only_assumed_is_corrected(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN,
        cost_headers=False,
        usage_meta=False,
        inference_id_header=False,
        prices={"google/gemini-2.5-flash-image-edit": 0.03},
    )
    shop.with_edits(2, endpoint={"price_usd": 0.05})
    run(shop, endpoint)
    assert rows(shop, "SELECT DISTINCT cost_usd, cost_source FROM attempts") == [(0.05, "catalog")]
    found = reconcile(shop, endpoint)
    assert (found.settled, found.billed_have.usd) == (2, 0.06)
    assert rows(shop, "SELECT DISTINCT cost_usd, cost_source FROM attempts") == [(0.03, "log")]
    assert_exact(shop, endpoint)
    assert "0.03" in (shop.outputs / "results.csv").read_text()


def test_an_edit_that_was_held_is_free_to_be_asked_again(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "status_504"), (2, "reset_after_work")))
    shop.with_edits(3, retry={"on_unknown": "hold"})
    assert run(shop, endpoint).totals.unknown == 2
    assert run(shop, endpoint).totals.kept == 2
    reconcile(shop, endpoint)
    assert dict(rows(shop, "SELECT id, error_code FROM edits WHERE status = 'failed'")) == {
        "e1": "reconciled_not_billed",
        "e2": "reconciled_billed_lost",
    }
    assert "reconciled_billed_lost" in (shop.outputs / "results.csv").read_text()
    assert run(shop, endpoint).totals.succeeded == 2
    assert_exact(shop, endpoint)


def test_the_log_is_read_page_by_page(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN,
        inference_id_header=False,
        script=[
            {"when": {"prompt_contains": "number 20"}, "fault": "reset_after_work", "times": 1}
        ],
    )
    run(shop.with_edits(230, limits={"concurrency": 32}), endpoint)
    found = reconcile(shop, endpoint)
    assert found.billed_have.count == 230
    assert found.billed_lost.count == len(endpoint.bill.charges) - 230
    assert_exact(shop, endpoint)


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_after_kills_every_request_is_accounted_for(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    shop.with_edits(40, limits={"concurrency": 6})
    for _ in range(3):
        before = {seen["client_request_id"] for seen in endpoint.requests}
        endpoint.hold(after=9)
        with started("run", shop.job, "--base-url", endpoint.url) as process:
            until(lambda before=before: len(charged(endpoint) - before) >= 9)
            process.kill()
    endpoint.go_on()
    assert command("run", shop.job, "--base-url", endpoint.url).returncode == 0
    unknown = {name for (name,) in rows(shop, "SELECT id FROM attempts WHERE status = 'unknown'")}
    assert unknown
    done = command("reconcile", shop.job, "--base-url", endpoint.url, "--json", "--delay", "0")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["settled"] == len(unknown)
    named = {item["id"] for name in ("billed_lost", "not_billed") for item in found[name]["items"]}
    assert unknown <= named, "every one of them is named"
    assert found["billed_unknown"]["count"] == 0
    assert_exact(shop, endpoint)


def test_the_command_shows_a_table_and_what_to_do_next(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "reset_after_work"), (2, "status_504")))
    run(shop.with_edits(3), endpoint)
    done = command("reconcile", shop.job, "--base-url", endpoint.url)
    assert done.returncode == 0, done.stderr
    for words in (
        "$0.126  billed, and the picture is with us",
        "$0.042  billed, and no picture came",
        "not billed",
        "2 settled now",
    ):
        assert words in done.stdout, done.stdout
    again = command("reconcile", shop.job, "--base-url", endpoint.url)
    assert "nothing new to settle" in again.stdout


def test_nothing_is_settled_by_another_endpoint_or_without_a_ledger(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(1)
    nothing = command("reconcile", shop.job, "--base-url", endpoint.url)
    assert nothing.returncode == 2
    assert "no ledger yet" in nothing.stderr
    assert not shop.outputs.exists()
    run(shop, endpoint)
    key = {"AIMLAPI_API_KEY": "sk-0123"}
    other = command("reconcile", shop.job, env=key)
    assert other.returncode == 2
    assert "this ledger belongs to emulator" in other.stderr
    rehearsal = command("reconcile", shop.job, "--rehearse")
    assert rehearsal.returncode == 2
    assert "charged nobody" in rehearsal.stderr


def test_it_keeps_out_of_a_run_that_goes_on(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(1), endpoint)
    with locked(shop.outputs), pytest.raises(LockedError):
        reconcile(shop, endpoint)


def test_a_wrong_key_is_fatal_and_settles_nothing(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, script=faults((0, "reset_after_work")))
    run(shop.with_edits(1), endpoint)
    endpoint.use(accepted_key="right")
    with pytest.raises(FatalError) as error:
        asyncio.run(
            pipeline.reconcile(
                shop.job, base_url=endpoint.url, environ={"AIMLAPI_API_KEY": "sk-secret-012345"}
            )
        )
    assert "sk-secret" not in str(error.value)
    assert rows(shop, "SELECT count(*) FROM attempts WHERE status = 'unknown'") == [(1,)]


def test_a_rehearsal_without_its_endpoint_is_explained(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="charged nobody"):
        asyncio.run(pipeline.reconcile(shop.with_edits(1).job, rehearse=True))


def test_the_ledger_file_may_lie_elsewhere_afterwards(
    shop: Shop, emulator: Emulators, tmp_path: Path
) -> None:
    """What was settled is in the one file: nothing is left in a log beside it."""
    endpoint = emulator(**PLAIN, script=faults((0, "reset_after_work")))
    run(shop.with_edits(1), endpoint)
    reconcile(shop, endpoint)
    assert not list(shop.outputs.glob("ledger.db-*"))


def test_the_docs_show_the_json_that_is_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "upkeep.md").read_text(encoding="utf-8")
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    kinds = (Reconciliation, FsckReport)
    assert [list(each) for each in shown] == [[*k.__struct_fields__, "exit_code"] for k in kinds]
