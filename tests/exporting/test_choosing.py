"""Which edits are in: filters, missing pictures, preferences."""

import json
from typing import Any

import msgspec
import pandas as pd
import pytest

from pipeline.errors import ConfigError, StoreError
from pipeline.exporting.choosing import key_of
from pipeline.exporting.splitting import split_of
from pipeline.job.exports import asked, shares
from pipeline.ledger import open_decisions
from pipeline.models import Decision
from pipeline.stores import open_shelf
from tests.exporting.studio import Studio, contents, drawing
from tests.ledger.samples import change


def ids(studio: Studio, name: str = "set") -> list[str]:
    return [
        edit_id
        for path in sorted((studio.data / name / "data").iterdir())
        for edit_id in pd.read_parquet(path)["id"]
    ]


def decide(studio: Studio, edit_id: str, word: Any, note: str = "", **more: Any) -> None:
    decisions = open_decisions(studio.outputs / "ledger.db")
    assert decisions is not None
    with decisions:
        done = decisions.apply(
            [Decision(id=edit_id, decision=word, note=note, **more)],
            open_shelf(studio.outputs),
            now=2e9,
        )
    assert done.changed == 1


def warmer(studio: Studio, edit_id: str, source: str) -> None:
    """The answer to a redo with this note."""
    base = studio.records[edit_id].fingerprint
    record = studio.edit(edit_id, [source], prompt="Make it white\nwarmer", result=4, base=base)
    edit = msgspec.structs.replace(record.edit, variant=2)
    studio.add(msgspec.structs.replace(record, edit=edit))


@pytest.fixture
def shop(studio: Studio) -> Studio:
    studio.add(
        studio.edit("a", [], variables={"colour": "red", "price": "9"}),
        studio.edit("b", [], variables={"colour": "blue", "price": "12"}),
        studio.edit("c", [], variables={"price": "n/a"}, status="rejected"),
        studio.edit("d", [], status="failed", images=(), error_code="input"),
    )
    return studio


class TestFilters:
    @pytest.mark.parametrize(
        ("where", "expected"),
        [
            ([], ["a", "b"]),
            (["status=succeeded|rejected"], ["a", "b", "c"]),
            (["status=rejected"], ["c"]),
            (["colour=red"], ["a"]),
            (["colour!=red"], ["b"]),
            (["colour=red|blue", "price>9"], ["b"]),
            (["price >= 9", "status=succeeded|rejected"], ["a", "b"]),
            (["price<100", "price!=12"], ["a"]),
            (["decision="], ["a", "b"]),
            (["finished_at>=2026-01-01"], ["a", "b"]),
        ],
    )
    def test_conditions_are_all_kept(
        self, shop: Studio, where: list[str], expected: list[str]
    ) -> None:
        shop.export("parquet-images", where=where)
        assert ids(shop) == expected

    def test_ids_may_be_globs(self, shop: Studio) -> None:
        shop.export("parquet-images", only=["a", "[c-z]"], where=["status=succeeded|rejected"])
        assert ids(shop) == ["a", "c"]

    def test_what_checks_measured(self, shop: Studio) -> None:
        change(
            shop.outputs / "ledger.db",
            *[
                'INSERT INTO checks (edit_id, position, name, value, "limit", passed, message) '
                f"VALUES ('{edit_id}', {position}, 'not_blank', {value}, 12, 1, '')"
                for edit_id, position, value in (("a", 1, 40), ("a", 2, 15), ("b", 1, 30))
            ],
        )
        shop.export("parquet-images", where=["check:not_blank>=20"])
        assert ids(shop) == ["b"], "every picture of an edit has to be so"

        for kind in ("parquet-images", "jsonl"):
            with pytest.raises(ConfigError, match=r"'not_blnk' \(did you mean 'not_blank'\?\)"):
                shop.export(kind, f"other-{kind}", where=["check:not_blnk!=20"])
        assert [path.name for path in shop.data.iterdir()] == ["set"]

    def test_tables_are_filtered_and_have_every_status_otherwise(self, shop: Studio) -> None:
        shop.export("jsonl", "all.jsonl")
        shop.export("jsonl", "some.jsonl", where=["status!=succeeded"], only=["[cd]"])
        every = (shop.data / "all.jsonl").read_text().splitlines()
        some = (shop.data / "some.jsonl").read_text().splitlines()
        assert [json.loads(line)["id"] for line in every] == ["a", "b", "c", "d"]
        assert [json.loads(line)["id"] for line in some] == ["c", "d"]

    @pytest.mark.parametrize("text", ["", "=red", "colour", "price<1|2"])
    def test_conditions_that_cannot_be_are_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match="--where"):
            asked(format="csv", output="x", where=[text])

    def test_an_unknown_column_says_which_one_was_meant(self, shop: Studio) -> None:
        with pytest.raises(ConfigError, match=r"'color'.*did you mean 'colour'"):
            shop.export("csv", "x.csv", where=["color=red"])

    def test_nothing_to_export_leaves_what_was_there(self, shop: Studio) -> None:
        shop.export("parquet-images")
        before = contents(shop.data / "set")
        with pytest.raises(ConfigError, match="nothing to export: no edit that succeeded is as"):
            shop.export("parquet-images", where=["colour=green"])
        assert contents(shop.data / "set") == before
        assert [path.name for path in shop.data.iterdir()] == ["set"]


