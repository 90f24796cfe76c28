"""Thirty unattended nights, on a virtual clock: what went wrong in them, and what is left of it.

Real runs against an emulator, real exports, real messages; two nights are killed. See `nights.py`.
"""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import pipeline
from pipeline.emulator.bill import CREDITS_PER_USD
from pipeline.emulator.testing import RunningEmulator
from pipeline.steering.helm import crew_for
from tests.month.nights import Clock, Month
from tests.notifying.conftest import Hook
from tests.scheduling.virtual import BERLIN

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")

Emulators = Callable[..., RunningEmulator]

FIRST = "google/gemini-2.5-flash-image-edit"
SECOND = "google/nano-banana-edit"
PRICES = {FIRST: 0.042, SECOND: 0.039}
MANIFEST: dict[str, Any] = {
    "image_sets": [{"each": "sources/*.png"}],
    "prompts": {"white": "Put it on pure white.", "night": "Show it at night."},
}
JOB: dict[str, Any] = {
    "schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "day_usd": 2.0},
    "endpoint": {"model": FIRST, "price_usd": PRICES[FIRST]},
    "budget": {"run_usd": 0.6},
    "guards": {"max_changed_share": 0.2, "min_free_bytes": 0},
    "limits": {"concurrency": 2},
    "retry": {"attempts": 2, "wait_initial_s": 0.01, "wait_max_s": 0.02, "wait_jitter_s": 0.01},
    "notify": [{"url_env": "HOOK", "on": ["failure", "cap", "stall", "nothing_new"]}],
}
WITH_THE_SECOND = {**JOB, "endpoint": {"model": SECOND, "price_usd": PRICES[SECOND]}}
AND_IT_IS_MEANT = {**WITH_THE_SECOND, "guards": {"min_free_bytes": 0}}

NEW_SOURCES = {2: 0, 3: 10, 13: 5}
"""On most days one comes; at noon, before the night of the next day."""

LOADED = """
import glob, json, sys, warnings
warnings.simplefilter("ignore")
from datasets import load_dataset
import webdataset

parquet, pix2pix, tars = sys.argv[1:]
loaded = {split: sorted([row["id"] for row in rows if row["image"].size[0] > 0])
          for split, rows in load_dataset(parquet).items()}
pairs = {split: sum([1 for row in rows if row["original_image"].size and row["edited_image"].size])
         for split, rows in load_dataset(pix2pix).items()}
found = {}
for split in loaded:
    shards = sorted(glob.glob(f"{tars}/data/{split}-*.tar"))
    samples = webdataset.WebDataset(shards, shardshuffle=False).decode("pil")
    found[split] = sorted([one["json"]["id"] for one in samples if one["png"].size[0] > 0])
print(json.dumps({"datasets": loaded, "pix2pix": pairs, "webdataset": found}))
"""


