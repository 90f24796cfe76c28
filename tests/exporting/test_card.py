"""The data card, and what the command says."""

import json
import subprocess
from collections.abc import Callable

import pytest
import yaml

from pipeline.errors import ConfigError, LockedError
from tests.exporting.studio import Studio, drawing

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def shop(studio: Studio) -> Studio:
    name = studio.source("s.jpg", drawing(1), quality=90)
    studio.add(
        studio.edit("a", [name], variables={"licence": "CC BY 4.0"}),
        studio.edit("b", [name], prompt="Make it red", variables={"licence": "CC-BY-4.0"}),
        studio.edit("words", [], variables={"licence": ""}),
        studio.edit("c", [name], status="refused", images=(), error_code="refused"),
    )
    return studio


def test_the_card_says_what_is_in_there_and_what_is_not(shop: Studio) -> None:
    shop.export("webdataset", split="train=0.5,test=0.5", source=True)
    text = (shop.data / "set/README.md").read_text(encoding="utf-8")
    _, header, page = text.split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["license"] == ["cc-by-4.0", "other"]
    assert found["task_categories"] == ["image-to-image"]
    splits = {one["split"]: one["path"] for one in found["configs"][0]["data_files"]}
    assert all(path == f"data/{split}-*.tar" for split, path in splits.items())
    assert "Edits: 3, made 2026-01-31" in page
    assert "`google/gemini-2.5-flash-image-edit` (3)" in page
    assert "$0.13" in page
    assert "| Make it red | 1 |" in page
    assert "| refused | `refused` | 1 |" in page
    assert "digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in page
    assert "digitalsourcetype/trainedAlgorithmicMedia" in page
    for path in ("examples/1-image.png", "examples/1-source.jpg"):
        assert f'<img src="{path}"' in page
        assert (shop.data / "set" / path).is_file()


def test_the_command_says_what_it_did(shop: Studio, command: Command) -> None:
    output = shop.data / "set"
    first = command("export", shop.job, "--format", "webdataset", "--output", output)
    assert first.returncode == 0, first.stderr
    assert "3  train" in first.stdout
    assert "1 shard written" in first.stdout
    again = command("export", shop.job, "--format", "webdataset", "--output", output)
    assert "nothing new" in again.stdout
    assert first.stderr == again.stderr == ""


def test_the_command_names_what_is_missing(shop: Studio, command: Command) -> None:
    (shop.outputs / "images/b.png").unlink()
    done = command("export", shop.job, "--format", "folder", "--output", shop.data / "set")
    assert done.returncode == 3
    assert "shop.csv:3: b: images/b.png: is not there (see: pipeline fsck)" in done.stdout
    again = command(
        "export", shop.job, "--format", "folder", "--output", shop.data / "set", "--json"
    )
    found = json.loads(again.stdout)
    assert (again.returncode, found["exit_code"], found["missing_count"]) == (3, 3, 1)
    assert found["missing"][0]["id"] == "b"
    assert found["samples"] == {"train": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "zip", "--output", "x"], "there is no format 'zip' (there are csv, jsonl"),
        (["--format", "csv", "--output", "x.csv", "--source"], "one table without pictures"),
        (["--format", "folder", "--output", "x", "--shard-size", "1GB"], "one file a picture"),
        (
            ["--format", "webdataset", "--output", "x", "--shard-size", "1"],
            "--shard-size: must be at least 100000",
        ),
        (
            ["--format", "webdataset", "--output", "x", "--split-by", "a"],
            "--split-by: it says how to split: say what into as well",
        ),
        (["--format", "csv", "--output", "."], "is a folder: name a file"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    shop: Studio, command: Command, options: list[str], message: str
) -> None:
    done = command("export", shop.job, *options)
    assert done.returncode == 2
    assert message in done.stderr.replace("\n", " ")


def test_two_exports_of_one_job_take_turns(shop: Studio) -> None:
    import filelock

    with (
        filelock.FileLock(shop.outputs / "export.lock"),
        pytest.raises(LockedError, match="another export of this job"),
    ):
        shop.export("webdataset")


def test_a_job_that_never_ran_has_nothing_to_export(studio: Studio) -> None:
    with pytest.raises(ConfigError, match="no ledger yet"):
        studio.export("csv", "x.csv")