class TestMissing:
    @pytest.mark.parametrize("kind", ["parquet-images", "folder", "webdataset"])
    def test_a_picture_that_is_away_or_changed_is_named_and_left_out(
        self, studio: Studio, kind: str
    ) -> None:
        studio.sourced(5)
        (studio.outputs / "images/e1-0.png").unlink()
        (studio.outputs / "images/e2-0.png").write_bytes(b"something else")
        result = studio.export(kind)
        assert result.exit_code == 3
        assert result.samples == {"train": 3}
        assert [(one.id, one.place) for one in result.missing] == [
            ("e1-0", "shop.csv:3"),
            ("e2-0", "shop.csv:4"),
        ]
        assert "is not there" in result.missing[0].why
        assert "not what the ledger says" in result.missing[1].why
        found = contents(studio.data / "set")
        assert not any(b"something else" in data for data in found.values())

    def test_a_source_that_was_changed_since_does_not_get_in(self, studio: Studio) -> None:
        studio.sourced(3)
        studio.source("s1.png", drawing(77))
        (studio.manifests / "s2.png").unlink()
        result = studio.export("instruct-pix2pix")
        assert [one.id for one in result.missing] == ["e1-0", "e2-0"]
        assert "was changed since it was sent" in result.missing[0].why
        assert "is not there" in result.missing[1].why
        assert studio.export("webdataset", "without").exit_code == 0, "sources are not asked for"

    def test_pictures_of_a_store_are_fetched_and_missed_one_by_one(self, studio: Studio) -> None:
        import fsspec

        files = fsspec.filesystem("memory")
        studio.sourced(3)
        store = f"memory://{studio.folder.name}-{id(studio)}/pictures"
        studio.job.write_text(studio.job.read_text() + f"outputs: {{store: '{store}'}}\n")
        for path in (studio.outputs / "images").iterdir():
            files.pipe_file(
                f"{store.removeprefix('memory:/')}/images/{path.name}", path.read_bytes()
            )
            path.unlink()
        files.rm_file(f"{store.removeprefix('memory:/')}/images/e1-0.png")
        result = studio.export("webdataset")
        assert (result.samples, result.exit_code) == ({"train": 2}, 3)
        assert [(one.id, one.why) for one in result.missing] == [
            ("e1-0", "images/e1-0.png: is not there (see: pipeline fsck)")
        ]

    def test_a_store_that_does_not_answer_ends_the_export(self, studio: Studio) -> None:
        """Else all pictures of that moment would be missing."""
        studio.sourced(3)
        studio.export("webdataset")
        before = contents(studio.data / "set")
        studio.sourced(1, first=3)
        nowhere = "outputs: {store: 'http://127.0.0.1:9/pictures'}\n"
        studio.job.write_text(studio.job.read_text() + nowhere)
        with pytest.raises(StoreError, match=r"127\.0\.0\.1:9/pictures: cannot fetch images/e3-0"):
            studio.export("webdataset")
        assert contents(studio.data / "set") == before

    def test_once_it_is_back_it_is_added(self, studio: Studio) -> None:
        studio.sourced(3)
        picture = studio.outputs / "images/e1-0.png"
        data = picture.read_bytes()
        picture.unlink()
        studio.export("webdataset")
        picture.write_bytes(data)
        result = studio.export("webdataset")
        assert (result.exit_code, result.written, result.kept) == (0, 1, 1)

    def test_what_is_exported_already_is_not_looked_at_again(self, studio: Studio) -> None:
        studio.sourced(3)
        studio.export("webdataset")
        (studio.outputs / "images/e1-0.png").unlink()
        result = studio.export("webdataset")
        assert (result.exit_code, result.samples) == (0, {"train": 3})

    def test_edits_without_an_input_have_no_pair(self, studio: Studio) -> None:
        studio.sourced(1)
        studio.add(studio.edit("words", []))
        result = studio.export("instruct-pix2pix")
        assert (result.without_source, result.samples) == (1, {"train": 1})


