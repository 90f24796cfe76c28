"""What people decide: taken from a table, kept in the ledger, and done by the next run."""

import asyncio
import io
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec
import pytest

import pipeline
from pipeline import Decision, api
from pipeline.decisions.deciding import ReviewResult
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, LedgerError, ManifestError
from pipeline.ledger import Applied, Decisions, LedgerReader, open_decisions, open_reader
from pipeline.running import RunResult
from pipeline.stores import open_shelf
from tests.conftest import Shop, command_line, environment

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}
BROKEN: dict[str, Any] = {
    **PLAIN,
    "script": [{"when": {"prompt_contains": "edit number"}, "fault": "status_500"}],
}


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    return asyncio.run(api.run(shop.job, base_url=endpoint.url, environ={}, **options))


def review(shop: Shop, decisions: Any, **options: Any) -> ReviewResult:
    return asyncio.run(pipeline.review(shop.job, decisions, **options))


def say(shop: Shop, edit_id: str, word: Any, note: str = "", **more: Any) -> ReviewResult:
    return review(shop, [Decision(id=edit_id, decision=word, note=note, **more)])


def table(shop: Shop, text: str | bytes) -> Path:
    path = shop.folder / "decisions.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def reader(shop: Shop) -> LedgerReader:
    opened = open_reader(shop.outputs / "ledger.db")
    assert opened is not None
    return opened


def results(shop: Shop) -> dict[str, dict[str, Any]]:
    with reader(shop) as ledger:
        return {row["id"]: row for row in ledger.results()}


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def change(shop: Shop, statement: str) -> None:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    with connection:
        connection.execute(statement)
    connection.close()


def files(shop: Shop) -> dict[str, bytes]:
    return {
        path.relative_to(shop.outputs).as_posix(): path.read_bytes()
        for folder in ("images", "takes")
        for path in sorted((shop.outputs / folder).rglob("*"))
        if path.is_file()
    }


def prompts(endpoint: RunningEmulator, since: int = 0) -> list[str]:
    return [request["body"]["prompt"] for request in endpoint.requests[since:]]


@pytest.fixture
def endpoint(emulator: Emulators) -> RunningEmulator:
    return emulator(**PLAIN)


@pytest.fixture
def done(shop: Shop, endpoint: RunningEmulator) -> Shop:
    """A job of four edits that all succeeded."""
    assert run(shop.with_edits(4, retry={"attempts": 1}), endpoint).exit_code == 0
    return shop


