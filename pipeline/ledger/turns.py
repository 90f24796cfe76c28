"""Whose turn it is to write.

SQLite's lock is not fair. Whoever waits for it looks again after pauses of up to 100 ms, and
between two commits of a busy run it is free for microseconds: on a slow disk a person's decision
waited for seconds, or until it gave up. So each writer takes the turn before it asks for the
ledger, and gives it back as soon as it has it: a run that comes back while somebody else is waiting
waits, too.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE_S = 1.0
"""A turn is held for one commit of somebody else, and a pause of SQLite's. Whoever holds it longer
stands still, say in a stopped process, and is not waited for: SQLite alone keeps the ledger whole.
"""

LOOK_EVERY_S = 0.001


class Turn:
    """One writer's place in the queue: an advisory lock on the ledger's folder, so that no file has
    to be made. Where there is no such lock (Windows, some network disks), everybody's turn is now.
    """

    def __init__(self, folder: Path) -> None:
        self._folder: int | None = None
        if os.name != "nt":
            with suppress(OSError):
                self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for the turn, at most `PATIENCE_S`, and holds it. Blocks."""
        if self._folder is None:
            yield
            return
        import fcntl

        try:
            self._take(self._folder)
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(self._folder, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leaves the queue. Closing again is harmless."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def _take(self, folder: int) -> None:
        import fcntl

        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOOK_EVERY_S)
            except OSError:
                return
            else:
                return
