"""What checks are told, and what they answer."""

from typing import Literal

import msgspec


class CheckResult(msgspec.Struct, frozen=True):
    """What one check says of one picture.

    ``value``: as measured, None where nothing could be; ``limit``: what it was held against, in
    the same unit, None where there is none. ``message``: both in words, and why it matters.
    """

    name: str
    value: float | None
    limit: float | None
    passed: bool
    message: str


class MinSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``side``: pixels that the shorter side has at least, as they came, before any enlarging."""

    side: int

    def __post_init__(self) -> None:
        within("side", self.side, 1, 16_384)


class Ratio(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tolerance``: by what share the ratio of the sides may differ from what was asked."""

    tolerance: float = 0.04

    def __post_init__(self) -> None:
        within("tolerance", self.tolerance, 0, 1)


class NotBlank(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``contrast``: levels (of 255) by which the most distinct hundredth of a picture stands out
    from what is around it.
    """

    contrast: float = 12.0

    def __post_init__(self) -> None:
        within("contrast", self.contrast, 0, 255)


class NotUnchanged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``difference``: levels (of 255) by which the most changed spot differs from each input."""

    difference: float = 4.0

    def __post_init__(self) -> None:
        within("difference", self.difference, 0, 255)


class NotDuplicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``difference``: levels (of 255) by which at least one of 16 x 16 cells differs.

    ``across_run``: held against all pictures of a run, not only against those of the same edit.
    """

    difference: float = 5.0
    across_run: bool = True

    def __post_init__(self) -> None:
        within("difference", self.difference, 0, 255)


class BackgroundWhite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``share`` of the border's pixels that are white. ``tolerance``: levels below 255 that still
    count. ``band``: how wide the border is, as a share of the shorter side.
    """

    share: float = 0.95
    tolerance: int = 8
    band: float = 0.02

    def __post_init__(self) -> None:
        within("share", self.share, 0, 1)
        within("tolerance", self.tolerance, 0, 255)
        within("band", self.band, 0.001, 0.5)


class SubjectKept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``structure``: share (0 to 1) of the subject's edges that are found again, and of the edges
    found that were there before. ``colour``: levels by which its colour may move.

    ``unmeasured``: what becomes of a picture whose input shows no subject that could be told from
    its ground.
    """

    structure: float = 0.85
    colour: float = 25.0
    unmeasured: Literal["pass", "reject"] = "pass"

    def __post_init__(self) -> None:
        within("structure", self.structure, 0, 1)
        within("colour", self.colour, 0, 255)


class CheckSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which checks a job wants, and their limits; None: not that one.

    ``decodes`` is always run. ``custom``: checks of the user's own, see `custom.load_checks`.
    """

    min_size: MinSize | None = None
    ratio: Ratio | None = None
    not_blank: NotBlank | None = None
    not_unchanged: NotUnchanged | None = None
    not_duplicate: NotDuplicate | None = None
    background_white: BackgroundWhite | None = None
    subject_kept: SubjectKept | None = None
    custom: tuple[str, ...] = ()

    @property
    def needs_inputs(self) -> bool:
        """Whether the edit's inputs have to be read for them. Custom checks may always ask."""
        return bool(self.not_unchanged or self.subject_kept or self.custom)


def within(name: str, value: float, least: float, most: float) -> None:
    """Raises `ValueError` for a limit out of its range."""
    if not least <= value <= most:
        raise ValueError(f"{name} is {value:g}; choose {least:g} to {most:g}")
