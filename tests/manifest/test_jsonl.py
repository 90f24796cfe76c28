"""JSON lines."""

from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.models import Edit, Problem
from tests.manifest.reading import edits, read, write


def test_a_line_is_an_edit_with_a_csvs_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '\ufeff{"id": "a", "images": ["x.jpg", "y|z.jpg"], "prompt": "{{ sku }}", "num_images": 2,'
        ' "image_size": {"width": 1024, "height": 768}, "sku": 7, "tags": ["x", "ö"], "no": null}\n'
        '\n{"images": "b.jpg|c.jpg", "seed": "5"}\n',
        "m.jsonl",
    )
    first, second = edits(path)
    assert first.place == "m.jsonl:1"
    assert [ref.source for ref in first.images] == ["x.jpg", "y|z.jpg"]
    assert first.prompt == "7"
    assert first.parameters == {"num_images": 2, "image_size": {"width": 1024, "height": 768}}
    assert first.variables == {"sku": "7", "tags": '["x","ö"]', "no": ""}
    assert (second.id, second.place, len(second.images)) == ("b", "m.jsonl:3", 2)
    assert second.parameters == {"seed": 5}


def test_a_broken_line_is_a_problem_and_the_next_goes_on(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"id": "a"\n[1]\n{"images": 5, "id": "b"}\n{"images": "x.jpg", "prompt": {}}\n'
        '{"images": "x.jpg", "resolution": "4K", "id": 4}\n' + "[" * 100_000 + "\n"
        '{"images": "x.jpg", "id": "\\ud800"}\n{"images": "x.jpg", "id": "good"}\n',
        "m.jsonl",
    )
    found = read(path)
    assert [row.place for row in found if isinstance(row, Problem)] == [
        f"m.jsonl:{line}" for line in range(1, 8)
    ]
    assert [row.id for row in found if isinstance(row, Edit)] == ["good"]
    assert "takes no resolution" in str(found[4])
    assert found[4].id == "4"


def test_another_encoding_is_refused_with_its_offset(tmp_path: Path) -> None:
    path = write(tmp_path, b'{"images": "x.jpg"}\n{"images": "\xe4.jpg"}\n', "m.jsonl")
    with pytest.raises(ManifestError, match=r"^m\.jsonl:2: the byte at offset 32 \(0xe4\)"):
        read(path)
