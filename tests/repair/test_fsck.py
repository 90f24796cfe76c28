"""The ledger held against the files, with real runs, real files and processes that really die."""

import asyncio
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.books.reconciling import Reconciliation
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import ConfigError, LedgerError, LockedError
from pipeline.locking import locked
from pipeline.models import Decision
from pipeline.repair.findings import FsckReport
from pipeline.running import RunResult
from tests.conftest import Shop, environment

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain"}


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    options.setdefault("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, **options))


def fsck(shop: Shop, **options: Any) -> FsckReport:
    return asyncio.run(pipeline.fsck(shop.job, **options))


def reconcile(shop: Shop, endpoint: RunningEmulator) -> Reconciliation:
    return asyncio.run(pipeline.reconcile(shop.job, base_url=endpoint.url, environ={}, delay_s=0.0))


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


_DIES = """
import asyncio, os, sys
import pipeline
from pipeline.ledger import Ledger

async def die(self, record, **more):
    if record.status == "succeeded":
        os._exit(9)

Ledger.record = die
asyncio.run(pipeline.run(sys.argv[1], base_url=sys.argv[2], environ={}))
"""


def run_and_die(shop: Shop, endpoint: RunningEmulator) -> None:
    """A run whose process dies when a picture is in the store and its record is not written."""
    done = subprocess.run(
        [sys.executable, "-c", _DIES, str(shop.job), endpoint.url],
        env=environment(),
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert done.returncode == 9, done.stderr


def picture(shop: Shop, name: str) -> Path:
    return shop.outputs / "images" / name


def test_what_a_run_left_is_clean(command: Command, shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(5), emulator(**PLAIN))
    done = command("fsck", shop.job)
    assert done.returncode == 0, done.stdout
    assert "5 recorded pictures read and compared" in done.stdout
    assert "All is well" in done.stdout


def test_a_missing_and_a_damaged_picture_are_asked_for_again_after_a_repair(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(4), endpoint)
    picture(shop, "e1.png").unlink()
    whole = picture(shop, "e2.png").read_bytes()
    picture(shop, "e2.png").write_bytes(whole[:-20])
    found = fsck(shop)
    assert (found.counts, found.left, found.exit_code) == ({"missing": 1, "damaged": 1}, 2, 3)
    assert (found.asked_again, found.asked_again_usd) == (2, 0.084)
    assert run(shop, endpoint).totals.unchanged == 4, "looking changed nothing"
    done = command("fsck", shop.job, "--repair")
    assert done.returncode == 0, done.stdout
    assert "the next run asks again for 2 edits, for $0.084" in done.stdout
    assert dict(rows(shop, "SELECT id, status FROM edits")) == {
        "e0": "succeeded",
        "e1": "pending",
        "e2": "pending",
        "e3": "succeeded",
    }
    assert "picture_missing" in (shop.outputs / "results.csv").read_text()
    assert fsck(shop).exit_code == 0, "what is pending is no problem any more"
    again = run(shop, endpoint)
    assert (again.totals.succeeded, again.totals.unchanged) == (2, 2)
    assert picture(shop, "e2.png").read_bytes()[-8:-4] == b"IEND"
    assert fsck(shop).counts == {}


def test_a_picture_that_somebody_changed_is_left_to_that_person(
    shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(2), emulator(**PLAIN))
    other = picture(shop, "e1.png").read_bytes()
    picture(shop, "e0.png").write_bytes(other)
    for repair in (False, True):
        found = fsck(shop, repair=repair)
        assert (found.counts, found.left, found.exit_code) == ({"changed": 1}, 1, 3)
    assert picture(shop, "e0.png").read_bytes() == other
    assert rows(shop, "SELECT DISTINCT status FROM edits") == [("succeeded",)]


def test_a_rejected_edits_picture_is_compared_and_never_asked_for_again(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    """Nobody wants it, so nobody pays for it once more; and nobody can approve what is gone."""
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(4), endpoint)
    words: list[Any] = [Decision(id=f"e{n}", decision="rejected") for n in range(3)]
    asyncio.run(pipeline.review(shop.job, words))
    assert fsck(shop).pictures == 4
    picture(shop, "e0.png").unlink()
    part = picture(shop, "e1.png").read_bytes()[:-20]
    picture(shop, "e1.png").write_bytes(part)
    picture(shop, "e2.png").write_bytes(picture(shop, "e3.png").read_bytes())
    found = fsck(shop)
    assert (found.counts, found.asked_again) == ({"rejected_missing": 2, "changed": 1}, 0)
    done = command("fsck", shop.job, "--repair")
    assert done.returncode == 3, "the changed one is left to a person"
    assert "the picture of a rejected edit is gone or damaged  → forgotten" in done.stdout
    assert fsck(shop).counts == {"changed": 1}
    assert (shop.outputs / "orphaned" / "images" / "e1.png").read_bytes() == part
    assert rows(shop, "SELECT status, count(*) FROM edits GROUP BY 1 ORDER BY 1") == [
        ("rejected", 3),
        ("succeeded", 1),
    ]
    with pytest.raises(ConfigError, match="e0: it has no picture that could be approved"):
        asyncio.run(pipeline.review(shop.job, [Decision(id="e0", decision="approved")]))
    assert run(shop, endpoint).totals.kept == 3
    assert len(endpoint.requests) == 4


def test_orphans_are_moved_aside_and_leftovers_removed(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1), emulator(**PLAIN))
    content = picture(shop, "e0.png").read_bytes()
    picture(shop, "old").mkdir()
    picture(shop, "old/lamp.png").write_bytes(content)
    picture(shop, "notes.txt").write_text("mine")
    (shop.outputs / ".drafts").mkdir(exist_ok=True)
    (shop.outputs / ".drafts" / "ab12-1").write_bytes(content[:100])
    (shop.outputs / ".results.csv.ab12.part").write_text("id")
    (shop.outputs / "finished").mkdir()
    (shop.outputs / "finished" / ".e0.png.ab12.part").write_bytes(content[:100])
    found = fsck(shop)
    assert (found.counts, found.exit_code) == ({"orphaned": 1, "leftover": 3}, 3)
    mended = fsck(shop, repair=True)
    assert (mended.left, mended.exit_code) == (0, 0)
    assert (shop.outputs / "orphaned/images/old/lamp.png").read_bytes() == content
    assert picture(shop, "notes.txt").read_text() == "mine", "what is no picture is not ours"
    assert not (shop.outputs / ".results.csv.ab12.part").exists()
    assert fsck(shop).counts == {}
    picture(shop, "old/lamp.png").write_bytes(b"another")
    fsck(shop, repair=True)
    assert (shop.outputs / "orphaned/images/old/lamp.png").read_bytes() == content
    assert (shop.outputs / "orphaned/images/old/lamp~2.png").read_bytes() == b"another"


def test_a_paid_picture_without_its_record_is_adopted_and_not_paid_again(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    content = picture(shop, "e0.png").read_bytes()
    assert rows(shop, "SELECT status FROM attempts") == [("started",)]
    found = fsck(shop)
    assert (found.counts, found.exit_code) == ({"open_attempt": 1, "unrecorded": 1}, 3)
    done = command("fsck", shop.job, "--repair")
    assert done.returncode == 0, done.stdout
    assert "adopted: not paid again" in done.stdout
    assert rows(shop, "SELECT status, cost_usd, reserved_usd FROM attempts") == [
        ("succeeded", None, 0.042)
    ]
    assert rows(shop, "SELECT path, sha256, size FROM images") == [
        ("images/e0.png", hashlib.sha256(content).hexdigest(), len(content))
    ]
    assert run(shop, endpoint).totals.unchanged == 1
    assert len(endpoint.bill.charges) == 1
    reconciled = reconcile(shop, endpoint)
    assert (reconciled.billed_have.count, reconciled.settled) == (1, 1)
    assert rows(shop, "SELECT cost_usd, cost_source FROM attempts") == [(0.042, "log")]
    assert fsck(shop).counts == {}


def test_it_does_not_matter_which_of_the_two_commands_comes_first(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    assert reconcile(shop, endpoint).billed_lost.count == 1
    mended = fsck(shop, repair=True)
    assert mended.repaired == {"unrecorded": 1}
    assert rows(shop, "SELECT status, cost_usd, error_code FROM attempts") == [
        ("succeeded", 0.042, None)
    ]
    again = reconcile(shop, endpoint)
    assert (again.billed_have.count, again.billed_lost.count, again.settled) == (1, 0, 0)


def test_a_picture_of_an_older_prompt_is_never_adopted(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    shop.manifest.write_text(shop.manifest.read_text().replace("number 0", "number zero"))
    found = fsck(shop, repair=True)
    assert found.repaired == {"open_attempt": 1, "orphaned": 1}
    assert rows(shop, "SELECT count(*) FROM edits") == [(0,)]
    assert run(shop, endpoint).totals.succeeded == 1


def test_a_picture_older_than_the_request_is_never_adopted(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    [(started_at,)] = rows(shop, "SELECT started_at FROM attempts")
    os.utime(picture(shop, "e0.png"), (started_at - 1, started_at - 1))
    assert fsck(shop).counts == {"open_attempt": 1, "orphaned": 1}


def test_a_picture_put_there_after_the_request_was_over_is_never_adopted(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(
        **PLAIN, script=[{"fault": "reset_after_work", "times": 1}], latency={"median_s": 0}
    )
    run(shop.with_edits(1, retry={"on_unknown": "hold"}), endpoint)
    mug = shop.manifest.parent / "mug.jpg"
    picture(shop, "e0.jpg").parent.mkdir(exist_ok=True)
    picture(shop, "e0.jpg").write_bytes(mug.read_bytes())
    [(finished_at,)] = rows(shop, "SELECT finished_at FROM attempts")
    os.utime(picture(shop, "e0.jpg"), (finished_at + 5, finished_at + 5))
    assert fsck(shop).counts == {"orphaned": 1}


def test_a_damaged_picture_is_never_adopted(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    whole = picture(shop, "e0.png").read_bytes()
    picture(shop, "e0.png").write_bytes(whole[:-10])
    assert fsck(shop).counts == {"open_attempt": 1, "orphaned": 1}


def test_an_answer_of_two_pictures_is_adopted_whole_or_not_at_all(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    shop.write("id,images,num_images\npair,mug.jpg,2\n")
    run_and_die(shop, endpoint)
    second = picture(shop, "pair-2.png").read_bytes()
    kept = picture(shop, "pair-2.png").stat()
    picture(shop, "pair-2.png").unlink()
    assert fsck(shop).counts == {"open_attempt": 1, "orphaned": 1}
    for content, found in ((second[:-9], {"open_attempt": 1, "orphaned": 2}), (second, None)):
        picture(shop, "pair-2.png").write_bytes(content)
        os.utime(picture(shop, "pair-2.png"), ns=(kept.st_atime_ns, kept.st_mtime_ns))
        assert found is None or fsck(shop).counts == found
    assert fsck(shop, repair=True).repaired == {"open_attempt": 1, "unrecorded": 1}
    assert rows(shop, "SELECT count(*) FROM images") == [(2,)]


def test_an_adopted_picture_replaces_what_the_edit_had_before(
    shop: Shop, emulator: Emulators
) -> None:
    """The new answer lies under the old one's name, or beside it with another extension."""
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(1), endpoint)
    for new, formats in (("number zero", {"png": 1}), ("number nought", {"jpeg": 1})):
        before = rows(shop, "SELECT prompt FROM edits")
        text = shop.manifest.read_text().splitlines()
        text[1] = f"e0,mug.jpg,edit {new}"
        shop.manifest.write_text("\n".join(text) + "\n")
        endpoint.use(formats=formats)
        run_and_die(shop, endpoint)
        assert rows(shop, "SELECT prompt FROM edits") == before
        assert fsck(shop, repair=True).repaired["unrecorded"] == 1
        assert rows(shop, "SELECT prompt FROM edits") == [(f"edit {new}",)]
        assert fsck(shop).counts == {}
        assert run(shop, endpoint).totals.unchanged == 1
    assert [path.name for path in (shop.outputs / "images").iterdir()] == ["e0.jpg"]
    assert len(endpoint.bill.charges) == 3


def test_a_manifest_that_cannot_be_read_does_not_keep_the_rest_from_being_checked(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    shop.manifest.unlink()
    found = fsck(shop)
    assert found.counts == {"open_attempt": 1, "orphaned": 1}
    assert "was not looked for" in found.notes[0]
    assert fsck(shop, repair=True).repaired == {"open_attempt": 1}, (
        "an orphan may be a paid picture"
    )
    assert picture(shop, "e0.png").exists()


def test_the_next_run_closes_what_a_dead_process_left_open(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    run_and_die(shop.with_edits(1), endpoint)
    assert run(shop, endpoint).totals.succeeded == 1
    assert rows(shop, "SELECT status, error_code FROM attempts ORDER BY started_at") == [
        ("unknown", "process_ended"),
        ("succeeded", None),
    ]
    assert rows(shop, "SELECT ended FROM runs ORDER BY started_at") == [
        ("process_ended",),
        ("finished",),
    ]


def test_it_refuses_while_a_run_goes_on(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1), emulator(**PLAIN))
    with locked(shop.outputs), pytest.raises(LockedError):
        fsck(shop)


def test_without_a_ledger_there_is_nothing_to_check(shop: Shop) -> None:
    with pytest.raises(ConfigError, match="no ledger yet"):
        fsck(shop.with_edits(1))
    assert not shop.outputs.exists()


def test_json_is_one_line_with_every_figure(
    command: Command, shop: Shop, emulator: Emulators
) -> None:
    run(shop.with_edits(2), emulator(**PLAIN))
    picture(shop, "e1.png").unlink()
    done = command("fsck", shop.job, "--json")
    assert done.returncode == 3
    [line] = done.stdout.splitlines()
    report = json.loads(line)
    assert (report["pictures"], report["left"], report["exit_code"]) == (2, 1, 3)
    assert report["findings"] == [
        {"kind": "missing", "path": "images/e1.png", "edit_id": "e1", "detail": "the file is gone"}
    ]


# --- a ledger or a folder that cannot be used: fatal at once, through the real command


def ledger_of(shop: Shop) -> Path:
    return shop.outputs / "ledger.db"


@pytest.fixture
def done_shop(shop: Shop, emulator: Emulators) -> tuple[Shop, RunningEmulator]:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(30), endpoint)
    shop.with_edits(40)
    return shop, endpoint


def assert_fatal(
    command: Command, shop: Shop, endpoint: RunningEmulator, *words: str, code: int = 4
) -> None:
    asked = len(endpoint.requests)
    for arguments in (("run",), ("retry",), ("reconcile",)):
        done = command(*arguments, shop.job, "--base-url", endpoint.url)
        assert done.returncode == code, (arguments, done.stderr)
        assert done.stderr.startswith("error: ")
        assert "Traceback" not in done.stderr
        for word in words:
            assert word in done.stderr, (arguments, done.stderr)
    assert len(endpoint.requests) == asked, "nothing more is spent"


def test_a_ledger_that_is_no_database_is_fatal(
    command: Command, done_shop: tuple[Shop, RunningEmulator]
) -> None:
    shop, endpoint = done_shop
    ledger_of(shop).write_bytes(b"id,status\n" * 1000)
    assert_fatal(command, shop, endpoint, "the ledger is damaged", ".recover")
    assert command("fsck", shop.job).returncode == 4
    assert command("status", shop.job).returncode == 4


def test_a_ledger_with_damaged_pages_is_fatal_or_found(
    command: Command, done_shop: tuple[Shop, RunningEmulator]
) -> None:
    shop, endpoint = done_shop
    with ledger_of(shop).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(ledger_of(shop).stat().st_size - 4096))
    assert_fatal(command, shop, endpoint, "the ledger is damaged", ".recover")


def test_damage_that_only_a_whole_check_finds_is_named_and_not_written_to(
    command: Command, done_shop: tuple[Shop, RunningEmulator]
) -> None:
    shop, _ = done_shop
    connection = sqlite3.connect(ledger_of(shop))
    with connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, '(started_at)', '(number)')"
            " WHERE name = 'attempts_by_start'"
        )
    connection.close()
    done = command("fsck", shop.job, "--repair")
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert "the ledger is damaged" in done.stdout
    assert ".recover" in done.stdout


def test_the_ledger_of_a_newer_program_is_fatal_and_left_alone(
    command: Command, done_shop: tuple[Shop, RunningEmulator]
) -> None:
    shop, endpoint = done_shop
    connection = sqlite3.connect(ledger_of(shop))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = ledger_of(shop).read_bytes()
    assert_fatal(command, shop, endpoint, "schema version 99", "newer program")
    assert ledger_of(shop).read_bytes() == before


def test_outputs_that_cannot_be_written_are_fatal(
    command: Command, done_shop: tuple[Shop, RunningEmulator]
) -> None:
    shop, endpoint = done_shop
    (shop.outputs / "lock").unlink(missing_ok=True)
    (shop.outputs / "lock").mkdir()
    assert_fatal(command, shop, endpoint, str(shop.outputs))


_AS_NOBODY = """
import os, sys
import pipeline
from pipeline.cli import main, asking, commands, words
pipeline.plan(sys.argv[2])  # loads what it needs, while the interpreter's own files can be read
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
@pytest.mark.parametrize("name", ["run", "reconcile", "fsck"])
def test_a_read_only_outputs_folder_is_fatal(emulator: Emulators, name: str) -> None:
    endpoint = emulator(**PLAIN)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # pytest's own folders are for one user
        shop = Shop(Path(folder))
        run(shop.with_edits(2), endpoint)
        shop.with_edits(3)
        for path in shop.outputs.iterdir():
            path.chmod(0o555 if path.is_dir() else 0o444)
        shop.outputs.chmod(0o555)
        url = () if name == "fsck" else ("--base-url", endpoint.url)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, name, str(shop.job), *url],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
            check=False,
        )
        shop.outputs.chmod(0o755)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith(f"error: {shop.outputs}")
    assert "writable" in done.stderr
    assert len(endpoint.requests) == 2


def test_a_manifest_that_vanished_stops_everything_before_it_starts(
    command: Command, done_shop: tuple[Shop, RunningEmulator]
) -> None:
    shop, endpoint = done_shop
    shop.manifest.unlink()
    done = command("run", shop.job, "--base-url", endpoint.url)
    assert done.returncode == 2
    assert "shop.csv" in done.stderr


def test_inputs_that_are_away_for_a_night_cost_no_picture_that_was_paid_for(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(**PLAIN)
    run(shop.with_edits(3), endpoint)
    mug = shop.manifest.parent / "mug.jpg"
    away = mug.rename(mug.with_suffix(".away"))
    result = run(shop, endpoint)
    assert (result.exit_code, result.totals.failed) == (3, 3)
    assert dict(rows(shop, "SELECT status, count(*) FROM edits GROUP BY status")) == {
        "succeeded": 3
    }
    away.rename(mug)
    assert run(shop, endpoint).totals.unchanged == 3
    assert len(endpoint.bill.charges) == 3
    assert fsck(shop).counts == {}


def test_a_ledger_that_vanishes_is_not_made_up(shop: Shop, emulator: Emulators) -> None:
    run(shop.with_edits(1), emulator(**PLAIN))
    ledger_of(shop).write_bytes(b"")
    with pytest.raises(ConfigError, match="run the job first"):
        fsck(shop)
    ledger_of(shop).write_bytes(b"\0" * 100)
    with pytest.raises(LedgerError):
        fsck(shop)
