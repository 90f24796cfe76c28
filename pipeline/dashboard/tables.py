"""``results.csv`` after decisions: written anew once somebody has stopped deciding for a moment.

A person decides every other second, and the table of a large job takes a while.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path

from pipeline.dashboard.folder import Side
from pipeline.errors import PipelineError
from pipeline.exports.results_csv import write_results_csv
from pipeline.ledger import open_reader

QUIET_S = 3.0

_log = logging.getLogger(__name__)


class Tables:
    """The tables that have to be written. Belongs to one event loop."""

    def __init__(self, quiet_s: float = QUIET_S) -> None:
        self._quiet_s = quiet_s
        self._due: dict[Path, tuple[Side, asyncio.Task[None]]] = {}

    def soon(self, side: Side) -> None:
        """Something was decided: a while after the last time, the table is written."""
        before = self._due.pop(side.outputs, None)
        if before is not None:
            before[1].cancel()
        self._due[side.outputs] = (side, asyncio.create_task(self._later(side)))

    async def close(self) -> None:
        """Writes what is due."""
        due, self._due = list(self._due.values()), {}
        for side, task in due:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await _write(side)

    async def _later(self, side: Side) -> None:
        await asyncio.sleep(self._quiet_s)
        self._due.pop(side.outputs, None)
        await _write(side)


async def _write(side: Side) -> None:
    try:
        await asyncio.to_thread(_written, side)
    except (PipelineError, OSError) as error:
        _log.warning("%s: results.csv was not written: %s", side.key, error)


def _written(side: Side) -> None:
    reader = open_reader(side.ledger)
    if reader is not None:
        with reader:
            write_results_csv(reader.columns(), reader.results(), side.outputs / "results.csv")