@pytest.fixture
def month(
    tmp_path: Path, emulator: Emulators, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> Month:
    """The clock of this process is the month's: runs, emulator and bill read it."""
    clock = Clock(time.time)
    monkeypatch.setattr(time, "time", clock)
    return Month(
        tmp_path / "lab",
        start="2027-02-28T12:00",
        endpoint=emulator(pictures="plain", prices=PRICES),
        environ={"HOOK": hook.url, "AIMLAPI_API_KEY": "key"},
        clock=clock,
        titles=lambda: hook.titles,
    )


def test_a_month_of_nights(month: Month, tmp_path: Path) -> None:
    month.writes(MANIFEST, **JOB)
    month.comes(2)
    month.kills = {14: "run", 17: "export"}
    month.unreachable = frozenset({6, 7})
    month.minutes = {12: 25 * 60}

    alike: list[str] = []

    def noon(day: int) -> None:
        if day == 13:
            alike.extend(month.comes_again())
        month.comes(NEW_SOURCES.get(day, 1))
        if day == 19:
            withdrawn = {"when": {"model": FIRST}, "fault": "model_withdrawn"}
            month.endpoint.use(script=[withdrawn])
        if day == 20:
            month.writes(MANIFEST, **WITH_THE_SECOND)
        if day == 21:
            month.writes(MANIFEST, **AND_IT_IS_MEANT)

    month.house.lives(9 * 24, *noons(noon, 1, 9), stop=False)
    month.house.start += 2 * 24 * 3600  # the machine is down, and the sources come all the same
    month.comes(2)
    month.house.lives(19 * 24, *noons(noon, 12, 30, first_at=24))

    the_nights_were_as_the_clock_says(month)
    each_problem_was_told_once(month)
    every_edit_is_there_once(month)
    the_money_adds_up(month)
    the_history_has_each_run(month)
    the_exports_load(month, tmp_path, alike=alike)


def test_the_hour_that_comes_twice_has_one_night(month: Month) -> None:
    month.house.start = datetime(2027, 10, 29, 12, tzinfo=BERLIN).timestamp()
    month.writes(MANIFEST, **JOB)
    month.comes(1)
    month.house.lives(3 * 24 + 1)
    assert [night.at for night in month.runs.nights] == ["30 02:30", "31 02:30", "01 02:30"]
    starts = [at for _, at, _ in month.runs.started]
    assert [round((after - at) / 3600) for at, after in pairwise(starts)] == [24, 25]
    assert month.endpoint.bill.pictures == 2
    assert month.titles() == ["nightly: nothing new"]


def noons(
    noon: Callable[[int], None], first: int, end: int, first_at: float = 24
) -> list[tuple[float, Callable[[], object]]]:
    return [
        (first_at + 24 * (day - first), lambda day=day: noon(day))  # type: ignore[misc]
        for day in range(first, end)
    ]


def the_nights_were_as_the_clock_says(month: Month) -> None:
    """Clocks went forward on the 28th; the 10th and the 11th were missed and made up for by one
    run; the 12th took 25 hours, so the 13th was left out.
    """
    usual = [f"{day:02} 02:30" for day in range(1, 31) if day not in (10, 11, 13, 28)]
    assert [night.at for night in month.runs.nights] == sorted([*usual, "11 12:00", "28 03:00"])
    assert month.house.said("run_skipped") == [
        "nightly: skipped Wed 2027-03-10 02:30 CET: a later one makes up for it",
        "nightly: skipped Sat 2027-03-13 02:30 CET: the run before it is still going on",
    ]
    steps = [
        notice.event
        for _, notice in month.house.notices
        if notice.event in ("run_started", "run_ended")
    ]
    assert steps == ["run_started", "run_ended"] * len(month.runs.nights)


def each_problem_was_told_once(month: Month) -> None:
    told = {night.day: night.titles for night in month.runs.nights if night.titles}
    assert told == {
        3: ["nightly: nothing new"],
        4: ["nightly: stopped at a money cap"],
        6: ["nightly: nothing succeeded: 2 failed"],  # and not on the 7th, whose edits are others
        12: ["nightly: nothing new"],
        15: ["nightly: the run before was cut off"],
        20: ["nightly: stopped by an error"],
        21: ["nightly: stopped by a guard rail"],
        22: ["nightly: stopped at a money cap"],  # and not on the four nights after it
    }
    codes = Counter(night.ending.exit_code for night in month.runs.nights)
    assert codes == {0: 17, 3: 2, 4: 1, 5: 7, -9: 1}


def every_edit_is_there_once(month: Month) -> None:
    """By the ledger, by its pictures, and by what was asked."""
    asked = {f"s{n:02}/{prompt}" for n in range(month.sources) for prompt in ("white", "night")}
    with closing(sqlite3.connect(month.outputs / "ledger.db")) as ledger:
        edits = ledger.execute("SELECT id, status, model FROM edits").fetchall()
        twice = ledger.execute(
            "SELECT edit_id FROM attempts WHERE status = 'succeeded'"
            " GROUP BY edit_id, fingerprint HAVING count(*) > 1"
        ).fetchall()
    assert sorted(edits) == sorted([(one, "succeeded", SECOND) for one in asked])
    assert twice == []
    found = asyncio.run(pipeline.fsck(month.job))
    assert (found.exit_code, found.pictures, found.left) == (0, len(asked), 0)
    assert pipeline.plan(month.job).unchanged == len(asked)


def the_money_adds_up(month: Month) -> None:
    """Ledger and bill agree, in all and night by night, and no run passed its cap."""
    books = asyncio.run(
        pipeline.reconcile(month.job, base_url=month.endpoint.url, environ=month.environ)
    )
    bill = month.endpoint.bill
    assert (books.billed_unknown.count, books.undecided.count, books.unconfirmed.count) == (0, 0, 0)
    assert books.billed_lost.count <= crew_for(JOB["limits"]["concurrency"]), "of the kill"
    assert books.billed_have.count + books.billed_lost.count == bill.pictures
    assert credits(books.ledger_usd) == bill.total_credits
    charged: Counter[str] = Counter()
    for charge in bill.charges:
        charged[f"{charge.created_at.astimezone(BERLIN):%m-%d}"] += charge.credits
    spent = {
        f"{datetime.fromtimestamp(run.started_at, BERLIN):%m-%d}": credits(run.cost_usd)
        for run in pipeline.history(month.job, limit=100)
        if run.cost_usd
    }
    assert spent == charged
    assert max(spent.values()) <= credits(JOB["budget"]["run_usd"])
    assert {cap for _, _, cap in month.runs.started} == {2.0}, "what the day had left, each night"


def credits(usd: float) -> int:  # noqa: A001 - the provider's money
    return round(usd * CREDITS_PER_USD)


def the_history_has_each_run(month: Month) -> None:
    past = pipeline.history(month.job, limit=100)[::-1]
    assert [
        f"{datetime.fromtimestamp(run.started_at, UTC).astimezone(BERLIN):%d %H:%M}" for run in past
    ] == [night.at for night in month.runs.nights]
    assert [run.ended for run in past] == [
        night.ending.ended or "process_ended" for night in month.runs.nights
    ]
    [killed] = [run for run in past if run.ended == "process_ended"]
    assert 0 < killed.images < 14, "it was killed in the middle"
    assert all(run.change is not None for run in past if run.finished and run.duration_s)


def the_exports_load(month: Month, tmp_path: Path, *, alike: list[str]) -> None:
    """With whom they are for; and no source ever left its split."""
    nights = month.runs.nights
    assert all(night.whole for night in nights), "a cut off export touched the old one"
    assert [night.day for night in nights if night.export is None] == [17]
    splits: dict[str, str] = {}
    for night in nights:
        assert splits.items() <= {**splits, **night.splits}.items(), f"night {night.day}"
        splits.update(night.splits)
    assert set(splits.values()) == {"train", "test"}
    assert len(splits) == month.sources

    others = {kind: tmp_path / kind for kind in ("instruct-pix2pix", "webdataset", "fresh")}
    for kind in ("instruct-pix2pix", "webdataset"):
        month.export(month.job, format=kind, output=others[kind])
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(month.data)]
        + [str(others[kind]) for kind in ("instruct-pix2pix", "webdataset")],
        capture_output=True,
        text=True,
        timeout=110,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path / "hf"),
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = json.loads(done.stdout)
    edits = month.sources * 2
    assert sum(map(len, loaded["datasets"].values())) == edits
    assert loaded["webdataset"] == loaded["datasets"], "all formats split alike"
    assert loaded["pix2pix"] == {split: len(ids) for split, ids in loaded["datasets"].items()}

    frame = pd.concat([pd.read_parquet(shard) for shard in month.data.glob("data/*.parquet")])
    assert len(frame) == len(set(frame["id"])) == edits
    assert set(frame["model"]) == {SECOND}
    sides = [
        {name for name, ids in loaded["datasets"].items() if f"{source}/white" in ids}
        for source in alike
    ]
    assert sides[0] == sides[1], "what looks alike is on one side"
    fresh = month.export(month.job, output=others["fresh"])
    assert fresh.samples == {split: len(ids) for split, ids in loaded["datasets"].items()}
