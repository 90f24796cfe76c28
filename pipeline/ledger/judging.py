"""What a decision means for an edit as the ledger has it: a pure function, and its words."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from pipeline.ledger.rows import Left, LeftWhy
from pipeline.models import Decision, DecisionWord, PromptMode, Status

Action = Literal["mark", "clear", "set_aside", "restate", "put_back", "swap", "nothing", "leave"]
"""
- ``mark``: approved or rejected, from now on
- ``clear``: what was said is taken back
- ``set_aside``: the record becomes a take, and the edit waits for the next run
- ``restate``: it waits already, and is asked for in other words
- ``put_back``: a take becomes the record again (and is marked, if the word says so)
- ``swap``: the same, and the record becomes a take
- ``nothing``: the ledger has it like that already
- ``leave``: see `Verdict.left`
"""


class TakeStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A take of an edit. ``decision``: why it was set aside, a ``redo`` or a ``restore``."""

    number: int
    fingerprint: str
    base: str
    pictures: int
    decision: DecisionWord
    note: str
    prompt_mode: PromptMode


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An edit, as a decision meets it. ``asked``: a request of it is open. ``said``: the decision
    that stands, with its note. ``takes``: by number. ``done``: this very decision set a take aside
    already, by fingerprint. ``prompt``: characters that a note would be added to.
    """

    status: Status
    fingerprint: str
    base: str
    error_code: str | None
    finished_at: float
    pictures: int
    asked: bool
    said: tuple[DecisionWord, str] | None
    takes: Mapping[int, TakeStanding]
    done: bool
    prompt: int

    @property
    def take(self) -> TakeStanding | None:
        """The latest."""
        return self.takes[max(self.takes)] if self.takes else None

    @property
    def row(self) -> str:
        """The fingerprint of what the manifest asked for; empty where its input was away."""
        return self.base or self.fingerprint

    @property
    def waits(self) -> bool:
        """Whether its redo was not asked for yet."""
        return self.status == "pending" and self.error_code == "redo" and self.take is not None

    @property
    def came_to_nothing(self) -> bool:
        """Whether its redo was asked for, and brought no picture."""
        return (
            self.take is not None
            and self.status in ("failed", "refused", "unknown")
            and self.base in (self.take.base, "")
        )

    @property
    def without_record(self) -> bool:
        """Whether there is nothing of its own that could be set aside."""
        return self.waits or self.came_to_nothing


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``take``: the number of the one that is put back. ``was_done``: nothing, because these words
    were followed before.
    """

    action: Action
    take: int = 0
    left: Left | None = None
    was_done: bool = False


NOTHING = Verdict(action="nothing")


def judge(decision: Decision, found: Standing | None, longest: int | None = None) -> Verdict:
    """``found``: ``None`` where the ledger has no such edit. ``longest``: characters of a prompt
    that the model takes.
    """
    if found is None:
        return _left(
            decision,
            "unknown_edit",
            "the ledger has no such edit (correct the id; or is it another job's, or a rehearsal's:"
            " --rehearse?)",
        )
    if decision.decision == "redo":
        if decision.prompt_mode == "replace" and not decision.note:
            return _left(
                decision,
                "no_prompt",
                "a redo that replaces the prompt needs one (write it into 'note', or leave"
                " prompt_mode empty to ask the same again)",
            )
        if _is_done(decision, found):
            return Verdict(action="nothing", was_done=not found.waits)
    if decision.decision == "restore" and (verdict := _not_to_restore(decision, found)):
        return verdict
    if (stale := _stale(decision, found)) is not None:
        return stale
    if decision.decision == "redo" and longest is not None:
        length = len(decision.note)
        if decision.prompt_mode == "append" and length:
            length += found.prompt + 1
        if length > longest:
            return _left(
                decision,
                "prompt_too_long",
                f"with this note the prompt has {length:,} characters, and the model takes"
                f" {longest:,} (shorten the note, or replace the prompt)",
            )
    if decision.decision == "restore":
        return _restore(decision, found)
    if found.waits:
        return _waiting(decision, found)
    match decision.decision:
        case "redo":
            return _redo(decision, found)
        case "undecided" if found.said is not None:
            return Verdict(action="clear")
        case "undecided" if found.came_to_nothing:
            return _busy(decision) if found.asked else _put_back(found)
        case "undecided":
            return NOTHING
        case _:
            return _mark(decision, found)


