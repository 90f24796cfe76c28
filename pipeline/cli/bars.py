"""How far a command has come, as a bar on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

PAUSE_S = 0.05
"""Between two looks at what a million rows report."""


class Step(Protocol):
    """So many are done, of how many; 0: nobody knows yet."""

    @property
    def done(self) -> int: ...

    @property
    def total(self) -> int: ...


@contextmanager
def bar(
    title: str | Callable[[Any], str], *, shown: bool = True
) -> Iterator[Callable[[Step], None]]:
    """A bar for each title, once there is something to do; silence where nobody looks on."""
    if not shown or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    drawn = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, Any] = {}
    next_at = 0.0

    def observe(step: Step) -> None:
        nonlocal next_at
        name = title if isinstance(title, str) else title(step)
        total = step.total or None
        if name not in tasks:
            drawn.start()
            tasks[name] = drawn.add_task(name, total=total)
        elif step.done != total and time.monotonic() < next_at:
            return
        next_at = time.monotonic() + PAUSE_S
        drawn.update(tasks[name], completed=step.done, total=total)

    try:
        yield observe
    finally:
        drawn.stop()
