"""No source in two splits, today or ever."""

from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from PIL import ImageEnhance

from pipeline.errors import ConfigError
from pipeline.exporting.splitting import split_of
from pipeline.job.exports import asked, shares
from tests.exporting.studio import Studio, contents, drawing, file_of

HALVES = "train=0.5,test=0.5"


def homes(folder: Path) -> dict[str, str]:
    """The split of each edit."""
    found = {}
    for path in (folder / "data").iterdir():
        for edit_id in pd.read_parquet(path)["id"]:
            assert edit_id not in found
            found[edit_id] = path.name.rpartition("-")[0]
    return found


def test_all_edits_of_a_source_are_in_one_split(studio: Studio) -> None:
    studio.sourced(20, prompts=3)
    studio.export("parquet-images", split=HALVES)
    by_source = defaultdict(set)
    for edit_id, split in homes(studio.data / "set").items():
        by_source[edit_id.partition("-")[0]].add(split)
    assert len(by_source) == 20
    assert all(len(found) == 1 for found in by_source.values())
    assert {split for found in by_source.values() for split in found} == {"train", "test"}


def test_a_source_never_changes_its_split(studio: Studio) -> None:
    studio.sourced(15)
    studio.export("parquet-images", split=HALVES)
    before = homes(studio.data / "set")
    studio.sourced(25, first=15, prompts=2)
    studio.export("parquet-images", split=HALVES)
    after = homes(studio.data / "set")
    assert {edit_id: after[edit_id] for edit_id in before} == before


def test_the_same_picture_under_two_names_is_one_source(studio: Studio) -> None:
    edits = []
    for n in range(12):
        for copy in ("a", "b"):
            name = studio.source(f"{copy}{n}.png", drawing(n))
            edits.append(studio.edit(f"{copy}{n}", [name]))
    studio.add(*edits)
    studio.export("parquet-images", split=HALVES)
    found = homes(studio.data / "set")
    assert all(found[f"a{n}"] == found[f"b{n}"] for n in range(12))
    assert set(found.values()) == {"train", "test"}


def test_pictures_that_look_alike_stay_together(studio: Studio) -> None:
    """Recompressed, made smaller, a little brighter."""
    edits = []
    for n in range(12):
        picture = drawing(n, (480, 320))
        edits += [
            studio.edit(f"e{n}-0", [studio.source(f"{n}.png", picture)]),
            studio.edit(f"e{n}-1", [studio.source(f"{n}.jpg", picture, quality=60)]),
            studio.edit(f"e{n}-2", [studio.source(f"{n}s.png", picture.resize((240, 160)))]),
            studio.edit(
                f"e{n}-3",
                [studio.source(f"{n}b.png", ImageEnhance.Brightness(picture).enhance(1.04))],
            ),
        ]
    studio.add(*edits)
    studio.export("parquet-images", split=HALVES)
    found = homes(studio.data / "set")
    assert len(found) == 48
    for n in range(12):
        assert len({found[f"e{n}-{k}"] for k in range(4)}) == 1, n
    assert set(found.values()) == {"train", "test"}


def test_a_late_bridge_between_two_splits_is_left_out(studio: Studio) -> None:
    from PIL import Image

    def shade(red: int) -> Image.Image:
        picture = drawing(7, (320, 320))
        return Image.merge(
            "RGB", [picture.getchannel(0).point(lambda _: red), *picture.split()[1:]]
        )

    # Two that differ by 40 levels, which is not alike, and one in between, alike to both.
    for red in range(0, 200, 3):
        names = [(f"r{red}", red), (f"r{red + 40}", red + 40)]
        digests = [_digest(file_of(shade(value))) for _, value in names]
        if split_of(digests[0], shares(HALVES)) != split_of(digests[1], shares(HALVES)):
            break
    first, second = names
    studio.add(
        studio.edit("first", [studio.source(f"{first[0]}.png", shade(first[1]))]),
        studio.edit("second", [studio.source(f"{second[0]}.png", shade(second[1]))]),
    )
    studio.export("parquet-images", split=HALVES)
    before = homes(studio.data / "set")
    assert set(before.values()) == {"train", "test"}
    studio.add(studio.edit("between", [studio.source("between.png", shade(first[1] + 20))]))
    result = studio.export("parquet-images", split=HALVES)
    assert result.straddling == 1
    assert result.exit_code == 0
    assert homes(studio.data / "set") == before


def _digest(data: bytes) -> str:
    from blake3 import blake3

    return blake3(data).hexdigest()


def test_what_was_filtered_away_decides_nothing(tmp_path: Path) -> None:
    """The first export with a filter, and without: the same sources, the same splits."""
    found = []
    for name, only in (("one", ["e1*"]), ("other", [])):
        studio = Studio(tmp_path / name)
        studio.sourced(20)
        studio.export("parquet-images", split=HALVES, only=only)
        studio.export("parquet-images", "all", split=HALVES)
        found.append(contents(studio.data / "all"))
    assert found[0] == found[1]


def test_every_format_splits_alike(studio: Studio) -> None:
    studio.sourced(10)
    studio.export("parquet-images", split=HALVES)
    studio.export("folder", "files", split=HALVES)
    for edit_id, split in homes(studio.data / "set").items():
        assert list((studio.data / "files" / split).rglob(f"{edit_id}.png"))


def test_splits_by_a_column_keep_its_values_together(studio: Studio) -> None:
    edits = [studio.edit(f"e{n}", [], variables={"maker": f"m{n % 6}"}) for n in range(36)]
    studio.add(*edits)
    studio.export("parquet-images", split=HALVES, split_by="maker")
    by_maker = defaultdict(set)
    for edit_id, split in homes(studio.data / "set").items():
        by_maker[int(edit_id[1:]) % 6].add(split)
    assert all(len(found) == 1 for found in by_maker.values())
    with pytest.raises(ConfigError, match="split by: there is no column 'brand'"):
        studio.export("parquet-images", "x", split=HALVES, split_by="brand")


def test_shares_come_out_as_they_were_wanted() -> None:
    wanted = shares("train=0.9, validation=0.05, test=0.05")
    found = [split_of(f"{n}", wanted) for n in range(20_000)]
    assert found.count("train") / 20_000 == pytest.approx(0.9, abs=0.01)
    assert found.count("test") / 20_000 == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    "text", ["train", "train=0.5", "train=0.5,train=0.5", "a b=1", "train=2,test=-1", "=1", ""]
)
def test_shares_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--split: "):
        asked(format="folder", output="x", split=text)
