"""What a decision means for an edit as the ledger has it: a pure function, and its words."""

from typing import Literal

import msgspec

from pipeline.ledger.rows import Left, LeftWhy
from pipeline.models import Decision, DecisionWord, PromptMode, Status

Action = Literal["mark", "clear", "set_aside", "restate", "put_back", "nothing", "leave"]
"""
- ``mark``: approved or rejected, from now on
- ``clear``: what was said is taken back
- ``set_aside``: the record becomes a take, and the edit waits for the next run
- ``restate``: it waits already, and is asked for in other words
- ``put_back``: the latest take becomes the record again (and is marked, if the word says so)
- ``nothing``: the ledger has it like that already
- ``leave``: see `Verdict.left`
"""


class LastTake(msgspec.Struct, frozen=True, kw_only=True):
    """The latest take of an edit."""

    number: int
    fingerprint: str
    base: str
    pictures: int
    note: str
    prompt_mode: PromptMode


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An edit, as a decision meets it. ``asked``: a request of it is open. ``said``: the decision
    that stands, with its note. ``done``: this very decision set a take aside already, by
    fingerprint. ``prompt``: characters that a note would be added to.
    """

    status: Status
    fingerprint: str
    base: str
    error_code: str | None
    finished_at: float
    pictures: int
    asked: bool
    said: tuple[DecisionWord, str] | None
    take: LastTake | None
    done: bool
    prompt: int

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


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``was_done``: nothing, because these words were followed before."""

    action: Action
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
    if found.waits:
        return _waiting(decision, found)
    match decision.decision:
        case "redo":
            return _redo(decision, found)
        case "undecided" if found.said is not None:
            return Verdict(action="clear")
        case "undecided" if found.came_to_nothing:
            return _busy(decision) if found.asked else Verdict(action="put_back")
        case "undecided":
            return NOTHING
        case _:
            return _mark(decision, found)


def _is_done(decision: Decision, found: Standing) -> bool:
    """The same words about the same picture, once more."""
    take = found.take
    if take is None:
        return False
    if decision.fingerprint:
        return found.done and (found.waits or decision.fingerprint != found.fingerprint)
    if not _same_words(decision, take):
        return False
    # Without a fingerprint only time can tell a second wish from a file that is applied again.
    return found.waits or decision.decided_at is None or decision.decided_at < found.finished_at


def _same_words(decision: Decision, take: LastTake) -> bool:
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
    return Verdict(action="put_back")


def _redo(decision: Decision, found: Standing) -> Verdict:
    if found.asked:
        return _busy(decision)
    if found.status == "unknown":
        return _left(
            decision,
            "unsettled",
            "its outcome is not known yet, and it may have been charged (first: pipeline"
            " reconcile)",
        )
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
    return _left(
        decision,
        "busy",
        "it is being asked for at this moment (decide again when it is done; if no run is going on:"
        " pipeline fsck --repair)",
    )


def _left(decision: Decision, why: LeftWhy, message: str) -> Verdict:
    return Verdict(action="leave", left=Left(id=decision.id, why=why, message=message))
