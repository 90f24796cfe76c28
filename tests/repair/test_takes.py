"""Pictures that were set aside, held against the files."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline import Decision
from pipeline.emulator.testing import RunningEmulator
from pipeline.repair.findings import FsckReport
from tests.conftest import Shop, environment
from tests.repair.test_fsck import _DIES, rows

Emulators = Callable[..., RunningEmulator]


def run(shop: Shop, endpoint: RunningEmulator) -> None:
    asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}))


def fsck(shop: Shop, **options: Any) -> FsckReport:
    return asyncio.run(pipeline.fsck(shop.job, **options))


def redo(shop: Shop, edit_id: str, note: str = "warmer") -> None:
    result = asyncio.run(
        pipeline.review(shop.job, [Decision(id=edit_id, decision="redo", note=note)])
    )
    assert result.redo == 1


@pytest.fixture
def endpoint(emulator: Emulators) -> RunningEmulator:
    return emulator(pictures="plain")


@pytest.fixture
def redone(shop: Shop, endpoint: RunningEmulator) -> Shop:
    """Two edits, of which one was redone."""
    run(shop.with_edits(2), endpoint)
    redo(shop, "e1")
    run(shop, endpoint)
    return shop


def test_a_take_is_a_known_picture(redone: Shop) -> None:
    assert fsck(redone).counts == {}


def test_a_take_that_is_gone_is_named_and_forgotten_and_nothing_is_asked_again(
    redone: Shop, endpoint: RunningEmulator
) -> None:
    (redone.outputs / "takes" / "e1-v1.png").unlink()
    report = fsck(redone)
    assert (report.counts, report.asked_again, report.exit_code) == ({"take_missing": 1}, 0, 3)
    [finding] = report.findings
    assert (finding.edit_id, finding.path) == ("e1", "takes/e1-v1.png")
    assert fsck(redone, repair=True).exit_code == 0
    assert fsck(redone).counts == {}
    assert rows(redone, "SELECT count(*) FROM takes") == [(1,)]
    asked = len(endpoint.requests)
    run(redone, endpoint)
    assert len(endpoint.requests) == asked


def test_a_strange_picture_among_the_takes_is_moved_aside(redone: Shop) -> None:
    folder = redone.outputs / "takes"
    (folder / "e0-v1.png").write_bytes((folder / "e1-v1.png").read_bytes() + b"more")
    report = fsck(redone, repair=True)
    assert report.repaired == {"orphaned": 1}
    assert (redone.outputs / "orphaned" / "takes" / "e0-v1.png").is_file()


def test_a_redo_that_was_paid_for_just_before_a_crash_is_adopted(
    redone: Shop, endpoint: RunningEmulator
) -> None:
    redo(redone, "e0", "cooler")
    died = subprocess.run(
        [sys.executable, "-c", _DIES, str(redone.job), endpoint.url],
        env=environment(),
        timeout=60,
        capture_output=True,
    )
    assert died.returncode == 9, died.stderr
    assert fsck(redone, repair=True).repaired == {"open_attempt": 1, "unrecorded": 1}
    asked = len(endpoint.requests)
    run(redone, endpoint)
    assert len(endpoint.requests) == asked
    assert rows(redone, "SELECT status, variant, base <> '' FROM edits WHERE id = 'e0'") == [
        ("succeeded", 2, 1)
    ]
    redo(redone, "e0", "greener")
    run(redone, endpoint)
    assert endpoint.requests[-1]["body"]["prompt"] == "edit number 0\ncooler\ngreener"
