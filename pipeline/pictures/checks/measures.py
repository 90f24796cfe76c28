"""The checks themselves: each measures one thing, holds it against its limit, and says so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.pictures.checks.channels import smallest
from pipeline.pictures.checks.contrast import contrast_of
from pipeline.pictures.checks.differences import most_changed
from pipeline.pictures.checks.likeness import Likeness, SeenPictures, nearest
from pipeline.pictures.checks.pictures import PictureUnderTest
from pipeline.pictures.checks.structure import compare
from pipeline.pictures.checks.values import (
    BackgroundWhite,
    CheckResult,
    MinSize,
    NotBlank,
    NotDuplicate,
    NotUnchanged,
    Ratio,
    SubjectKept,
)
from pipeline.pictures.framing import Size, shapes

if TYPE_CHECKING:
    from PIL.Image import Image


def ratio(limits: Ratio, picture: PictureUnderTest) -> CheckResult:
    """The whole answer's sides against the ratio or size that was asked for."""
    width, height = picture.size
    try:
        [asked] = shapes([picture.asked_ratio]) if picture.asked_ratio else []
    except ValueError:
        return _unmeasured("ratio", "no ratio was asked for")
    off = abs(width * asked.height / (height * asked.width) - 1)
    said = f"{width} x {height} is {off:.1%} off {asked.name}, {limits.tolerance:.1%} are allowed"
    return CheckResult("ratio", round(off, 4), limits.tolerance, off <= limits.tolerance, said)


def min_size(limits: MinSize, size: Size) -> CheckResult:
    """The shorter side, as it came: enlarging later adds no detail."""
    side = min(size)
    said = f"{size[0]} x {size[1]}, the shorter side is to have {limits.side} pixels"
    return CheckResult("min_size", side, limits.side, side >= limits.side, said)


def not_blank(limits: NotBlank, picture: PictureUnderTest) -> CheckResult:
    """Whether anything stands out: see `contrast_of`."""
    value = round(contrast_of(picture.reduced), 1)
    passed = value >= limits.contrast
    said = "something stands out" if passed else "hardly anything is to be seen in it"
    said += f": by {value:g} levels of 255, {limits.contrast:g} are the limit"
    return CheckResult("not_blank", value, limits.contrast, passed, said)


def not_unchanged(limits: NotUnchanged, picture: PictureUnderTest, problem: str) -> CheckResult:
    """Against each input: the one that the answer is nearest to counts."""
    if problem:
        return _failed("not_unchanged", problem)
    if not picture.inputs:
        return _unmeasured("not_unchanged", "its inputs are not known here")
    spot, mean, place = min(
        (*most_changed(one.colours, picture.compared_with(one)), number)
        for number, one in enumerate(picture.inputs, 1)
    )
    value = round(spot, 1)
    passed = value > limits.difference
    which = "the input" if len(picture.inputs) == 1 else f"input {place}"
    said = (
        f"{'differs from' if passed else 'is'} {which}"
        f"{'' if passed else ', unchanged'}: {value:g} levels of 255 at the most changed spot,"
        f" {mean:.1f} on average; more than {limits.difference:g} are an edit"
    )
    return CheckResult("not_unchanged", value, limits.difference, passed, said)


def not_duplicate(
    limits: NotDuplicate,
    likeness: Likeness,
    siblings: Sequence[Likeness],
    seen: SeenPictures | None,
    name: str,
    *,
    remember: bool,
) -> CheckResult:
    """Against the same answer's earlier pictures, then against the whole run's."""
    limit = limits.difference
    numbered = [(f"picture {number} of this answer", one) for number, one in enumerate(siblings, 1)]
    match = nearest(likeness, numbered)
    if (match is None or match.difference > limit) and seen is not None and limits.across_run:
        other = seen.nearest(name, likeness)
        if remember:
            other = seen.claim(name, likeness, difference=limit) or other
        if other is not None and (match is None or other.difference < match.difference):
            match = other
    if match is None:
        return CheckResult("not_duplicate", None, limit, True, "no other picture looks like it")
    passed = match.difference > limit
    if match.exact:
        said = f"the same file as {match.owner}"
    else:
        said = (
            f"{'looks like' if passed else 'the same picture as'} {match.owner}:"
            f" {match.difference:g} levels of 255 in the cell that differs most,"
            f" more than {limit:g} are another picture"
        )
    return CheckResult("not_duplicate", match.difference, limit, passed, said)


def background_white(limits: BackgroundWhite, picture: "Image") -> CheckResult:
    """The share of the border's pixels whose darkest channel is white enough."""
    width, height = picture.size
    band = max(1, round(limits.band * min(width, height)))
    low = 255 - limits.tolerance
    white = total = 0
    # Top and bottom whole, left and right between them: no pixel twice.
    for box in (
        (0, 0, width, min(band, height)),
        (0, max(band, height - band), width, height),
        (0, band, min(band, width), height - band),
        (max(band, width - band), band, width, height - band),
    ):
        if box[2] > box[0] and box[3] > box[1]:
            pixels = smallest(np.asarray(picture.crop(box)))
            white += int((pixels >= low).sum())
            total += pixels.size
    share = white / total
    # Rounded down: 99.96 % is not "100 %" of a border that has to be all white.
    value = int(share * 10_000) / 10_000
    passed = share >= limits.share
    said = (
        f"{value:.2%} of the border ({band} pixels wide) is white, within {limits.tolerance} levels"
        f" of 255; {limits.share:.2%} are to be"
    )
    return CheckResult("background_white", value, limits.share, passed, said)


def subject_kept(limits: SubjectKept, picture: PictureUnderTest, problem: str) -> CheckResult:
    """The first input's subject against what is in its place: edges, and colour."""
    if problem:
        return _failed("subject_kept", problem)
    if not picture.inputs:
        return _unmeasured("subject_kept", "its inputs are not known here")
    reference = picture.inputs[0]
    mask = reference.subject
    if mask is None:
        why = "the input has neither transparency nor a plain ground that shows its subject"
        if limits.unmeasured == "reject":
            return _failed("subject_kept", why)
        return _unmeasured("subject_kept", why)
    found = compare(reference.colours, mask, picture.compared_with(reference))
    value = round(min(found.kept, 1 - found.added), 3)
    same_colour = found.colour <= limits.colour
    passed = value >= limits.structure and same_colour
    said = (
        f"{found.kept:.0%} of the subject's edges are there, {found.added:.0%} of those inside it"
        f" are new ({limits.structure:.0%} are to be kept); its colour moved by"
        f" {found.colour:.0f} levels{'' if same_colour else f', {limits.colour:g} are allowed'}"
    )
    return CheckResult("subject_kept", value, limits.structure, passed, said)


def _unmeasured(name: str, why: str) -> CheckResult:
    return CheckResult(name, None, None, True, f"not measured: {why}")


def _failed(name: str, why: str) -> CheckResult:
    return CheckResult(name, None, None, False, f"could not be measured: {why}")
