"""A run that goes on, watched to its end: its longest time, and how it is asked to stop."""

import asyncio
from collections.abc import Callable

from pipeline.scheduling.processes import Ending, Run
from pipeline.scheduling.queue import Followed
from pipeline.scheduling.sharing import Share

LEEWAY_S = 30.0
"""Beyond ``limits.drain_s``: until the second Ctrl-C, and from that until the process is killed."""


class Supervised:
    """``began``: when it was started. ``drained_by_us``: the scheduler's own end cut it short.
    ``share``: the limits that it was last given; ``None``: its job's.
    """

    def __init__(
        self,
        run: Run,
        followed: Followed,
        *,
        began: float,
        due: float | None,
        cap_usd: float | None,
        tell: Callable[[str], None],
    ) -> None:
        """``tell`` hears in words why it is stopped."""
        self.run = run
        self.followed = followed
        self.job = followed.job
        self.began = began
        self.due = due
        self.cap_usd = cap_usd
        self.share: Share | None = None
        self.drained_by_us = False
        self._tell = tell
        self._asked = 0
        self._stopping: asyncio.Task[None] | None = None

    async def to_its_end(self, *, ran_s: float = 0.0) -> Ending:
        """Waits for its end. ``ran_s``: it went on for so long before this scheduler came."""
        limit = self.job.schedule.max_runtime
        clock: asyncio.TimerHandle | None = None
        if limit is not None:
            words = "max_runtime is over"
            clock = asyncio.get_running_loop().call_later(
                max(0.0, limit - ran_s), lambda: self.stop(words)
            )
        try:
            return await self.run.ended()
        finally:
            if clock is not None:
                clock.cancel()
            if self._stopping is not None:
                self._stopping.cancel()

    def stop(self, why: str) -> None:
        """Asks it to stop: as the first Ctrl-C, and with more force if that takes too long."""
        if self._stopping is None:
            self._tell(why)
            self._stopping = asyncio.create_task(self._stop())

    def hurry(self) -> None:
        """As a second Ctrl-C: what is in flight is cut off."""
        if self._stopping is not None:
            self._stopping.cancel()
        self._stopping = asyncio.create_task(self._stop(hurry=True))

    async def _stop(self, *, hurry: bool = False) -> None:
        if self._asked == 0:
            self._asked = 1
            self.run.interrupt()
        if not hurry:
            await asyncio.sleep(self.job.limits.drain_s + LEEWAY_S)
        if self._asked == 1:
            self._asked = 2
            self.run.interrupt()
        await asyncio.sleep(LEEWAY_S)
        self.run.kill()
