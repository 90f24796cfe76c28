"""What requests over the control socket do to a run."""

from collections.abc import Callable

import msgspec
from msgspec import UNSET

from pipeline.engine import Interrupted, Stop
from pipeline.events import Paused, Resumed, Steering, Tuned, Unsteerable
from pipeline.guards import Guards
from pipeline.limits.throttle import Throttle
from pipeline.snapshot import Snapshot
from pipeline.steering.messages import Tune


class RunHelm:
    """One run's. Belongs to its event loop. What is done already is not done again, and told
    nobody. ``resize``: is given the crew's new size. ``observe`` gets the events.
    """

    def __init__(
        self,
        *,
        throttle: Throttle,
        guards: Guards,
        stop: Stop,
        resize: Callable[[int], None],
        observe: Callable[[Steering], None],
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._throttle = throttle
        self._guards = guards
        self._stop = stop
        self._resize = resize
        self._observe = observe
        self.snapshot = snapshot

    def pause(self) -> None:
        """Nothing new leaves; whoever waits meanwhile is neither older nor stuck."""
        if self._throttle.paused or self._stop.reason is not None:
            return
        self._throttle.pause()
        self._guards.watchdog.rest()
        self._observe(Paused(in_flight=self._throttle.in_flight))

    def resume(self) -> None:
        """Goes on, in a ramp."""
        if not self._throttle.paused:
            return
        paused_s = self._throttle.resume()
        self._guards.watchdog.wake()
        self._guards.gate.was_away(paused_s)
        self._observe(Resumed(paused_s=paused_s))

    def tune(self, change: Tune) -> None:
        """Other stated limits, for the rest of the run."""
        before = self._throttle.limits
        asked = {
            field: getattr(change, field)
            for field in change.__struct_fields__
            if getattr(change, field) is not UNSET
        }
        after = msgspec.structs.replace(before, **asked)
        if after == before:
            return
        self._throttle.tune(after)
        self._resize(crew_for(after.concurrency))
        self._observe(Tuned(before=before, after=after))

    def stop(self) -> None:
        """As the first Ctrl-C. Asked again, it changes nothing: a second Ctrl-C would cancel."""
        if self._stop.reason is None:
            self._guards.watchdog.wake()
            self._stop.request(Interrupted("pipeline stop"))

    def unsteerable(self, reason: str) -> None:
        """Says so, once; nothing else changes."""
        self._observe(Unsteerable(reason=reason))


def crew_for(concurrency: int) -> int:
    """Members for so many requests at once: as many again prepare inputs and keep pictures."""
    return 2 * concurrency
