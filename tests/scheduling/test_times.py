"""What becomes of times that went by."""

from datetime import UTC, datetime

import pytest

from pipeline.job.schedule import CatchUp, Schedule
from pipeline.scheduling.times import Verdict, in_words, jitter_of, verdict

NOON = datetime(2026, 5, 10, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0
HOUR = 3_600.0


def nightly(**more: object) -> Schedule:
    return Schedule.model_validate({"cron": "0 3 * * *", **more})


def judged(schedule: Schedule, away: float, now: float = NOON) -> Verdict:
    """After an absence of ``away`` seconds."""
    return verdict(schedule, "shop", after=now - away, now=now)


def test_a_time_that_just_came_is_due_and_not_late() -> None:
    three = NOON - 9 * HOUR
    [due] = judged(nightly(), 60, now=three + 1).due
    assert (due.at, due.start_at, due.late) == (three, three, False)


def test_nothing_is_due_before_its_time() -> None:
    found = judged(nightly(), 60, now=NOON - 9 * HOUR - 1)
    assert (found.due, found.left_out) == ((), ())


@pytest.mark.parametrize(
    ("catch_up", "runs", "left"), [("one", 1, 2), ("none", 0, 3), ("all", 3, 0)]
)
def test_three_missed_nights(catch_up: CatchUp, runs: int, left: int) -> None:
    found = judged(nightly(catch_up=catch_up), 3 * DAY)
    assert (len(found.due), len(found.left_out)) == (runs, left)
    assert all(due.late for due in found.due)
    assert found.until == NOON - 9 * HOUR, "each is dealt with once"


def test_the_one_that_is_caught_up_with_is_the_latest() -> None:
    [due] = judged(nightly(), 3 * DAY).due
    assert due.at == NOON - 9 * HOUR


def test_what_is_later_than_the_deadline_is_left_out_and_said() -> None:
    found = judged(nightly(deadline="8h", catch_up="all"), DAY)
    assert found.due == ()
    [(_, why)] = found.left_out
    assert why == "9 h late, and the deadline is 8 h"
    assert judged(nightly(deadline="10h", catch_up="all"), DAY).due


def test_jitter_is_drawn_once() -> None:
    """A restart while a run waits for its jitter neither loses it nor draws a second lot."""
    schedule = nightly(jitter="30m", catch_up="none")
    three = NOON - 9 * HOUR
    [due] = verdict(schedule, "shop", after=three - 1, now=three).due
    assert due.start_at == three + jitter_of(schedule, "shop", three)
    [again] = verdict(schedule, "shop", after=three - 1, now=due.start_at).due
    assert again.start_at == due.start_at
    assert not again.late


def test_jitter_differs_by_job_and_night_and_stays_below_its_bound() -> None:
    schedule = nightly(jitter="30m")
    drawn = [
        jitter_of(schedule, name, NOON + night * DAY) for name in ("a", "b") for night in range(50)
    ]
    assert len(set(drawn)) == 100
    assert 0 <= min(drawn) < 180
    assert 1620 < max(drawn) < 1800


def test_a_year_away_from_a_job_of_every_minute_is_soon_told() -> None:
    """Only the last day is looked at; one run makes up for all."""
    found = verdict(Schedule(cron="* * * * *"), "shop", after=NOON - 365 * DAY, now=NOON)
    assert [due.at for due in found.due] == [NOON]
    assert len(found.left_out) == 1439


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (75, "1 min 15 s"),
        (900, "15 min"),
        (9000, "2 h 30 min"),
        (90_000, "1 d 1 h"),
        (86_400, "1 d"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
