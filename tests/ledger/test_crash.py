"""Processes that end badly: what was awaited is there, and what is there is whole."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.ledger import open_reader
from tests.ledger.samples import opened, read

_WRITER = """
import asyncio, itertools, sys
from pathlib import Path
from pipeline.errors import LedgerError
from tests.ledger.samples import a_record, an_attempt, an_end, opened

async def edit(ledger, n):
    await ledger.start_attempt(an_attempt(f"a{n}", edit_id=f"shoe-{n}", run_id="dead"))
    ledger.end_attempt(f"a{n}", an_end())
    await ledger.record(a_record(f"shoe-{n}"))
    print(n, flush=True)

async def crew(ledger, numbers):
    for n in numbers:
        await edit(ledger, n)

async def main():
    ledger = opened(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        import resource

        limit = int(sys.argv[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    numbers = itertools.count()
    try:
        await asyncio.gather(*(crew(ledger, numbers) for _ in range(8)))
    except LedgerError as error:
        print("stopped:", error, flush=True)
        try:
            await ledger.start_attempt(an_attempt("late"))
        except LedgerError:
            print("stays stopped", flush=True)

asyncio.run(main())
"""


def _writer(path: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, path, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@pytest.mark.parametrize("finished", [1, 60])
def test_a_killed_process_loses_nothing_that_was_awaited(tmp_path: Path, finished: int) -> None:
    path = tmp_path / "ledger.db"
    with _writer(path) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(finished)]
        process.kill()
        told += process.stdout.read().splitlines()
    with open_reader(path) as reader:
        ids = {row["id"] for row in reader.results()}
        assert ids >= {f"shoe-{n}" for n in told if n}
        open_ones = {row.edit_id for row in reader.open_attempts()}
        assert len(open_ones) <= 8
        assert not open_ones & ids
        assert all(len(reader.images_of(edit_id)) == 1 for edit_id in ids)
    assert read(path, "PRAGMA integrity_check") == [("ok",)]


async def test_the_next_run_closes_what_a_killed_process_left_open(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with _writer(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    ledger = opened(path)
    closed = await ledger.close_orphaned_attempts("next", finished_at=2e9)
    ledger.close()
    assert {(row.status, row.error_code) for row in closed} <= {("unknown", "process_ended")}
    with open_reader(path) as reader:
        assert reader.open_attempts() == ()
        assert reader.unknown_attempts() == closed
    assert [entry.name for entry in tmp_path.iterdir()] == ["ledger.db"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_disk_that_takes_no_more_stops_the_run_and_keeps_what_was_awaited(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    with _writer(path, "400000") as process:
        assert process.stdout is not None
        *told, stopped, stays = process.stdout.read().splitlines()
    assert stopped.startswith(f"stopped: {path}: the disk reported an error (SQLITE_IOERR")
    assert "run again: what was recorded stays" in stopped
    assert stays == "stays stopped"
    assert len(told) > 8
    with open_reader(path) as reader:
        assert {row["id"] for row in reader.results()} >= {f"shoe-{n}" for n in told}
    assert read(path, "PRAGMA integrity_check") == [("ok",)]
