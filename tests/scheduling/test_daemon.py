"""The scheduler's loop, on a virtual clock: exact and at once."""

import shutil
from pathlib import Path

import msgspec
import pytest

from pipeline.scheduling.memory import peek
from pipeline.scheduling.processes import Ending
from tests.scheduling.virtual import House, capped, finished

MODELS = [
    {"model": "google/gemini-2.5-flash-image-edit", "name": "flash"},
    {"model": "google/nano-banana-edit", "name": "banana"},
]


def test_a_job_runs_every_night_at_its_time(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 12:00")
    house.job("shop")
    house.lives(3 * 24)
    assert house.starts() == ["02 03:00", "03 03:00", "04 03:00"]


def test_nothing_is_caught_up_with_from_before_a_job_was_there(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 03:01")
    house.job("shop", schedule={"catch_up": "all"})
    house.lives(2)
    assert house.starts() == []


@pytest.mark.parametrize(
    ("start", "nights"),
    [
        ("2026-03-28 12:00", ["29 03:00", "30 02:30"]),
        ("2026-10-24 12:00", ["25 02:30", "26 02:30"]),
    ],
)
def test_clock_changes_cost_no_night_and_double_none(
    tmp_path: Path, start: str, nights: list[str]
) -> None:
    house = House(tmp_path, start)
    house.job("shop", "30 2 * * *")
    house.lives(42)
    assert house.starts() == nights


@pytest.mark.parametrize(
    ("catch_up", "starts"),
    [
        ("one", ["05 12:00"]),
        ("none", []),
        ("all", ["05 12:00", "05 12:01", "05 12:02"]),
    ],
)
def test_after_three_nights_away(tmp_path: Path, catch_up: str, starts: list[str]) -> None:
    house = House(tmp_path, "2026-05-02 12:00")
    house.job("shop", schedule={"catch_up": catch_up})
    house.lives(1)
    house.start += 71 * 3600  # nobody was there
    house.lives(1)
    assert house.starts() == starts
    house.start += 60
    house.lives(1)
    assert house.starts() == starts, "once caught up with is enough"


def test_a_machine_that_slept_catches_up_when_it_wakes(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 22:00")
    house.job("shop")
    house.lives(2, (1, lambda: house.sleep_of_the_machine(10)))
    assert house.starts() == ["02 09:00"]


def test_a_start_later_than_the_deadline_is_left_out_and_said(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 22:00")
    house.job("shop", schedule={"deadline": "2h"})
    house.lives(2, (1, lambda: house.sleep_of_the_machine(10)))
    assert house.starts() == []
    [said] = house.said("run_skipped")
    assert said.startswith("shop: skipped Sat 2026-05-02 03:00 CEST: 6 h late, and the deadline is")


def test_a_job_does_not_overlap_itself(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "*/10 * * * *")
    house.script.minutes["shop"] = 25
    house.lives(0.9)
    assert house.starts() == ["01 12:00", "01 12:30"]
    assert house.said("run_skipped")[0].endswith("the run before it is still going on")


def test_no_more_than_so_many_go_on_at_once_and_the_first_due_is_the_first_to_start(
    tmp_path: Path,
) -> None:
    house = House(tmp_path, "2026-05-01 11:59", max_runs=2)
    for minute, name in enumerate(("d", "c", "b", "a")):
        house.job(name, f"{minute} 12 * * *")
        house.script.minutes[name] = 30
    house.lives(1.5)
    assert [(name, at) for name, at, _ in house.script.started] == [
        (name, house.script.started[0][1] + minutes * 60)
        for name, minutes in (("d", 0), ("c", 1), ("b", 30), ("a", 31))
    ]
    assert house.said("run_waits") == ["b: waits: 2 runs go on", "a: waits: 2 runs go on"]


def test_a_run_that_waited_beyond_its_deadline_does_not_start(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59", max_runs=1)
    house.job("long", "0 12 * * *")
    house.job("short", "1 12 * * *", schedule={"deadline": "10m"})
    house.script.minutes["long"] = 30
    house.lives(1)
    assert house.starts("short") == []
    assert "11 min late, and the deadline is 10 min" in house.said("run_skipped")[0]


def test_changed_new_removed_and_broken_jobs_are_noticed(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 08:30")
    changed, removed = house.job("changed", "0 9 * * *"), house.job("removed", "0 12 * * *")
    house.lives(
        8,
        (1, lambda: house.job("changed", "30 11 * * *")),
        (1, lambda: house.job("new", "0 10 * * *")),
        (1, removed.unlink),
        (3.5, lambda: changed.write_text("manifest: m.csv\nshedule: {}\n")),
        (4, lambda: house.job("new", None)),
    )
    assert house.starts("changed") == ["01 09:00", "01 11:30"]
    assert house.starts("new") == ["01 10:00"]
    assert house.starts("removed") == []
    assert house.said("job_dropped") == [
        "removed: its file is gone; no run of it will start",
        "new: it has no schedule any more; no run of it will start",
    ]
    [broken] = house.said("job_broken")
    assert "unknown key 'shedule'" in broken
    assert "its times stay; until it is mended, each run ends with this" in broken


def test_a_file_that_is_half_written_or_away_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    """Editors write a file in pieces, or a new one in the place of the old one; what is left of
    this one is a job without a schedule.
    """
    house = House(tmp_path, "2026-05-01 11:00")
    path = house.job("shop", "0 12 * * *")
    whole = path.read_text()
    half = "manifest: m.csv\nprompt: x\n"
    house.lives(
        1.5,
        (59.99 / 60, lambda: house.saves(path, half)),
        (60.01 / 60, lambda: house.saves(path, whole)),
        (65.99 / 60, path.unlink),
        (66.01 / 60, lambda: house.saves(path, whole)),
    )
    assert house.starts() == ["01 12:00"]
    assert house.said("job_dropped") + house.said("job_broken") + house.said("job_changed") == []
    house.lives(0.5, (0.1, lambda: house.saves(path, half)))
    assert house.said("job_dropped") == [
        "shop: it has no schedule any more; no run of it will start"
    ]


def test_a_run_that_takes_too_long_is_asked_to_stop_and_then_made_to(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("polite", "0 12 * * *", schedule={"max_runtime": "1h"})
    house.job("deaf", "0 12 * * *", schedule={"max_runtime": "1h"}, limits={"drain_s": 100})
    house.script.minutes.update(polite=500, deaf=500)
    house.lives(1.02, stop=False)
    polite, deaf = (run.signals for run in house.script.runs)
    assert (polite, deaf) == (["interrupt"], ["interrupt"])
    assert all(text.endswith("max_runtime is over") for text in house.said("run_stopping"))


def test_who_does_not_hear_is_told_again_and_killed(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("deaf", "0 12 * * *", schedule={"max_runtime": "1h"}, limits={"drain_s": 100})
    house.script.minutes["deaf"], house.script.drain_s = 500, 10_000
    house.script.start = _deaf(house)  # type: ignore[method-assign]
    house.lives(2)
    assert house.script.runs[0].signals == ["interrupt", "interrupt", "kill"]
    assert [one.values["exit_code"] for _, one in house.notices if one.event == "run_ended"] == [-9]


def test_sigterm_lets_runs_drain_and_the_next_scheduler_goes_on_with_them(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *")
    house.script.minutes["shop"] = 60
    house.lives(0.5)
    assert house.script.runs[0].signals == ["interrupt"]
    assert house.said("scheduler_stopping") == ["None: SIGTERM received: 1 run to end first"]
    memory = peek(house.outputs("shop"))
    assert memory is not None
    assert memory.going is None
    house.start += 600
    house.lives(2)
    assert house.starts() == ["01 12:00", "01 12:39"]
    assert "late" in house.said("run_started")[1]
    house.lives(2)
    assert len(house.starts()) == 2


def test_a_second_sigterm_cuts_off_what_is_in_flight(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *")
    house.script.minutes["shop"], house.script.drain_s = 60, 300
    before = house.start

    def again() -> None:
        assert house.daemon is not None
        house.daemon.stop("SIGTERM received")

    house.lives(0.5, (0.5 + 10 / 3600, again))
    assert house.script.runs[0].signals == ["interrupt", "interrupt"]
    assert house.start - before == pytest.approx(1810)


def test_a_run_of_a_scheduler_that_was_killed_is_adopted(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59", max_runs=1)
    house.job("shop", "0 12 * * *")
    house.job("other", "20 12 * * *")
    house.script.minutes["shop"] = 60
    house.lives(0.25, stop=False)
    house.script.alive[1001] = 45 * 60.0
    house.lives(2)
    assert house.starts("shop") == ["01 12:00"]
    assert house.said("run_adopted") == ["shop: still going on, for 14 min"]
    assert house.starts("other") == ["01 12:59"], "it counts for how many go on at once"


def test_what_was_cut_short_is_not_forgotten_while_it_waits_for_a_place(tmp_path: Path) -> None:
    """Neither by a scheduler that is killed, nor by one that is told to end."""
    house = House(tmp_path, "2026-05-01 11:59", max_runs=1)
    house.job("shop", "0 12 * * *")
    house.script.minutes["shop"] = 60
    house.lives(0.25, stop=False)  # the machine went down, too
    house.job("long", "20 12 * * *")
    house.script.minutes["long"] = 600
    house.script.alive[1002] = 600 * 60.0
    (house.folder / "shop.yaml").rename(house.folder / "shop.off")
    house.lives(0.5, stop=False)
    (house.folder / "shop.off").rename(house.folder / "shop.yaml")
    for stop in (False, True):
        house.lives(0.25, stop=stop)
        assert house.starts("shop") == ["01 12:00"]
        assert house.said("run_waits"), "for a place"
    house.script.alive.clear()
    house.lives(0.5)
    assert len(house.starts("shop")) == 2


@pytest.mark.parametrize(("catch_up", "runs"), [("one", 2), ("none", 1)])
def test_a_run_that_died_with_its_machine_goes_on(tmp_path: Path, catch_up: str, runs: int) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *", schedule={"catch_up": catch_up})
    house.script.minutes["shop"] = 60
    house.lives(0.25, stop=False)
    house.lives(1)
    assert len(house.starts()) == runs
    assert house.said("run_ended")[0].startswith("shop: ended: its process is gone")


def test_a_run_that_ended_while_nobody_was_there_is_told_and_not_repeated(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *")
    house.script.minutes["shop"] = 60
    house.lives(0.25, stop=False)
    house.script.outcomes[1001] = Ending(exit_code=3, ended="finished", totals={"failed": 2})
    house.lives(1)
    assert house.starts() == ["01 12:00"]
    assert house.said("run_ended")[0].startswith(
        "shop: ended with 3, some edits did not succeed: 2"
    )


def test_runs_of_one_key_share_its_limits_and_get_them_back(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("a", "0 12 * * *", limits={"concurrency": 16, "requests_per_minute": 300})
    house.job("b", "10 12 * * *", limits={"concurrency": 9})
    house.job("else", "0 12 * * *", endpoint={"base_url": "https://elsewhere.example"})
    house.max_runs = 3
    house.script.minutes.update({"a": 30, "b": 60, "else": 60})
    house.lives(1.5)
    assert [
        (name, share.concurrency, share.requests_per_minute) for name, share in house.script.shares
    ] == [("a", 8, 150), ("b", 4, None), ("b", 9, None)]


def test_limits_are_shared_with_each_model_of_a_job(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("a", "0 12 * * *", limits={"concurrency": 8}, models=MODELS)
    house.job("b", "0 12 * * *", limits={"concurrency": 6})
    house.script.minutes.update({"a": 30, "b": 30})
    house.lives(0.4)
    given = [(name, share.concurrency) for name, share in house.script.shares]
    assert sorted(given) == [("a@banana", 4), ("a@flash", 4), ("b", 3)]


def test_the_money_of_all_models_counts(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *", schedule={"day_usd": 50}, models=MODELS)
    house.job("other", "0 12 * * *", schedule={"day_usd": 50})
    house.spends("shop/flash", 10)
    house.spends("shop/banana", 20)
    house.lives(0.2)
    assert [cap for _, _, cap in house.script.started] == [10, 10]


def test_what_is_left_of_the_day_is_shared_by_those_that_start(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59", max_runs=3)
    for name in ("a", "b", "c"):
        house.job(name, "0 12 * * *", schedule={"day_usd": 90})
    house.lives(0.5)
    assert [cap for _, _, cap in house.script.started] == [30, 30, 30]


def test_a_run_that_stopped_at_its_part_goes_on_with_what_others_left(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59", max_runs=2)
    house.job("a", "0 12 * * *", schedule={"day_usd": 90})
    house.job("b", "0 12 * * *", schedule={"day_usd": 90})
    house.script.minutes.update(a=10, b=30)
    house.script.endings["a"] = iter([capped(44.9), finished()])
    house.lives(2, (0.1, lambda: house.spends("a", 44.9)), (0.4, lambda: house.spends("b", 20)))
    assert house.starts("a") == ["01 12:00", "01 12:30"]
    assert [cap for name, _, cap in house.script.started if name == "a"] == [45, 25.1]


def test_a_day_whose_money_is_spent_has_no_further_run(tmp_path: Path) -> None:
    """Also where a job of the key without a schedule spent it; the next UTC day has its own."""
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 */12 * * *", schedule={"day_usd": 50})
    house.job("by-hand", None)
    house.spends("by-hand", 50)
    house.lives(24)
    assert house.starts() == []
    words = "shop: skipped Fri 2026-05-01 12:00 CEST: $50.00 of the day's $50.00 is spent (UTC)"
    assert house.said("run_skipped")[0] == words
    house.lives(24)
    assert house.starts() == ["02 12:00", "03 00:00"]


def test_people_hear_of_nights_that_no_run_can_tell_of(tmp_path: Path) -> None:
    """Not of those that another run makes up for."""
    house = House(tmp_path, "2026-05-01 11:59")
    told = {"notify": [{"url_env": "HOOK"}]}
    poor = house.job("poor", "0 */6 * * *", schedule={"day_usd": 1}, **told)
    house.job("late", "0 13 * * *", schedule={"deadline": "5m"}, **told)
    house.job("long", "*/30 * * * *", **told)
    house.job("nobody", "0 12 * * *", schedule={"day_usd": 1})
    house.script.minutes["long"] = 50
    house.spends("poor", 1)
    house.lives(
        2,
        (0.5, lambda: house.sleep_of_the_machine(0.9)),
        (1, lambda: poor.write_text("schedule: [")),
    )
    assert [(name, on) for name, on, _ in house.script.informed] == [
        ("poor", "cap"),
        ("late", "failure"),
        ("poor", "failure"),
    ]
    assert "$1.00 of the day's $1.00 is spent" in house.script.informed[0][2]
    assert "the deadline is 5 min" in house.script.informed[1][2]
    assert "each run ends with this" in house.script.informed[2][2]


def test_money_of_another_key_does_not_count(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *", schedule={"day_usd": 50})
    house.job("other", None, endpoint={"api_key_env": "OTHER_KEY"})
    house.spends("other", 50)
    house.lives(1)
    assert [cap for _, _, cap in house.script.started] == [50]


def test_money_that_nobody_left_starts_nothing_again(tmp_path: Path) -> None:
    """Its cap is the same as before: another run would stop at the same request."""
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("a", "0 12 * * *", schedule={"day_usd": 10}, budget={"run_usd": 5})
    house.script.endings["a"] = iter([capped(4.99)])
    house.lives(2)
    assert house.starts("a") == ["01 12:00"]


def test_who_comes_while_the_money_is_held_waits_for_it(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("a", "0 12 * * *", schedule={"day_usd": 50})
    house.job("b", "10 12 * * *", schedule={"day_usd": 50})
    house.script.minutes["a"] = 30
    house.lives(1)
    assert house.starts("b") == ["01 12:30"]
    assert house.said("run_waits") == [
        "b: waits: $0.00 of the day's $50.00 is neither spent nor held by runs that go on"
    ]


def test_two_schedulers_do_not_follow_one_job(tmp_path: Path) -> None:
    house, other = House(tmp_path, "2026-05-01 11:59"), House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *")

    from pipeline.scheduling.memory import Following

    elsewhere = Following()
    assert elsewhere.take(house.outputs("shop"))
    try:
        other.lives(1)
    finally:
        elsewhere.close()
    assert other.starts() == []
    assert other.said("job_taken") == ["shop: another scheduler follows it already"]
    assert house.lives(0.5).starts() == ["01 12:00"]


def test_outputs_that_were_cleared_away_do_not_end_the_scheduler(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:30")
    house.job("shop", "0 12 * * *")
    followed: list[bool] = []

    def look() -> None:
        followed.append((house.outputs("shop") / "schedule.lock").exists())

    house.lives(1, (0.2, lambda: shutil.rmtree(house.outputs("shop"))), (0.4, look))
    assert house.starts() == ["01 12:00"]
    assert followed == [True]


@pytest.mark.parametrize(("back", "runs"), [(1, 1), (30 * 24 + 1, 2)])
def test_a_clock_that_is_set_back_gives_no_time_twice_unless_it_was_far_ahead(
    tmp_path: Path, back: float, runs: int
) -> None:
    house = House(tmp_path, "2026-05-31 11:59")
    house.job("shop", "0 12 * * *")
    house.lives(0.5)
    house.start -= back * 3600
    house.lives(1.5)
    assert len(house.starts()) == runs


def test_outputs_that_cannot_be_written_are_said_once_and_cost_no_run(tmp_path: Path) -> None:
    """As on a disk that is full: what is not on it is known as long as the scheduler lives."""
    house = House(tmp_path, "2026-05-01 11:30")
    house.job("shop", "0 12,13 * * *")

    def blocked() -> None:
        (house.outputs("shop") / "schedule.json").unlink()
        (house.outputs("shop") / "schedule.json").mkdir()

    house.lives(2, (0.2, blocked))
    assert house.starts() == ["01 12:00", "01 13:00"]
    [said] = house.said("job_broken")
    assert "free some space, or make the job's outputs writable" in said


def test_two_files_with_the_same_outputs_are_not_both_followed(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("a", "0 12 * * *", outputs={"directory": "../outputs/same"})
    house.job("b", "0 12 * * *", outputs={"directory": "../outputs/same"})
    house.lives(0.5)
    assert house.starts() == ["01 12:00"]
    assert "another job has its outputs" in house.said("job_broken")[0]


def test_a_changed_hour_does_not_catch_up_with_the_new_one(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 12:00")
    house.job("shop", "0 18 * * *")
    house.lives(1)
    house.job("shop", "0 11 * * *")
    house.lives(1)
    assert house.starts() == []


def test_the_summary_of_a_run_is_one_line_with_all_an_alarm_needs(tmp_path: Path) -> None:
    house = House(tmp_path, "2026-05-01 11:59")
    house.job("shop", "0 12 * * *")
    totals = {"failed": 2, "cost_usd": 1.25, "images": 1}
    house.script.endings["shop"] = iter([msgspec.structs.replace(finished(**totals), exit_code=3)])
    house.lives(0.5)
    [summary] = [one for _, one in house.notices if one.event == "run_ended"]
    assert summary.text == (
        "ended with 3, some edits did not succeed: 1 succeeded, 2 failed, $1.25, 1 min"
    )
    kept = ("exit_code", "succeeded", "failed", "cost_usd", "due", "next", "duration_s")
    assert {name: summary.values[name] for name in kept} == {
        "exit_code": 3,
        "succeeded": 1,
        "failed": 2,
        "cost_usd": 1.25,
        "due": "2026-05-01T10:00:00Z",
        "next": "2026-05-02T10:00:00Z",
        "duration_s": 60.0,
    }


def _deaf(house: House):  # type: ignore[no-untyped-def]
    """Runs that hear no Ctrl-C, the second neither."""
    from tests.scheduling.virtual import ScriptedRun

    class Deaf(ScriptedRun):
        def interrupt(self) -> None:
            self.signals.append("interrupt")

    def start(job: object, *, cap_usd: float | None) -> ScriptedRun:
        run = Deaf(1, 30_000, finished(), 0)
        house.script.runs.append(run)
        return run

    return start