class TestMarks:
    def test_approved_is_marked_and_rejected_is_an_answer(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        result = review(done, table(done, "id,decision,note\ne0,approved,\ne1,rejected,too dark\n"))
        assert (result.approved, result.rejected, result.unchanged, result.left) == (1, 1, 0, ())
        found = results(done)
        assert (found["e0"]["status"], found["e0"]["decision"]) == ("succeeded", "approved")
        assert {
            name: found["e1"][name]
            for name in ("status", "error_code", "error_message", "decision", "note", "images")
        } == {
            "status": "rejected",
            "error_code": "rejected_by_reviewer",
            "error_message": "too dark",
            "decision": "rejected",
            "note": "too dark",
            "images": "images/e1.png",
        }
        asked = len(endpoint.requests)
        assert run(done, endpoint).totals.kept == 1
        assert len(endpoint.requests) == asked

    def test_the_table_follows_at_once(self, done: Shop) -> None:
        say(done, "e1", "rejected", "too dark")
        assert "rejected_by_reviewer,too dark" in (done.outputs / "results.csv").read_text()
        review(done, [Decision(id="e2", decision="approved")], table=False)
        assert "approved" not in (done.outputs / "results.csv").read_text()

    def test_undecided_takes_both_back(self, done: Shop) -> None:
        before = results(done)
        review(done, table(done, "id,decision\ne0,approved\ne1,rejected\n"))
        result = review(done, table(done, "id,decision\ne0,undecided\ne1,undecided\ne2,undecided"))
        assert (result.undecided, result.unchanged) == (2, 1)
        assert results(done) == before

    def test_a_changed_mind_is_taken_back_to_what_it_was_at_first(self, done: Shop) -> None:
        before = results(done)
        for word in ("rejected", "approved", "rejected", "undecided"):
            say(done, "e0", word)
        assert results(done) == before

    def test_the_same_file_twice_changes_nothing(self, done: Shop) -> None:
        decisions = table(
            done, "id,decision,note\ne0,approved,fine\ne1,rejected,dark\ne2,redo,warm\n"
        )
        review(done, decisions)
        before = rows(done, "SELECT * FROM edits"), rows(done, "SELECT * FROM takes"), files(done)
        result = review(done, decisions)
        assert (result.unchanged, result.approved, result.rejected, result.redo) == (3, 0, 0, 0)
        assert (
            rows(done, "SELECT * FROM edits"),
            rows(done, "SELECT * FROM takes"),
            files(done),
        ) == before

    def test_a_new_picture_is_undecided(self, done: Shop, endpoint: RunningEmulator) -> None:
        say(done, "e0", "rejected")
        asyncio.run(api.retry(done.job, base_url=endpoint.url, environ={}, status=["rejected"]))
        row = results(done)["e0"]
        assert (row["status"], row["decision"]) == ("succeeded", None)

    def test_a_failed_retry_leaves_what_was_decided(self, done: Shop, emulator: Emulators) -> None:
        say(done, "e0", "rejected", "dark")
        broken = emulator(**BROKEN)
        asyncio.run(api.retry(done.job, base_url=broken.url, environ={}))
        assert results(done)["e0"]["decision"] == "rejected", results(done)["e0"]

    def test_the_reader_gives_decisions_back(self, done: Shop) -> None:
        said = Decision(
            id="e0",
            decision="approved",
            note="lovely",
            fingerprint=results(done)["e0"]["fingerprint"],
            decided_at=1_769_828_400.0,
        )
        review(done, [said])
        with reader(done) as ledger:
            [one] = ledger.decisions()
            assert one == said
            assert ledger.decision_of("e0") == one
            assert ledger.decision_of("e1") is None


class TestRedo:
    def test_the_next_run_asks_for_just_these_in_other_words(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        before = files(done)
        result = review(
            done,
            table(
                done,
                "id,decision,note,prompt_mode\ne1,redo,warmer light,\ne2,redo,A cup,replace\n"
                "e3,redo,,\n",
            ),
        )
        assert (result.redo, result.waiting, result.waiting_usd) == (3, 3, pytest.approx(0.126))
        plan = api.plan(done.job)
        assert (plan.redo, plan.unchanged, plan.changed, plan.requests) == (3, 1, 0, 3)
        asked = len(endpoint.requests)
        assert run(done, endpoint).totals.succeeded == 3
        assert sorted(prompts(endpoint, asked)) == [
            "A cup",
            "edit number 1\nwarmer light",
            "edit number 3",
        ]
        after = files(done)
        for name in ("e1", "e2", "e3"):
            assert after[f"takes/{name}-v1.png"] == before[f"images/{name}.png"]
            assert f"images/{name}.png" in after
        assert run(done, endpoint).totals.unchanged == 4
        row = results(done)["e1"]
        assert (row["status"], row["variant"], row["decision"]) == ("succeeded", 2, None)

    def test_until_then_it_waits_without_a_picture(self, done: Shop) -> None:
        before = files(done)
        say(done, "e1", "redo", "warmer light")
        row = results(done)["e1"]
        assert {
            name: row[name]
            for name in ("status", "error_code", "variant", "decision", "note", "images")
        } == {
            "status": "pending",
            "error_code": "redo",
            "variant": 2,
            "decision": "redo",
            "note": "warmer light",
            "images": None,
        }
        after = files(done)
        assert "images/e1.png" not in after
        assert after["takes/e1-v1.png"] == before["images/e1.png"]

    def test_notes_add_up_and_a_replacement_starts_anew(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        asked = len(endpoint.requests)
        for word, mode in (("one", "append"), ("two", "append"), ("Else", "replace"), ("x", "")):
            say(done, "e1", "redo", word, **({"prompt_mode": mode} if mode else {}))
            assert run(done, endpoint).totals.succeeded == 1
        assert prompts(endpoint, asked) == [
            "edit number 1\none",
            "edit number 1\none\ntwo",
            "Else",
            "Else\nx",
        ]
        with reader(done) as ledger:
            takes = ledger.takes_of("e1")
        assert [take.variant for take in takes] == [1, 2, 3, 4]
        assert [take.note for take in takes] == ["one", "two", "Else", "x"]
        assert [take.images[0].path for take in takes] == [
            f"takes/e1-v{number}.png" for number in (1, 2, 3, 4)
        ]
        assert len({take.fingerprint for take in takes}) == 4
        assert len({take.base for take in takes}) == 1

    def test_another_roll_of_the_dice_needs_no_note(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        asked = len(endpoint.requests)
        for _ in range(2):
            fingerprint = results(done)["e1"]["fingerprint"]
            assert say(done, "e1", "redo", fingerprint=fingerprint).redo == 1
            run(done, endpoint)
        assert prompts(endpoint, asked) == ["edit number 1"] * 2
        assert results(done)["e1"]["variant"] == 3

    def test_the_same_redo_after_its_run_is_not_paid_again(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        by_hand = table(done, "id,decision,note\ne1,redo,warmer\n")
        review(done, by_hand)
        run(done, endpoint)
        result = review(done, by_hand)
        assert (result.redo, result.unchanged, result.waiting) == (0, 1, 0)
        assert "decided_at" in result.notes[0]
        later = table(done, "id,decision,note,decided_at\ne1,redo,warmer,2999-01-01T00:00:00Z\n")
        assert review(done, later).redo == 1

    def test_other_words_before_the_run_replace_the_first(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        asked = len(endpoint.requests)
        for note in ("warmer", "cooler"):
            assert say(done, "e1", "redo", note).redo == 1
        run(done, endpoint)
        assert prompts(endpoint, asked) == ["edit number 1\ncooler"]
        with reader(done) as ledger:
            assert len(ledger.takes_of("e1")) == 1

    def test_a_row_that_changes_later_is_asked_as_it_is_then(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        original = done.manifest.read_text()
        say(done, "e1", "redo", "warmer")
        run(done, endpoint)
        done.manifest.write_text(original.replace("edit number 1", "something else"))
        asked = len(endpoint.requests)
        assert api.plan(done.job).changed == 1
        run(done, endpoint)
        assert prompts(endpoint, asked) == ["something else"]
        say(done, "e1", "redo", "in red")
        run(done, endpoint)
        assert prompts(endpoint, asked)[1:] == ["something else\nin red"]
        with reader(done) as ledger:
            assert [one.images[0].path for one in ledger.takes_of("e1")] == [
                "takes/e1-v1.png",
                "takes/e1-v2.png",
            ]

    def test_a_redo_that_fails_keeps_the_take_and_is_asked_again(
        self, done: Shop, endpoint: RunningEmulator, emulator: Emulators
    ) -> None:
        say(done, "e1", "redo", "warmer")
        broken = emulator(**BROKEN)
        assert run(done, broken).totals.failed == 1
        assert results(done)["e1"]["status"] == "failed"
        assert "takes/e1-v1.png" in files(done)
        plan = api.plan(done.job)
        assert (plan.again, plan.redo, plan.unchanged) == (1, 0, 3)
        asked = len(endpoint.requests)
        assert run(done, endpoint).totals.succeeded == 1
        assert prompts(endpoint, asked) == ["edit number 1\nwarmer"]

    def test_a_refused_redo_in_other_words_forgets_the_words_that_were_refused(
        self, done: Shop, emulator: Emulators
    ) -> None:
        refuses = emulator(
            **PLAIN, script=[{"when": {"prompt_contains": "bloody"}, "fault": "refused_400"}]
        )
        say(done, "e1", "redo", "bloody red")
        assert run(done, refuses).totals.refused == 1
        assert api.plan(done.job).kept == 1
        assert say(done, "e1", "redo", "ruby red").redo == 1
        asked = len(refuses.requests)
        assert run(done, refuses).totals.succeeded == 1
        assert prompts(refuses, asked) == ["edit number 1\nruby red"]

    def test_a_refusal_can_be_redone_in_other_words(self, shop: Shop, emulator: Emulators) -> None:
        refuses = emulator(
            **PLAIN, script=[{"when": {"prompt_contains": "number 1"}, "fault": "refused_400"}]
        )
        run(shop.with_edits(2), refuses)
        assert say(shop, "e1", "redo", "A harmless cup", prompt_mode="replace").redo == 1
        assert run(shop, refuses).totals.succeeded == 1

    def test_several_pictures_move_together(self, shop: Shop, endpoint: RunningEmulator) -> None:
        run(shop.with_edits(1, parameters={"num_images": 2}), endpoint)
        before = files(shop)
        assert set(before) == {"images/e0.png", "images/e0-2.png"}
        say(shop, "e0", "redo")
        assert set(files(shop)) == {"takes/e0-v1.png", "takes/e0-2-v1.png"}
        say(shop, "e0", "undecided")
        assert files(shop) == before

    def test_pictures_in_remote_storage_move_there(
        self, shop: Shop, endpoint: RunningEmulator, tmp_path: Path
    ) -> None:
        store = tmp_path / "bucket"
        run(shop.with_edits(2, outputs={"store": f"file://{store}"}), endpoint)
        before = (store / "images" / "e1.png").read_bytes()
        say(shop, "e1", "redo", "warmer")
        run(shop, endpoint)
        assert (store / "takes" / "e1-v1.png").read_bytes() == before
        assert sorted(path.name for path in (store / "images").iterdir()) == ["e0.png", "e1.png"]

    def test_its_input_away_for_a_night_does_not_lose_the_redo(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        say(done, "e1", "redo", "warmer")
        picture = done.manifest.parent / "mug.jpg"
        data = picture.read_bytes()
        picture.unlink()
        assert run(done, endpoint).totals.failed == 4
        picture.write_bytes(data)
        asked = len(endpoint.requests)
        run(done, endpoint)
        assert prompts(endpoint, asked) == ["edit number 1\nwarmer"]

    def test_the_orphans_of_a_plan_and_the_data_frame_know_it(self, done: Shop) -> None:
        pytest.importorskip("pandas")
        say(done, "e1", "redo", "warmer")
        frame = pipeline.read_ledger(done.job).set_index("id")
        assert frame.loc["e1", "decision"] == "redo"
        assert frame.loc["e1", "variant"] == 2
        assert api.plan(done.job).orphaned == 0


class TestTakingBack:
    def test_undecided_makes_the_take_the_record_again(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        before = results(done), files(done)
        say(done, "e1", "redo", "warmer")
        assert say(done, "e1", "undecided").undecided == 1
        assert (results(done), files(done)) == before
        assert api.plan(done.job).unchanged == 4

    def test_also_after_the_redo_has_failed(self, done: Shop, emulator: Emulators) -> None:
        before = results(done), files(done)
        say(done, "e1", "redo", "warmer")
        run(done, emulator(**BROKEN))
        assert say(done, "e1", "undecided").undecided == 1
        assert (results(done), files(done)) == before

    def test_approving_it_after_all_does_both(self, done: Shop) -> None:
        say(done, "e1", "redo", "warmer")
        assert say(done, "e1", "approved").approved == 1
        row = results(done)["e1"]
        assert (row["status"], row["decision"], row["images"]) == (
            "succeeded",
            "approved",
            "images/e1.png",
        )

    def test_what_was_rejected_before_it_was_redone_comes_back_undecided(self, done: Shop) -> None:
        before = results(done)
        for word in ("rejected", "redo", "undecided"):
            say(done, "e1", word)
        assert results(done) == before

    def test_the_second_redo_goes_back_to_the_first(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        say(done, "e1", "redo", "one")
        run(done, endpoint)
        before = results(done), files(done)
        say(done, "e1", "redo", "two")
        say(done, "e1", "undecided")
        assert (results(done), files(done)) == before
        assert api.plan(done.job).unchanged == 4


def test_a_redo_whose_row_left_the_manifest_is_not_promised(command: Command, done: Shop) -> None:
    whole = done.manifest.read_text()
    done.manifest.write_text(whole.replace("e1,mug.jpg,edit number 1\n", ""))
    result = review(done, table(done, "id,decision\ne1,redo\ne2,redo\n"))
    assert (result.redo, result.waiting, result.waiting_usd) == (2, 1, pytest.approx(0.042))
    [note] = result.notes
    assert "no run asks for 1 to be redone, e1: " in note
    said = command("report", done.job)
    assert "no run asks for 1 redo, e1: their rows left the manifest" in said.stdout
    done.manifest.write_text("no,header\n")
    assert "was not looked at: " in say(done, "e3", "approved").notes[0]
    assert "no run asks" not in command("report", done.job).stdout
    done.manifest.write_text(whole)
    assert say(done, "e0", "approved").notes == ()


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ("nobody,approved,,", r"decisions\.csv:3: nobody: the ledger has no such edit"),
            ("e3,approved,,", r"decisions\.csv:3: e3: it has no picture that could be approved"),
            ("e1,approve,,", r"decisions\.csv:3: decision 'approve' .*did you mean 'approved'"),
            ("e1,redo,,replace", r"decisions\.csv:3: e1: a redo that replaces .* needs one"),
            ("e1,redo,x,instead", r"decisions\.csv:3: prompt_mode 'instead' means nothing"),
            (",approved,,", r"decisions\.csv:3: no id"),
            ("e0,rejected,,", r"'e0' is decided in decisions\.csv:2 already"),
        ],
    )
    def test_one_bad_row_and_nothing_is_applied(
        self, shop: Shop, emulator: Emulators, row: str, words: str
    ) -> None:
        refuses = emulator(
            **PLAIN, script=[{"when": {"prompt_contains": "number 3"}, "fault": "refused_400"}]
        )
        run(shop.with_edits(4), refuses)
        before = rows(shop, "SELECT * FROM edits")
        decisions = table(shop, f"id,decision,note,prompt_mode\ne0,approved,,\n{row}\n")
        with pytest.raises(ManifestError, match=words):
            review(shop, decisions)
        assert rows(shop, "SELECT * FROM edits") == before
        assert rows(shop, "SELECT * FROM decisions") == []

    def test_every_bad_row_is_named(self, done: Shop) -> None:
        with pytest.raises(ManifestError) as caught:
            review(done, table(done, "id,decision\nx,approved\ny,aproved\nz,redo\ne0,approved\n"))
        message = str(caught.value)
        assert [f"decisions.csv:{line}" in message for line in (2, 3, 4, 5)] == [
            True,
            True,
            True,
            False,
        ]

    def test_a_page_may_ask_for_the_good_ones(self, done: Shop) -> None:
        result = review(
            done,
            [Decision(id="nobody", decision="approved"), Decision(id="e0", decision="approved")],
            strict=False,
        )
        assert result.approved == 1
        assert [(one.id, one.why) for one in result.left] == [("nobody", "unknown_edit")]

    def test_a_time_that_is_none_is_named(self, done: Shop) -> None:
        with pytest.raises(ManifestError, match=r":2: decided_at 'yesterday' is no time"):
            review(done, table(done, "id,decision,decided_at\ne0,approved,yesterday\n"))

    def test_a_prompt_too_long_for_the_model_is_found_before_it_is_sent(
        self, shop: Shop, endpoint: RunningEmulator
    ) -> None:
        run(shop.with_edits(1, endpoint={"model": "alibaba/qwen-image-edit"}), endpoint)
        with pytest.raises(ManifestError, match="characters, and the model takes"):
            say(shop, "e0", "redo", "x" * 5000)

    def test_without_columns_or_rows_it_says_what_is_missing(self, done: Shop) -> None:
        with pytest.raises(ManifestError, match=r"no column 'decision' .did you mean it by 'deci"):
            review(done, table(done, "id,decisions\ne0,approved\n"))
        with pytest.raises(ManifestError, match="it is empty"):
            review(done, table(done, "\n"))
        with pytest.raises(ConfigError, match="No such file"):
            review(done, done.folder / "none.csv")

    def test_without_a_ledger_there_is_nothing_to_decide(self, shop: Shop) -> None:
        with pytest.raises(ConfigError, match="there is no ledger yet"):
            say(shop.with_edits(1), "e0", "approved")
        assert not (shop.outputs / "ledger.db").exists()


class TestStale:
    def test_a_decision_about_an_older_picture_is_left_out_and_named(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        before = results(done)["e1"]["fingerprint"]
        say(done, "e1", "redo", "warmer")
        run(done, endpoint)
        result = review(
            done,
            table(done, f"id,decision,fingerprint\ne0,approved,\ne1,rejected,{before.upper()}\n"),
        )
        assert (result.approved, result.stale, result.exit_code) == (1, 1, 3)
        [left] = result.left
        assert (left.id, left.place) == ("e1", "decisions.csv:3")
        assert "older picture" in left.message
        assert results(done)["e1"]["status"] == "succeeded"

    def test_without_a_fingerprint_the_time_tells(
        self, done: Shop, endpoint: RunningEmulator
    ) -> None:
        asyncio.run(
            api.retry(
                done.job,
                base_url=endpoint.url,
                environ={},
                status=["succeeded"],
                only=["e0"],
            )
        )
        assert say(done, "e0", "rejected", decided_at=1_000_000_000.0).stale == 1
        assert say(done, "e0", "rejected", decided_at=time.time()).rejected == 1

    def test_a_picture_that_is_gone_is_not_set_aside(self, done: Shop) -> None:
        (done.outputs / "images" / "e1.png").unlink()
        result = say(done, "e1", "redo")
        assert [one.why for one in result.left] == ["picture_missing"]
        assert results(done)["e1"]["status"] == "succeeded"

    def test_an_unknown_outcome_is_settled_first(self, done: Shop) -> None:
        change(done, "UPDATE edits SET status = 'unknown' WHERE id = 'e1'")
        [left] = say(done, "e1", "redo").left
        assert left.why == "unsettled"
        assert "reconcile" in left.message


class TestTheTable:
    def test_spreadsheets_write_it_as_they_like(self, done: Shop) -> None:
        text = (
            "sep=;\r\nID; Decision ;Note;Colour\r\n"
            "e0; APPROVED ;;red\r\ne1;Rejected;'=too dark;\r\ne2;;;\r\n;;;\r\n"
        )
        for encoding in ("utf-8-sig", "utf-16"):
            result = review(done, table(done, text.encode(encoding)))
            assert (result.approved + result.rejected or result.unchanged) == 2
            assert "Colour" in result.notes[0]
        assert results(done)["e1"]["note"] == "=too dark"

    def test_the_results_table_can_be_decided_in(self, done: Shop) -> None:
        import csv

        with (done.outputs / "results.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        lines[2]["decision"], lines[2]["note"] = "redo", "warmer"
        edited = io.StringIO()
        writer = csv.DictWriter(edited, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)
        result = review(done, table(done, edited.getvalue()))
        assert (result.redo, result.left) == (1, ())

    def test_notes_have_lines_and_quotes(self, done: Shop, endpoint: RunningEmulator) -> None:
        asked = len(endpoint.requests)
        review(done, table(done, 'id,decision,note\ne1,redo,"a ""red"" cup\nand a spoon"\n'))
        run(done, endpoint)
        assert prompts(endpoint, asked) == ['edit number 1\na "red" cup\nand a spoon']

    def test_a_quote_that_is_never_closed_is_named(self, done: Shop) -> None:
        with pytest.raises(ManifestError, match="is a quote never closed"):
            review(done, table(done, 'id,decision,note\ne1,redo,"open\n'))

    def test_of_decisions_about_one_edit_the_last_counts(self, done: Shop) -> None:
        result = review(
            done,
            [Decision(id="e0", decision="rejected"), Decision(id="e0", decision="approved")],
        )
        assert (result.approved, result.rejected) == (1, 0)


class TestTheCommand:
    def test_it_says_what_was_done_and_what_comes_next(self, command: Command, done: Shop) -> None:
        decisions = table(done, "id,decision,note\ne0,approved,\ne1,rejected,dark\ne2,redo,warm\n")
        tried = command("review", done.job, decisions, "--dry-run")
        assert tried.returncode == 0, tried.stderr
        assert "nothing was changed yet" in tried.stdout
        assert results(done)["e0"]["decision"] is None
        said = command("review", done.job, decisions)
        assert said.returncode == 0, said.stderr
        for words in ("1  approved", "1  rejected", "1  to be redone"):
            assert words in said.stdout
        assert f"pipeline run {done.job}   (asks again for 1 edit, $0.042)" in said.stdout

    def test_what_is_left_out_ends_with_three(self, command: Command, done: Shop) -> None:
        decisions = table(done, f"id,decision,fingerprint\ne0,approved,{'0' * 64}\n")
        said = command("review", done.job, decisions)
        assert said.returncode == 3
        assert "decisions.csv:2: e0: it was asked for anew since" in said.stdout

    def test_what_is_wrong_ends_with_two(self, command: Command, done: Shop) -> None:
        said = command("review", done.job, table(done, "id,decision\nnobody,approved\n"))
        assert said.returncode == 2
        assert "decisions.csv:2: nobody: the ledger has no such edit" in said.stderr
        assert "Nothing was changed." in said.stderr

    def test_it_reads_standard_input_and_prints_json(self, done: Shop) -> None:
        said = subprocess.run(
            command_line("review", done.job, "-", "--json"),
            input=b"id,decision\ne0,approved\nnobody,approved\n",
            capture_output=True,
            env=environment(),
            timeout=60,
        )
        assert said.returncode == 2
        assert b"standard input:3: nobody" in said.stderr
        said = subprocess.run(
            command_line("review", done.job, "-", "--json"),
            input=b"id,decision\ne0,approved\ne1,redo\n",
            capture_output=True,
            env=environment(),
            timeout=60,
        )
        assert said.returncode == 0, said.stderr
        found = msgspec.json.decode(said.stdout)
        assert {name: found[name] for name in ("approved", "redo", "waiting", "exit_code")} == {
            "approved": 1,
            "redo": 1,
            "waiting": 1,
            "exit_code": 0,
        }


REVIEWER = """
import asyncio, sys, time
import pipeline
from pipeline import Decision
from pipeline.ledger import open_reader

job, ledger, stop = sys.argv[1:]
from pathlib import Path
words = ("approved", "rejected", "redo")
print("ready", flush=True)
while not Path(stop).exists():
    reader = open_reader(Path(ledger))
    if reader is None:
        time.sleep(0.02)
        continue
    with reader:
        rows = [(r["id"], r["fingerprint"]) for r in reader.results()
                if r["status"] == "succeeded" and r["decision"] is None and r["variant"] == 1]
    decisions = [Decision(id=i, decision=words[int(i[1:]) % 3], note="warmer", fingerprint=f)
                 for i, f in rows]
    if decisions:
        result = asyncio.run(pipeline.review(job, decisions, table=False))
        left = {one.id for one in result.left}
        for one in decisions:
            if one.id not in left:
                print(one.id, one.decision, flush=True)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def log_of(log: IO[str]) -> str:
    return Path(log.name).read_text()


class TestBesideARun:
    def test_two_processes_write_and_neither_loses_anything(
        self, shop: Shop, emulator: Emulators
    ) -> None:
        """One process runs the job, another decides about each picture as soon as it is there."""
        endpoint = emulator(**PLAIN, latency={"median_s": 0.01})
        endpoint.hold(after=100)
        shop.with_edits(150, limits={"concurrency": 8, "adaptive": False})
        over = shop.folder / "over"
        ledger = shop.outputs / "ledger.db"
        with (shop.folder / "said").open("w+") as said, (shop.folder / "log").open("w+") as log:
            reviewer = subprocess.Popen(
                [sys.executable, "-c", REVIEWER, str(shop.job), str(ledger), str(over)],
                stdout=said,
                stderr=log,
                env=environment(),
            )

            def heard() -> list[str]:
                assert reviewer.poll() is None, log_of(log)
                return Path(said.name).read_text().splitlines()

            try:
                wait_until(lambda: heard() == ["ready"])
                running = subprocess.Popen(
                    command_line("run", shop.job, "--base-url", endpoint.url, "--no-preflight"),
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    env=environment(),
                )
                try:
                    wait_until(lambda: len(heard()) > 50 or running.poll() is not None)
                    assert running.poll() is None, log_of(log)
                    endpoint.go_on()
                    assert running.wait(60) == 0, log_of(log)
                finally:
                    running.kill()
                    running.wait(60)
            finally:
                over.touch()
                assert reviewer.wait(60) == 0, log_of(log)
        decided = dict(line.split() for line in (shop.folder / "said").read_text().splitlines()[1:])
        assert endpoint.bill.pictures == 150
        found = results(shop)
        assert len(found) == 150
        for edit_id, word in decided.items():
            row = found[edit_id]
            assert row["decision"] == word
            assert row["status"] == {"redo": "pending", "rejected": "rejected"}.get(
                word, "succeeded"
            )
        assert [
            row["id"] for row in found.values() if row["decision"] and row["id"] not in decided
        ] == []
        assert rows(shop, "SELECT count(*) FROM attempts WHERE status = 'succeeded'") == [(150,)]
        lying = files(shop)
        redone = [edit_id for edit_id, word in decided.items() if word == "redo"]
        assert {name for name in lying if name.startswith("takes/")} == {
            f"takes/{edit_id}-v1.png" for edit_id in redone
        }
        assert len(lying) == 150
        assert asyncio.run(api.fsck(shop.job)).counts == {}
        assert run(shop, endpoint, preflight=False).totals.succeeded == len(redone)
        assert endpoint.bill.pictures == 150 + len(redone)

    def test_an_edit_that_is_being_asked_for_is_left_alone(
        self, done: Shop, emulator: Emulators
    ) -> None:
        slow = emulator(**PLAIN)
        slow.hold()
        asking = threading.Thread(
            target=lambda: asyncio.run(
                api.retry(
                    done.job, base_url=slow.url, environ={}, status=["succeeded"], only=["e1"]
                )
            )
        )
        asking.start()
        try:
            wait_until(lambda: bool(rows(done, "SELECT 1 FROM attempts WHERE status = 'started'")))
            before = files(done)
            result = review(
                done, [Decision(id="e1", decision="redo"), Decision(id="e2", decision="redo")]
            )
            assert result.redo == 1
            assert [(one.id, one.why) for one in result.left] == [("e1", "busy")]
            assert files(done)["images/e1.png"] == before["images/e1.png"]
            assert say(done, "e1", "approved").approved == 1
        finally:
            slow.go_on()
            asking.join(60)
        assert not asking.is_alive()
        assert results(done)["e1"]["decision"] is None, "that was about the picture before"


def test_a_run_that_is_quicker_than_the_tidying_keeps_its_new_picture(
    done: Shop, endpoint: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reviewer's process may stand still for minutes after its transaction, say asleep."""
    tidy = Decisions._tidy

    def late(self: Decisions, *arguments: Any) -> None:
        run(done, endpoint)
        tidy(self, *arguments)

    before = files(done)
    monkeypatch.setattr(Decisions, "_tidy", late)
    say(done, "e1", "redo", "warmer")
    row = results(done)["e1"]
    assert (row["status"], row["variant"], row["images"]) == ("succeeded", 2, "images/e1.png")
    after = files(done)
    assert after["takes/e1-v1.png"] == before["images/e1.png"]
    assert "images/e1.png" in after
    assert asyncio.run(api.fsck(done.job)).counts == {}


def test_a_ledger_that_is_held_for_too_long_is_named(done: Shop) -> None:
    path = done.outputs / "ledger.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        opened = open_decisions(path, busy_timeout_s=0.05)
        assert opened is not None
        with opened as decisions, pytest.raises(LedgerError, match="another process holds"):
            decisions.apply(
                [Decision(id="e0", decision="approved")], open_shelf(done.outputs), now=0.0
            )
    finally:
        holder.close()
    assert results(done)["e0"]["decision"] is None


DIES = """
import asyncio, os, sys
import pipeline
from pipeline import Decision
from pipeline.stores.local import LocalShelf

whole = LocalShelf.copy

def copy(self, path, target):
    whole(self, path, target)
    os._exit(9)

def remove(self, path):
    os._exit(9)

if sys.argv[2] == "copied":
    LocalShelf.copy = copy
else:
    LocalShelf.remove = remove
asyncio.run(pipeline.review(sys.argv[1], [Decision(id="e1", decision=sys.argv[3])]))
"""


@pytest.mark.parametrize("moment", ["copied", "written"])
@pytest.mark.parametrize("word", ["redo", "undecided"])
def test_a_crash_leaves_a_picture_twice_and_never_none(
    done: Shop, endpoint: RunningEmulator, moment: str, word: str
) -> None:
    """The process is gone between the copy, the ledger's transaction, and the removal."""
    before = files(done)
    if word == "undecided":
        say(done, "e1", "redo")
        run_before = files(done)
        assert run_before["takes/e1-v1.png"] == before["images/e1.png"]
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(done.job), moment, word],
        env=environment(),
        timeout=60,
        capture_output=True,
    )
    assert died.returncode == 9, died.stderr
    twice = files(done)
    assert twice["images/e1.png"] == twice["takes/e1-v1.png"] == before["images/e1.png"]
    report = asyncio.run(api.fsck(done.job, repair=True))
    assert (report.counts, report.left) == ({"leftover": 1}, 0)
    assert asyncio.run(api.fsck(done.job)).counts == {}
    took = (word == "redo") == (moment == "written")
    lying = files(done)
    assert ("takes/e1-v1.png" in lying, "images/e1.png" in lying) == (took, not took)
    assert api.plan(done.job).redo == took
    run(done, endpoint)
    assert set(files(done)) >= {"images/e1.png"}


class Interposed:
    """A shelf beside which something else happens, before its first copy."""

    def __init__(self, shop: Shop, first: Callable[[], object]) -> None:
        self._shelf = open_shelf(shop.outputs)
        self._first: Callable[[], object] | None = first
        self.copied: list[str] = []

    def holds(self, path: str) -> bool:
        return self._shelf.holds(path)

    def copy(self, path: str, target: str) -> bool:
        first, self._first = self._first, None
        if first is not None:
            first()
        self.copied.append(target)
        return self._shelf.copy(path, target)

    def remove(self, path: str) -> None:
        self._shelf.remove(path)


def taken(shop: Shop, shelf: Interposed, *decisions: Decision) -> Applied:
    opened = open_decisions(shop.outputs / "ledger.db")
    assert opened is not None
    with opened as ledger:
        return ledger.apply(decisions, shelf, now=time.time())


def test_a_slow_store_does_not_hold_the_ledger(done: Shop) -> None:
    """A run that could not write for half a minute would end."""

    def write() -> None:
        other = sqlite3.connect(done.outputs / "ledger.db", timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("COMMIT")
        other.close()

    shelf = Interposed(done, write)
    assert taken(done, shelf, Decision(id="e1", decision="redo")).redo == 1
    assert shelf.copied == ["takes/e1-v1.png"]


def test_a_picture_that_comes_while_the_old_one_is_copied_is_not_lost(
    done: Shop, emulator: Emulators
) -> None:
    """The decision is about the old one; its copy is not left behind."""
    endpoint = emulator()

    def run_again() -> None:
        done.manifest.write_text(done.manifest.read_text().replace("number 1", "number one"))
        assert run(done, endpoint).totals.succeeded == 1

    before = results(done)["e1"]["fingerprint"]
    shelf = Interposed(done, run_again)
    decision = Decision(id="e1", decision="redo", fingerprint=before)
    assert [one.why for one in taken(done, shelf, decision).left] == ["stale"]
    row = results(done)["e1"]
    assert (row["status"], row["images"], row["decision"]) == ("succeeded", "images/e1.png", None)
    assert not (done.outputs / "takes" / "e1-v1.png").exists()
    assert asyncio.run(api.fsck(done.job)).counts == {}
