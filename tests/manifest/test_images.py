"""Image entries: paths, globs, URLs and data URIs."""

import os
import sys
from pathlib import Path

import pytest

from pipeline.manifest import missing_inputs
from pipeline.manifest.images import Images, stem_of
from pipeline.manifest.problems import RowError
from pipeline.models import ModelSpec
from tests.manifest.reading import MODEL, edits, problem, write


@pytest.fixture
def images(tmp_path: Path) -> Images:
    root = tmp_path / "root"
    for name in [
        "p/img10.jpg",
        "p/img9.jpg",
        "p/img[1].jpg",
        "p/.hidden.jpg",
        "p/sub/x.jpg",
        "a.jpg",
    ]:
        write(root, "x", name)
    write(tmp_path, "secret", "outside/secret.jpg")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "escape.jpg").symlink_to(tmp_path / "outside/secret.jpg")
    (root / "inside.jpg").symlink_to(root / "p/img9.jpg")
    return Images(root)


def paths(images: Images, entry: str, tmp_path: Path) -> list[str]:
    root = (tmp_path / "root").resolve()
    return [str(Path(ref.path).relative_to(root)) for ref in images.refs(entry)]


def test_a_path_starts_at_the_root_and_need_not_exist(images: Images, tmp_path: Path) -> None:
    assert paths(images, "p/new.jpg", tmp_path) == ["p/new.jpg"]
    assert paths(images, "./p/../a.jpg", tmp_path) == ["a.jpg"]
    assert paths(images, str(tmp_path / "root/a.jpg"), tmp_path) == ["a.jpg"]


def test_a_link_inside_the_root_is_followed(images: Images, tmp_path: Path) -> None:
    assert paths(images, "inside.jpg", tmp_path) == ["p/img9.jpg"]


@pytest.mark.parametrize(
    "entry",
    ["../outside/secret.jpg", "p/../../outside/secret.jpg", "/etc/passwd", "/x.jpg",
     "out/secret.jpg", "escape.jpg", "out/*.jpg", "../outside/*.jpg", "/etc/*", "esc*.jpg",
     "..\\outside\\secret.jpg",
     "/**/*.jpg", "../**/*.jpg"],
)  # fmt: skip
def test_nothing_leads_outside_the_root(images: Images, entry: str) -> None:
    with pytest.raises(RowError, match="lies outside"):
        images.refs(entry)


@pytest.mark.parametrize("entry", ["p/*/../../../outside/*.jpg", "*/../../outside/secret.jpg"])
def test_a_pattern_does_not_go_up(images: Images, entry: str) -> None:
    with pytest.raises(RowError, match="behind a wild card"):
        images.refs(entry)


@pytest.mark.parametrize("entry", ["p/", "..", ".", "p/.."])
def test_a_folder_is_no_picture(images: Images, entry: str) -> None:
    with pytest.raises(RowError, match="is a folder"):
        images.refs(entry)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are Unicode there")
def test_a_name_that_no_ledger_could_hold_is_refused(images: Images, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path / "root/p") + b"/b\xff.png")).write_bytes(b"x")
    with pytest.raises(RowError, match=r"'p/b\\udcff\.png': its name is no UTF-8 \(rename it\)"):
        images.refs("p/*.png")


def test_globs_are_expanded_in_natural_order(images: Images, tmp_path: Path) -> None:
    assert paths(images, "p/img?*.jpg", tmp_path) == ["p/img9.jpg", "p/img10.jpg", "p/img[1].jpg"]
    assert paths(images, "p/img1*.jpg", tmp_path) == ["p/img10.jpg"]
    assert paths(images, "**/x.jpg", tmp_path) == ["p/sub/x.jpg"]
    assert paths(images, "p/*b/x.jpg", tmp_path) == ["p/sub/x.jpg"]
    assert paths(images, str(tmp_path / "root/p/img9*"), tmp_path) == ["p/img9.jpg"]


def test_a_file_of_that_very_name_wins_over_the_pattern(images: Images, tmp_path: Path) -> None:
    assert paths(images, "p/img[1].jpg", tmp_path) == ["p/img[1].jpg"]
    assert paths(images, "p/img[91]*.jpg", tmp_path) == ["p/img9.jpg", "p/img10.jpg"]


def test_a_pattern_without_a_match_is_a_problem(tmp_path: Path) -> None:
    row = problem(write(tmp_path, "id,images\na,none/*.jpg\n"))
    assert "images 'none/*.jpg' matches no file below" in row.message
    assert row.id == "a"


