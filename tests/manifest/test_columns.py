"""Columns that are called otherwise: the job's ``columns``."""

import datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import ConfigError, JobError, ManifestError
from pipeline.models import Problem
from tests.manifest.reading import edits, problem, read, write

SHOP = "SKU;Image URL;Back;Titel (de);Prompt text;Menge\n17;a.jpg;b.jpg;Becher;on sand;2\n"


def test_columns_mean_what_the_job_says(tmp_path: Path) -> None:
    (edit,) = edits(
        write(tmp_path, SHOP),
        columns={
            "id": ("sku",),
            "images": ("Image URL", "Back"),
            "prompt": ("Prompt text",),
            "num_images": ("Menge",),
            "title": ("Titel (de)",),
        },
    )
    assert (edit.id, edit.prompt, edit.parameters) == ("17", "on sand", {"num_images": 2})
    assert [ref.source for ref in edit.images] == ["a.jpg", "b.jpg"]
    assert edit.variables == {"title": "Becher"}


def test_a_column_that_is_not_there_is_an_error_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        read(write(tmp_path, SHOP), columns={"id": ("SKU",), "images": ("Image URI",)})
    assert str(caught.value) == (
        "shoes.csv:1: columns: there is no column 'Image URI' for 'images' (did you mean 'Image"
        " URL'?) (there are SKU, Image URL, Back, Titel (de), Prompt text, Menge)"
    )


def test_what_the_mapping_replaces_is_a_variable(tmp_path: Path) -> None:
    path = write(tmp_path, "id,SKU,image,photo\n1,s-1,small.jpg,large.jpg\n")
    (edit,) = edits(path, columns={"id": ("SKU",), "images": ("photo",)})
    assert (edit.id, [ref.source for ref in edit.images]) == ("s-1", ["large.jpg"])
    assert edit.variables == {"id": "1", "image": "small.jpg"}


def test_a_column_may_be_two_things(tmp_path: Path) -> None:
    path = write(tmp_path, "SKU,images\ns-1,a.jpg\n")
    (edit,) = edits(path, columns={"id": ("SKU",), "sku": ("SKU",)}, prompt="{{ sku }}!")
    assert (edit.id, edit.prompt) == ("s-1", "s-1!")


def test_a_column_can_be_kept_from_being_a_parameter(tmp_path: Path) -> None:
    path = write(tmp_path, "images,Size\na.jpg,XL\n")
    with pytest.raises(ManifestError, match="takes no size"):
        read(path)
    assert edits(path, columns={"shoe_size": ("Size",)})[0].variables == {"shoe_size": "XL"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"id": ("SKU", "Back")}, "'id' takes one column"),
        ({"resolution": ("SKU",)}, "takes no resolution"),
        ({"back": ("SKU",)}, "would both be 'Back'"),
    ],
)
def test_impossible_mappings_are_refused(
    tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(write(tmp_path, SHOP.replace("Image URL", "images")), columns=columns)


def test_json_lines_are_mapped_too(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"SKU": "a", "photos": ["a.jpg", "b.jpg"], "Titel": 5}\n{"SKU": "b", "photo": "a.jpg"}\n',
        "m.jsonl",
    )
    first, second = read(path, columns={"id": ("SKU",), "images": ("photos",), "title": ("Titel",)})
    assert not isinstance(first, Problem)
    assert (first.id, first.variables, len(first.images)) == ("a", {"title": "5"}, 2)
    assert isinstance(second, Problem)
    assert "no column 'photos' for 'images' (did you mean 'photo'?)" in second.message


def test_a_mapping_for_yaml_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "image_sets: [a.jpg]\n", "m.yaml")
    with pytest.raises(JobError, match="columns: they are for tables"):
        read(path, columns={"id": ("SKU",)})
    table = write(tmp_path, "SKU,images\ns,b.jpg\n")
    assert [edit.id for edit in edits(path, table, columns={"id": ("SKU",)})] == ["a", "s"]


@pytest.mark.parametrize("name", ["m.jsonl", "m.yaml", "m.xml"])
def test_a_format_that_a_file_cannot_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="cannot be format: shopify"):
        read(write(tmp_path, "image_sets: [a.jpg]\n", name), format="shopify")


# --- Parquet


def test_parquet_is_a_table(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table(
        {
            "SKU": ["00123", "b", None],
            "images": [["a.jpg", "b.jpg"], ["c.jpg"], None],
            "weight": [1.5, 2.0, None],
            "day": [datetime.date(2026, 3, 1), None, None],
            "facts": [{"kind": "mug"}, None, None],
        }
    )
    path = tmp_path / "m.parquet"
    pq.write_table(table, path)
    first, second = edits(path, columns={"id": ("SKU",)})
    assert (first.id, first.place, len(first.images)) == ("00123", "m.parquet:1", 2)
    assert first.variables == {"weight": "1.5", "day": "2026-03-01", "facts": '{"kind":"mug"}'}
    assert second.variables["weight"] == "2"


def test_parquet_that_is_damaged_or_holds_pictures_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    with pytest.raises(ManifestError, match=r"^m\.parquet: cannot be read as Parquet"):
        read(write(tmp_path, b"PAR1 nonsense PAR1", "m.parquet"))
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"id": ["a"], "image": [b"\xff\xd8"]}), path)
    with pytest.raises(ManifestError, match="column 'image' holds bytes"):
        read(path)


def test_a_problem_in_parquet_has_its_row(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"images": ["a.jpg", "../../b.jpg"]}), path)
    assert problem(path).place == "m.parquet:2"
