"""An earlier picture taken back: after a redo that succeeded, at no cost, whatever is cut off."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import Decision, api
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ManifestError
from pipeline.stores.local import LocalShelf
from tests.conftest import Shop, environment
from tests.test_review import (
    BROKEN,
    Command,
    Emulators,
    change,
    files,
    prompts,
    reader,
    results,
    review,
    run,
    say,
    table,
)


@pytest.fixture
def endpoint(emulator: Emulators) -> RunningEmulator:
    return emulator()  # each variant is another picture


@pytest.fixture
def redone(shop: Shop, endpoint: RunningEmulator) -> Shop:
    """Two edits, the second of which was redone twice: takes 1 and 2, and the present picture."""
    run(shop.with_edits(2), endpoint)
    for note in ("warmer", "cooler"):
        say(shop, "e1", "redo", note)
        run(shop, endpoint)
    assert set(files(shop)) == {
        *("images/e0.png", "images/e1.png"),
        *("takes/e1-v1.png", "takes/e1-v2.png"),
    }
    return shop


def take_back(shop: Shop, take: int | None, **more: Any) -> Any:
    return say(shop, "e1", "restore", take=take, **more)


@pytest.mark.parametrize("take", [1, 2])
def test_the_picture_is_the_edit_s_again_and_the_other_one_is_kept(
    redone: Shop, endpoint: RunningEmulator, take: int
) -> None:
    before = files(redone)
    with reader(redone) as ledger:
        earlier = ledger.takes_of("e1")[take - 1]
    result = take_back(redone, take)
    assert (result.restored, result.left, result.waiting) == (1, (), 0)
    after = files(redone)
    assert after.pop("images/e1.png") == before.pop(f"takes/e1-v{take}.png")
    assert after.pop("takes/e1-v3.png") == before.pop("images/e1.png")
    assert after == before
    row = results(redone)["e1"]
    assert {name: row[name] for name in ("status", "images", "decision", "variant", "prompt")} == {
        "status": "succeeded",
        "images": "images/e1.png",
        "decision": None,
        "variant": take,
        "prompt": earlier.prompt,
    }
    assert row["fingerprint"] == earlier.fingerprint
    with reader(redone) as ledger:
        *_, latest = ledger.takes_of("e1")
    assert (latest.number, latest.variant, latest.decision) == (3, 3, "restore")
    assert asyncio.run(api.fsck(redone.job)).counts == {}


@pytest.mark.parametrize("take", [1, 2])
def test_nothing_is_asked_or_paid_again(redone: Shop, endpoint: RunningEmulator, take: int) -> None:
    spent = endpoint.bill.pictures
    take_back(redone, take)
    plan = api.plan(redone.job)
    assert (plan.unchanged, plan.requests) == (2, 0)
    assert run(redone, endpoint).totals.unchanged == 2
    assert endpoint.bill.pictures == spent


def test_back_and_forth_loses_nothing(redone: Shop) -> None:
    before = files(redone)
    for take in (1, 3, 2, 5, 4):  # each time the present picture becomes the next take
        assert take_back(redone, take).restored == 1, take
    assert sorted(files(redone).values()) == sorted(before.values())
    assert files(redone)["images/e1.png"] == before["takes/e1-v1.png"]
    assert api.plan(redone.job).unchanged == 2


def test_a_redo_of_it_is_in_its_own_words_and_another_variant(
    redone: Shop, endpoint: RunningEmulator
) -> None:
    take_back(redone, 2)
    asked = len(endpoint.requests)
    assert say(redone, "e1", "redo", "in red").redo == 1
    assert results(redone)["e1"]["variant"] == 4
    assert run(redone, endpoint).totals.succeeded == 1
    assert prompts(endpoint, asked) == ["edit number 1\nwarmer\nin red"]
    assert api.plan(redone.job).unchanged == 2
    say(redone, "e1", "redo")
    assert take_back(redone, 1).restored == 1, "also while a redo waits"
    assert results(redone)["e1"]["prompt"] == "edit number 1"
    assert api.plan(redone.job).unchanged == 2


def test_also_after_a_redo_that_failed(
    redone: Shop, emulator: Emulators, endpoint: RunningEmulator
) -> None:
    before = files(redone)
    say(redone, "e1", "redo", "worse")
    run(redone, emulator(**BROKEN))
    assert results(redone)["e1"]["status"] == "failed"
    assert take_back(redone, 1).restored == 1
    assert files(redone)["images/e1.png"] == before["takes/e1-v1.png"]
    assert api.plan(redone.job).unchanged == 2


def test_the_same_file_twice_changes_nothing(redone: Shop) -> None:
    decisions = table(redone, "id,decision,take\ne1,restore,1\n")
    assert review(redone, decisions).restored == 1
    before = results(redone), files(redone)
    result = review(redone, decisions)
    assert (result.restored, result.unchanged) == (0, 1)
    assert (results(redone), files(redone)) == before


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("e1,restore,7", r"decisions.csv:2: e1: it has no take 7 .*there are: 1 and 2"),
        ("e1,restore,", r"e1: which take is not said .*there are: 1 and 2"),
        ("e0,restore,2", r"e0: it has no take 2 .*there are: none"),
        ("e1,restore,one", r"decisions.csv:2: take 'one' is no number"),
    ],
)
def test_a_take_that_is_not_there_is_named(redone: Shop, row: str, words: str) -> None:
    before = files(redone)
    with pytest.raises(ManifestError, match=words):
        review(redone, table(redone, f"id,decision,take\n{row}\n"))
    assert files(redone) == before


def test_a_take_of_what_the_row_said_before_is_left_alone(
    redone: Shop, endpoint: RunningEmulator
) -> None:
    """The next run would ask for the row as it is now, and that costs money."""
    redone.manifest.write_text(redone.manifest.read_text().replace("number 1", "number one"))
    run(redone, endpoint)
    result = take_back(redone, 1)
    assert [one.why for one in result.left] == ["row_changed"]
    assert result.exit_code == 3


def test_a_decision_about_another_picture_is_stale(redone: Shop) -> None:
    seen = results(redone)["e1"]["fingerprint"]
    take_back(redone, 2, fingerprint=seen)
    assert [one.why for one in take_back(redone, 1, fingerprint=seen).left] == ["stale"]


def test_a_take_whose_picture_is_gone_leaves_the_present_one(redone: Shop) -> None:
    before = results(redone)
    (redone.outputs / "takes" / "e1-v1.png").unlink()
    assert [one.why for one in take_back(redone, 1).left] == ["picture_missing"]
    assert results(redone) == before
    assert asyncio.run(api.fsck(redone.job)).counts == {"take_missing": 1}


def test_what_was_rejected_can_give_way(redone: Shop) -> None:
    say(redone, "e1", "rejected", "too cold")
    assert take_back(redone, 1).restored == 1
    assert results(redone)["e1"]["status"] == "succeeded"


def test_pictures_in_remote_storage_change_places_there(
    shop: Shop, endpoint: RunningEmulator, tmp_path: Path
) -> None:
    store = tmp_path / "bucket"
    run(shop.with_edits(2, outputs={"store": f"file://{store}"}), endpoint)
    first = (store / "images" / "e1.png").read_bytes()
    say(shop, "e1", "redo", "warmer")
    run(shop, endpoint)
    assert take_back(shop, 1).restored == 1
    assert (store / "images" / "e1.png").read_bytes() == first
    assert [path.name for path in (store / "takes").iterdir()] == ["e1-v2.png"]


def test_the_command_says_so(command: Command, redone: Shop) -> None:
    decisions = table(redone, "id,decision,take\ne1,restore,1\n")
    tried = command("review", redone.job, decisions, "--dry-run")
    assert "1  taken back  an earlier picture would be the edit's again" in tried.stdout
    done = command("review", redone.job, decisions)
    assert done.returncode == 0, done.stderr
    assert "1  taken back  an earlier picture is the edit's again" in done.stdout


DIES = """
import asyncio, os, sys
import pipeline
from pipeline import Decision
from pipeline.stores.local import LocalShelf

