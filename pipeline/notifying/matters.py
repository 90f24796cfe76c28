"""What a run gives reason to tell, and by what the same problem is known again. Pure."""

import re

import msgspec

from pipeline.errors import LockedError, PipelineError
from pipeline.job.notify import Occasion
from pipeline.outcome import RunResult
from pipeline.past_runs import PastRun

_CAP = re.compile(r"budget\.(\w+)")
_RAIL = re.compile(r"guards\.(\w+)")
_NUMBERS = re.compile(r"[0-9][0-9,.]*")
_LONGEST_KEY = 200

_OF_THE_ENDPOINT = frozenset({"connection_failed", "server_error", "rate_limited"})
"""Codes of failures that are not about the edit. Where nothing succeeds, every new edit fails of
them too, and that is no news.
"""


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """Something to tell. ``key``: who was told of it once is not told again until it has passed;
    empty: it is no problem, and told each time. ``fresh``: there is more of it than before, so
    that it is told again.
    """

    on: Occasion
    headline: str
    key: str = ""
    fresh: bool = False


def of_result(
    result: RunResult, run: PastRun | None, *, interactive: bool = False
) -> tuple[Matter, ...]:
    """The most important first. ``run``: the same run as the ledger has it, with its change.
    ``interactive``: a person looks on, who knows what they stopped, or that nothing was left.
    """
    found = _of_its_edits(result, run, interactive=interactive)
    well = tuple([matter for matter in found if matter.on in ("finish", "nothing_new")])
    trouble = tuple([matter for matter in found if matter not in well])
    return (*trouble, *_of_what_was_made(result), *well)


def _of_its_edits(
    result: RunResult, run: PastRun | None, *, interactive: bool
) -> tuple[Matter, ...]:
    totals = result.totals
    if result.ended == "declined" or (result.ended == "interrupted" and interactive):
        return ()
    if result.ended == "interrupted":
        return (Matter(on="failure", key="interrupted", headline="interrupted"),)
    if result.ended == "fatal":
        key = f"error {result.error_type}"
        return (Matter(on="failure", key=key, headline="stopped by an error"),)
    if result.ended == "guarded":
        rails = " ".join(sorted(set(_RAIL.findall(result.error or ""))))
        return (Matter(on="failure", key=f"guard {rails}", headline="stopped by a guard rail"),)
    if result.ended == "budget":
        if result.canary is not None and result.canary.failures:
            return (Matter(on="failure", key="canary", headline="stopped after its canary"),)
        cap = _CAP.search(result.error or "")
        key = f"cap {cap.group(1) if cap else ''}"
        return (Matter(on="cap", key=key, headline="stopped at a money cap"),)
    if not totals.finished:
        if interactive:
            return ()
        return (Matter(on="nothing_new", key="nothing new", headline="nothing new"),)
    counts = {name: getattr(totals, name) for name in ("failed", "refused", "rejected", "unknown")}
    bad = [f"{count:,} {name}" for name, count in counts.items() if count]
    finish = Matter(
        on="finish", headline=f"finished, {', '.join([f'{totals.succeeded:,} succeeded', *bad])}"
    )
    if not bad:
        return (finish,)
    newly = run.change.newly_failing if run is not None and run.change is not None else 0
    codes = {reason.code for reason in totals.reasons}
    headline = ", ".join(bad)
    failure = Matter(on="failure", key="edits", headline=headline, fresh=bool(newly))
    if totals.succeeded or not codes & _OF_THE_ENDPOINT:
        return (failure, finish)
    down = Matter(on="failure", key="endpoint", headline=f"nothing succeeded: {headline}")
    others = (msgspec.structs.replace(failure, fresh=False),) if codes - _OF_THE_ENDPOINT else ()
    return (down, *others, finish)


def _of_what_was_made(result: RunResult) -> list[Matter]:
    """What is not there of renditions and exports, unless somebody stopped it."""
    found = []
    rendered, exported = result.renditions, result.exports
    if rendered is not None and rendered.exit_code and not rendered.stopped:
        found.append(Matter(on="failure", key="renditions", headline="renditions are missing"))
    if exported is not None and exported.exit_code and not exported.stopped:
        found.append(Matter(on="failure", key="exports", headline="an export is not whole"))
    return found


def of_start(error: PipelineError) -> Matter:
    """For a run that could not start. The same words, figures aside, are the same problem."""
    words = _NUMBERS.sub("#", str(error).partition("\n")[0])[:_LONGEST_KEY]
    if isinstance(error, LockedError):
        words = ""  # they name the run that goes on
    return Matter(
        on="failure", key=f"start {type(error).__name__} {words}", headline="could not start"
    )


def of_bug(error: Exception) -> Matter:
    name = type(error).__name__
    return Matter(on="failure", key=f"bug {name}", headline=f"ended by a bug ({name})")


def of_stall(seconds: float) -> Matter:
    minutes = max(1, round(seconds / 60))
    headline = f"nothing has ended for {minutes:,} min" if seconds >= 60 else "it stands still"
    return Matter(on="stall", key="stall", headline=headline)


def of_cut_off(run_id: str) -> Matter:
    """``run_id``: the run before, whose process died without a word."""
    return Matter(on="failure", key=f"cut off {run_id}", headline="the run before was cut off")
