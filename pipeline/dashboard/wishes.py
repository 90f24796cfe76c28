"""What a person asks to be started, what it would cost, and the ticket that joins the two.

Nothing is started whose price was not shown: a plan comes with a ticket, a start needs one, and a
ticket is good once, for a while, and only while the job and its manifests stay as they were.
"""

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pipeline import preview
from pipeline.again import again_for
from pipeline.dashboard.folder import Side
from pipeline.dashboard.replies import AnswerError
from pipeline.endpoints.catalog import model_spec
from pipeline.ledger import open_reader

COUNT_S = 20.0
"""How long a plan may count. What is longer is shown as a lower bound, and needs a cap."""

TICKET_S = 900.0
MOST_TICKETS = 200

Word = Annotated[str, msgspec.Meta(max_length=1000)]
Words = Annotated[tuple[Word, ...], msgspec.Meta(max_length=500)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
Dollars = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to start: the options of `pipeline run` and `pipeline retry`.

    ``profile``: of a rehearsal's endpoint. ``status`` and ``reason``: of a retry.
    """

    command: Literal["run", "retry"] = "run"
    only: Words = ()
    limit: Count | None = None
    max_cost_usd: Dollars | None = None
    canary: Count | None = None
    profile: Literal["calm", "realistic", "storm", "demo"] = "calm"
    status: tuple[Literal["failed", "refused", "rejected", "unknown"], ...] = ()
    reason: Word | None = None

    def words(self, side: Side) -> list[str]:
        """The command line, without ``pipeline``."""
        found = [self.command, str(side.path.absolute()), "--yes", "--log-json"]
        # NAME=VALUE, so that no value can pass for an option.
        found += [f"--only={one}" for one in self.only]
        if self.limit is not None:
            found.append(f"--limit={self.limit}")
        if self.max_cost_usd is not None:
            found.append(f"--max-cost={self.max_cost_usd!r}")
        if self.canary is not None and self.command == "run":
            found.append(f"--canary={self.canary}")
        if side.rehearsal:
            found += ["--rehearse", f"--profile={self.profile}"]
        if self.command == "retry":
            found += [f"--status={','.join(self.status)}"] if self.status else []
            found += [f"--reason={self.reason}"] if self.reason is not None else []
        return found


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A plan with its ticket. ``complete``: all was counted; otherwise the plan is a lower bound.
    ``cap_usd``: the most that the run may cost, ``None`` without a cap.
    """

    ticket: str
    plan: preview.Plan
    complete: bool
    cap_usd: float | None
    command: str


class _Ticket(msgspec.Struct, frozen=True, kw_only=True):
    outputs: Path
    wish: Wish
    needs_cap: bool
    signature: tuple[tuple[int, int], ...]
    until: float


class Tickets:
    """What was shown and may be started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, _Ticket] = {}

    def offer(self, side: Side, wish: Wish, plan: preview.Plan, *, complete: bool) -> Offer:
        """Writes a ticket for a plan. Blocks a little: it looks at the job's files."""
        name = secrets.token_urlsafe(16)
        while len(self._open) >= MOST_TICKETS:
            self._open.pop(next(iter(self._open)), None)
        caps = [cap for cap in (side.job.budget.run_usd, wish.max_cost_usd) if cap is not None]
        self._open[name] = _Ticket(
            outputs=side.outputs,
            wish=wish,
            needs_cap=not complete and not caps and not side.rehearsal,
            signature=signature_of(side),
            until=self._clock() + TICKET_S,
        )
        return Offer(
            ticket=name,
            plan=plan,
            complete=complete,
            cap_usd=min(caps, default=None),
            command=" ".join(["pipeline", *wish.words(side)]),
        )

    def redeem(self, name: str, side: Side) -> Wish:
        """What the ticket was written for. Raises `AnswerError` with the way out."""
        ticket = self._open.pop(name, None)
        if ticket is None or ticket.until < self._clock() or ticket.outputs != side.outputs:
            raise AnswerError(409, "this plan was started already, or is too old: look at it again")
        if ticket.signature != signature_of(side):
            raise AnswerError(409, "the job or its manifest changed since: look at the plan again")
        if ticket.needs_cap:
            raise AnswerError(
                409, "the edits are too many to be counted first: state a maximum cost"
            )
        return ticket.wish


def plan(side: Side, wish: Wish) -> tuple[preview.Plan, bool]:
    """What would be asked for, and whether all of it was counted. Blocks for `COUNT_S` at most.

    Raises `JobError`, `ManifestError`, `LedgerError`.
    """
    job = side.job
    model = model_spec(job.endpoint.model)
    again = None
    if wish.command == "retry":
        again = again_for(wish.status, reason=wish.reason, only=wish.only)
    reader = open_reader(side.ledger)
    try:
        planner = preview.make_planner(job, model, reader, lambda *_: None, again)
        return preview.count_job(
            job, planner, reader, only=wish.only, limit=wish.limit, seconds=COUNT_S
        )
    finally:
        if reader is not None:
            reader.close()


def signature_of(side: Side) -> tuple[tuple[int, int], ...]:
    """The state of the job file and its manifests."""
    found = []
    for path in (side.path, *side.job.manifest):
        try:
            state = path.stat()
            found.append((state.st_mtime_ns, state.st_size))
        except OSError:
            found.append((0, -1))
    return tuple(found)
