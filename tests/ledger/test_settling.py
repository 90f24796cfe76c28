"""What is learned about attempts and pictures later, written so that repeating changes nothing."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import LedgerError
from pipeline.ledger import Ledger, Settlement, open_ledger, open_reader
from pipeline.models import AttemptEnd
from tests.ledger.samples import (
    ORIGIN,
    START,
    a_record,
    an_attempt,
    an_end,
    an_image,
    opened,
    read,
)

UNKNOWN = an_end("unknown", error_code="connection_failed", error_message="no answer")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def a_settlement(attempt_id: str = "a1", **changes: Any) -> Settlement:
    values: dict[str, Any] = {
        "attempt_id": attempt_id,
        "edit_id": "shoe-1",
        "status": "failed",
        "cost_usd": 0.042,
        "cost_source": "log",
        "inference_id": "inf-1",
        "error_code": "reconciled_billed_lost",
        "error_message": "charged, and no picture came",
    }
    return Settlement(**(values | changes))


async def attempted(ledger: Ledger, attempt_id: str, end: AttemptEnd, **changes: Any) -> None:
    await ledger.start_attempt(an_attempt(attempt_id, **changes))
    ledger.end_attempt(attempt_id, end)


async def test_settling_counts_what_changed_and_repeating_it_changes_nothing(path: Path) -> None:
    ledger = opened(path)
    await attempted(ledger, "a1", UNKNOWN)
    await attempted(ledger, "a2", UNKNOWN, number=2)
    both = [a_settlement("a1"), a_settlement("a2", cost_usd=0.0)]
    assert await ledger.settle(both) == 2
    before = read(path, "SELECT * FROM attempts ORDER BY id")
    assert await ledger.settle(both) == 0
    ledger.close()
    assert read(path, "SELECT * FROM attempts ORDER BY id") == before
    assert read(path, "SELECT status, cost_usd, cost_source, inference_id FROM attempts") == [
        ("failed", 0.042, "log", "inf-1"),
        ("failed", 0.0, "log", "inf-1"),
    ]


async def test_an_inference_id_that_is_known_is_not_lost(path: Path) -> None:
    ledger = opened(path)
    await attempted(ledger, "a1", an_end("unknown", inference_id="inf-9"))
    await ledger.settle([a_settlement("a1", inference_id=None)])
    ledger.close()
    assert read(path, "SELECT inference_id FROM attempts") == [("inf-9",)]


async def test_an_attempt_under_way_is_not_settled(path: Path) -> None:
    ledger = opened(path)
    await ledger.start_attempt(an_attempt("a1"))
    assert await ledger.settle([a_settlement("a1")]) == 0
    ledger.close()


async def test_the_cost_of_the_edit_follows(path: Path) -> None:
    ledger = opened(path)
    await attempted(ledger, "a1", UNKNOWN)
    await attempted(ledger, "a2", an_end(cost_usd=0.042), number=2)
    await attempted(ledger, "old", an_end(cost_usd=7.0), run_id="run-0")
    await ledger.record(a_record("shoe-1"))
    await ledger.settle([a_settlement("a1")])
    ledger.close()
    assert read(path, "SELECT cost_usd, status FROM edits") == [(0.084, "succeeded")]


async def test_a_held_edit_fails_when_nothing_about_it_is_unknown_any_more(path: Path) -> None:
    ledger = opened(path)
    await attempted(ledger, "a1", UNKNOWN)
    await attempted(ledger, "a2", UNKNOWN, number=2, started_at=START + 1)
    await ledger.record(a_record("shoe-1", status="unknown", images=(), cost_usd=None))
    await ledger.settle([a_settlement("a1")])
    assert read(path, "SELECT status FROM edits") == [("unknown",)]
    await ledger.settle([a_settlement("a2", cost_usd=0.0, error_code="reconciled_not_billed")])
    ledger.close()
    assert read(path, "SELECT status, error_code, cost_usd FROM edits") == [
        ("failed", "reconciled_not_billed", 0.042)
    ]


async def test_what_became_pending_keeps_its_row_and_its_pictures_names(path: Path) -> None:
    ledger = opened(path)
    await ledger.record(a_record("shoe-1"))
    await ledger.record(a_record("shoe-2", status="refused", images=()))
    await ledger.set_pending({"shoe-1": "its picture is missing", "shoe-2": "no"})
    ledger.close()
    assert read(path, "SELECT id, status, error_code FROM edits ORDER BY id") == [
        ("shoe-1", "pending", "picture_missing"),
        ("shoe-2", "refused", None),
    ]
    with open_reader(path) as reader:
        assert len(reader.images_of("shoe-1")) == 1
        assert [(one.edit_id, one.status) for one in reader.holdings()] == [("shoe-1", "pending")]


@pytest.mark.parametrize("status", ["succeeded", "refused", "rejected"])
async def test_a_failure_that_was_never_sent_replaces_no_answer(path: Path, status: Any) -> None:
    ledger = opened(path)
    images = () if status == "refused" else (an_image("images/shoe-1.png"),)
    await ledger.record(a_record("shoe-1", status=status, images=images))
    unsent = a_record("shoe-1", status="failed", attempts=0, images=(), error_code="input")
    await ledger.record(unsent)
    ledger.close()
    assert read(path, "SELECT status, error_code FROM edits") == [(status, None)]
    assert read(path, "SELECT count(*) FROM images") == [(len(images),)]


async def test_a_failure_that_was_sent_replaces_an_answer_unless_it_is_to_be_kept(
    path: Path,
) -> None:
    ledger = opened(path)
    failure = a_record("shoe-1", status="failed", images=(), error_code="server_error")
    await ledger.record(a_record("shoe-1"))
    await ledger.record(failure, keep_answer=True)
    assert read(path, "SELECT status FROM edits") == [("succeeded",)]
    await ledger.record(failure)
    assert read(path, "SELECT status FROM edits") == [("failed",)]
    await ledger.record(a_record("shoe-1", finished_at=START + 9), keep_answer=True)
    assert read(path, "SELECT status FROM edits") == [("succeeded",)]
    ledger.close()


async def test_answers_are_kept_within_one_commit_too(path: Path) -> None:
    import asyncio

    ledger = opened(path)
    unsent = a_record("shoe-1", status="failed", attempts=0, images=(), error_code="input")
    await asyncio.gather(
        ledger.record(unsent), ledger.record(a_record("shoe-1")), ledger.record(unsent)
    )
    first = a_record("shoe-2", status="failed", attempts=0, images=(), error_code="input")
    await asyncio.gather(*(ledger.record(first) for _ in range(3)))
    ledger.close()
    assert read(path, "SELECT id, status FROM edits ORDER BY id") == [
        ("shoe-1", "succeeded"),
        ("shoe-2", "failed"),
    ]
    assert read(path, "SELECT edit_id FROM images") == [("shoe-1",)]


async def test_attempts_come_in_the_order_of_their_start(path: Path) -> None:
    ledger = opened(path)
    await attempted(ledger, "late", UNKNOWN, started_at=START + 5)
    await attempted(ledger, "early", an_end(), edit_id="shoe-2")
    await attempted(ledger, "lost", an_end("failed", error_code="lost"), started_at=START + 7)
    await ledger.start_attempt(an_attempt("open", started_at=START + 9))
    ledger.close()
    with open_reader(path) as reader:
        assert [one.id for one in reader.attempts()] == ["early", "late", "lost", "open"]
        assert [one.id for one in reader.attempts_without_outcome("lost")] == [
            "late",
            "lost",
            "open",
        ]


async def test_edits_are_found_by_status_and_reason(path: Path) -> None:
    ledger = opened(path)
    await ledger.record(a_record("done"))
    await ledger.record(a_record("no", status="refused", images=(), error_code="refused"))
    await ledger.record(a_record("bad", status="failed", images=(), error_code="server_error"))
    await ledger.record(a_record("held", status="unknown", images=(), error_code="x"))
    await attempted(ledger, "a1", UNKNOWN, edit_id="killed")
    await attempted(ledger, "a2", UNKNOWN, edit_id="done")
    ledger.close()
    with open_reader(path) as reader:
        assert reader.edits_with_status(("failed", "refused")) == {"no", "bad"}
        assert reader.edits_with_status(("failed", "refused"), reason="refused") == {"no"}
        assert reader.edits_with_status(("unknown",)) == {"held", "killed"}
        assert reader.edits_with_status(("unknown",), reason="connection_failed") == {"killed"}
        assert reader.models() == {a_record("x").model}
        assert reader.origin() == ORIGIN
        assert reader.damage() == ()


async def test_a_success_without_a_picture_is_found(path: Path) -> None:
    ledger = opened(path)
    await ledger.record(a_record("whole"))
    await ledger.record(a_record("empty", images=()))
    ledger.close()
    with open_reader(path) as reader:
        assert reader.successes_without_pictures() == ("empty",)


def test_who_asks_no_endpoint_need_not_say_whose_ledger_it_is(path: Path) -> None:
    opened(path).close()
    open_ledger(path, origin=None).close()
    assert read(path, "SELECT value FROM meta WHERE key = 'origin'") == [(ORIGIN,)]


async def test_settling_after_a_failure_is_refused(path: Path) -> None:
    ledger = opened(path)
    ledger.close()
    with pytest.raises(LedgerError, match="closed already"):
        await ledger.settle([a_settlement()])
