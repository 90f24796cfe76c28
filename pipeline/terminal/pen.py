"""Writing that never makes a run wait: a stopped terminal (Ctrl-S) or a reader that does not read
must not hold up requests that are paid for and timed.
"""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO

MOST_PENDING = 100_000
"""Texts; a reader that is further behind misses some, and is told how many."""


class Pen:
    """Writes to a stream in a thread of its own, in order. A stream that is closed on the other
    side ends the writing, not the run. ``missing``: what is written where texts were left out.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        missing: Callable[[int], str] = lambda count: f"({count:,} lines are missing here)\n",
        most_pending: int = MOST_PENDING,
    ) -> None:
        self._stream = stream
        self._missing = missing
        self._most_pending = most_pending
        self._pending: deque[str] = deque()
        self._missed = 0
        self._changed = threading.Condition()
        self._writing = False
        self._ending = False
        self._thread: threading.Thread | None = None

    @property
    def behind(self) -> bool:
        """Whether something is not written yet."""
        return self._writing or bool(self._pending)

    def write(self, text: str) -> None:
        """Returns at once."""
        with self._changed:
            if len(self._pending) >= self._most_pending:
                self._missed += 1
                return
            self._pending.append(text)
            if self._thread is None:
                self._ending = False
                self._thread = threading.Thread(target=self._write_on, name="pen", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Waits until all is written."""
        with self._changed:
            self._changed.wait_for(lambda: not self.behind)

    def close(self) -> None:
        """Writes what is left, and ends the thread. Another `write` starts another one."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._ending = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()

    def _write_on(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._ending)
                if not self._pending:
                    return
                texts, missed = list(self._pending), self._missed
                self._pending.clear()
                self._missed = 0
                self._writing = True
            if missed:
                texts.append(self._missing(missed))
            with suppress(OSError, ValueError):  # ValueError: the stream is closed
                self._stream.write("".join(texts))
                self._stream.flush()
            with self._changed:
                self._writing = False
                self._changed.notify_all()