def _is_done(decision: Decision, found: Standing) -> bool:
    """The same words about the same picture, once more."""
    take = found.take
    if take is None or take.decision != "redo":
        return False
    if decision.fingerprint:
        return found.done and (found.waits or decision.fingerprint != found.fingerprint)
    if not _same_words(decision, take):
        return False
    # Without a fingerprint only time can tell a second wish from a file that is applied again.
    return found.waits or decision.decided_at is None or decision.decided_at < found.finished_at


def _same_words(decision: Decision, take: TakeStanding) -> bool:
    return (decision.note, decision.prompt_mode) == (take.note, take.prompt_mode)


def _stale(decision: Decision, found: Standing) -> Verdict | None:
    looked_at = found.take.fingerprint if found.waits and found.take else found.fingerprint
    if decision.fingerprint:
        if decision.fingerprint == looked_at:
            return None
        why = "it was asked for anew since: this decision is about an older picture"
    elif not found.waits and (decision.decided_at or found.finished_at) < found.finished_at:
        why = "its picture came after this decision"
    else:
        return None
    return _left(decision, "stale", f"{why} (look at it again: pipeline report)")


def _waiting(decision: Decision, found: Standing) -> Verdict:
    if found.asked:
        return _busy(decision)
    if decision.decision == "redo":
        return Verdict(action="restate")
    if decision.decision != "undecided" and found.take is not None and not found.take.pictures:
        return _without_picture(decision)
    return _put_back(found)


def _put_back(found: Standing) -> Verdict:
    return Verdict(action="put_back", take=max(found.takes))


def _not_to_restore(decision: Decision, found: Standing) -> Verdict | None:
    """Where there is no such take, or it is the record: taking it back again changes nothing."""
    number = decision.take
    if number in found.takes:
        return None
    latest = max(found.takes, default=0)
    # Numbers go up, and only what is taken back leaves a gap.
    if number is not None and 1 <= number <= latest + (not found.without_record):
        return NOTHING
    there = " and ".join(map(str, sorted(found.takes))) or "none"
    which = "which take is not said" if number is None else f"it has no take {number}"
    return _left(decision, "no_take", f"{which} (write its number into 'take'; there are: {there})")


def _restore(decision: Decision, found: Standing) -> Verdict:
    take = found.takes[decision.take or 0]
    if found.asked:
        return _busy(decision)
    if not take.pictures:
        return _left(
            decision,
            "no_picture",
            f"take {take.number} has no picture that could be taken back (choose another take)",
        )
    if found.row and take.base != found.row:
        return _left(
            decision,
            "row_changed",
            f"take {take.number} is of what its row said before, and the next run would ask for the"
            " row again (have it redone instead)",
        )
    if found.without_record:
        return Verdict(action="put_back", take=take.number)
    if found.status == "pending":
        return _pending(decision)
    if found.status == "unknown":
        return _unsettled(decision)
    return Verdict(action="swap", take=take.number)


def _redo(decision: Decision, found: Standing) -> Verdict:
    if found.asked:
        return _busy(decision)
    if found.status == "unknown":
        return _unsettled(decision)
    if found.status == "pending":
        return _pending(decision)
    # No picture came of the last words: they are replaced, not added to.
    return Verdict(action="restate" if found.came_to_nothing else "set_aside")


def _mark(decision: Decision, found: Standing) -> Verdict:
    if found.said == (decision.decision, decision.note):
        return NOTHING
    if found.status == "pending":
        return _pending(decision)
    if not found.pictures or found.status not in ("succeeded", "rejected"):
        return _without_picture(decision)
    return Verdict(action="mark")


def _unsettled(decision: Decision) -> Verdict:
    return _left(
        decision,
        "unsettled",
        "its outcome is not known yet, and it may have been charged (first: pipeline reconcile)",
    )


def _pending(decision: Decision) -> Verdict:
    return _left(
        decision, "unsettled", "the next run asks for it (decide when its picture is there)"
    )


def _without_picture(decision: Decision) -> Verdict:
    return _left(
        decision,
        "no_picture",
        f"it has no picture that could be {decision.decision} (leave it out, or have it redone)",
    )


def _busy(decision: Decision) -> Verdict:
    return Verdict(action="leave", left=busy(decision))


def busy(decision: Decision) -> Left:
    """Why a decision about an edit that is being asked for is not taken."""
    return Left(
        id=decision.id,
        why="busy",
        message="it is being asked for at this moment (decide again when it is done; if no run is"
        " going on: pipeline fsck --repair)",
    )


def _left(decision: Decision, why: LeftWhy, message: str) -> Verdict:
    return Verdict(action="leave", left=Left(id=decision.id, why=why, message=message))
