import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, LedgerError
from pipeline.ledger import open_ledger, open_reader
from pipeline.ledger.schema import APPLICATION_ID, MIGRATIONS, migrate, version_of
from tests.ledger.samples import ORIGIN, a_record, change, opened, read, traced

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "catalog" / "ledger.db"


def test_a_ledger_is_made_with_its_folder(path: Path) -> None:
    opened(path).close()
    assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert read(path, "SELECT count(*) FROM results") == [(0,)]


def test_every_commit_is_flushed_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = traced(monkeypatch)
    opened(path).close()
    assert "PRAGMA journal_mode = WAL" in statements
    assert "PRAGMA synchronous = FULL" in statements


def test_a_closed_ledger_is_one_file(path: Path) -> None:
    opened(path).close()
    assert [entry.name for entry in path.parent.iterdir()] == ["ledger.db"]


def test_opening_again_changes_nothing(path: Path) -> None:
    opened(path).close()
    before = path.read_bytes()
    opened(path).close()
    assert path.read_bytes() == before


class TestOrigin:
    def test_the_ledger_of_another_origin_is_refused(self, path: Path) -> None:
        opened(path).close()
        with pytest.raises(ConfigError) as caught:
            open_ledger(path, origin="emulator")
        for part in (str(path), ORIGIN, "emulator", "--accept-origin"):
            assert part in str(caught.value)

    def test_accepting_makes_it_the_ledger_of_the_new_origin(self, path: Path) -> None:
        opened(path).close()
        open_ledger(path, origin="emulator", accept_origin=True).close()
        open_ledger(path, origin="emulator").close()
        with pytest.raises(ConfigError):
            opened(path)


