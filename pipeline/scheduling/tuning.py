"""Each run of a key gets its part of the limits, while several go on, and gets them back."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from pipeline.job import Job
from pipeline.job.design import single_jobs
from pipeline.scheduling.going import Supervised
from pipeline.scheduling.notices import Notice
from pipeline.scheduling.processes import Runs
from pipeline.scheduling.sharing import share_of

TUNE_EVERY_S = 0.2
"""A run listens once it has looked at its manifests and the account; of a job of several models
each in its turn. It is asked so often until it does.
"""


class Tuning:
    """Belongs to one event loop. ``going``: the runs that go on, by their jobs; read, not kept."""

    def __init__(
        self,
        runs: Runs,
        going: Mapping[str, Supervised],
        *,
        do: Callable[[Coroutine[Any, Any, None]], None],
        tell: Callable[[Notice], None],
    ) -> None:
        self._runs = runs
        self._going = going
        self._do = do
        self._tell = tell

    def share(self) -> None:
        """After a run has begun or ended."""
        of_key: dict[str, list[Supervised]] = {}
        for going in self._going.values():
            of_key.setdefault(going.followed.key, []).append(going)
        for runs in of_key.values():
            for going in runs:
                share = share_of(going.job.limits, len(runs))
                alone_always = going.share is None and len(runs) == 1
                if not alone_always and going.share != share:
                    going.share = share
                    for job in single_jobs(going.job):
                        self._do(self._tune(going, job, len(runs)))

    async def _tune(self, going: Supervised, job: Job, runs: int) -> None:
        share, name = going.share, going.followed.name
        assert share is not None  # noqa: S101 - it was just given one
        while self._going.get(name) is going and going.share == share:
            if not await self._runs.tune(job, share):
                await asyncio.sleep(TUNE_EVERY_S)
                continue
            with_whom = "alone with its key" if runs == 1 else f"{runs} runs share its key"
            values = {
                "concurrency": share.concurrency,
                "requests_per_minute": share.requests_per_minute,
                "images_per_minute": share.images_per_minute,
            }
            text = f"at most {share.concurrency} requests at once from now on: {with_whom}"
            self._tell(Notice(event="limits_shared", text=text, job=name, values=values))
            return