left = int(sys.argv[2])

def counted(whole, before):
    def call(self, *paths):
        global left
        left -= 1
        if before and left == 0:
            os._exit(9)
        found = whole(self, *paths)
        if left == 0:
            os._exit(9)
        return found
    return call

LocalShelf.copy = counted(LocalShelf.copy, False)
LocalShelf.remove = counted(LocalShelf.remove, True)
asyncio.run(pipeline.review(sys.argv[1], [Decision(id="e1", decision="restore", take=1)]))
"""


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_a_crash_at_any_step_leaves_every_picture_and_is_mended_by_itself(
    redone: Shop, endpoint: RunningEmulator, step: int
) -> None:
    """Copied aside; written, the old name still there; copied home; written, the take's name still
    there.
    """
    before = files(redone)
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(redone.job), str(step)],
        env=environment(),
        timeout=60,
        capture_output=True,
    )
    assert died.returncode == 9, died.stderr
    assert set(before.values()) <= set(files(redone).values())
    took = step > 1
    with reader(redone) as ledger:
        held = {image.path: image for image in ledger.images_of("e1")}
        for take in ledger.takes_of("e1"):
            held |= {image.path: image for image in take.images}
    assert len(held) == 3
    for path, image in held.items():
        assert LocalShelf(redone.outputs).holds(path)
        assert (redone.outputs / path).stat().st_size == image.size
    assert api.plan(redone.job).unchanged == 2
    assert results(redone)["e1"]["variant"] == (1 if took else 3)
    report = asyncio.run(api.fsck(redone.job, repair=True))
    assert (set(report.counts) <= {"leftover"}, report.left) == (True, 0)
    review(redone, [Decision(id="e0", decision="approved")])
    after = files(redone)
    assert sorted(after.values()) == sorted(before.values())
    assert after["images/e1.png"] == before["takes/e1-v1.png" if took else "images/e1.png"]
    assert asyncio.run(api.fsck(redone.job)).counts == {}
    assert run(redone, endpoint).totals.unchanged == 2


def test_a_picture_that_is_not_home_yet_can_be_redone(
    redone: Shop, endpoint: RunningEmulator
) -> None:
    """As a process leaves it that was cut off between the two moves."""
    before = files(redone)
    (redone.outputs / "images" / "e1.png").rename(redone.outputs / "takes" / "e1-v9.png")
    change(redone, "UPDATE images SET path = 'takes/e1-v9.png' WHERE edit_id = 'e1'")
    assert say(redone, "e1", "redo", "x").redo == 1
    assert files(redone)["takes/e1-v3.png"] == before["images/e1.png"]
    assert run(redone, endpoint).totals.succeeded == 1
    assert asyncio.run(api.fsck(redone.job)).counts == {}
