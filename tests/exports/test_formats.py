from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.exports import EXPORTS, exporter


@pytest.mark.parametrize("name", EXPORTS)
def test_every_format_writes_counts_and_replaces(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"results.{name}"
    path.write_text("old")
    rows = ({"id": f"shoe-{n}", "cost_usd": 0.5, "note": None} for n in range(3))
    assert exporter(name)(["id", "cost_usd", "note"], rows, path) == 3
    assert b"shoe-2" in path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_an_unknown_format_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'xls'.*csv, jsonl"):
        exporter("xls")
