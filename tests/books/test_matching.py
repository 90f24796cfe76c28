"""Attempts against books that say all kinds of things. Pure: no provider plays along."""

from typing import Any

import pytest

from pipeline.books.matching import SHOWN, WINDOW_SLACK_S, Books, Item, Matching, Shares, Windows
from pipeline.endpoints import LogEntry, Transaction
from pipeline.ledger import AttemptRow

NOW = 10_000.0
MODEL = "google/gemini-2.5-flash-image-edit"


def an_attempt(name: str = "a1", **changes: Any) -> AttemptRow:
    values: dict[str, Any] = {
        "id": name,
        "edit_id": "e1",
        "run_id": "r",
        "number": 1,
        "fingerprint": "f",
        "status": "unknown",
        "started_at": 1000.0,
        "finished_at": 1005.0,
        "images": 1,
        "reserved_usd": 0.042,
        "cost_usd": None,
        "cost_source": "none",
        "http_status": None,
        "inference_id": None,
        "error_code": "connection_failed",
        "error_message": "no answer",
    }
    return AttemptRow(*(values | changes).values())


def a_charge(reference: str | None = "i1", **changes: Any) -> Transaction:
    values: dict[str, Any] = {
        "created_at": 1004.0,
        "direction": "charge",
        "kind": "MODEL_USAGE",
        "usd": 0.042,
        "model": MODEL,
        "reference_id": reference,
    }
    return Transaction(**(values | changes))


def an_entry(**changes: Any) -> LogEntry:
    values: dict[str, Any] = {
        "created_at": 1001.0,
        "succeeded": True,
        "cost_usd": 0.042,
        "inference_id": "i1",
        "client_request_id": "a1",
    }
    return LogEntry(**(values | changes))


def books(*rows: LogEntry | Transaction) -> Books:
    found = Books()
    found.note_entries([row for row in rows if isinstance(row, LogEntry)])
    found.note_transactions([row for row in rows if isinstance(row, Transaction)])
    return found


def matching(found: Books, *, now: float = NOW, delay_s: float = 600.0) -> Matching:
    return Matching(found, now=now, delay_s=delay_s, longest_s=360.0)


def verdict(attempt: AttemptRow, *rows: LogEntry | Transaction, **settings: Any) -> Any:
    judgement = matching(books(*rows), **settings).judge(attempt)
    if judgement is None:
        return None
    settled = judgement.settlement
    return judgement.verdict, None if settled is None else (settled.status, settled.cost_usd)


def test_what_the_books_say_decides_however_fresh_it_is() -> None:
    fresh = {"now": 1006.0}
    assert verdict(an_attempt(), an_entry(), **fresh) == ("billed_lost", ("failed", 0.042))
    failed = an_entry(succeeded=False, cost_usd=0.0)
    assert verdict(an_attempt(), failed, **fresh) == ("not_billed", ("failed", 0.0))
    assert verdict(an_attempt(), **fresh) == ("undecided", None)
    assert verdict(an_attempt()) == ("not_billed", ("failed", 0.0))


def test_the_bill_outweighs_the_log_and_refunds_count() -> None:
    failed = an_entry(succeeded=False, cost_usd=0.0)
    assert verdict(an_attempt(), failed, a_charge()) == ("billed_lost", ("failed", 0.042))
    half = a_charge(direction="topup", kind="REFUND", usd=0.021)
    assert verdict(an_attempt(), an_entry(), a_charge(), half)[1] == ("failed", 0.021)
    whole = a_charge(direction="topup", kind="REFUND")
    assert verdict(an_attempt(), an_entry(), a_charge(), whole) == ("not_billed", ("failed", 0.0))
    payment = a_charge(direction="topup", kind="PAYMENT", usd=50.0)
    assert verdict(an_attempt(), an_entry(), a_charge(), payment)[1] == ("failed", 0.042)


def test_a_page_that_is_read_twice_counts_once() -> None:
    found = books(an_entry(), a_charge())
    found.note_transactions([a_charge()])
    assert found.charges["i1"].usd == 0.042


def test_a_success_whose_price_nobody_says_costs_what_was_reserved() -> None:
    silent = an_entry(cost_usd=None)
    assert verdict(an_attempt(), silent, now=1006.0) == ("undecided", None)
    assert verdict(an_attempt(), silent) == ("billed_lost", ("failed", 0.042))


