"""Which edits a run goes through: all of the manifest's, or until a target is reached."""

from collections.abc import Callable, Iterator
from itertools import islice

from pipeline.errors import ConfigError
from pipeline.job import Job
from pipeline.manifest import read_once
from pipeline.manifest.columns import template_name
from pipeline.models import Edit, Problem
from pipeline.planning import Item, Planned, Planner
from pipeline.targets.missing import History
from pipeline.targets.places import Places, TargetReport
from pipeline.targets.tries import candidate, variant

Edits = Iterator[Edit | Problem]

LOOKED_AT = 5_000
"""Edits of which one has to have the column of the groups."""


class Candidates:
    """Of one run. ``edits``: reads the manifest from its start; ``planner``: a new planner.

    ``whole``: the run is about the whole job, not about chosen edits, which are asked for as they
    are, whatever the target. Raises `ConfigError`.
    """

    def __init__(
        self,
        job: Job,
        *,
        edits: Callable[[], Edits],
        planner: Callable[[], Planner],
        history: History,
        whole: bool,
    ) -> None:
        stated = job.target_accepted
        self._edits = edits
        self._planner = planner
        self._history = history
        self._variants = stated.variants
        self.target: Places | None = None
        if stated.count is not None and whole:
            if read_once(job.manifest):
                raise ConfigError(
                    "target_accepted: the manifest is a pipe, which can be read only once, and its"
                    " rows are gone through several times (save it as a file)"
                )
            self.target = Places(
                stated.count,
                per=stated.per,
                per_candidate=stated.per_candidate,
                extra=stated.extra_in_flight,
            )

    def look_back(self) -> None:
        """Counts what passed in earlier runs and is still asked for. Blocks."""
        if self.target is None:
            return
        if self.target.per is not None:
            self._check_column(self.target)
        for item in self._planner().plan(self._tried_before()):
            if isinstance(item, Planned) and item.state == "unchanged":
                self.target.found(item.edit)

    def first(self, edits: Edits) -> Iterator[Item]:
        """The candidates as the manifest has them."""
        if self.target is None:
            return self._planner().plan(edits)
        return self._planner().plan(self.target.seen(self._sound(edits)))

    def passes(
        self, items: Iterator[Item], stopped: Callable[[], bool]
    ) -> Iterator[Iterator[Item]]:
        """``items``, and then, while the target is not reached, further variants of those of which
        none has passed. Each pass has to be over before the next is asked for.
        """
        yield items
        target = self.target
        for number in range(2, self._variants + 1 if target is not None else 0):
            if target is None or stopped() or target.reached:
                return
            yield self._planner().plan(self._further(target, number))

    def left(self, limit: int | None) -> int | None:
        """Of a limit, after the passes so far."""
        if limit is None or self.target is None:
            return limit
        return max(0, limit - self.target.asked)

    def report(self, *, complete: bool) -> TargetReport | None:
        """What became of the target; ``None``: there is none."""
        return None if self.target is None else self.target.report(complete=complete)

    def _further(self, target: Places, number: int) -> Edits:
        for edit in self._sound(self._edits()):
            if target.over:
                return
            if isinstance(edit, Edit) and target.wants(edit):
                yield variant(edit, number)

    def _tried_before(self) -> Edits:
        """Without the others, whose pictures need not even be read."""
        for edit in self._sound(self._edits()):
            if isinstance(edit, Problem):
                continue
            tries = [edit, *[variant(edit, n) for n in range(2, self._variants + 1)]]
            yield from [each for each in tries if self._history.fingerprint_of(each.id) is not None]

    def _sound(self, edits: Edits) -> Edits:
        for edit in edits:
            if isinstance(edit, Edit) and candidate(edit.id) != edit.id:
                yield Problem(
                    place=edit.place,
                    message=(
                        "an id that ends in '~' and a number is for further tries of"
                        " target_accepted (change the id)"
                    ),
                    id=edit.id,
                )
            else:
                yield edit

    def _check_column(self, target: Places) -> None:
        """Finds the column as the manifest writes it. Raises `ConfigError`."""
        wanted = template_name(target.per or "")
        seen = dict[str, str]()
        for edit in islice(self._edits(), LOOKED_AT):
            if isinstance(edit, Edit):
                seen |= {template_name(name): name for name in edit.variables}
            if wanted in seen:
                target.per = seen[wanted]
                return
        raise ConfigError(
            f"target_accepted.per: the manifest has no column {target.per!r} (there are"
            f" {', '.join(sorted(seen.values())) or 'none'})"
        )
