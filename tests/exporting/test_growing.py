"""An export that is made again: what stays, what is added, what a crash leaves."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.exporting.entrance import export
from tests.conftest import command_line, environment
from tests.exporting.studio import Studio, check_sums, contents

SHARDED = ["parquet-images", "webdataset", "instruct-pix2pix"]
ALL = [*SHARDED, "folder"]


def shards(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Inode, mtime and bytes of each: the same file, not only the same contents."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted((folder / "data").iterdir())
    }


@pytest.mark.parametrize("kind", ALL)
def test_nothing_new_changes_nothing(studio: Studio, kind: str) -> None:
    studio.sourced(4)
    studio.export(kind)
    before = studio.data.joinpath("set").stat()
    again = studio.export(kind)
    assert not again.changed
    assert again.samples == {"train": 4}
    assert studio.data.joinpath("set").stat().st_ino == before.st_ino
    assert [path.name for path in studio.data.iterdir()] == ["set"]


@pytest.mark.parametrize("kind", SHARDED)
def test_new_edits_go_to_new_shards_and_old_shards_are_the_same_files(
    studio: Studio, kind: str
) -> None:
    studio.sourced(6)
    studio.export(kind)
    before = shards(studio.data / "set")
    studio.sourced(3, first=6)
    result = studio.export(kind)
    after = shards(studio.data / "set")
    assert len(after) == 2
    assert (result.written, result.kept, result.rewritten) == (1, 1, 0)
    assert {name: after[name] for name in before} == before
    assert result.samples == {"train": 9}
    check_sums(studio.data / "set")


def test_pictures_of_a_folder_stay_the_same_files(studio: Studio) -> None:
    studio.sourced(3, prompts=2)
    first = studio.export("folder", source=True)
    assert (first.written, first.kept) == (9, 0), "six results, three sources"
    picture = next((studio.data / "set").glob("train/*/e0-0.png"))
    inode = picture.stat().st_ino
    studio.sourced(1, first=3)
    result = studio.export("folder", source=True)
    assert (result.written, result.kept) == (2, 9)
    assert picture.stat().st_ino == inode
    check_sums(studio.data / "set")


def test_two_machines_make_the_same_bytes(tmp_path: Path) -> None:
    """Another folder, another night, clock, language, umask, and order of sets."""
    wanted = [
        *[{"format": kind, "split": "train=0.6,test=0.4", "source": True} for kind in ALL],
        *[{"format": kind} for kind in ("csv", "jsonl", "parquet")],
    ]
    found = []
    for name, zone, language, umask in (
        ("one", "UTC", "C", 0o022),
        ("another/ü", "Asia/Kathmandu", "C.UTF-8", 0o077),
    ):
        studio = Studio(tmp_path / name)
        studio.sourced(5)
        studio.sourced(3, first=5)
        exports = [{**one, "output": f"../data/{one['format']}"} for one in wanted]
        job = {"manifest": "../manifests/shop.csv", "prompt": "Do it", "exports": exports}
        studio.job.write_text(yaml.safe_dump(job))
        done = subprocess.run(
            command_line("export", studio.job),
            cwd=studio.folder,
            env=environment(
                {"TZ": zone, "LC_ALL": language, "PYTHONHASHSEED": str(umask), "COLUMNS": "200"}
            ),
            umask=umask,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found.append(contents(studio.data))
    assert len(found[0]) > 40
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", SHARDED)
def test_a_redone_edit_leaves_its_shard_and_goes_to_a_new_one(studio: Studio, kind: str) -> None:
    for n in range(3):
        studio.sourced(1, first=n)
        studio.export(kind)
    before = shards(studio.data / "set")
    assert len(before) == 3
    studio.add(studio.edit("e1-0", ["s1.png"], prompt="prompt 0", result=999))
    result = studio.export(kind)
    after = shards(studio.data / "set")
    first, second, third = sorted(before)
    assert (result.written, result.kept, result.removed) == (1, 2, 1)
    assert second not in after
    assert (after[first], after[third]) == (before[first], before[third])
    assert result.samples == {"train": 3}
    check_sums(studio.data / "set")


def test_a_rejected_edit_is_taken_out_of_its_shard_only(studio: Studio) -> None:
    studio.sourced(3)
    studio.export("webdataset")
    studio.sourced(2, first=3)
    studio.export("webdataset")
    before = shards(studio.data / "set")
    record = msgspec.structs.replace(studio.records["e1-0"], status="rejected")
    studio.add(record)
    result = studio.export("webdataset")
    after = shards(studio.data / "set")
    assert (result.rewritten, result.kept, result.written) == (1, 1, 0)
    assert b"e1-0" not in after["train-00000.tar"][2]
    assert after["train-00001.tar"] == before["train-00001.tar"]


def test_a_new_column_packs_everything_anew(studio: Studio) -> None:
    """Half the shards with other columns than the other half would not load."""
    studio.sourced(2)
    studio.export("parquet-images")
    studio.add(studio.edit("more", [], variables={"colour": "red"}))
    result = studio.export("parquet-images")
    assert (result.written, result.kept) == (1, 0)
    assert list(shards(studio.data / "set")) == ["train-00000.parquet"]


def test_shards_have_the_stated_size_at_most(studio: Studio) -> None:
    studio.add(*[studio.edit(f"e{n}", []) for n in range(120)])
    result = studio.export("webdataset", shard_size="100kB")
    sizes = [path.stat().st_size for path in (studio.data / "set" / "data").iterdir()]
    assert len(sizes) > 1
    assert max(sizes) <= 100_000
    assert result.samples == {"train": 120}


def test_a_shard_that_was_cut_short_is_made_again(studio: Studio) -> None:
    studio.sourced(3)
    studio.export("webdataset")
    whole = contents(studio.data / "set")
    (studio.data / "set/data/train-00000.tar").write_bytes(b"short")
    result = studio.export("webdataset")
    assert result.changed
    found = contents(studio.data / "set")
    assert found["data/train-00001.tar"] == whole["data/train-00000.tar"]
    assert "data/train-00000.tar" not in found
    check_sums(studio.data / "set")


def test_an_exchange_that_was_cut_off_between_two_renames_is_undone(studio: Studio) -> None:
    studio.sourced(2)
    studio.export("webdataset")
    before = contents(studio.data / "set")
    (studio.data / "set").rename(studio.data / ".set.previous")
    assert not studio.export("webdataset").changed
    assert contents(studio.data / "set") == before


def test_what_others_put_there_survives_a_cut_just_after_the_exchange(studio: Studio) -> None:
    studio.sourced(2)
    studio.export("webdataset")
    left = studio.data / ".set.0badcafe.partial"
    shutil.copytree(studio.data / "set", left)
    (left / "notes.txt").write_text("mine")
    studio.sourced(2, first=2)
    studio.export("webdataset")
    assert (studio.data / "set/notes.txt").read_text() == "mine"
    assert [path.name for path in studio.data.iterdir()] == ["set"]


def test_what_others_put_beside_the_data_moves_along(studio: Studio) -> None:
    studio.sourced(2)
    studio.export("webdataset")
    (studio.data / "set/.git").mkdir()
    (studio.data / "set/.git/config").write_text("mine")
    (studio.data / "set/notes.txt").write_text("mine, too")
    studio.sourced(2, first=2)
    studio.export("webdataset")
    assert (studio.data / "set/.git/config").read_text() == "mine"
    assert (studio.data / "set/notes.txt").read_text() == "mine, too"
    assert sorted(path.name for path in studio.data.iterdir()) == ["set"]


def test_a_file_among_the_shards_is_not_thrown_away(studio: Studio) -> None:
    studio.sourced(2)
    studio.export("webdataset")
    (studio.data / "set/data/mine.tar").write_text("mine")
    studio.sourced(2, first=2)
    with pytest.raises(ConfigError, match=r"mine\.tar: was put into"):
        studio.export("webdataset")
    assert (studio.data / "set/data/mine.tar").read_text() == "mine"


def test_a_card_that_was_changed_by_hand_stays(studio: Studio) -> None:
    studio.sourced(2)
    studio.export("webdataset")
    card = studio.data / "set/README.md"
    card.write_text(card.read_text() + "\nMine.\n")
    for n in (2, 3):
        studio.sourced(1, first=n)
        result = studio.export("webdataset")
        assert result.notes
        assert card.read_text().endswith("Mine.\n")
        assert f"| train | {n + 1} |" in (studio.data / "set/README.generated.md").read_text()
        check_sums(studio.data / "set")


def test_folders_that_hold_something_else_are_refused(studio: Studio) -> None:
    studio.sourced(2)
    (studio.data / "set").mkdir(parents=True)
    (studio.data / "set/thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds something that is no export"):
        studio.export("webdataset")
    studio.export("webdataset", "tars")
    with pytest.raises(ConfigError, match="as webdataset"):
        studio.export("folder", "tars")
    assert (studio.data / "set/thesis.txt").read_text() == "mine"


def test_an_export_to_a_store_uploads_what_is_new(studio: Studio) -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    studio.sourced(3)
    url = f"memory://{studio.folder.name}/set"
    export(studio.job, format="webdataset", output=url)
    place = f"/{studio.folder.name}/set"
    first = files.cat_file(f"{place}/data/train-00000.tar")
    stamp = files.modified(f"{place}/data/train-00000.tar")
    studio.sourced(2, first=3)
    result = export(studio.job, format="webdataset", output=url)
    assert (result.written, result.kept) == (1, 1)
    assert files.cat_file(f"{place}/data/train-00000.tar") == first
    assert files.modified(f"{place}/data/train-00000.tar") == stamp
    sums = files.cat_file(f"{place}/SHA256SUMS").decode()
    for line in sums.splitlines():
        data = files.cat_file(f"{place}/{line[66:]}")
        assert hashlib.sha256(data).hexdigest() == line[:64]
    left = f"{place}/data/train-00007.tar"
    files.pipe_file(left, b"of an upload that was cut off")
    files.pipe_file(f"{place}/data/notes.txt", b"mine")
    studio.sourced(1, first=5)
    assert export(studio.job, format="webdataset", output=url).written == 1
    assert not files.exists(left), "who reads train-* would get it"
    assert files.cat_file(f"{place}/data/notes.txt") == b"mine"
    assert export(studio.job, format="csv", output=f"memory:/{place}.csv").edits == 6
    assert files.cat_file(f"{place}.csv").startswith(b"id,status")