def test_what_is_closed_keeps_its_outcome_and_gets_the_right_price() -> None:
    done = an_attempt(
        status="succeeded", cost_usd=0.05, cost_source="catalog", error_code=None, inference_id="i1"
    )
    assert verdict(done, a_charge()) == ("billed_have", ("succeeded", 0.042))
    exact = an_attempt(status="succeeded", cost_usd=0.042, inference_id="i1", error_code=None)
    assert verdict(exact, a_charge()) == ("billed_have", None)
    bad = an_attempt(status="failed", cost_usd=0.0, error_code="server_error")
    assert verdict(bad, an_entry(), a_charge()) == ("billed_lost", ("failed", 0.042))
    assert verdict(bad) is None
    assumed = an_attempt(status="failed", cost_usd=0.042, error_code="bad_response")
    assert verdict(assumed, an_entry(succeeded=False)) == ("not_billed", ("failed", 0.0))
    unsent = an_attempt(status="failed", cost_usd=None, error_code="not_sent")
    assert verdict(unsent) is None


def test_a_price_that_is_on_no_book_is_reported_and_left_as_it_is() -> None:
    done = an_attempt(status="succeeded", cost_usd=0.042, inference_id="i1", error_code=None)
    assert verdict(done) == ("unconfirmed", None)
    assert verdict(done, now=1006.0) == ("undecided", None)


def test_of_a_process_that_died_the_end_is_not_the_next_start() -> None:
    """It was noted hours later; a request does not last that long."""
    killed = an_attempt(finished_at=9_999.0, error_code="process_ended")
    assert verdict(killed) == ("not_billed", ("failed", 0.0))
    assert verdict(an_attempt(finished_at=None, started_at=9_900.0)) == ("undecided", None)


def test_absence_proves_nothing_from_where_the_books_stop() -> None:
    answered = [
        an_attempt(f"s{n}", status="succeeded", cost_usd=0.042, started_at=100.0 * n,
                   finished_at=100.0 * n + 5, inference_id=f"s{n}")
        for n in range(1, 5)
    ]  # fmt: skip
    found = matching(books(a_charge("s1"), a_charge("s2")))
    found.look_for_lag(answered)
    assert found.lagging == 2
    early, late = an_attempt(started_at=150.0, finished_at=155.0), an_attempt(started_at=250.0)
    assert found.judge(early).verdict == "not_billed"  # type: ignore[union-attr]
    assert found.judge(late).verdict == "undecided"  # type: ignore[union-attr]
    found = matching(books(a_charge("s1"), a_charge("s4")))
    found.look_for_lag(answered)
    assert found.lagging == 0, "holes in the middle are no lag"


def test_only_charges_of_our_time_and_model_can_be_unexplained() -> None:
    windows = Windows()
    windows.add(1000.0, 1005.0)
    found = matching(
        books(
            a_charge("mine"),
            a_charge("near", model=MODEL.rpartition("/")[2]),
            a_charge("nameless", model=None),
            a_charge(None),
            a_charge("chat", model="openai/gpt-5"),
            a_charge("yesterday", created_at=500.0),
            a_charge("expired", kind="CREDITS_EXPIRED"),
            a_charge("back", usd=0.5),
            a_charge("back", direction="topup", kind="REFUND", usd=0.5),
        )
    )
    mine = an_attempt(inference_id="mine")
    names = {name for name, _ in found.unexplained([mine], windows, frozenset({MODEL}))}
    assert {name for name in names if not name.startswith("(no id)")} == {"near", "nameless"}
    assert len(names) == 3


def test_windows_that_lie_close_are_one() -> None:
    windows = Windows()
    for start in (9_000.0, 0.0, 2 * WINDOW_SLACK_S, 100.0):
        windows.add(start, start + 10)
    assert list(windows) == [(0.0, 2 * WINDOW_SLACK_S + 10), (9_000.0, 9_010.0)]


@pytest.mark.parametrize("count", [3, SHOWN + 7])
def test_a_class_counts_all_and_names_the_first(count: int) -> None:
    shares = Shares()
    for n in range(count):
        shares.add("billed_lost", Item(id=f"a{n}", edit_id="e", usd=0.042, at=0.0))
    share = shares.share("billed_lost")
    assert (share.count, share.usd) == (count, round(count * 0.042, 3))
    assert [item.id for item in share.items] == [f"a{n}" for n in range(min(count, SHOWN))]
