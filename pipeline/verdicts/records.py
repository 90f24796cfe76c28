"""An edit's record, from the best of its pictures."""

from collections.abc import Sequence

import msgspec

from pipeline.attempts import Progress
from pipeline.best_pictures import Candidate, Held, in_words
from pipeline.models import FinishedPicture, PictureCheck, PictureLikeness, Record, Status
from pipeline.planning import Planned


def edit_record(
    planned: Planned,
    progress: Progress,
    *,
    model: str,
    run_id: str,
    finished_at: float,
    status: Status,
    made_as: str,
    pictures: Sequence[Candidate] = (),
    error_code: str | None = None,
    error_message: str | None = None,
) -> Record:
    """``pictures``: in their order. ``finished_at``: seconds since the epoch. ``made_as``: what was
    made of them, see `finishing.made_as`.
    """
    held = progress.held
    return Record(
        edit=planned.edit,
        model=model,
        fingerprint=planned.fingerprint,
        run_id=run_id,
        status=status,
        attempts=progress.attempts,
        started_at=progress.started_at,
        finished_at=finished_at,
        images=tuple([one.image for one in pictures]),
        cost_usd=progress.cost_usd,
        error_code=error_code,
        error_message=error_message,
        base=planned.base,
        sent=held.sent if held is not None else "",
        checks=checks_of(pictures),
        finished=finished_of(pictures, made_as),
        likenesses=likenesses_of(pictures),
        rerolls=held.requests if held is not None else 0,
    )


def checks_of(pictures: Sequence[Candidate]) -> tuple[PictureCheck, ...]:
    """What was said of each, with its position."""
    return tuple(
        [
            msgspec.structs.replace(check, position=position)
            for position, one in enumerate(pictures, start=1)
            for check in one.checks
        ]
    )


def finished_of(pictures: Sequence[Candidate], made_as: str) -> tuple[FinishedPicture, ...]:
    """What was made of each, as `finishing.made_as` says."""
    return tuple(
        [
            FinishedPicture(
                position=position,
                path=one.finished,
                source_sha256=one.image.sha256,
                made_as=made_as,
            )
            for position, one in enumerate(pictures, start=1)
            if one.finished
        ]
    )


def likenesses_of(pictures: Sequence[Candidate]) -> tuple[PictureLikeness, ...]:
    """What each looks like."""
    return tuple(
        [
            PictureLikeness(position=position, sha256=one.image.sha256, packed=one.claim.packed())
            for position, one in enumerate(pictures, start=1)
            if one.claim is not None
        ]
    )


def turned_down_words(pictures: Sequence[Candidate], held: Held, why: str) -> str:
    """The message of a record that checks turned down. ``why``: no better picture followed."""
    said = in_words(pictures)
    if why:
        return f"{said} ({why})"
    if held.rerolls:
        times = "once" if held.rerolls == 1 else f"{held.rerolls} times"
        return f"{said} (asked again {times}, and this was the best)"
    return said
