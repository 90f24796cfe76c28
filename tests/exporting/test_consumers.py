"""The exports as those read them who train: the real libraries."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.exporting.studio import Studio, drawing


def loaded(folder: Path, tmp_path: Path) -> Any:
    """What ``load_dataset`` says of a folder, in a process of its own: it keeps caches, threads and
    settings for life. Offline.
    """
    script = """
import json, sys
from datasets import load_dataset
found = load_dataset(sys.argv[1])
out = {}
for split, rows in found.items():
    out[split] = []
    for row in rows:
        out[split].append({
            name: ["picture", value.size, value.format] if hasattr(value, "size") else value
            for name, value in row.items()
        })
print(json.dumps(out))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
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
    return json.loads(done.stdout)


@pytest.fixture
def shop(studio: Studio) -> Studio:
    first, second = (studio.source(f"s{n}.jpg", drawing(n), quality=90) for n in (1, 2))
    studio.add(
        studio.edit("mug", [first], variables={"Colour": "red", "sku": "007"}),
        studio.edit("set.of/two", [first, second], pictures=2, variables={"sku": "2026-01-31"}),
        studio.edit("lamp", [second], variables={"Colour": "blau ü"}),
        studio.edit("away", [first], status="failed", images=(), error_code="server_error"),
    )
    return studio


def test_datasets_loads_the_folder_with_its_inputs(shop: Studio, tmp_path: Path) -> None:
    result = shop.export("folder", source=True)
    assert result.samples == {"train": 4}
    rows = loaded(shop.data / "set", tmp_path)["train"]
    assert [row["id"] for row in rows] == ["mug", "set.of/two", "set.of/two", "lamp"]
    assert rows[0]["image"] == ["picture", [96, 64], "PNG"]
    assert rows[0]["source"] == ["picture", [96, 64], "JPEG"]
    assert rows[0]["source_2"] is None
    assert rows[1]["source_2"] == ["picture", [96, 64], "JPEG"]
    assert [row["sku"] for row in rows] == ["007", "2026-01-31", "2026-01-31", ""]
    assert rows[3]["Colour"] == "blau ü"
    assert rows[0]["prompt"] == "Make it white"


def test_datasets_loads_the_parquet_with_pictures_in_it(shop: Studio, tmp_path: Path) -> None:
    shop.export("parquet-images", source=True, split="train=0.5,test=0.5")
    found = loaded(shop.data / "set", tmp_path)
    rows = [row for split in found.values() for row in split]
    assert sorted(row["id"] for row in rows) == ["lamp", "mug", "set.of/two", "set.of/two"]
    assert all(row["image"] == ["picture", [96, 64], "PNG"] for row in rows)
    assert {row["source"][2] for row in rows} == {"JPEG"}
    assert {row["Colour"] for row in rows} == {"red", "blau ü", None}


def test_datasets_loads_the_parquet_without_the_card(shop: Studio, tmp_path: Path) -> None:
    shop.export("parquet-images")
    script = """
import sys
from datasets import load_dataset
rows = load_dataset("parquet", data_files=sys.argv[1] + "/data/*.parquet", split="train")
print(rows[0]["image"].size, len(rows))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(shop.data / "set")],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")},
    )
    assert done.stdout == "(96, 64) 4\n", done.stderr[-2000:]


def test_the_pix2pix_trainers_find_their_three_columns(shop: Studio, tmp_path: Path) -> None:
    shop.export("instruct-pix2pix")
    rows = loaded(shop.data / "set", tmp_path)["train"]
    assert [list(row) for row in rows[:1]] == [["original_image", "edit_prompt", "edited_image"]]
    assert rows[0] == {
        "original_image": ["picture", [96, 64], "JPEG"],
        "edit_prompt": "Make it white",
        "edited_image": ["picture", [96, 64], "PNG"],
    }


def test_datasets_loads_webdataset_shards(shop: Studio, tmp_path: Path) -> None:
    shop.export("webdataset", only=["mug", "lamp"], source=True)
    rows = loaded(shop.data / "set", tmp_path)["train"]
    assert [row["__key__"] for row in rows] == ["mug", "lamp"]
    assert rows[0]["png"] == ["picture", [96, 64], "PNG"]
    assert rows[0]["source.jpg"] == ["picture", [96, 64], "JPEG"]
    assert rows[0]["json"]["prompt"] == "Make it white"


def test_webdataset_iterates_the_shards(shop: Studio) -> None:
    shop.export("webdataset", source=True)
    script = """
import sys, warnings
warnings.simplefilter("ignore")
import webdataset
for sample in webdataset.WebDataset(sys.argv[1], shardshuffle=False).decode("pil"):
    print(sample["__key__"], sample["png"].size, sample["source.jpg"].size, sample["json"]["id"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(shop.data / "set/data/train-00000.tar")],
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "mug (96, 64) (96, 64) mug", done.stderr[-2000:]
    assert len(lines) == 4
    keys = [line.split()[0] for line in lines]
    assert len(set(keys)) == 4
    assert not any("." in key or "/" in key for key in keys)
    assert keys[2] == f"{keys[1]}_p2"


def test_a_tar_of_the_standard_library_says_who_and_when_nobody_and_never(shop: Studio) -> None:
    shop.export("webdataset")
    with tarfile.open(shop.data / "set/data/train-00000.tar") as tar:
        entries = tar.getmembers()
        first = tar.extractfile(entries[0])
        assert first is not None
        assert Image.open(io.BytesIO(first.read())).size == (96, 64)
    assert [entry.name for entry in entries[:2]] == ["mug.png", "mug.json"]
    facts = {(one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) for one in entries}
    assert facts == {(0, 0, 0, "", "", 0o644)}


def test_pandas_and_pyarrow_read_the_parquet(shop: Studio) -> None:
    shop.export("parquet-images")
    frame = pd.read_parquet(shop.data / "set/data/train-00000.parquet")
    assert list(frame["id"]) == ["mug", "set.of/two", "set.of/two", "lamp"]
    assert Image.open(io.BytesIO(frame["image"][0]["bytes"])).size == (96, 64)
    schema = pq.read_schema(shop.data / "set/data/train-00000.parquet")
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert features["image"] == {"_type": "Image"}
    assert features["width"] == {"dtype": "int64", "_type": "Value"}


def test_the_tables_have_all_edits_and_types(shop: Studio) -> None:
    for kind in ("csv", "jsonl", "parquet"):
        result = shop.export(kind, f"results.{kind}")
        assert (result.edits, result.exit_code) == (4, 0)
    frame = pd.read_parquet(shop.data / "results.parquet")
    assert list(frame["id"]) == ["mug", "set.of/two", "lamp", "away"]
    assert isinstance(frame["started_at"].dtype, pd.DatetimeTZDtype)
    assert frame["cost_usd"].sum() == pytest.approx(0.168)
    assert list(pd.read_csv(shop.data / "results.csv")["id"]) == list(frame["id"])
    lines = (shop.data / "results.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[3])["error_code"] == "server_error"
