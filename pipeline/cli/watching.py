"""Who follows a run: a live block, plain lines, JSON lines, or nobody."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, Self

import msgspec
from rich.console import Console
from rich.text import Text

from pipeline.canary import CanaryReport
from pipeline.cli.asking import print_canary, print_guards, print_preflight, say
from pipeline.cli.options import Showing
from pipeline.errors import PipelineError
from pipeline.events import Event, MetricsAt, Notified
from pipeline.guard_rails import GuardReport
from pipeline.preflight import Preflight
from pipeline.terminal.json_lines import JsonLines
from pipeline.terminal.live import LiveBlock
from pipeline.terminal.plain import PlainLines, Silence
from pipeline.terminal.words import clean

if TYPE_CHECKING:
    from pipeline.running import RunResult


class Shown(Protocol):
    """Gets a run's events in its loop, and is left, in the loop too, when the run is over."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self, event: Event) -> None: ...

    def aside(self) -> AbstractContextManager[None]:
        """Meanwhile a person is asked something."""


class Onlooker:
    """A run's events to whoever is shown them; ``console``: a person's, who also gets to see the
    preflight and the canary in full.
    """

    def __init__(self, shown: Shown, console: Console | None = None) -> None:
        self._shown = shown
        self._console = console

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._shown.__exit__(*reason)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Notified) and event.trouble:
            self.warn(event)
        elif self._console is not None and isinstance(
            event, Preflight | GuardReport | CanaryReport | MetricsAt
        ):
            with self.aside():
                if isinstance(event, Preflight):
                    print_preflight(event, self._console)
                elif isinstance(event, GuardReport):
                    print_guards(event, self._console)
                elif isinstance(event, CanaryReport):
                    print_canary(event, self._console)
                else:
                    say(self._console, Text(event.line, style="dim"))
        else:
            self._shown(event)

    def warn(self, event: Notified) -> None:
        """Nobody else would hear of it: with ``--quiet`` it is said, too."""
        if self._console is None and not isinstance(self._shown, Silence):
            self._shown(event)
            return
        with self.aside():
            line = Text(clean(f"warning: {event.line}"), style="yellow")
            say(self._console or Console(stderr=True, highlight=False), line)

    def aside(self) -> AbstractContextManager[None]:
        """Meanwhile the terminal belongs to somebody else."""
        return self._shown.aside()

    def end(self, result: "RunResult") -> None:
        """The run's result, to programs that follow it."""
        if isinstance(self._shown, JsonLines):
            self._shown.tell("run_ended", msgspec.to_builtins(result, enc_hook=str))
            self._shown.close()

    def fail(self, error: PipelineError) -> None:
        """What the command ends with, to programs that follow it."""
        if isinstance(self._shown, JsonLines):
            self._shown.tell("error", {"message": str(error), "exit_code": error.exit_code})
            self._shown.close()


def onlooker(showing: Showing) -> Onlooker:
    """By the options, and by what standard error is."""
    console = Console(stderr=True, highlight=False)
    if showing.quiet:
        return Onlooker(Silence())
    if showing.log_json:
        return Onlooker(JsonLines(sys.stderr, interval_s=showing.interval_s))
    if console.is_terminal and not console.is_dumb_terminal and not console.legacy_windows:
        return Onlooker(LiveBlock(console, verbose=showing.verbose), console)
    return Onlooker(PlainLines(sys.stderr, interval_s=showing.interval_s, verbose=showing.verbose))
