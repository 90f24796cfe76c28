"""What a night learned is there for the next, and for no other key."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.ledger import open_ledger, open_reader
from pipeline.limits.throttle import Throttle
from pipeline.pacing import PaceMemory
from tests.conftest import Shop
from tests.virtual_clock import run_virtual

HIDDEN = 3


def memory(path: Path, *, key: str) -> PaceMemory:
    ledger, reader = open_ledger(path, origin=None), open_reader(path)
    assert reader is not None
    ledger.close()
    return PaceMemory(
        ledger, reader, origin="emulator", model="google/gemini-2.5-flash-image-edit", key=key
    )


def concurrency_at_start(shop: Shop, key: str) -> int:
    job = pipeline.load_job(shop.job)

    async def start() -> int:
        throttle: Throttle = memory(shop.outputs / "ledger.db", key=key).throttle(job, Random(1))
        return throttle.concurrency

    return run_virtual(start())


def test_the_next_run_starts_near_what_the_last_one_learned(
    shop: Shop, emulator: Callable[..., RunningEmulator]
) -> None:
    endpoint = emulator(pictures="plain", latency={"median_s": 0.1}, limits={"concurrency": HIDDEN})
    shop.with_edits(60, limits={"concurrency": 32})
    key = {"AIMLAPI_API_KEY": "the-key"}
    result = asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ=key))
    assert result.totals.succeeded == 60
    assert concurrency_at_start(shop, "the-key") <= HIDDEN + 1
    fresh = concurrency_at_start(shop, "another-key")
    assert fresh == 4, "another key may have other limits: it starts as everybody does"
    assert b"the-key" not in (shop.outputs / "ledger.db").read_bytes()
