"""The part `schedule` of a job file, and what is said of mistakes in it."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import JobError
from pipeline.job import load_job
from pipeline.job.schedule import Schedule
from tests.conftest import Shop


def loaded(shop: Shop, **schedule: Any) -> Schedule:
    return load_job(shop.with_edits(1, schedule=schedule).job).schedule


def test_durations_are_texts_or_seconds(shop: Shop) -> None:
    found = loaded(
        shop, cron="0 3 * * *", jitter="90s", deadline="1h30m", max_runtime=7200, catch_up="all"
    )
    assert (found.jitter, found.deadline, found.max_runtime) == (90, 5400, 7200)


def test_a_job_without_a_schedule_has_none(shop: Shop) -> None:
    assert loaded(shop).cron is None


def test_defaults(shop: Shop) -> None:
    found = loaded(shop, cron="@daily")
    assert found == Schedule(cron="0 0 * * *")
    assert (found.timezone, found.catch_up, found.day_usd) == ("UTC", "one", None)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"cron": "0 25 * * *"}, "schedule.cron: the hour '25'"),
        ({"cron": "@daily", "timezone": "Europe/Berln"}, "did you mean 'Europe/Berlin'?"),
        ({"cron": "@daily", "timezone": "berlin"}, "did you mean 'Europe/Berlin'?"),
        ({"cron": "@daily", "timezone": "../../etc/passwd"}, "there is no timezone"),
        ({"cron": "@daily", "jitter": "soon"}, "schedule.jitter: 'soon' is no duration"),
        ({"cron": "@daily", "deadline": 0}, "schedule.deadline: must be greater than 0"),
        ({"cron": "@daily", "max_runtime": "-5m"}, "schedule.max_runtime: '-5m' is no duration"),
        ({"cron": "@daily", "catch_up": "some"}, "schedule.catch_up: not among the choices"),
        ({"cron": "@daily", "tz": "UTC"}, "unknown key 'tz' in 'schedule'"),
        ({"cron": "@daily", "day_usd": -1}, "schedule.day_usd: must be at least 0"),
        ({"timezone": "UTC"}, "schedule: it does not say when (add cron"),
    ],
)
def test_mistakes_are_named_with_their_place(
    shop: Shop, schedule: dict[str, Any], words: str
) -> None:
    with pytest.raises(JobError) as caught:
        loaded(shop, **schedule)
    assert words in str(caught.value)
    assert str(caught.value).startswith("shop.yaml:")


def test_timezones_are_there_without_the_systems(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in slim containers and on Windows: the package tzdata has them."""
    import zoneinfo

    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert loaded(shop, cron="@daily", timezone="Asia/Tokyo").timezone == "Asia/Tokyo"
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


def test_the_schedule_is_no_part_of_what_was_asked(shop: Shop, tmp_path: Path) -> None:
    """Changing the hour pays for nothing again: nothing but `schedule` differs."""
    early = load_job(shop.with_edits(1, schedule={"cron": "0 3 * * *"}).job)
    late = load_job(shop.with_edits(1, schedule={"cron": "0 4 * * *"}).job)
    assert early.model_copy(update={"schedule": late.schedule}) == late
