"""A few edits first: which ones, what they say of the rest, and who decides."""

import asyncio
import json
import math
import os
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.canary import Canary, CanaryReport, Thresholds, spread
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, JobError
from pipeline.estimates import Estimate, median, ratio, share
from pipeline.events import Event
from pipeline.models import Edit, Record, Status
from pipeline.planning import Item, Planned
from pipeline.running import RunResult
from tests.conftest import Shop
from tests.terminal import on_a_terminal

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    options.setdefault("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, **options))


def edit(name: str) -> Edit:
    return Edit(
        id=name, images=(), prompt="", parameters={}, variables={}, place="m.csv:2", output=name
    )


def planned(count: int, *, unchanged: frozenset[int] = frozenset()) -> Iterator[Item]:
    for n in range(count):
        state: Any = "unchanged" if n in unchanged else "new"
        yield Planned(edit=edit(f"e{n}"), fingerprint="", digests=(), state=state)


def record(
    name: str,
    status: Status = "succeeded",
    *,
    cost: float | None = 0.042,
    seconds: float = 6.0,
    attempts: int = 1,
) -> Record:
    return Record(
        edit=edit(name),
        model="m",
        fingerprint="",
        run_id="r",
        status=status,
        attempts=attempts,
        started_at=100.0,
        finished_at=100.0 + seconds,
        cost_usd=cost,
        error_code=None if status == "succeeded" else status,
        error_message=None if status == "succeeded" else "because",
    )


def report(*records: Record, requests: int = 1000, asked: int = 1, **limits: Any) -> CanaryReport:
    canary = Canary(
        len(records),
        requests=requests,
        pictures=requests * asked,
        thresholds=Thresholds(**limits),
    )
    for one in records:
        canary.add(one, asked=asked)
    return canary.report(unknown_usd=0.0)


# --- estimates


def test_wilsons_interval_is_as_published() -> None:
    """Figures of Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    for count, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        found = share(count, of)
        assert found.low == pytest.approx(low, abs=1e-4)
        assert found.high == pytest.approx(high, abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_share_lies_in_its_interval_and_the_interval_in_zero_to_one(a: int, b: int) -> None:
    found = share(min(a, b), max(a, b))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_equal_costs_still_leave_room_for_what_was_not_seen() -> None:
    found = ratio([0.042] * 10, [1] * 10)
    assert found is not None
    assert found.value == pytest.approx(0.042)
    assert found.low == pytest.approx(0.042 * share(10, 10).low)
    assert found.high == pytest.approx(0.042)


def test_different_costs_widen_the_interval_on_both_sides() -> None:
    found = ratio([0.042, 0.084, 0.042, 0.126, 0.042], [1] * 5)
    assert found is not None
    assert found.low < 0.04 < 0.0672 < 0.1 < found.high


def test_pictures_count_and_not_edits() -> None:
    found = ratio([0.042, 0.168], [1, 4])
    assert found is not None
    assert found.value == pytest.approx(0.042)


def test_nothing_charged_says_nothing_about_what_will_be() -> None:
    assert ratio([0.0, 0.0], [1, 1]) is None
    assert ratio([], []) is None
    assert median([]) is None


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Edits that are refused (free), answered, or answered at the second, charged, attempt."""
    rng = random.Random(1)
    truth = 0.7 * 0.042 + 0.1 * 0.084
    hits = 0
    for _ in range(400):
        costs = rng.choices([0.0, 0.042, 0.084], [0.2, 0.7, 0.1], k=20)
        found = ratio(costs, [1] * 20)
        hits += found is not None and found.low <= truth <= found.high
    assert hits >= 370


def test_the_median_of_few_has_a_wide_interval() -> None:
    found = median([1.0, 2.0, 3.0])
    assert found == Estimate(value=2.0, low=1.0, high=3.0)
    many = median([float(n) for n in range(1000)])
    assert many is not None
    assert 450 < many.low < 500 < many.high < 550


# --- which edits


@given(st.integers(0, 2000), st.integers(1, 300))
def test_places_are_as_many_as_asked_and_evenly_spread(total: int, wanted: int) -> None:
    places = sorted(spread(total, wanted))
    assert len(places) == min(total, wanted)
    assert all(0 <= place < total for place in places)
    gaps = {b - a for a, b in pairwise(places)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def test_places_avoid_the_very_ends() -> None:
    assert sorted(spread(1000, 4)) == [125, 375, 625, 875]


def test_only_what_there_is_to_do_is_counted_and_nothing_is_left_out() -> None:
    unchanged = frozenset(range(0, 100, 2))
    canary = Canary(5, requests=50, pictures=50, thresholds=Thresholds())
    first = [item.edit.id for item in canary.first(planned(100, unchanged=unchanged))]  # type: ignore[union-attr]
    assert first == ["e11", "e31", "e51", "e71", "e91"]
    rest = [item.edit.id for item in canary.others(planned(100, unchanged=unchanged))]  # type: ignore[union-attr]
    assert set(first).isdisjoint(rest)
    assert len(rest) == 95


def test_the_first_pass_reads_no_further_than_it_must() -> None:
    read = 0

    def items() -> Iterator[Item]:
        nonlocal read
        for item in planned(1000):
            read += 1
            yield item

    canary = Canary(2, requests=1000, pictures=1000, thresholds=Thresholds())
    assert len(list(canary.first(items()))) == 2
    assert read <= 752


# --- what they say


def test_the_projection_counts_what_is_spent_and_what_remains() -> None:
    found = report(*[record(f"e{n}") for n in range(10)], requests=1000, asked=2)
    assert found.cost_usd == pytest.approx(0.42)
    assert found.remaining == 990
    assert found.total_usd is not None
    assert found.total_usd.value == pytest.approx(0.42 + 990 * 2 * 0.021)
    assert found.total_usd.low < found.total_usd.value <= found.total_usd.high


def test_unknown_outcomes_raise_the_upper_end() -> None:
    canary = Canary(10, requests=100, pictures=100, thresholds=Thresholds())
    for n in range(10):
        canary.add(record(f"e{n}"), asked=1)
    found = canary.report(unknown_usd=0.042)
    assert found.total_usd is not None
    assert found.total_usd.high == pytest.approx(4.2 + 0.42)


def test_what_nobody_priced_is_counted_and_not_taken_for_free() -> None:
    found = report(*[record(f"e{n}", cost=None) for n in range(3)], max_cost_usd_per_edit=0.05)
    assert (found.uncosted, found.cost_usd_per_edit, found.total_usd) == (3, None, None)
    assert "nobody said what 3 of 3 cost" in found.failures[0]
    assert "cost unknown for 3" in found.line


def test_an_edit_that_was_never_sent_is_free_and_has_no_latency() -> None:
    found = report(record("a"), record("b", "failed", cost=None, attempts=0, seconds=0.0))
    assert found.uncosted == 0
    assert found.seconds_p95 == 6.0


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, True),
        ({"max_failure_share": 0.3}, True),
        ({"max_failure_share": 0.2}, False),
        ({"max_cost_usd_per_edit": 0.0294}, True),
        ({"max_cost_usd_per_edit": 0.029}, False),
        ({"max_seconds_p95": 6.0}, True),
        ({"max_seconds_p95": 5.9}, False),
    ],
)
def test_thresholds_hold_for_what_was_measured(limits: dict[str, Any], kept: bool) -> None:
    good = [record(f"e{n}") for n in range(7)]
    bad = [record("x", "refused", cost=0.0), *[record(f"y{n}", "failed", cost=0.0) for n in "ab"]]
    found = report(*good, *bad, **limits)
    assert (found.succeeded, found.refused, found.failed) == (7, 1, 2)
    assert (found.failures == ()) is kept
    assert found.reasons[0].startswith("2 × failed, as in ya: because")


