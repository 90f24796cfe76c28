"""``retry.on_unknown: reconcile``: the logs are asked before anything is paid for again."""

import asyncio
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

import pipeline
from pipeline import running
from pipeline.books import inquiry
from pipeline.books.reconciling import LOGS_DELAY_S
from pipeline.emulator.testing import RunningEmulator
from pipeline.endpoints import open_account
from pipeline.endpoints.account import AimlApiAccount
from pipeline.errors import ConnectionFailed, StoreError
from pipeline.job import load_job
from pipeline.retries.policy import Answer, RetryPolicy, Tries, decide
from pipeline.stores.local import LocalStore
from pipeline.worker import Retrying
from tests.books.test_reconcile import assert_exact, faults, reconcile, rows, run
from tests.conftest import Shop
from tests.test_command import started, until

Emulators = Callable[..., RunningEmulator]
PLAIN: dict[str, Any] = {"pictures": "plain"}
LOST = ConnectionFailed("the connection was closed without an answer", sent=True)


def asking(delay_s: float = 0.4, **retry: Any) -> dict[str, Any]:
    return {
        "on_unknown": "reconcile",
        "logs_delay_s": delay_s,
        "wait_initial_s": 0.01,
        "wait_max_s": 0.05,
        "wait_jitter_s": 0.01,
        **retry,
    }