class TestVersions:
    def test_a_newer_ledger_is_refused_and_left_alone(self, path: Path) -> None:
        opened(path).close()
        change(path, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        before = path.read_bytes()
        newest = len(MIGRATIONS)
        words = rf"version {newest + 1} .* up to {newest}.*pip install --upgrade"
        with pytest.raises(LedgerError, match=words):
            opened(path)
        with pytest.raises(LedgerError, match="newer program"):
            open_reader(path)
        assert path.read_bytes() == before

    def test_an_older_ledger_is_brought_up_to_date_step_by_step(self, path: Path) -> None:
        opened(path).close()
        later = (
            *MIGRATIONS,
            ("ALTER TABLE runs ADD COLUMN note TEXT",),
            ("UPDATE runs SET note = job", "CREATE TABLE learned (key TEXT) STRICT"),
        )
        change(
            path,
            "INSERT INTO runs (id, started_at, pid, host, version, job) "
            "VALUES ('r', 1, 1, 'h', 'v', 'shoes')",
        )
        connection = sqlite3.connect(path, isolation_level=None)
        migrate(connection, path, later)
        connection.close()
        assert read(path, "PRAGMA user_version") == [(len(later),)]
        assert read(path, "SELECT note FROM runs") == [("shoes",)]

    def test_a_migration_that_breaks_off_leaves_the_version_before_it(self, path: Path) -> None:
        opened(path).close()
        broken = (*MIGRATIONS, ("CREATE TABLE half (x TEXT) STRICT", "no SQL at all"))
        connection = sqlite3.connect(path, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, broken)
        assert not connection.in_transaction
        connection.close()
        assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert read(path, "SELECT count(*) FROM sqlite_master WHERE name = 'half'") == [(0,)]

    def test_a_migration_that_another_process_made_first_is_not_repeated(self, path: Path) -> None:
        opened(path).close()
        connection = sqlite3.connect(path, isolation_level=None)
        steps = (*MIGRATIONS, ("CREATE TABLE twice (x TEXT) STRICT",))
        migrate(connection, path, steps)
        migrate(connection, path, steps)
        connection.close()

    def test_two_processes_that_make_the_same_ledger_take_turns(self, path: Path) -> None:
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            assert pool.map(_open_and_close, [path] * 4) == [True] * 4
        assert read(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def _open_and_close(path: Path) -> bool:
    opened(path).close()
    return True


class TestWhatIsNoLedger:
    def test_another_programs_database_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        change(path, "CREATE TABLE bookmarks (url TEXT)")
        before = path.read_bytes()
        with pytest.raises(LedgerError, match="no ledger of this program"):
            opened(path)
        with pytest.raises(LedgerError, match="no ledger of this program"):
            open_reader(path)
        assert path.read_bytes() == before

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        path.write_bytes(b"id,status\nshoe-1,succeeded\n" * 100)
        before = path.read_bytes()
        for open_it in (opened, open_reader):
            with pytest.raises(LedgerError, match=r"damaged .*\.recover"):
                open_it(path)
        assert path.read_bytes() == before

    async def test_a_damaged_page_is_a_ledger_error_with_the_way_out(self, path: Path) -> None:
        ledger = opened(path)
        for n in range(40):
            await ledger.record(a_record(f"shoe-{n}"))
        ledger.close()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(path.stat().st_size - 4096))
        with pytest.raises(LedgerError, match=r"damaged .*\.recover"):
            opened(path)

    def test_an_empty_file_is_a_ledger_to_be(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        path.touch()
        assert open_reader(path) is None
        opened(path).close()
        assert version_of_file(path) == len(MIGRATIONS)

    def test_a_folder_of_that_name_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(LedgerError, match="cannot be opened"):
            opened(tmp_path)

    def test_a_file_in_the_place_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "outputs").touch()
        with pytest.raises(LedgerError, match="cannot be opened"):
            opened(tmp_path / "outputs" / "ledger.db")


def version_of_file(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return version_of(connection, path)
    finally:
        connection.close()


def test_the_application_id_marks_the_file(path: Path) -> None:
    opened(path).close()
    assert read(path, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_there_is_no_reader_without_a_ledger(path: Path) -> None:
    assert open_reader(path) is None
    assert not path.parent.exists()


async def test_a_reader_cannot_write(path: Path) -> None:
    ledger = opened(path)
    await ledger.record(a_record("shoe-1"))
    ledger.close()
    with open_reader(path) as reader:
        assert list(reader.orphans([])) == ["shoe-1"]  # which needs a table of its own
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM edits")


def test_a_path_with_signs_that_addresses_use_is_just_a_path(tmp_path: Path) -> None:
    path = tmp_path / "50% off? #1 ä" / "ledger.db"
    opened(path).close()
    with open_reader(path) as reader:
        assert reader.runs() == ()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter: pytest's own are for one user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@posix
async def test_a_reader_works_in_a_folder_that_cannot_be_written(open_folder: Path) -> None:
    path = open_folder / "ledger.db"
    ledger = opened(path)
    await ledger.record(a_record("shoe-1"))
    ledger.close()
    open_folder.chmod(0o555)
    if os.access(open_folder, os.W_OK):  # root may write anywhere: ask as nobody
        answer = _as_nobody("fingerprint", path)
        assert answer == "('" + "f" * 64 + "', 'succeeded')"
    else:
        with open_reader(path) as reader:
            assert reader.fingerprint_of("shoe-1") == ("f" * 64, "succeeded")
    open_folder.chmod(0o755)


@posix
async def test_a_ledger_that_cannot_be_written_is_refused(open_folder: Path) -> None:
    path = open_folder / "ledger.db"
    opened(path).close()
    path.chmod(0o444)
    open_folder.chmod(0o555)
    if os.access(path, os.W_OK):
        assert "cannot be opened or written" in _as_nobody("open", path)
    else:
        with pytest.raises(LedgerError, match="cannot be opened or written"):
            opened(path)
    open_folder.chmod(0o755)


_QUESTION = """
import os, sys
from pathlib import Path
from pipeline.errors import LedgerError
from pipeline.ledger import open_ledger, open_reader
os.setgid(65534), os.setuid(65534)
path = Path(sys.argv[2])
if sys.argv[1] == "open":
    try:
        open_ledger(path, origin="https://api.example.com")
    except LedgerError as error:
        print(error)
else:
    with open_reader(path) as reader:
        print(reader.fingerprint_of("shoe-1"))
"""


def _as_nobody(question: str, path: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-c", _QUESTION, question, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    return run.stdout.strip()
