"""All checks of one picture, in a fixed order; each says what it measured."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from pipeline.errors import CheckFailedError, EditError, InputError
from pipeline.pictures.checks import measures
from pipeline.pictures.checks.custom import NamedCheck, measured
from pipeline.pictures.checks.likeness import Likeness, SeenPictures, likeness_of
from pipeline.pictures.checks.pictures import PictureUnderTest, Reference, Source
from pipeline.pictures.checks.values import CheckResult, CheckSettings
from pipeline.pictures.framing import Framing


class Checked(msgspec.Struct, frozen=True):
    """``likeness``: to be kept, and given for the answer's next pictures. It is remembered in
    ``seen`` already, if the picture passed. None without `not_duplicate`, and without a picture.
    """

    results: tuple[CheckResult, ...]
    likeness: Likeness | None

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if not result.passed)


def run_checks(
    settings: CheckSettings,
    picture: Source,
    *,
    inputs: Sequence[Source | Reference] = (),
    framing: Framing | None = None,
    asked_ratio: str = "",
    siblings: Sequence[Likeness] = (),
    seen: SeenPictures | None = None,
    custom: Sequence[NamedCheck] = (),
    name: str = "",
    variables: Mapping[str, str] | None = None,
    background: str = "white",
) -> Checked:
    """Decodes an answer, whole, and runs the checks that a job wants on it.

    ``inputs``: the edit's, in order; give a `Reference` for those that many edits share.
    ``framing``: of the first, as `prepare` made it: its padding is left out of everything but
    ``decodes`` and ``ratio``. ``siblings``: of the same answer's earlier pictures. ``seen``: of
    the whole run; ``name``: the edit's id, whose own pictures in there are passed over. ``custom``:
    from `load_checks`. ``background``: what inputs were laid on. Raises nothing but what the
    machine does (`MemoryError`, …).
    """
    try:
        under_test = PictureUnderTest(
            picture,
            framing=framing,
            asked_ratio=asked_ratio,
            name=name,
            variables=variables,
            background=background,
        )
    except InputError as error:
        return Checked((CheckResult("decodes", 0, 1, False, str(error)),), None)
    width, height = under_test.size
    results = [CheckResult("decodes", 1, 1, True, f"{width} x {height} pixels, all decoded")]
    problem = ""
    if settings.needs_inputs:
        problem = _read_inputs(under_test, inputs, framing, background)
    if settings.ratio is not None:
        results.append(measures.ratio(settings.ratio, under_test))
    try:
        shown = under_test.seen
    except CheckFailedError as error:
        results.append(CheckResult("framing", None, None, False, str(error)))
        return Checked(tuple(results), None)
    likeness: Likeness | None = None
    if settings.min_size is not None:
        results.append(measures.min_size(settings.min_size, shown.size))
    if settings.not_blank is not None:
        results.append(measures.not_blank(settings.not_blank, under_test))
    if settings.not_unchanged is not None:
        results.append(measures.not_unchanged(settings.not_unchanged, under_test, problem))
    if settings.background_white is not None:
        results.append(measures.background_white(settings.background_white, shown))
    if settings.subject_kept is not None:
        results.append(measures.subject_kept(settings.subject_kept, under_test, problem))
    for one in custom:
        results.extend(measured(one, under_test))
    # Last: only a picture that is right otherwise is remembered as one that others may not be.
    if settings.not_duplicate is not None:
        likeness = likeness_of(under_test.reduced, _digest(picture))
        right = all(result.passed for result in results)
        results.append(
            measures.not_duplicate(
                settings.not_duplicate, likeness, siblings, seen, name, remember=right
            )
        )
    return Checked(tuple(map(_finite, results)), likeness)


def _read_inputs(
    under_test: PictureUnderTest,
    inputs: Sequence[Source | Reference],
    framing: Framing | None,
    background: str,
) -> str:
    """What is wrong with an input, if something is: it was there when it was sent."""
    try:
        under_test.inputs = tuple(
            one
            if isinstance(one, Reference)
            else Reference(one, framing if place == 0 else None, background=background)
            for place, one in enumerate(inputs)
        )
    except EditError as error:
        return str(error)
    return ""


def _finite(result: CheckResult) -> CheckResult:
    """Values go to JSON and SQLite, where there is no NaN."""
    if result.value is not None and not math.isfinite(result.value):
        return msgspec.structs.replace(result, value=None)
    return result


def _digest(picture: Source) -> bytes:
    digest = blake3(max_threads=1)
    if isinstance(picture, bytes):
        digest.update(picture)
    else:
        digest.update_mmap(Path(picture))
    return digest.digest()
