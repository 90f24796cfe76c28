import json
from pathlib import Path

from pipeline.exports.results_jsonl import write_results_jsonl


def test_one_object_a_line_with_values_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    rows = [
        {"id": "a", "attempts": 1, "cost_usd": 0.042, "note": "=1+1\nzwei\u2028ü"},
        {"id": "b", "attempts": 2, "cost_usd": None, "note": None},
    ]
    columns = ["id", "note", "attempts", "cost_usd"]
    assert write_results_jsonl(columns, rows, path) == 2
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    assert [json.loads(line) for line in lines] == rows
    assert [list(json.loads(line)) for line in lines] == [columns] * 2