class TestPreferences:
    def test_approved_pictures_against_what_was_redone_and_rejected(self, studio: Studio) -> None:
        name = studio.source("s.png", drawing(1))
        studio.add(
            studio.edit("mug/1", [name], result=1),
            studio.edit("mug/2", [name], result=2),
            studio.edit("lamp", [name], prompt="Another", result=3),
        )
        decide(studio, "mug/1", "redo", "warmer")
        warmer(studio, "mug/1", name)
        decide(studio, "mug/1", "approved")
        decide(studio, "mug/2", "rejected", "cut off")
        decide(studio, "lamp", "approved")
        result = studio.export("preferences")
        rows = pd.read_parquet(studio.data / "set/data/train-00000.parquet")
        assert result.samples == {"train": 2}
        assert set(rows["id"]) == {"mug/1"}
        assert set(rows["edit_prompt"]) == {"Make it white"}
        assert set(rows["chosen_prompt"]) == {"Make it white\nwarmer"}
        assert set(rows["rejected_reason"]) == {"warmer", "cut off"}
        chosen = (studio.outputs / "images/mug/1.png").read_bytes()
        assert all(one["bytes"] == chosen for one in rows["chosen"])
        taken = (studio.outputs / "takes/mug/1-v1.png").read_bytes()
        assert taken in [one["bytes"] for one in rows["rejected"]]

    def test_a_picture_taken_back_is_of_what_the_manifest_asked(self, studio: Studio) -> None:
        """The redo is the only take then, and its words are not the row's."""
        name = studio.source("s.png", drawing(1))
        studio.add(studio.edit("mug/1", [name], result=1), studio.edit("mug/2", [name], result=2))
        decide(studio, "mug/1", "redo", "warmer")
        warmer(studio, "mug/1", name)
        decide(studio, "mug/1", "restore", take=1)
        decide(studio, "mug/1", "approved")
        decide(studio, "mug/2", "rejected", "cut off")
        studio.export("preferences")
        rows = pd.read_parquet(studio.data / "set/data/train-00000.parquet")
        assert set(rows["edit_prompt"]) == set(rows["chosen_prompt"]) == {"Make it white"}
        assert set(rows["rejected_prompt"]) == {"Make it white", "Make it white\nwarmer"}

    def test_a_changed_row_is_what_it_asks_now(self, studio: Studio) -> None:
        name = studio.source("s.png", drawing(1))
        studio.add(studio.edit("mug/1", [name], prompt="Make it red", result=1))
        decide(studio, "mug/1", "redo", "warmer")
        studio.add(studio.edit("mug/1", [name], result=2), studio.edit("mug/2", [name], result=3))
        decide(studio, "mug/1", "rejected")
        decide(studio, "mug/2", "approved")
        studio.export("preferences")
        rows = pd.read_parquet(studio.data / "set/data/train-00000.parquet")
        assert set(rows["rejected_prompt"]) == {"Make it white", "Make it red"}

    def test_no_pair_reaches_over_two_splits(self, studio: Studio) -> None:
        """Else what one maker's pictures taught would be tested with them."""
        name = studio.source("s.png", drawing(1))
        halves = "train=0.5,test=0.5"
        sides = {split_of(f"m{n}", shares(halves)): f"m{n}" for n in range(20)}
        for number, (word, split) in enumerate(
            [("approved", "train"), ("rejected", "train"), ("rejected", "test")]
        ):
            maker = {"maker": sides[split]}
            studio.add(studio.edit(f"e{number}", [name], result=number, variables=maker))
            decide(studio, f"e{number}", word)
        found = studio.export("preferences", split=halves, split_by="maker")
        assert found.samples == {"train": 1}

    def test_without_decisions_there_is_nothing_to_prefer(self, studio: Studio) -> None:
        studio.sourced(2)
        with pytest.raises(ConfigError, match="pipeline review"):
            studio.export("preferences")


class TestKeys:
    @pytest.mark.parametrize("edit_id", ["mug", "SKU_12-b", "0"])
    def test_an_id_that_can_be_a_name_is_one(self, edit_id: str) -> None:
        assert key_of(edit_id) == edit_id

    @pytest.mark.parametrize(
        "edit_id", ["a.b", "a/b", "ü", "", "x" * 300, "-x", "con", "a_p2", "../..", "a\0b"]
    )
    def test_others_get_a_name_of_letters_and_a_hash(self, edit_id: str) -> None:
        key = key_of(edit_id)
        assert key.replace("-", "").isascii()
        assert not set(key) & set("./\\ \0")
        assert len(key) <= 80
        assert key != key_of(edit_id + "!")

    def test_pictures_of_one_edit_differ_from_all_other_edits(self) -> None:
        assert len({key_of("a"), key_of("a", 2), key_of("a_p2"), key_of("a-2")}) == 4


def test_a_hostile_ledger_stays_text(studio: Studio) -> None:
    hostile = "</script>| `x` <img src=x onerror=alert(1)> \n---\nlicense: mit"
    studio.add(studio.edit("x", [], prompt=hostile, variables={"image": hostile, "file_name": "7"}))
    studio.export("parquet-images")
    row = pd.read_parquet(studio.data / "set/data/train-00000.parquet").iloc[0]
    assert (row["prompt"], row["row_image"], row["row_file_name_"]) == (hostile, hostile, "7")
    card = (studio.data / "set/README.md").read_text(encoding="utf-8")
    assert "<img src=x" not in card
    assert card.count("\n---\n") == 1


def test_an_export_is_of_one_state_of_the_ledger(studio: Studio) -> None:
    studio.sourced(2)
    record = msgspec.structs.replace(studio.records["e0-0"], status="unknown")
    studio.add(record)
    assert studio.export("webdataset").samples == {"train": 1}
