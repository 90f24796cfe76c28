"""The exports that a job names: read from its file, and made by one command."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pandas as pd
import pytest
import yaml

import pipeline
from pipeline.errors import ConfigError, JobError
from pipeline.exports import EXPORTS, SHARDS
from pipeline.job import load_job
from pipeline.job.design import by_model
from pipeline.job.exports import FORMATS, TABLES
from tests.exporting.studio import Studio

Command = Callable[..., "CompletedProcess[str]"]
SETS: list[dict[str, Any]] = [
    {"format": "webdataset", "output": "../data/tars", "split": {"train": 0.5, "test": 0.5}},
    {"format": "csv", "output": "../data/results.csv", "columns": ["id", "status"]},
]


def name(studio: Studio, exports: Any, **more: Any) -> Path:
    job = {"manifest": "../manifests/shop.csv", "prompt": "Do it", "exports": exports, **more}
    studio.job.write_text(yaml.safe_dump(job, sort_keys=False))
    return studio.job


# --- the key of the job


def test_every_format_has_its_writer() -> None:
    assert (*EXPORTS, "folder", *SHARDS) == FORMATS
    assert tuple(EXPORTS) == TABLES


def test_the_options_of_the_command_are_the_keys_of_the_job(studio: Studio) -> None:
    whole = {
        "format": "parquet-images",
        "output": "../data/set",
        "split": "train=0.9,test=0.1",
        "split_by": "maker",
        "where": ["decision=approved", "price>9"],
        "only": "mug*",
        "columns": ["prompt", "maker"],
        "shard_size": "500MB",
        "source": True,
    }
    [one] = load_job(name(studio, whole)).exports
    assert one.output == str(studio.data / "set")
    assert one.split == (("train", 0.9), ("test", 0.1))
    assert [(each.column, each.comparison, each.values) for each in one.where] == [
        ("decision", "=", ("approved",)),
        ("price", ">", ("9",)),
    ]
    assert (one.only, one.columns) == (("mug*",), ("prompt", "maker"))
    assert (one.shard_size, one.source, one.split_by) == (500_000_000, True, "maker")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"format": "parquet-image"}, "there is no format 'parquet-image' (did you mean"),
        ({"output": ""}, "exports.0.output: it is empty"),
        ({"output": "s3://me:secret@bucket/x"}, "exports.0.output: it holds a password"),
        ({"split": {"train": 0.9}}, "the shares come to 0.9, and not to 1"),
        ({"split_by": "maker"}, "exports.0.split_by: it says how to split"),
        ({"where": "colour"}, "exports.0.where.0: 'colour' is no condition"),
        ({"shard_size": "1kB"}, "exports.0.shard_size: must be at least 100000"),
        ({"shard_sise": "1GB"}, "unknown key 'shard_sise' in 'exports.0' (did you mean"),
        ({"format": "csv", "source": True}, "a csv is one table without pictures"),
        ({"format": "folder", "shard_size": "1GB"}, "a folder has one file a picture"),
        ({"format": "preferences", "columns": "id"}, "preferences has columns of its own"),
    ],
)
def test_what_cannot_be_is_refused_before_a_night_is_paid_for(
    studio: Studio, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(JobError) as caught:
        load_job(name(studio, [{"format": "webdataset", "output": "x", **wrong}]))
    message = str(caught.value)
    assert said in message
    assert message.startswith("shop.yaml:")
    assert "secret" not in message


def test_two_exports_into_one_place_are_refused(studio: Studio) -> None:
    same = [{"format": "folder", "output": "../x"}, {"format": "csv", "output": "../jobs/../x/"}]
    with pytest.raises(JobError, match="exports: two of them write to"):
        load_job(name(studio, same))


def test_rehearsals_and_models_have_exports_of_their_own(studio: Studio) -> None:
    remote = {"format": "folder", "output": "s3://bucket/sets/catalog"}
    models = ["x/flash", {"model": "y/kontext", "name": "kon"}]
    job = load_job(name(studio, [*SETS, remote], models=models))
    data, outputs = studio.data, studio.outputs
    assert [one.output for one in job.for_rehearsal().exports] == [
        str(data / "tars-rehearsal"),
        str(data / "results-rehearsal.csv"),
        f"{outputs}-rehearsal/exports/catalog",
    ]
    assert [one.output for one in by_model(job)["kon"].exports] == [
        str(data / "tars-kon"),
        str(data / "results-kon.csv"),
        "s3://bucket/sets/catalog-kon",
    ]


# --- the command


def test_one_command_makes_all_that_the_job_names(studio: Studio, command: Command) -> None:
    studio.sourced(6)
    job = name(studio, SETS)
    done = command("export", job, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    found = json.loads(line)
    assert (found["job"], found["exit_code"]) == ("shop", 0)
    assert [one["format"] for one in found["exports"]] == ["webdataset", "csv"]
    assert sum(found["exports"][0]["samples"].values()) == 6
    assert list(pd.read_csv(studio.data / "results.csv").columns) == ["id", "status"]
    again = command("export", job)
    assert again.returncode == 0
    assert "nothing new" in again.stdout
    assert "results.csv: 6 rows" in again.stdout


def test_what_cannot_be_made_is_named_and_the_others_are_made(
    studio: Studio, command: Command
) -> None:
    studio.sourced(3)
    early = {"format": "preferences", "output": "../data/pairs"}
    job = name(studio, [early, *SETS])
    done = command("export", job, "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"]) == (3, 3), "nothing was there yet"
    assert "pipeline review" in found["exports"][0]["error"]
    assert [one["exit_code"] for one in found["exports"]] == [3, 0, 0]
    assert (studio.data / "tars" / "README.md").is_file()
    wrong = {"format": "csv", "output": "../data/x.csv", "where": "color=red"}
    done = command("export", name(studio, [wrong, early, *SETS]))
    assert done.returncode == 2
    assert "x.csv\n  csv: not made: where: there is no column 'color'" in done.stdout
    assert "results.csv: 3 rows" in done.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "the job names no exports (say --format and --output, or list them"),
        (["--format", "csv"], "needs both --format and --output"),
        (["--split", "train=1"], "needs both --format and --output"),
        (["--source"], "needs both --format and --output"),
    ],
)
def test_half_a_wish_says_what_is_missing(
    studio: Studio, command: Command, options: list[str], said: str
) -> None:
    studio.sourced(1)
    done = command("export", studio.job, *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_each_model_of_a_job_is_exported(studio: Studio) -> None:
    """What another has not been asked for yet is named, and ends nothing."""
    studio.sourced(2)
    folder = studio.outputs / "flash"
    folder.mkdir()
    for path in [*studio.outputs.iterdir()]:
        if path != folder:
            path.rename(folder / path.name)
    job = name(studio, SETS, models=["x/flash", "y/kontext"])
    found = pipeline.export_named(job)
    assert [one.exit_code for one in found.exports] == [0, 0, 3, 3]
    assert "no ledger yet" in found.exports[2].error
    assert found.exit_code == 3
    assert (studio.data / "tars-flash" / "README.md").is_file()
    assert (studio.outputs / "sources.db").is_file(), "one for all models: they split alike"
    assert sorted(path.name for path in studio.data.iterdir()) == [
        "results-flash.csv",
        "tars-flash",
    ]


def test_a_rehearsal_never_gets_in_among_real_pictures(studio: Studio) -> None:
    import sqlite3

    studio.sourced(2)
    studio.export("webdataset")
    with sqlite3.connect(studio.outputs / "ledger.db") as ledger:
        ledger.execute("UPDATE meta SET value = 'https://api.example' WHERE key = 'origin'")
    ledger.close()
    with pytest.raises(ConfigError, match="holds pictures of a rehearsal, and these are real"):
        studio.export("webdataset")


def test_only_the_columns_that_were_wanted(studio: Studio) -> None:
    studio.add(studio.edit("a", [], variables={"maker": "x", "cost": "secret"}))
    studio.export("parquet-images", columns=["prompt", "maker"])
    frame = pd.read_parquet(studio.data / "set/data/train-00000.parquet")
    assert list(frame.columns) == ["image", "prompt", "maker"]
    studio.export("folder", "files", columns=["maker"])
    [line] = (studio.data / "files/train/metadata.jsonl").read_text().splitlines()
    assert json.loads(line).keys() == {"file_name", "maker"}
    with pytest.raises(ConfigError, match=r"columns: there is no column 'makr' \(did you mean"):
        studio.export("jsonl", "x.jsonl", columns=["makr"])