def test_backslashes_separate_unless_a_file_has_that_name(images: Images, tmp_path: Path) -> None:
    assert paths(images, "p\\img9.jpg", tmp_path) == ["p/img9.jpg"]
    write(tmp_path / "root", "x", "b\\c.jpg")
    assert paths(images, "b\\c.jpg", tmp_path) == ["b\\c.jpg"]


def test_urls_and_data_uris_are_kept_as_written(images: Images) -> None:
    for entry, kind in [
        ("https://host/a b.jpg".replace(" ", "%20"), "url"),
        ("HTTP://host:8080/a.jpg?x=1&y=[2]", "url"),
        ("data:image/png;base64,iVBORw0KGgo=", "data"),
        ("data:image/svg+xml;charset=utf-8;base64,AAAA", "data"),
    ]:
        (ref,) = images.refs(entry)
        assert (ref.source, ref.kind, ref.path) == (entry, kind, "")


@pytest.mark.parametrize(
    "entry",
    ["file:///etc/passwd", "ftp://h/a.jpg", "s3://b/a.jpg", "javascript:alert(1)", "gopher:x",
     "data:text/html;base64,AAAA", "data:image/png,raw", "data:image/png;base64,", "http://",
     "https:///a.jpg", "https://h/a b.jpg", "https://h/\x1b[31m.jpg", "http://[::1/a.jpg",
     "C:\\pictures\\a.jpg", "a\0.jpg", "https://user:secret@h/a.jpg"],
)  # fmt: skip
def test_other_places_of_pictures_are_refused(images: Images, entry: str) -> None:
    with pytest.raises(RowError) as raised:
        images.refs(entry)
    assert "secret" not in str(raised.value)
    assert str(raised.value).isprintable()


def test_too_many_and_too_few_inputs_name_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path, "id,images,sku\na,1.jpg|2.jpg|3.jpg|4.jpg,\n")
    assert "4 images, but test/edit takes at most 3 (remove some)" in problem(path).message
    path = write(tmp_path, "id,images,sku\na,,x\n")
    assert "no image (test/edit needs 1" in problem(path).message
    two = ModelSpec(id="m", image_field="i", image_list=True, min_images=2, max_images=3)
    path = write(tmp_path, "id,images\na,1.jpg\n")
    assert "1 images, but m takes at least 2 (add some)" in problem(path, model=two).message


def test_a_model_without_inputs_needs_only_ids(tmp_path: Path) -> None:
    free = ModelSpec(id="m", image_field="i", image_list=True, min_images=0, max_images=3)
    path = write(tmp_path, "id,prompt\na,a red shoe\n")
    assert edits(path, model=free)[0].images == ()


def test_a_column_for_one_picture_does_not_take_several(tmp_path: Path) -> None:
    path = write(tmp_path, "image\na.jpg|b.jpg\n")
    assert "several pictures go into a column 'images'" in problem(path).message
    path = write(tmp_path, "image\nhttps://h/a.jpg?size=1|2\n")
    assert edits(path)[0].images[0].kind == "url"


def test_another_root_holds_for_all_manifests(tmp_path: Path) -> None:
    path = write(tmp_path, "images\nshop/a.jpg\n", "manifests/m.csv")
    (edit,) = edits(path, root=tmp_path)
    assert edit.images[0].path == str(tmp_path.resolve() / "shop/a.jpg")


def test_missing_inputs_are_listed_when_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "x", "there.jpg")
    path = write(tmp_path, "images\nthere.jpg|gone.jpg|https://h/x.jpg\n")
    (edit,) = edits(path)
    (message,) = missing_inputs(edit)
    assert message.startswith("image 'gone.jpg' is not there: ")


def test_the_name_of_a_picture_is_its_stem(images: Images) -> None:
    for entry, stem in [("p/a.tar.jpg", "a.tar"), ("https://h/x/b%2Fc.jpg?d.e", "c"),
                        ("data:image/png;base64,AAAA", ""), (".bashrc", ".bashrc"),
                        ("https://h/", "")]:  # fmt: skip
        (ref,) = images.refs(entry)
        assert stem_of(ref) == stem


def test_a_million_folders_do_not_fill_the_memory(images: Images) -> None:
    for number in range(10_000):
        images.refs(f"d{number}/a.jpg")
    assert len(images._folders) <= 4096
    assert len(images._files) <= 4096
    assert MODEL.min_images == 1
