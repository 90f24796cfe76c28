"""A pause costs nobody patience: not the edits', not the watchdog's, not the breaker's."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.events import Event, Paused, Resumed, Started, Tuned
from pipeline.running import RunResult
from pipeline.setbacks import CoolingDown, Retrying
from pipeline.watchdog import Stalled
from tests.conftest import Shop

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Python offers no local sockets on Windows")

Emulators = Callable[..., RunningEmulator]
RETRY = {"wait_initial_s": 0.01, "wait_max_s": 0.02, "wait_jitter_s": 0.0}


async def paused_for(
    shop: Shop, endpoint: RunningEmulator, seconds: float, *, after: type[Any]
) -> tuple[RunResult, list[Event]]:
    """A run that is paused for so long as soon as it has said such an event."""
    said: list[Event] = []
    begun = asyncio.Event()

    def observe(event: Event) -> None:
        said.append(event)
        if isinstance(event, after):
            begun.set()

    run = asyncio.create_task(
        pipeline.run(shop.job, base_url=endpoint.url, observe=observe, environ={})
    )
    await begun.wait()
    await asyncio.to_thread(pipeline.pause, shop.job)
    endpoint.go_on()
    await asyncio.sleep(seconds)
    snapshot = await asyncio.to_thread(pipeline.resume, shop.job)
    assert snapshot.state != "paused"
    return await run, said


async def test_an_edit_is_not_older_for_it(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "status_500", "times": 2}])
    endpoint.hold(after=1)  # the second request is kept until the run is paused
    shop.with_edits(1, retry={**RETRY, "edit_timeout_s": 2.0})
    result, said = await paused_for(shop, endpoint, 2.2, after=Retrying)
    assert result.totals.succeeded == 1, result.totals.reasons
    assert [type(event) for event in said if isinstance(event, Paused | Resumed)] == [
        Paused,
        Resumed,
    ]


async def test_nobody_counts_as_stuck(shop: Shop, emulator: Emulators) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    shop.with_edits(30, limits={"concurrency": 2, "stall_s": 1.0})
    result, said = await paused_for(shop, endpoint, 1.5, after=Started)
    assert result.totals.succeeded == 30
    assert not [event for event in said if isinstance(event, Stalled)]


async def test_edits_that_wait_for_memory_are_not_given_up(shop: Shop, emulator: Emulators) -> None:
    """They wait in a phase that the watchdog ends, behind edits that the pause holds."""
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    shop.with_edits(
        6,
        limits={"concurrency": 3, "stall_s": 0.2, "max_bytes_in_flight": 1},
        retry={**RETRY, "edit_timeout_s": 2.0},
    )
    result, _ = await paused_for(shop, endpoint, 2.2, after=Started)
    assert result.totals.succeeded == 6, result.totals.reasons


async def test_429s_before_and_after_it_are_no_used_up_quota(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(
        pictures="plain",
        script=[{"fault": "rate_limited", "total": 2}],
        limits={"retry_after": "absent"},
    )
    shop.with_edits(
        1, limits={"concurrency": 1, "on_quota": "stop", "quota_after_s": 3.0}, retry=RETRY
    )
    result, _ = await paused_for(shop, endpoint, 3.1, after=CoolingDown)
    assert result.totals.succeeded == 1, result.error


async def test_what_is_tuned_is_told_and_the_jobs_own_numbers_stay(
    shop: Shop, emulator: Emulators
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold()
    shop.with_edits(40, limits={"concurrency": 2})
    said: list[Event] = []
    begun = asyncio.Event()

    def observe(event: Event) -> None:
        said.append(event)
        if isinstance(event, Started):
            begun.set()

    run = asyncio.create_task(
        pipeline.run(shop.job, base_url=endpoint.url, observe=observe, environ={})
    )
    await begun.wait()
    for _ in range(2):  # the second changes nothing, and is not told
        snapshot = await asyncio.to_thread(
            pipeline.tune, shop.job, concurrency=9, requests_per_minute=None
        )
    assert snapshot.stated_concurrency == 9
    endpoint.go_on()
    await run
    [tuned] = [event for event in said if isinstance(event, Tuned)]
    assert tuned.line == "tuned, for this run only: at most 9 at once (was 2)"
    assert pipeline.load_job(shop.job).limits.concurrency == 2


def test_a_snapshot_can_be_asked_of_the_run_that_told_of_its_start(
    shop: Shop, emulator: Emulators
) -> None:
    seen = []

    def observe(event: Event) -> None:
        if isinstance(event, Started):
            seen.append(event.snapshot())

    endpoint = emulator(pictures="plain")
    shop.with_edits(3, budget={"run_usd": 5, "day_usd": 2})
    asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, observe=observe, environ={}))
    [snapshot] = seen
    assert (snapshot.job, snapshot.expected, snapshot.done) == ("shop", 3, 0)
    assert snapshot.cap_usd == 2, "the stricter of both"
