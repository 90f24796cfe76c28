"""Events folded into snapshots."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.engine import Finished, Scanned, Stopping
from pipeline.events import Event, Gauges, Paused, Resumed, Started
from pipeline.models import Edit, Record, Status, StoredImage
from pipeline.pulse import LATENCY_BUCKETS_S, TROUBLES_KEPT, Pulse
from pipeline.retries.outage import EndpointDown, EndpointUp
from pipeline.setbacks import AttemptEnded, CoolingDown, Retrying
from pipeline.snapshot import Snapshot
from pipeline.watchdog import Stalled

GAUGES = Gauges(
    in_flight=3,
    concurrency=4,
    stated_concurrency=8,
    requests_per_minute=None,
    images_per_minute=None,
    paused=False,
    in_force="nothing",
    why="3 of 4 places are taken",
    spent_usd=1.0,
    reserved_usd=0.126,
    unknown_usd=0.0,
)


class Run:
    """A pulse with a clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 100.0
        self.gauges = GAUGES
        self.pulse = Pulse(
            job="shop",
            outputs=Path("outputs/shop"),
            run_id="r1",
            cap_usd=25.0,
            clock=lambda: self.at,
            now=lambda: 1_800_000_000.0 + self.at,
        )

    def start(self) -> "Run":
        self(
            Started(
                run_id="r1",
                endpoint="https://api.example",
                model="some/model",
                outputs=Path("outputs/shop"),
                interrupted_attempts=0,
                gauges=lambda: self.gauges,
                snapshot=self.pulse.snapshot,
            )
        )
        return self

    def __call__(self, *events: Event) -> None:
        for event in events:
            self.pulse(event)

    def ends(self, status: Status = "succeeded", *, seconds: float = 2.0, images: int = 1) -> None:
        """An edit ends now."""
        self(finished("e", status, seconds=seconds, images=images))

    @property
    def now(self) -> Snapshot:
        return self.pulse.snapshot()


def finished(
    name: str, status: Status = "succeeded", *, seconds: float = 2.0, images: int = 1
) -> Finished:
    edit = Edit(
        id=name, images=(), prompt="", parameters={}, variables={}, place="shop.csv:2", output=name
    )
    stored = StoredImage(
        path="images/e.png",
        sha256="0" * 64,
        size=1,
        width=1,
        height=1,
        format="png",
    )
    record = Record(
        edit=edit,
        model="some/model",
        fingerprint="f",
        run_id="r1",
        status=status,
        attempts=1,
        started_at=0.0,
        finished_at=seconds,
        images=(stored,) * images if status == "succeeded" else (),
        error_code=None if status == "succeeded" else "input",
        error_message=None if status == "succeeded" else "no such file",
    )
    return Finished(record=record, asked=1)


def ended(outcome: str, seconds: float) -> AttemptEnded:
    return AttemptEnded(edit_id="e", outcome=outcome, seconds=seconds, cost_usd=0.04, images=1)


def retrying(name: str, wait_s: float, code: str = "server_error") -> Retrying:
    return Retrying(edit_id=name, attempt=1, wait_s=wait_s, code=code, message="503")


def test_a_snapshot_can_be_sent_as_json_and_read_again() -> None:
    run = Run().start()
    run.ends("failed")
    text = msgspec.json.encode(run.now)
    assert msgspec.json.decode(text, type=Snapshot) == run.now


def test_before_the_first_request_all_is_zero() -> None:
    shown = Run().now
    assert (shown.done, shown.in_flight, shown.spent_usd) == (0, 0, 0.0)
    assert (shown.state, shown.expected, shown.left_s) == ("running", None, None)


def test_edits_are_counted_by_what_became_of_them() -> None:
    run = Run().start()
    for status in ("succeeded", "succeeded", "failed", "refused", "unknown"):
        run.ends(status)
    run(Scanned(counts={"unchanged": 7, "kept": 2, "new": 5}, complete=True))
    shown = run.now
    assert shown.counts == {
        "succeeded": 2,
        "failed": 1,
        "refused": 1,
        "rejected": 0,
        "unknown": 1,
        "unchanged": 7,
        "kept": 2,
    }
    assert (shown.done, shown.expected, shown.pictures) == (5, 5, 2)


def test_how_many_are_expected_is_what_the_plan_counted_or_what_was_planned() -> None:
    run = Run().start()
    run(Scanned(counts={"new": 8}, complete=False))
    assert run.now.expected is None
    run.pulse.expect(20)
    assert run.now.expected == 20
    run(Scanned(counts={"new": 15}, complete=True))
    assert run.now.expected == 23, "the manifest has grown since"


def test_an_edit_waits_until_its_next_attempt_is_due() -> None:
    run = Run().start()
    run(retrying("a", 5.0), retrying("b", 60.0))
    assert run.now.waiting == 2
    run.at += 10
    assert run.now.waiting == 1
    run.at += 60
    assert run.now.waiting == 0
    assert run.now.retries == 2