def attempts_of(shop: Shop, edit_id: str) -> list[tuple[Any, ...]]:
    return rows(
        shop,
        "SELECT status, error_code, cost_usd FROM attempts "
        f"WHERE edit_id = '{edit_id}' ORDER BY number",
    )


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first look comes at once, however long the logs may take."""
    monkeypatch.setattr(inquiry, "FIRST_LOOK_S", 0.02)


def test_what_was_charged_and_lost_is_counted_and_paid_once_more(
    shop: Shop, emulator: Emulators, soon: None
) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "reset_after_work")))
    told: list[Any] = []
    result = run(shop.with_edits(4, retry=asking(600)), endpoint, observe=told.append)
    assert (result.exit_code, result.totals.succeeded) == (0, 4)
    assert attempts_of(shop, "e1") == [
        ("failed", "reconciled_billed_lost", 0.042),
        ("succeeded", None, 0.042),
    ]
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)
    assert (len(endpoint.bill.charges), result.totals.unknown_usd) == (5, 0)
    assert rows(shop, "SELECT cost_usd FROM edits WHERE id = 'e1'") == [(0.084,)]
    assert_exact(shop, endpoint)
    words = [event.message for event in told if isinstance(event, Retrying)]
    assert "the provider's logs are asked first" in words[0]
    assert "charged $0.042, by the provider's log, and no picture came" in words[1]


def test_what_was_not_charged_is_tried_again_for_free(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "reset_before_work")))
    result = run(shop.with_edits(4, retry=asking(unknown_budget_usd=0)), endpoint)
    assert (result.exit_code, result.totals.succeeded) == (0, 4)
    assert attempts_of(shop, "e1") == [
        ("failed", "reconciled_not_billed", 0),
        ("succeeded", None, 0.042),
    ]
    assert (len(endpoint.bill.charges), result.totals.unknown_usd) == (4, 0)
    assert_exact(shop, endpoint)


def test_failed_work_in_the_log_is_proof_before_the_delay_is_over(
    shop: Shop, emulator: Emulators, soon: None
) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "status_504")))
    assert run(shop.with_edits(2, retry=asking(600)), endpoint).totals.succeeded == 2
    assert attempts_of(shop, "e1")[0] == ("failed", "reconciled_not_billed", 0)
    assert_exact(shop, endpoint)


def test_its_money_goes_back_to_the_cap(shop: Shop, emulator: Emulators) -> None:
    """The cap is what the pictures cost: nothing may stay reserved for a request that was free."""
    endpoint = emulator(**PLAIN, script=faults((1, "reset_before_work")))
    shop.with_edits(3, retry=asking(), budget={"run_usd": 0.168})
    assert run(shop, endpoint).totals.succeeded == 3
    endpoint.use(script=faults((4, "reset_before_work"), (6, "reset_before_work")))
    result = run(shop.with_edits(6, retry=asking(), budget={"run_usd": 0.168}), endpoint)
    assert (result.exit_code, result.totals.succeeded) == (0, 3)
    assert_exact(shop, endpoint)


def test_it_waits_for_logs_that_come_later(shop: Shop, emulator: Emulators, soon: None) -> None:
    endpoint = emulator(
        **PLAIN, billing_delay_s=0.3, script=faults((0, "reset_after_work"), (2, "status_504"))
    )
    result = run(shop.with_edits(3, retry=asking(600)), endpoint)
    assert result.totals.succeeded == 3
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)
    assert_exact(shop, endpoint)


def test_books_that_lag_prove_nothing_and_the_edit_is_held(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, billing_delay_s=600, script=faults((1, "reset_after_work")))
    result = run(shop.with_edits(4, retry=asking(0.3)), endpoint)
    assert (result.exit_code, result.totals.succeeded, result.totals.unknown) == (3, 3, 1)
    assert result.totals.unknown_usd == pytest.approx(0.042)
    [(message,)] = rows(shop, "SELECT error_message FROM edits WHERE status = 'unknown'")
    assert "held: the provider's books lag" in message
    assert len(attempts_of(shop, "e1")) == 1, "not asked again"
    endpoint.use(billing_delay_s=0.0)
    assert reconcile(shop, endpoint).billed_lost.count == 1
    assert_exact(shop, endpoint)


def test_what_is_lost_beyond_its_budget_is_not_paid_again(
    shop: Shop, emulator: Emulators, soon: None
) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "reset_after_work")))
    shop.with_edits(3, retry=asking(600, unknown_budget_usd=0.04))
    result = run(shop, endpoint)
    assert (result.totals.succeeded, result.totals.failed, result.totals.unknown) == (2, 1, 0)
    assert attempts_of(shop, "e1") == [("failed", "reconciled_billed_lost", 0.042)]
    [(message, cost)] = rows(shop, "SELECT error_message, cost_usd FROM edits WHERE id = 'e1'")
    assert "retry.unknown_budget_usd of $0.04" in message
    assert cost == pytest.approx(0.042)
    assert_exact(shop, endpoint)


def unreachable(endpoint: RunningEmulator) -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def closed(endpoint: RunningEmulator) -> str:
    return f"{endpoint.url}/nowhere"


@pytest.mark.parametrize("place", [unreachable, closed])
def test_logs_that_cannot_be_read_hold_the_edit_and_the_run_goes_on(
    shop: Shop,
    emulator: Emulators,
    monkeypatch: pytest.MonkeyPatch,
    place: Callable[[RunningEmulator], str],
) -> None:
    endpoint = emulator(**PLAIN, script=faults((1, "reset_after_work"), (3, "reset_before_work")))
    url = place(endpoint)
    monkeypatch.setattr(inquiry, "PAGE_TRIES_S", (0.01,))
    monkeypatch.setattr(
        running,
        "open_job_account",
        lambda job, key: open_account("aimlapi", base_url=url, api_key="emulator"),
    )
    result = run(shop.with_edits(6, retry=asking(0.2)), endpoint, preflight=False)
    assert (result.exit_code, result.totals.succeeded, result.totals.unknown) == (3, 4, 2)
    assert result.totals.unknown_usd == pytest.approx(0.084)
    for (message,) in rows(shop, "SELECT error_message FROM edits WHERE status = 'unknown'"):
        assert "held: the provider's logs cannot be read" in message
    assert reconcile(shop, endpoint).settled == 2
    assert_exact(shop, endpoint)


def test_a_drain_does_not_wait_for_the_logs(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, billing_delay_s=600, script=faults((1, "reset_after_work")))
    shop.with_edits(4, retry=asking(600))
    with started("run", shop.job, "--base-url", endpoint.url, "--yes") as process:
        until(lambda: len(endpoint.bill.charges) == 4)
        until(
            lambda: (
                rows(
                    shop,
                    "SELECT count(*) FROM attempts WHERE status IN ('succeeded', 'unknown')",
                )
                == [(4,)]
            )
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert rows(shop, "SELECT id FROM edits ORDER BY id") == [("e0",), ("e2",), ("e3",)]
    assert rows(shop, "SELECT edit_id FROM attempts WHERE status = 'unknown'") == [("e1",)]
    endpoint.use(billing_delay_s=0.0)
    assert reconcile(shop, endpoint).billed_lost.count == 1
    assert_exact(shop, endpoint)


def test_a_rehearsal_asks_the_logs_that_are_played(
    shop: Shop, command: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    shop.with_edits(6, retry=asking(2.0))
    profile = tmp_path / "late.yaml"
    profile.write_text(
        "extends: calm\npictures: plain\nlatency: {median_s: 0}\nbilling_delay_s: 0.2\n"
        "faults: {reset_after_work: 0.4}\n"
    )
    done = command("run", shop.job, "--rehearse", "--profile", profile)
    assert done.returncode == 0, done.stderr
    connection = sqlite3.connect(shop.outputs.with_name("shop-rehearsal") / "ledger.db")
    found = dict(connection.execute("SELECT error_code, count(*) FROM attempts GROUP BY 1"))
    connection.close()
    assert found[None] == 6
    assert found.keys() == {None, "reconciled_billed_lost"}


def test_one_reader_serves_all_that_wait(
    shop: Shop, emulator: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    read = AimlApiAccount.logs

    async def counted(self: AimlApiAccount, **window: Any) -> Any:
        calls.append(window)
        return await read(self, **window)

    monkeypatch.setattr(AimlApiAccount, "logs", counted)
    monkeypatch.setattr(inquiry, "FIRST_LOOK_S", 0.5)
    script = faults(*[(n, "reset_after_work") for n in range(10, 30)])
    endpoint = emulator(**PLAIN, script=script)
    shop.with_edits(30, retry=asking(600, breaker_after=100), limits={"concurrency": 30})
    result = run(shop, endpoint)
    assert result.totals.succeeded == 30
    assert len(endpoint.bill.charges) == 50
    assert 1 <= len(calls) < 15
    assert_exact(shop, endpoint)


def test_after_a_storm_nothing_is_unknown_and_nothing_else_was_paid(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator("storm", seed=5, drip_s=0.1, latency={"median_s": 0}, billing_delay_s=0.2)
    retry = asking(1.0, attempts=12, no_image_attempts=8)
    result = run(shop.with_edits(40, limits={"concurrency": 12}, retry=retry), endpoint)
    assert result.totals.unknown_usd == 0
    assert rows(shop, "SELECT count(*) FROM attempts WHERE status IN ('unknown', 'started')") == [
        (0,)
    ]
    [(settled,)] = rows(shop, "SELECT count(*) FROM attempts WHERE error_code LIKE 'reconciled%'")
    assert settled > 0
    [(total,)] = rows(shop, "SELECT total(cost_usd) FROM attempts")
    assert total == pytest.approx(endpoint.bill.total_usd)
    assert result.totals.cost_usd == pytest.approx(endpoint.bill.total_usd)


def test_a_disk_that_is_full_in_the_middle_of_an_answer_leaves_its_money_reserved(
    shop: Shop, emulator: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, draft: Any) -> None:
            self._draft = draft

        def __getattr__(self, name: str) -> Any:
            return getattr(self._draft, name)

        def write(self, data: bytes) -> None:
            raise StoreError("no space left on device")

    draft = LocalStore.draft
    monkeypatch.setattr(LocalStore, "draft", lambda self: Full(draft(self)))
    endpoint = emulator(**PLAIN)
    result = run(shop.with_edits(1), endpoint)
    assert (result.exit_code, len(endpoint.bill.charges)) == (4, 1)
    assert result.totals.unknown_usd == pytest.approx(0.042)
    assert attempts_of(shop, "e0") == [("unknown", "StoreError", None)]
    assert reconcile(shop, endpoint).billed_lost.count == 1
    assert_exact(shop, endpoint)


def test_the_delay_is_the_one_of_reconcile(shop: Shop) -> None:
    assert RetryPolicy().logs_delay_s == LOGS_DELAY_S
    assert load_job(shop.with_edits(1).job).retry.logs_delay_s == LOGS_DELAY_S


def follows(answer: Answer, policy: RetryPolicy | None = None, **known: float) -> Any:
    figures = {"age_s": 0.0, "unknown_usd": 0.0, "quota_s": 0.0, **known}
    policy = policy or RetryPolicy(on_unknown="reconcile")
    return decide(policy, Tries(total=1), LOST, **figures, rng=Random(1), answer=answer)


def test_what_the_logs_decide_is_tried_at_once_but_within_the_runs_quota() -> None:
    for answer in (
        Answer(verdict="not_billed", words=""),
        Answer(verdict="billed_lost", usd=0.042, words=""),
    ):
        assert follows(answer).wait_s == 0
        assert follows(answer, quota_s=7).wait_s == 7
        last = follows(answer, RetryPolicy(attempts=1))
        assert (last.wait_s, last.unknown) == (None, False), "its outcome is known"
    held = follows(Answer(verdict="undecided", words="the books lag"))
    assert (held.wait_s, held.unknown, held.why) == (None, True, "held: the books lag")


def test_what_was_free_is_tried_again_whatever_was_lost() -> None:
    policy = RetryPolicy(on_unknown="reconcile", unknown_budget_usd=0.05)
    free, lost = (
        Answer(verdict="not_billed", words=""),
        Answer(verdict="billed_lost", usd=0.042, words=""),
    )
    assert follows(free, policy, unknown_usd=0.084).wait_s == 0
    assert follows(lost, policy, unknown_usd=0.042).wait_s == 0
    assert follows(lost, policy, unknown_usd=0.084).wait_s is None


def test_asking_needs_no_running_loop_of_its_own(shop: Shop, emulator: Emulators) -> None:
    """Also inside a program that has one."""
    endpoint = emulator(**PLAIN, script=faults((0, "status_504")))
    shop.with_edits(1, retry=asking())

    async def both() -> int:
        result = await pipeline.run(shop.job, base_url=endpoint.url, environ={})
        return result.totals.succeeded

    assert asyncio.run(both()) == 1