# --- in a run


def of(events: list[Event]) -> CanaryReport:
    [found] = [event for event in events if isinstance(event, CanaryReport)]
    return found


def test_both_passes_together_do_every_edit_once(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    events: list[Event] = []
    result = run(shop.with_edits(40), endpoint, canary=4, observe=events.append)
    assert (result.exit_code, result.totals.succeeded, result.totals.unchanged) == (0, 40, 0)
    assert len(endpoint.requests) == 40
    assert len({r["body"]["prompt"] for r in endpoint.requests}) == 40
    first = {r["body"]["prompt"] for r in endpoint.requests[:4]}
    assert first == {f"edit number {n}" for n in (5, 15, 25, 35)}
    found = of(events)
    assert (found.edits, found.remaining) == (4, 36)
    assert found.cost_usd == pytest.approx(0.168)
    assert found.total_usd is not None
    assert found.total_usd.value == pytest.approx(1.68)
    assert result.canary == found


def test_what_is_done_already_counts_neither_as_canary_nor_twice(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(20), endpoint, only=["e1", "e1?"])
    events: list[Event] = []
    result = run(shop, endpoint, canary=3, observe=events.append)
    assert (result.totals.succeeded, result.totals.unchanged) == (9, 11)
    assert of(events).remaining == 6
    assert len(endpoint.requests) == 20


def test_a_limit_holds_for_both_passes_together(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    result = run(shop.with_edits(20), endpoint, canary=3, limit=8)
    assert result.totals.succeeded == 8
    assert run(shop, endpoint, canary=5, limit=2).totals.succeeded == 2


def test_a_canary_of_everything_and_of_nothing(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    asked: list[CanaryReport] = []

    def approve(found: CanaryReport) -> bool:
        asked.append(found)
        return False

    result = run(shop.with_edits(3), endpoint, canary=10, approve=approve)
    assert (result.exit_code, result.totals.succeeded, asked) == (0, 3, [])
    assert run(shop, endpoint, canary=10, approve=approve).exit_code == 0
    with pytest.raises(ConfigError, match="--canary"):
        run(shop, endpoint, canary=0)


def test_declining_leaves_the_rest_pending(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    shown: list[CanaryReport] = []

    def decline(found: CanaryReport) -> bool:
        shown.append(found)
        return False

    result = run(shop.with_edits(30), endpoint, canary=3, approve=decline)
    assert (result.exit_code, result.ended, result.totals.succeeded) == (130, "declined", 3)
    assert len(shown) == 1
    assert len(endpoint.requests) == 3
    status = pipeline.status(shop.job)
    assert status.run is not None
    assert (status.run.ended, status.run.exit_code) == ("declined", 130)
    again = run(shop, endpoint)
    assert (again.totals.succeeded, again.totals.unchanged) == (27, 3)


def test_unattended_the_jobs_thresholds_decide(shop: Shop, emulator: Emulators) -> None:
    refuse = [{"when": {"prompt_contains": "edit"}, "fault": "refused_400"}]
    endpoint = emulator(**PLAIN, script=refuse)
    shop.with_edits(50, canary={"edits": 5, "max_failure_share": 0.1})
    result = run(shop, endpoint)
    assert (result.exit_code, result.ended, result.totals.refused) == (5, "budget", 5)
    assert "5 of 5 did not succeed" in str(result.error)
    assert len(endpoint.requests) == 5
    endpoint.use(script=[])
    assert run(shop, endpoint).totals.succeeded == 45, "the refused are an answer"


def test_all_failing_stops_by_default_and_few_do_not(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, faults={"refused_400": 1.0})
    assert run(shop.with_edits(20), endpoint, canary=4).exit_code == 5
    endpoint.use(faults={})
    assert run(shop, endpoint, canary=4).exit_code == 0


def test_dear_edits_stop_the_run(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, prices={"google/gemini-2.5-flash-image-edit": 0.09})
    shop.with_edits(20, canary={"edits": 3, "max_cost_usd_per_edit": 0.05})
    result = run(shop, endpoint)
    assert result.exit_code == 5
    assert "an edit cost $0.0900" in str(result.error)
    assert endpoint.bill.total_usd == pytest.approx(0.27)


def test_a_cap_inside_the_canary_is_a_cap(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    events: list[Event] = []
    result = run(shop.with_edits(20), endpoint, canary=5, max_cost_usd=0.10, observe=events.append)
    assert (result.exit_code, result.totals.succeeded, result.canary) == (5, 2, None)
    assert "run_usd" in str(result.error)


def test_both_passes_share_one_cap(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    result = run(shop.with_edits(20), endpoint, canary=3, max_cost_usd=0.21)
    assert (result.exit_code, result.totals.succeeded) == (5, 5)
    assert endpoint.bill.total_usd == pytest.approx(0.21)


def test_rows_that_fail_before_they_are_sent_wait_for_the_second_pass(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    rows = "".join([f"e{n},{'gone' if n % 2 else 'mug'}.jpg\n" for n in range(20)])
    result = run(shop.write("id,images\n" + rows), endpoint, canary=4)
    assert (result.totals.succeeded, result.totals.failed) == (10, 10)
    assert result.canary is not None
    assert result.canary.succeeded == 4


def test_the_jobs_keys_are_checked(shop: Shop) -> None:
    shop.with_edits(1, canary={"edits": 0, "max_failure_share": 1.5, "max_second_p95": 4})
    with pytest.raises(JobError) as error:
        pipeline.load_job(shop.job)
    text = str(error.value)
    assert "canary.edits: must be at least 1" in text
    assert "canary.max_failure_share: must be at most 1" in text
    assert "max_seconds_p95" in text
    assert math.isclose(
        pipeline.load_job(shop.with_edits(1).job).canary.max_failure_share or 0, 0.5
    )


# --- the command


def test_the_command_reports_in_a_line_and_in_json(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    shop.with_edits(12)
    done = command("run", shop.job, "--base-url", endpoint.url, "--canary", "3", "--json")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if " canary: " in line]
    assert "3 of 3 succeeded" in line
    assert "in all $0.50 (" in line
    assert json.loads(done.stdout)["canary"]["edits"] == 3


def test_thresholds_that_were_not_kept_are_named_with_the_way_on(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN, faults={"refused_400": 1.0})
    shop.with_edits(12)
    done = command("run", shop.job, "--base-url", endpoint.url, "--canary", "3")
    assert done.returncode == 5
    assert "canary.max_failure_share allows 50%" in done.stderr.replace("\n", " ")
    assert "goes on where this run stopped" in done.stdout
    assert "3 refused" in done.stdout


def statuses(shop: Shop) -> int:
    ledger = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        [(count,)] = ledger.execute("SELECT count(*) FROM edits WHERE status = 'succeeded'")
        return int(count)
    finally:
        ledger.close()


@pytest.mark.skipif(os.name == "nt", reason="a POSIX terminal")
@pytest.mark.parametrize(
    ("answer", "exit_code", "done"),
    [("y\n", 0, 12), ("n\n", 130, 3), ("\n", 130, 3), ("\x04", 130, 3), ("SIGINT", 130, 3)],
)
def test_on_a_terminal_a_person_is_shown_the_figures_and_asked(
    shop: Shop, emulator: Emulators, answer: str, exit_code: int, done: int
) -> None:
    import signal

    endpoint = emulator(**PLAIN)
    shop.with_edits(12)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url, "--canary", "3") as terminal:
        terminal.until("Go on with 9 more edits? [y/N]")
        for words in ("preflight: ", "3 of 12 edits", "(0%, 0% to 56%)", "in all", "$0.50"):
            assert words in terminal.seen, words
        assert len(endpoint.requests) == 3, "nothing leaves while somebody thinks"
        if answer == "SIGINT":
            terminal.process.send_signal(signal.SIGINT)
        else:
            terminal.type(answer)
        assert terminal.to_the_end() == exit_code, terminal.seen
    assert "Traceback" not in terminal.seen
    assert statuses(shop) == done
    if exit_code:
        assert "goes on where this run stopped" in terminal.seen


@pytest.mark.skipif(os.name == "nt", reason="a POSIX terminal")
def test_yes_asks_nothing_and_lets_the_thresholds_decide(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN, faults={"refused_400": 1.0})
    shop.with_edits(12)
    with on_a_terminal(
        "run", shop.job, "--base-url", endpoint.url, "--canary", "3", "-y"
    ) as terminal:
        assert terminal.to_the_end() == 5, terminal.seen
    assert "[y/N]" not in terminal.seen
    assert "not kept: 3 of 3" in terminal.seen


@pytest.mark.skipif(os.name == "nt", reason="a POSIX terminal")
def test_ctrl_c_at_the_plan_is_a_no(shop: Shop, emulator: Emulators) -> None:
    import signal

    endpoint = emulator(**PLAIN)
    shop.with_edits(12, confirm_above_usd=0.01)
    with on_a_terminal("run", shop.job, "--base-url", endpoint.url) as terminal:
        terminal.until("Go on? [y/N]")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.to_the_end() == 130, terminal.seen
    assert "Nothing was sent" in terminal.seen
    assert "Traceback" not in terminal.seen
    assert endpoint.requests == []