def test_attempts_are_counted_by_outcome_and_by_how_long_they_took() -> None:
    run = Run().start()
    run(
        ended("succeeded", 1.0),
        ended("succeeded", 2.5),
        ended("rate_limited", 0.2),
        ended("server_error", 61.0),
        ended("cancelled", 1000.0),
    )
    shown = run.now
    assert shown.attempts == {
        "succeeded": 2,
        "rate_limited": 1,
        "server_error": 1,
        "cancelled": 1,
    }
    assert shown.rate_limited == 1
    assert len(shown.latency_s) == len(LATENCY_BUCKETS_S)
    counts = dict(zip(LATENCY_BUCKETS_S, shown.latency_s, strict=True))
    assert {end: count for end, count in counts.items() if count} == {
        2.5: 3,
        90.0: 1,
        float("inf"): 1,
    }
    assert shown.latency_sum_s == pytest.approx(1064.7)


def test_pictures_a_minute_are_those_of_the_last_minute() -> None:
    run = Run().start()
    for _ in range(60):
        run.at += 1
        run.ends(images=2)
    assert run.now.pictures_per_minute == pytest.approx(120, rel=0.03)
    run.at += 30
    assert run.now.pictures_per_minute == pytest.approx(60, rel=0.05)


def test_few_pictures_are_counted_over_a_longer_time() -> None:
    """One a minute is one a minute, and not now none and then one."""
    run = Run().start()
    for _ in range(10):
        run.at += 60
        run.ends()
    run.at += 50
    assert run.now.pictures_per_minute == pytest.approx(1.0, abs=0.21)


def test_a_pause_counts_for_neither_rate_nor_time_left() -> None:
    run = Run().start()
    run.pulse.expect(200)
    for _ in range(100):
        run.at += 1
        run.ends()
    before = run.now
    run(Paused(in_flight=0))
    run.gauges = msgspec.structs.replace(GAUGES, paused=True)
    run.at += 10_000
    assert (run.now.state, run.now.left_s) == ("paused", None)
    run(Resumed(paused_s=10_000))
    run.gauges = GAUGES
    after = run.now
    assert after.state == "running"
    assert after.pictures_per_minute == pytest.approx(before.pictures_per_minute)
    assert after.left_s == pytest.approx(before.left_s)


def test_time_left_is_never_better_than_the_stated_rate() -> None:
    run = Run().start()
    run.pulse.expect(400)
    run.gauges = msgspec.structs.replace(
        GAUGES, requests_per_minute=10.0, stated_requests_per_minute=10.0
    )
    for _ in range(100):
        run.at += 1
        run.ends()
    left_s = run.now.left_s
    assert left_s is not None
    assert left_s[0] >= (300 - GAUGES.in_flight) * 6


@pytest.mark.parametrize(
    ("events", "gauges", "state"),
    [
        ([], {}, "running"),
        ([], {"in_force": "cooldown"}, "cooling down"),
        ([], {"paused": True}, "paused"),
        ([EndpointDown(code="server_error", message="503", probe_in_s=2)], {}, "endpoint down"),
        (
            [
                EndpointDown(code="server_error", message="503", probe_in_s=2),
                EndpointUp(down_s=3.0),
            ],
            {},
            "running",
        ),
        ([Stalled(seconds=600, phases={"endpoint": 4}, longest=())], {}, "stalled"),
        (
            [Stalled(seconds=600, phases={"endpoint": 4}, longest=()), ended("succeeded", 601)],
            {},
            "running",
        ),
        ([Stopping(reason="SIGINT received", in_flight=4)], {"paused": True}, "stopping"),
    ],
)
def test_the_state_says_what_holds_the_run(
    events: list[Event], gauges: dict[str, Any], state: str
) -> None:
    run = Run().start()
    run.gauges = msgspec.structs.replace(GAUGES, **gauges)
    run(*events)
    assert run.now.state == state


def test_troubles_of_one_kind_are_one_line_with_their_number() -> None:
    run = Run().start()
    run(*[retrying(f"e{n}", 1.0) for n in range(12)])
    run(finished("bad", "failed"), retrying("last", 2.0))
    assert [trouble.text for trouble in run.now.troubles] == [
        "failed (input): bad: no such file",
        "13 × server_error: last: 503, again in 2.0 s",
    ]


def test_a_429_is_told_once_by_the_cooldown() -> None:
    run = Run().start()
    run(
        CoolingDown(wait_s=2.0, concurrency=4, requests_per_minute=None),
        retrying("a", 2.0, "rate_limited"),
    )
    [only] = run.now.troubles
    assert only.text == "rate limited: nothing leaves for 2.0 s, then at most 4 at once"


def test_troubles_are_few_and_short_whatever_comes() -> None:
    run = Run().start()
    for number in range(1000):
        run(
            Retrying(
                edit_id="e", attempt=1, wait_s=1.0, code=f"code {number}", message="long " * 1000
            )
        )
    assert len(run.now.troubles) == TROUBLES_KEPT
    assert run.now.troubles[-1].text.startswith("code 999")
    assert all(len(trouble.text) <= 310 for trouble in run.now.troubles)


def test_money_comes_from_the_gauges_and_the_cap_from_the_job() -> None:
    shown = Run().start().now
    assert (shown.spent_usd, shown.reserved_usd, shown.cap_usd) == (1.0, 0.126, 25.0)
