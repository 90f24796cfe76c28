"""What every emulator test needs: emulators, and a client that asks them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from pipeline.emulator.testing import RunningEmulator, emulator
from tests.emulator.asking import Answer, Asker

__all__ = ["emulator"]


@pytest.fixture
async def asker() -> AsyncIterator[Asker]:
    """A client with a key that is right."""
    async with aiohttp.ClientSession() as session:
        yield Asker(session)


@pytest.fixture
def ask(asker: Asker) -> Callable[..., Awaitable[Answer]]:
    """`await ask(running, prompt=..., num_images=...)`: one image request."""

    async def once(running: RunningEmulator, **body: Any) -> Answer:
        return await asker.edit(running.url, **body)

    return once
