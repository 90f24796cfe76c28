"""The shard writers: the same samples, the same bytes, in pieces that fit into memory."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError
from pipeline.exports import SHARDS, exporter, shard_writer
from pipeline.exports.parquet_images import GROUP_BYTES
from pipeline.exports.samples import Column, PictureBytes, Sample, weight

COLUMNS = [Column("image", "picture"), Column("prompt"), Column("width", "integer")]


def samples(count: int, size: int = 100) -> Iterator[Sample]:
    for n in range(count):
        values: dict[str, str | int | None] = {"prompt": f"prompt {n}" if n else None, "width": n}
        yield Sample(f"k{n}", values, {"image": PictureBytes(bytes([n % 256]) * size, ".png")})


@pytest.mark.parametrize("name", SHARDS)
def test_the_same_samples_make_the_same_bytes(name: str, tmp_path: Path) -> None:
    write, extension = shard_writer(name)
    for file in ("a", "b"):
        write(COLUMNS, samples(50), tmp_path / f"{file}{extension}")
    first, second = ((tmp_path / f"{file}{extension}").read_bytes() for file in ("a", "b"))
    assert first == second
    assert b"k49" in first


@pytest.mark.parametrize("name", SHARDS)
def test_a_shard_is_no_larger_than_what_its_samples_weigh(name: str, tmp_path: Path) -> None:
    write, _ = shard_writer(name)
    write(COLUMNS, samples(300, size=700), tmp_path / "shard")
    limit = sum(weight(sample) for sample in samples(300, size=700)) + 16_384
    assert (tmp_path / "shard").stat().st_size <= limit


def test_row_groups_of_large_pictures_are_small(tmp_path: Path) -> None:
    write, _ = shard_writer("parquet-images")
    write(COLUMNS, samples(9, size=GROUP_BYTES // 4), tmp_path / "shard")
    assert pq.read_metadata(tmp_path / "shard").num_row_groups == 3


@pytest.mark.parametrize("name", ["parquet", "parquet-images"])
def test_without_pyarrow_the_message_says_what_to_install(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'image-edit-pipeline\[parquet\]'"):
        if_it_were_there[name](tmp_path / "x")


if_it_were_there: dict[str, Callable[[Path], object]] = {
    "parquet": lambda path: exporter("parquet")(["id"], [{"id": "a"}], path),
    "parquet-images": lambda path: shard_writer("parquet-images")[0](COLUMNS, samples(1), path),
}
