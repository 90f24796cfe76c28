"""Exports that are killed, stopped, or have no room left: what was there before is whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.exporting.choosing import Chosen
from pipeline.exporting.scratch import Scratch
from tests.conftest import command_line, environment
from tests.exporting.studio import Studio, check_sums, contents

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals, pipes and limits")

DEADLINE_S = 60.0


@contextmanager
def held_up(
    studio: Studio, kind: str
) -> Iterator[tuple["subprocess.Popen[str]", Callable[[], None]]]:
    """The command in the middle of an export, surely: one of the new pictures is a pipe to which
    nobody has written, so whoever reads it waits. Also what ends that wait.
    """
    studio.sourced(3, first=100)
    pipe = studio.outputs / "images/e101-0.png"
    whole = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)
    words = command_line("export", studio.job, "--format", kind, "--output", studio.data / "set")
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    ends = ExitStack()
    try:
        end = time.monotonic() + DEADLINE_S
        while True:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            with suppress(OSError):  # ENXIO: nobody reads it yet
                ends.callback(os.close, os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                break
            time.sleep(0.02)
        yield process, ends.close
    finally:
        ends.close()
        process.kill()
        process.communicate()
        pipe.unlink()
        pipe.write_bytes(whole)


def left_over(studio: Studio) -> list[str]:
    places = [*studio.data.iterdir(), *studio.outputs.glob(".export*")]
    return [path.name for path in places if path.name != "set"]


@pytest.mark.parametrize("kind", ["folder", "parquet-images", "webdataset", "instruct-pix2pix"])
def test_a_killed_export_leaves_the_old_one_whole(studio: Studio, kind: str) -> None:
    studio.sourced(4)
    studio.export(kind)
    before = contents(studio.data / "set")
    with held_up(studio, kind) as (process, _):
        process.kill()
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
        assert contents(studio.data / "set") == before
        assert len(left_over(studio)) == 2, "what it had begun, there and beside the ledger"
    result = studio.export(kind)
    assert result.samples == {"train": 7}
    assert not left_over(studio)
    check_sums(studio.data / "set")


def test_an_export_that_is_told_to_stop_leaves_nothing_behind(studio: Studio) -> None:
    studio.sourced(4)
    studio.export("webdataset")
    before = contents(studio.data / "set")
    with held_up(studio, "webdataset") as (process, let_go):
        process.send_signal(signal.SIGTERM)
        let_go()
        _, said = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, said) == (130, "")
    assert contents(studio.data / "set") == before
    assert not left_over(studio)


def test_killed_just_before_the_exchange(studio: Studio) -> None:
    studio.sourced(4)
    studio.export("webdataset")
    before = contents(studio.data / "set")
    studio.sourced(2, first=4)
    script = """
import os, signal, sys
from pipeline.exporting import publishing
from pipeline.exporting.entrance import export
publishing.LocalFolder.publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
export(sys.argv[1], format="webdataset", output=sys.argv[2])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, studio.job, studio.data / "set"], check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert contents(studio.data / "set") == before
    assert studio.export("webdataset").samples == {"train": 6}
    check_sums(studio.data / "set")


@pytest.mark.parametrize("kind", ["parquet-images", "webdataset", "csv", "parquet"])
def test_without_room_the_message_says_so_and_the_old_export_stays(
    studio: Studio, kind: str
) -> None:
    studio.sourced(2)
    studio.export(kind)
    target = studio.data / "set"
    before = target.read_bytes() if target.is_file() else contents(target)
    studio.add(*[studio.edit(f"new{n}", [], prompt=os.urandom(400).hex()) for n in range(120)])
    words = command_line("export", studio.job, "--format", kind, "--output", target)
    # No file may be larger: as a full disk, but for this process only.
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 80; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=DEADLINE_S,
    )
    assert done.returncode == 4, done.stdout
    assert "File too large" in done.stderr
    assert "disk not full" in done.stderr
    assert "Traceback" not in done.stderr
    assert (target.read_bytes() if target.is_file() else contents(target)) == before
    assert not left_over(studio)


def test_no_room_for_what_an_export_remembers_is_said_as_such(tmp_path: Path) -> None:
    def remember() -> None:
        values: dict[str, str | int | None] = {"prompt": "x" * 100_000}
        with Scratch(tmp_path) as scratch:
            scratch._connection.execute("PRAGMA max_page_count = 1")
            scratch.want(Chosen("key", "id", "shop.csv:2", "train", values, {}))

    with pytest.raises(StoreError, match=r"full \(an export needs about 1 kB there for each"):
        remember()


def test_an_unreadable_ledger_of_sources_says_what_to_do(studio: Studio) -> None:
    studio.sourced(2)
    (studio.outputs / "sources.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"sources\.db: .*delete it: it is made again"):
        studio.export("webdataset", split="train=0.5,test=0.5")
