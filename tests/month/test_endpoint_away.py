"""An endpoint that is not there is one problem, whichever edits meet it."""

import asyncio
from collections.abc import Callable

import pipeline
from pipeline.emulator.testing import RunningEmulator
from tests.conftest import Shop
from tests.month.nights import NOWHERE
from tests.notifying.conftest import Hook

RETRY = {"attempts": 1, "wait_initial_s": 0.01, "wait_max_s": 0.01}


def test_what_else_fails_is_told_in_its_turn(
    shop: Shop, emulator: Callable[..., RunningEmulator], hook: Hook
) -> None:
    rows = "id,images\na,gone.jpg\n"
    endpoint = emulator(pictures="plain")

    def night(new: str, url: str) -> None:
        nonlocal rows
        rows += f"{new},mug.jpg\n"
        shop.write(rows, retry=RETRY, notify=[{"url_env": "HOOK", "on": ["failure"]}])
        asyncio.run(pipeline.run(shop.job, base_url=url, environ={"HOOK": hook.url}))

    night("b", NOWHERE)
    assert hook.titles == ["shop: nothing succeeded: 2 failed"]
    night("c", NOWHERE)
    assert hook.titles[1:] == ["shop: 3 failed"], "the picture that is gone was not told yet"
    night("d", NOWHERE)
    night("e", endpoint.url)
    assert len(hook.titles) == 2
    night("f", NOWHERE)
    assert hook.titles[2:] == ["shop: nothing succeeded: 2 failed"], "it had been there meanwhile"
