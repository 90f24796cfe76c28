"""A redo whose row left the manifest: no run asks for it, and whoever looks is told so."""

import asyncio
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.models import Decision
from pipeline.preview import orphans
from tests.conftest import Shop

Emulators = Callable[..., RunningEmulator]
Command = Callable[..., "subprocess.CompletedProcess[str]"]
PLAIN: dict[str, Any] = {"pictures": "plain", "latency": {"median_s": 0}}

ROWS = ("id,images,prompt\n", "e0,mug.jpg,edit number 0\n", "e1,mug.jpg,edit number 1\n")


def run(shop: Shop, endpoint: RunningEmulator) -> None:
    asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}))


def redo(shop: Shop, *names: str) -> None:
    wishes = [Decision(id=name, decision="redo", note="warmer") for name in names]
    asyncio.run(pipeline.review(shop.job, wishes))


@pytest.fixture
def wished(shop: Shop, emulator: Emulators) -> Shop:
    """Two edits are done, and a person wants another picture of each."""
    run(shop.write("".join(ROWS)), emulator(**PLAIN))
    redo(shop, "e0", "e1")
    return shop


def test_a_plan_counts_it_as_orphaned_and_not_as_a_redo(wished: Shop) -> None:
    assert (pipeline.plan(wished.job).redo, pipeline.plan(wished.job).orphaned_redos) == (2, ())
    wished.manifest.write_text("".join(ROWS[:2]))
    plan = pipeline.plan(wished.job)
    assert (plan.redo, plan.orphaned, plan.orphaned_redos, plan.requests) == (1, 1, ("e1",), 1)


def test_plan_and_status_say_the_way_out(wished: Shop, command: Command) -> None:
    assert "no run asks for" not in command("status", wished.job).stdout
    wished.manifest.write_text("".join(ROWS[:2]))
    assert f"1  orphaned redos  {orphans.WAY_OUT}" in command("plan", wished.job).stdout
    said = command("status", wished.job).stdout
    assert f"no run asks for 1 redo, e1: {orphans.WAY_OUT}" in said


def test_it_is_asked_for_when_the_row_is_back(wished: Shop, emulator: Emulators) -> None:
    endpoint = emulator(**PLAIN)
    wished.manifest.write_text("".join(ROWS[:2]))
    run(wished, endpoint)
    assert endpoint.bill.pictures == 1
    assert pipeline.status(wished.job).orphaned_redos == ("e1",)
    wished.manifest.write_text("".join(ROWS))
    assert pipeline.status(wished.job).orphaned_redos == ()
    run(wished, endpoint)
    assert endpoint.bill.pictures == 2


def test_a_decision_ends_the_wait(wished: Shop) -> None:
    wished.manifest.write_text(ROWS[0] + ROWS[2])
    asyncio.run(pipeline.review(wished.job, [Decision(id="e0", decision="approved")]))
    assert pipeline.status(wished.job).orphaned_redos == ()
    assert pipeline.plan(wished.job).orphaned_redos == ()


def test_a_status_is_there_although_the_manifest_cannot_be_read(wished: Shop) -> None:
    wished.manifest.write_text("id\n")
    status = pipeline.status(wished.job)
    assert (status.decisions, status.orphaned_redos) == ({"redo": 2}, ())


def test_a_status_does_not_read_a_manifest_without_end(
    wished: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "LOOKED_AT", 2)
    wished.manifest.write_text(ROWS[0] + "".join([f"n{n},mug.jpg,x\n" for n in range(5)]))
    assert pipeline.status(wished.job).orphaned_redos == ()
    assert pipeline.plan(wished.job).orphaned_redos == ("e0", "e1"), "a plan reads all of it"


def test_a_further_try_of_a_target_has_the_row_of_its_candidate(
    shop: Shop, emulator: Emulators
) -> None:
    target = {"count": 2, "variants": 2, "per_candidate": 2}
    run(shop.write("".join(ROWS[:2]), target_accepted=target), emulator(**PLAIN))
    redo(shop, "e0~2")
    assert pipeline.status(shop.job).orphaned_redos == ()
    shop.manifest.write_text(ROWS[0] + ROWS[2])
    plan = pipeline.plan(shop.job)
    assert pipeline.status(shop.job).orphaned_redos == ("e0~2",)
    assert plan.target is not None
    assert (plan.orphaned_redos, plan.target.accepted, plan.target.missing) == (("e0~2",), 0, 2)
