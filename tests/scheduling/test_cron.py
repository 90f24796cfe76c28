"""Which moments a cron expression means, above all on the days on which clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pipeline.cron import Cron

BERLIN = ZoneInfo("Europe/Berlin")


def times(
    cron: str, after: str, count: int, zone: str = "Europe/Berlin", fold: int = 0
) -> list[str]:
    """ISO times without seconds, with their offset."""
    tz = ZoneInfo(zone)
    start = datetime.fromisoformat(after).replace(tzinfo=tz, fold=fold).timestamp()
    found = islice(Cron(cron).times(start, tz), count)
    return [datetime.fromtimestamp(at, tz).isoformat(timespec="minutes") for at in found]


def test_a_time_that_does_not_exist_comes_right_after_the_gap() -> None:
    assert times("30 2 * * *", "2026-03-28 12:00", 3) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
        "2026-03-31T02:30+02:00",
    ]


def test_a_time_that_comes_twice_comes_the_first_time_only() -> None:
    assert times("30 2 * * *", "2026-10-24 12:00", 3) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
        "2026-10-27T02:30+01:00",
    ]


def test_between_the_two_equal_hours_nothing_comes_again() -> None:
    """A scheduler that starts at the second 02:15 must not take the first 02:30 for news."""
    assert times("30 2 * * *", "2026-10-25 02:15", 1, fold=1) == ["2026-10-26T02:30+01:00"]


def test_several_times_in_the_gap_become_one() -> None:
    assert times("0,15,30 2 * * *", "2026-03-28 12:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:00+02:00",
    ]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)]
)
def test_every_hour_follows_elapsed_time(day: str, hours: int) -> None:
    start = datetime.fromisoformat(day).replace(tzinfo=BERLIN).timestamp() - 1
    found = list(islice(Cron("0 * * * *").times(start, BERLIN), hours + 1))
    assert {after - before for before, after in pairwise(found)} == {3600}
    assert datetime.fromtimestamp(found[hours], BERLIN).day != int(day[-2:])
    assert datetime.fromtimestamp(found[hours - 1], BERLIN).day == int(day[-2:])


def test_a_night_has_one_run_all_year_in_every_zone_with_summer_time() -> None:
    for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"):
        tz = ZoneInfo(zone)
        start = datetime(2026, 1, 1, tzinfo=tz).timestamp()
        found = list(islice(Cron("30 2 * * *").times(start, tz), 365))
        days = {datetime.fromtimestamp(at, tz).date() for at in found}
        assert len(days) == 365, zone


@pytest.mark.parametrize("cron", ["0 */6 * * *", "*/6 * * * *", "*/20 1-3 * * *", "15 */2 * * *"])
@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Chatham"]
)
def test_what_begins_with_a_star_comes_whenever_a_clock_shows_it(zone: str, cron: str) -> None:
    """Held against every minute around both changes, from starts in and beside the equal hours.

    Clocks change by 30 min on Lord Howe and by 2 h at Troll station; Chatham is at 45 past.
    """
    tz, found = ZoneInfo(zone), Cron(cron)
    values = found.values()
    year = [datetime(2026, 1, 1, tzinfo=UTC).timestamp() + 3600 * hour for hour in range(8760)]
    changes = [at for at, after in pairwise(year) if offset_of(at, tz) != offset_of(after, tz)]
    assert len(changes) == 2
    for change in changes:
        for start in (change + minutes * 60 for minutes in (-600, -91, -30, 0, 15.5, 61, 150)):
            end = change + 26 * 3600
            first = int(start - start % 60) + 60
            shown = [at for at in range(first, int(end) + 1, 60) if matches(values, at, tz)]
            assert [*takewhile(end.__ge__, found.times(start, tz))] == shown


def offset_of(at: float, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()


def matches(cron: dict[str, set[Any]], at: float, zone: ZoneInfo) -> bool:
    clock = datetime.fromtimestamp(at, zone)
    return clock.minute in cron["minute"] and clock.hour in cron["hour"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 25 * * *", "the hour '25' is none (0 to 23"),
        ("61 3 * * *", "the minute '61'"),
        ("0 3 0 * *", "the day of month '0'"),
        ("0 3 * 13 *", "the month '13'"),
        ("0 3 * * FUN", "the day of week 'FUN'"),
        ("0 3 * * 1#6", "the day of week '1#6'"),
        ("0 3 * *", "has 4 fields, and cron has 5"),
        ("0 0 3 * * *", "has 6 fields"),
        ("", "has 0 fields"),
        ("@dayly", "did you mean @daily?"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_wrong_is_named_by_its_field(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        Cron(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("@daily", "2026-02-11T00:00+01:00"),
        ("0 3 L * *", "2026-02-28T03:00+01:00"),
        ("0 3 * * MON#1", "2026-03-02T03:00+01:00"),
        ("0 3 * * 5L", "2026-02-27T03:00+01:00"),
        ("0 3 13 * FRI", "2026-02-13T03:00+01:00"),
        ("0 3 29 2 *", "2028-02-29T03:00+01:00"),
        ("0 3 * * 7", "2026-02-15T03:00+01:00"),
    ],
)
def test_first_time_after_a_tuesday_in_february(text: str, first: str) -> None:
    assert times(text, "2026-02-10 12:00", 1) == [first]
