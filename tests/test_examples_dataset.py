"""The data set that grows every night, rehearsed: what its comments promise."""

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pandas as pd
import pytest

import pipeline

ROOT = Path(__file__).parent.parent
NAME = "nightly-dataset"
PICTURES = 10

Command = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The example and its pictures, copied: a rehearsal leaves its outputs beside them."""
    (tmp_path / "jobs").mkdir()
    shutil.copy(ROOT / "jobs" / f"{NAME}.yaml", tmp_path / "jobs")
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    return tmp_path / "jobs" / f"{NAME}.yaml"


def test_it_is_rehearsed_exported_and_grows(job: Path, command: Command, tmp_path: Path) -> None:
    data = tmp_path / "outputs" / "nightly-data-rehearsal"
    export = ["export", job, "--rehearse"]

    assert command("run", job, "--rehearse").returncode == 0
    done = command(*export)
    assert done.returncode == 0, done.stderr
    before = rows(data)
    assert len(before) == PICTURES * 3
    assert set(before["prompt_name"]) == {"white", "scene", "paint"}
    assert not {"fabric-pattern", "sunlit-kitchen"} & set(before["image_set"])
    assert (data / "README.md").is_file()

    images = tmp_path / "manifests" / "images"
    shutil.copy(images / "mug.jpg", images / "aa-new.jpg")
    found = pipeline.plan(job, rehearse=True)
    assert (found.new, found.changed, found.orphaned, found.unchanged) == (3, 0, 0, PICTURES * 3)
    assert asyncio.run(pipeline.run(job, rehearse=True, environ={})).totals.succeeded == 3
    assert command(*export).returncode == 0
    after = rows(data)
    assert len(after) == (PICTURES + 1) * 3
    old = after[after["id"].isin(before["id"])]
    assert dict(zip(old["id"], old["split"], strict=True)) == dict(
        zip(before["id"], before["split"], strict=True)
    )
    alike = after[after["image_set"].isin(["mug", "aa-new"])]
    assert alike["split"].nunique() == 1, "the same picture under two names"


def test_a_scheduler_takes_it_and_leaves_the_other_examples_alone(
    job: Path, command: Command
) -> None:
    shutil.copy(ROOT / "jobs" / "demo.yaml", job.parent)
    listed = command("schedule", job.parent, "--list", "--json")
    assert listed.returncode == 0, listed.stderr
    found = json.loads(listed.stdout)["jobs"]
    assert {one["job"]: one["cron"] for one in found} == {NAME: "0 3 * * *", "demo": None}


def test_an_edited_prompt_stops_the_night_before_it_costs_anything(
    job: Path, tmp_path: Path
) -> None:
    made = asyncio.run(pipeline.run(job, rehearse=True, environ={}))
    assert made.totals.succeeded == PICTURES * 3
    snippet = tmp_path / "manifests" / "prompts" / "keep-the-product.txt"
    snippet.write_text("Change nothing about the product.\n")
    stopped = asyncio.run(pipeline.run(job, rehearse=True, environ={}))
    assert (stopped.ended, stopped.totals.cost_usd) == ("guarded", 0.0)
    assert "guards.max_changed_share" in (stopped.error or "")


def rows(data: Path) -> pd.DataFrame:
    shards = [*data.glob("data/*.parquet")]
    return pd.concat(
        [pd.read_parquet(one).assign(split=one.name.partition("-")[0]) for one in shards]
    )
