"""Asking again for what has an outcome: only what is named, and without losing what is there."""

import asyncio
import sqlite3
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from pipeline import api
from pipeline.again import RETRIED, again_for
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError
from pipeline.running import RunResult
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}
REFUSES_1 = [{"when": {"prompt_contains": "number 1"}, "fault": "refused_400"}]


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    return asyncio.run(api.run(shop.job, base_url=endpoint.url, environ={}, **options))


def retry(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    return asyncio.run(api.retry(shop.job, base_url=endpoint.url, environ={}, **options))


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


def statuses(shop: Shop) -> dict[str, str]:
    return dict(rows(shop, "SELECT id, status FROM edits"))


def test_a_refusal_is_asked_again_by_retry_and_by_nothing_else(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN, script=REFUSES_1)
    run(shop.with_edits(3), endpoint)
    endpoint.use(script=[])
    assert run(shop, endpoint).totals.kept == 1
    result = retry(shop, endpoint)
    assert (result.exit_code, result.totals.succeeded, result.totals.unchanged) == (0, 1, 0)
    assert statuses(shop) == dict.fromkeys(("e0", "e1", "e2"), "succeeded")
    assert len(endpoint.requests) == 4, "and nobody else was asked for"


def test_the_old_answer_stays_until_a_new_attempt_succeeds(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, script=REFUSES_1)
    run(shop.with_edits(2, retry={"attempts": 1}), endpoint)
    refusal = rows(shop, "SELECT * FROM edits WHERE id = 'e1'")
    endpoint.use(script=[{"fault": "status_500"}])
    result = retry(shop, endpoint)
    assert (result.exit_code, result.totals.failed) == (3, 1), "the run says what happened"
    assert rows(shop, "SELECT * FROM edits WHERE id = 'e1'") == refusal
    assert rows(shop, "SELECT count(*) FROM attempts WHERE edit_id = 'e1'") == [(2,)]
    endpoint.use(script=[])
    assert retry(shop, endpoint).totals.succeeded == 1


def test_another_picture_of_a_success_is_asked_for_by_name_only(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(3, retry={"attempts": 1}), endpoint)
    assert retry(shop, endpoint).totals.finished == 0
    assert retry(shop, endpoint, only=["e1"]).totals.finished == 0
    with pytest.raises(ConfigError, match="--only ID"):
        retry(shop, endpoint, status=["succeeded"])
    before = rows(shop, "SELECT * FROM images")
    kept = (shop.outputs / "images/e1.png").read_bytes()
    endpoint.use(script=[{"fault": "not_a_picture"}])
    failed = retry(shop, endpoint, status=["succeeded"], only=["e1"])
    assert failed.totals.failed == 1
    assert rows(shop, "SELECT * FROM images") == before
    assert (shop.outputs / "images/e1.png").read_bytes() == kept
    endpoint.use(script=[], formats={"jpeg": 1})
    assert retry(shop, endpoint, status=["succeeded"], only=["e1"]).totals.succeeded == 1
    assert sorted(path.name for path in (shop.outputs / "images").iterdir()) == [
        "e0.png",
        "e1.jpg",
        "e2.png",
    ]


def test_a_picture_that_was_turned_down_stays_until_there_is_a_better_one(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(2, retry={"attempts": 1}), endpoint)
    change(shop, "UPDATE edits SET status = 'rejected' WHERE id = 'e1'")
    endpoint.use(script=[{"fault": "status_500"}])
    assert retry(shop, endpoint, status=["rejected"]).totals.failed == 1
    assert statuses(shop)["e1"] == "rejected"
    assert (shop.outputs / "images/e1.png").is_file()
    endpoint.use(script=[])
    assert retry(shop, endpoint, status=["rejected"]).totals.succeeded == 1


def test_what_failed_takes_the_newer_outcome(shop: Shop, emulator: Emulators) -> None:
    """A failure is no answer: nothing is lost when a newer one takes its place."""
    endpoint = emulator(**PLAIN, script=[{"fault": "status_500"}])
    run(shop.with_edits(1, retry={"attempts": 1}), endpoint)
    endpoint.use(script=[{"fault": "refused_400"}])
    retry(shop, endpoint)
    assert statuses(shop) == {"e0": "refused"}


def test_held_and_killed_requests_count_as_unknown(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN,
        script=[
            {"when": {"prompt_contains": f"number {n}"}, "fault": "reset_after_work", "times": 1}
            for n in (1, 2)
        ],
    )
    shop.with_edits(4, retry={"on_unknown": "hold"})
    assert run(shop, endpoint).totals.unknown == 2
    change(shop, "DELETE FROM edits WHERE id IN ('e2', 'e3')")  # as a crash leaves them
    assert retry(shop, endpoint, status=["failed,refused"]).totals.finished == 0
    assert retry(shop, endpoint, status=["unknown"]).totals.succeeded == 2
    assert statuses(shop) == {"e0": "succeeded", "e1": "succeeded", "e2": "succeeded"}


def test_reason_status_only_and_limit_narrow_it_down(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(
        **PLAIN,
        script=[
            {"when": {"prompt_contains": "number 0"}, "fault": "status_500"},
            {"when": {"prompt_contains": "number 1"}, "fault": "refused_400"},
            {"when": {"prompt_contains": "number 2"}, "fault": "empty_choices"},
            {"when": {"prompt_contains": "number 3"}, "fault": "refused_400"},
        ],
    )
    run(shop.with_edits(5, retry={"attempts": 1, "no_image_attempts": 1}), endpoint)
    asked = len(endpoint.requests)

    def retried(**options: Any) -> set[str]:
        nonlocal asked
        retry(shop, endpoint, **options)
        seen = {r["body"]["prompt"][-1] for r in endpoint.requests[asked:]}
        asked = len(endpoint.requests)
        return seen

    assert retried(reason="no_image") == {"2"}
    assert retried(status=["refused"]) == {"1", "3"}
    assert retried(status=["refused"], only=["e3", "e4"]) == {"3"}
    assert retried(status=["refused"], reason="server_error") == set()
    assert len(retried(limit=2)) == 2
    assert retried() == {"0", "1", "2", "3"}


def test_a_changed_row_is_asked_as_it_is_now(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, script=REFUSES_1)
    run(shop.with_edits(2), endpoint)
    shop.manifest.write_text(shop.manifest.read_text().replace("number 1", "harmless"))
    assert retry(shop, endpoint).totals.succeeded == 1
    assert endpoint.requests[-1]["body"]["prompt"] == "edit harmless"


def test_the_plan_that_is_confirmed_counts_only_what_is_retried(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN, script=REFUSES_1)
    run(shop.with_edits(4), endpoint)
    plans: list[Any] = []
    shop.with_edits(9)
    assert retry(shop, endpoint, confirm=lambda plan: plans.append(plan)).ended == "declined"
    assert (plans[0].requests, plans[0].new, plans[0].orphaned) == (1, 0, 0)


def test_the_command_says_when_there_is_nothing(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(2), endpoint)
    done = command("retry", shop.job, "--base-url", endpoint.url, "--status", "refused")
    assert (done.returncode, done.stdout) == (
        0,
        "Nothing to ask again: no edit with status refused.\n",
    )
    wrong = command("retry", shop.job, "--base-url", endpoint.url, "--status", "refussed")
    assert wrong.returncode == 2
    assert "did you mean 'refused'?" in wrong.stderr


def test_the_command_asks_again(command: Command, shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, script=REFUSES_1)
    run(shop.with_edits(3), endpoint)
    endpoint.use(script=[])
    done = command("retry", shop.job, "--base-url", endpoint.url, "--reason", "refused")
    assert done.returncode == 0, done.stderr
    assert "1 succeeded" in done.stdout


def test_statuses_are_listed_or_repeated() -> None:
    assert again_for().statuses == RETRIED
    assert again_for(["failed,refused", "failed"]).statuses == ("failed", "refused")
    with pytest.raises(ConfigError, match="`pipeline run` asks for these"):
        again_for(["pending"])
