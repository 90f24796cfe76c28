"""What a run that goes on says of itself, through its control socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.snapshot import Snapshot
from pipeline.steering.channel import NAME, OFFERED
from pipeline.steering.client import ask, watching
from pipeline.steering.messages import State

ANSWER_S = 3.0
"""How long a page waits for a run, which answers in milliseconds. Then its ledger has to do."""


async def state(outputs: Path) -> Snapshot | None:
    """The run at this moment; ``None`` where none goes on, or it does not answer."""
    if _may_listen(outputs):
        with suppress(PipelineError):
            return await asyncio.to_thread(ask, outputs, State(), timeout_s=ANSWER_S)
    return None


async def watch(outputs: Path) -> AsyncIterator[Snapshot]:
    """The run, once a second, until it ends or falls silent. Nothing where none goes on."""
    if _may_listen(outputs):
        with suppress(PipelineError):
            async for snapshot in watching(outputs, timeout_s=ANSWER_S):
                yield snapshot


def _may_listen(outputs: Path) -> bool:
    # Most jobs rest most of the time: no thread is asked for them.
    return OFFERED and (outputs / NAME).is_socket()
