"""Jobs that run by themselves: when, within which money and limits, and what became of it.

`schedule` is the daemon for a folder, `once` one job now, `listed` the times to come, and `units/`
writes what other schedulers need.
"""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.interruption import told_to_stop
from pipeline.job.folder import JobFolder
from pipeline.scheduling.daemon import Daemon
from pipeline.scheduling.listing import Listed, check_life, listed
from pipeline.scheduling.notices import Notice
from pipeline.scheduling.once import once
from pipeline.scheduling.processes import Processes

__all__ = ["MAX_RUNS", "Listed", "Notice", "check_life", "listed", "once", "schedule"]

MAX_RUNS = 2


async def schedule(
    folder: Path | str,
    *,
    max_runs: int = MAX_RUNS,
    observe: Callable[[Notice], None] = lambda notice: None,
    signals: bool = False,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Runs the scheduled jobs of a folder when they are due, each as a process of its own, at most
    ``max_runs`` at once, until it is cancelled, or until SIGTERM or Ctrl-C where it takes
    ``signals``: then nothing new starts, the runs are asked to stop, and it ends after them.
    ``observe`` hears what happens, in the loop's thread.

    Raises `ConfigError` where there is no such folder.
    """
    environ = os.environ if environ is None else environ
    daemon = Daemon(
        JobFolder(Path(folder)).entries,
        Processes(environ),
        max_runs=max_runs,
        environ=environ,
        now=time.time,
        tell=observe,
    )
    with told_to_stop((lambda count, why: daemon.stop(why)) if signals else None):
        await daemon.run()
