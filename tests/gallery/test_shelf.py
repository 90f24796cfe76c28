"""The shelf of previews: what its names say, and what a cut leaves."""

import os
from pathlib import Path

import pytest

from pipeline.gallery.shelf import Shelf
from pipeline.pictures.thumbnails import Preview

KEY = "ab" + "0123456789" * 3
OTHER = "cd" + "0123456789" * 3


def test_a_name_tells_a_later_shelf_all_it_needs(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "thumbs")
    shelf.put(KEY, Preview(b"webp", 1200, 800))
    shelf.put_none(OTHER, "damaged: it is cut off")
    later = Shelf(tmp_path / "thumbs")
    for one in (shelf, later):
        kept = one.get(KEY)
        assert kept is not None
        assert (kept.path, kept.width, kept.height) == (f"ab/{KEY}-1200x800.webp", 1200, 800)
        assert one.get(OTHER) is not None
        assert OTHER in one
    assert "cut off" in (tmp_path / "thumbs" / "cd" / f"{OTHER}.none").read_text()


@pytest.mark.parametrize(
    "name",
    ["ab/other.webp", f"xy/{KEY}-1x1.webp", f"ab/{KEY}-1x1.webp.tmp", f"ab/{KEY}.webp"],
)
def test_strays_count_for_nothing_and_are_swept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_bytes(b"x")
    shelf = Shelf(tmp_path)
    assert KEY not in shelf
    assert shelf.sweep(set()) == 0
    assert not path.exists()


def test_what_another_process_is_writing_is_let_alone(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    for name in (".new", ".old"):
        (tmp_path / "ab" / name).write_bytes(b"x")
    os.utime(tmp_path / "ab" / ".old", (1, 1))
    Shelf(tmp_path).sweep(set())
    assert [path.name for path in tmp_path.glob("ab/.*")] == [".new"]


def test_sweeping_keeps_what_is_needed(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put(KEY, Preview(b"webp", 1, 1))
    shelf.put(OTHER, Preview(b"webp", 1, 1))
    assert shelf.sweep({KEY}) == 1
    assert KEY in shelf
    assert OTHER not in shelf
    assert [path.name for path in tmp_path.glob("*/*")] == [f"{KEY}-1x1.webp"]


def test_links_and_folders_on_a_shelf_are_let_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("x")
    shelf_folder = tmp_path / "thumbs"
    shelf_folder.mkdir()
    (shelf_folder / "ab").symlink_to(outside)
    Shelf(shelf_folder).sweep(set())
    assert (outside / "precious.txt").exists()
