"""The shape of an input brought to one that the model has, and the way back. Pure geometry.

An input that is padded or cropped before it is sent has a `Framing`: where the input lies in the
picture that was sent, in whole pixels. The answer shows the same frame in pixels of its own, so
the same shares of it are the input's.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from pipeline.errors import InputError, JobError
from pipeline.pictures.ratio import nearest_ratio

Fit = Literal["none", "pad", "crop"]

Size = tuple[int, int]
"""Width and height in pixels."""

OutputSize = Literal["as_returned", "same_as_input", "original"] | Size
"""What a finished picture measures. ``as_returned``: the endpoint's own scale."""

SHAPE_TOLERANCE = 0.04
"""An answer whose ratio is off by more than this share is not the frame that was sent.

Models round: Google's "4:5" comes as 896 x 1152, 2.8 % narrower, the worst of its ten.
"""

LEAST_KEPT = Fraction(1, 10)
"""Cropping that would keep less of a picture than this is refused."""

_LARGEST_SIDE = 16_384


class Shape(msgspec.Struct, frozen=True):
    """A shape that a model offers: its name as it is asked for, and what it really measures."""

    name: str
    width: int
    height: int


class Framing(msgspec.Struct, frozen=True, kw_only=True):
    """How one input lies in the picture that was sent for it.

    ``input_size``: the file's own, as displayed. ``shown_size``: the same after ``max_side``.
    ``canvas``: the frame that was sent, in pixels of the sent picture (``pad``) or of the file
    (``crop``). ``box``: left, top, right and bottom of the whole input on that canvas; where it
    was cropped it reaches beyond it. ``ratio``: what to ask the model for; empty: anything.
    """

    fit: Fit
    input_size: Size
    shown_size: Size
    canvas: Size
    box: tuple[int, int, int, int]
    ratio: str = ""

    @property
    def changes(self) -> bool:
        """Whether the sent picture shows anything but the whole input."""
        return self.box != (0, 0, *self.canvas)

    @property
    def shares(self) -> tuple[Fraction, Fraction, Fraction, Fraction]:
        """``box`` in shares of the sent picture's width and height, exact."""
        (width, height), (left, top, right, bottom) = self.canvas, self.box
        return (
            Fraction(left, width),
            Fraction(top, height),
            Fraction(right, width),
            Fraction(bottom, height),
        )

    @property
    def kept_size(self) -> Size:
        """What of ``input_size`` comes back: all of it, or what cropping has left."""
        return self.canvas if self.fit == "crop" else self.input_size

    def __str__(self) -> str:
        """What was done, for a person."""
        (width, height), (left, top, right, bottom) = self.canvas, self.box
        if not self.changes:
            return f"{self.input_size[0]} x {self.input_size[1]}, sent whole"
        if self.fit == "crop":
            return (
                f"{self.input_size[0]} x {self.input_size[1]}, cropped to {width} x {height}"
                f" for {self.ratio}"
            )
        sides = {"left": left, "top": top, "right": width - right, "bottom": height - bottom}
        added = ", ".join(f"{pixels} {side}" for side, pixels in sides.items() if pixels)
        return (
            f"{self.input_size[0]} x {self.input_size[1]}, padded to {width} x {height}"
            f" for {self.ratio} ({added})"
        )


def shapes(choices: Sequence[str], returned: Mapping[str, Size] | None = None) -> tuple[Shape, ...]:
    """The shapes behind a model's ratios (``"4:5"``) or sizes (``"896x1152"``).

    ``returned``: pixels that the model is known to answer with, by ratio. An input padded to just
    that needs no stretching on the way back. Raises `ValueError` for what is neither.
    """
    found = []
    for choice in choices:
        across, _, down = choice.replace("x", ":").partition(":")
        try:
            pixels = (returned or {}).get(choice) or (Fraction(across), Fraction(down))
            ratio = Fraction(pixels[0]) / Fraction(pixels[1])
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{choice!r} is no shape; write it as '16:9' or '1344x768'") from None
        if ratio <= 0:
            raise ValueError(f"{choice!r} is no shape; write it as '16:9' or '1344x768'")
        found.append(Shape(choice, ratio.numerator, ratio.denominator))
    return tuple(found)


def whole(size: Size, *, max_side: int) -> Framing:
    """The framing of an input that is sent as it is, at most made smaller."""
    return Framing(
        fit="none",
        input_size=size,
        shown_size=fitting(size, max_side),
        canvas=size,
        box=(0, 0, *size),
    )


def frame(size: Size, offered: Sequence[Shape], *, fit: Fit, max_side: int) -> Framing:
    """How an input of this size (as displayed) is brought to the nearest shape on offer.

    Nothing is changed for ``none``, for no shapes, and where a pixel would be all of the change.
    The sent picture's long side is at most ``max_side``. Raises `InputError` where cropping would
    leave less than `LEAST_KEPT`.
    """
    if fit == "none" or not offered:
        return whole(size, max_side=max_side)
    ratios = {f"{shape.width}:{shape.height}": shape for shape in reversed(offered)}
    named = ratios[nearest_ratio(*size, [f"{one.width}:{one.height}" for one in offered])]
    shape = Fraction(named.width, named.height)
    canvas = _around(size, shape) if fit == "pad" else _inside(size, shape)
    if max(abs(one - other) for one, other in zip(canvas, size, strict=True)) <= 1:
        return msgspec.structs.replace(whole(size, max_side=max_side), fit=fit, ratio=named.name)
    if fit == "crop":
        return _cropped(size, canvas, named.name, max_side)
    sent = fitting(canvas, max_side)
    inside = (
        min(sent[0], max(1, round(Fraction(size[0] * sent[0], canvas[0])))),
        min(sent[1], max(1, round(Fraction(size[1] * sent[1], canvas[1])))),
    )
    left, top = (sent[0] - inside[0]) // 2, (sent[1] - inside[1]) // 2
    return Framing(
        fit="pad",
        input_size=size,
        shown_size=fitting(size, max_side),
        canvas=sent,
        box=(left, top, left + inside[0], top + inside[1]),
        ratio=named.name,
    )


def _cropped(size: Size, canvas: Size, ratio: str, max_side: int) -> Framing:
    if Fraction(canvas[0] * canvas[1], size[0] * size[1]) < LEAST_KEPT:
        raise InputError(
            f"is {size[0]} x {size[1]}: cropped to {ratio} there would be {canvas[0]} x {canvas[1]}"
            " left of it; use inputs.fit: pad"
        )
    left, top = (size[0] - canvas[0]) // 2, (size[1] - canvas[1]) // 2
    return Framing(
        fit="crop",
        input_size=size,
        shown_size=fitting(canvas, max_side),
        canvas=canvas,
        box=(-left, -top, size[0] - left, size[1] - top),
        ratio=ratio,
    )


def region(framing: Framing, answer: Size) -> tuple[float, float, float, float]:
    """The box of an answer, in its pixels, that shows what of the input was sent.

    Pixels of the answer may be cut through: resample from this box. Raises `ValueError` where the
    answer is of another shape, so that nobody can say where in it the input lies.
    """
    if framing.fit != "pad" or not framing.changes:
        return (0.0, 0.0, float(answer[0]), float(answer[1]))
    if not same_shape(answer, framing.canvas):
        raise ValueError(
            f"the answer is {answer[0]} x {answer[1]}, not {framing.ratio} as asked,"
            " so the padding of its input cannot be found in it"
        )
    left, top, right, bottom = framing.shares
    return (
        float(left * answer[0]),
        float(top * answer[1]),
        float(right * answer[0]),
        float(bottom * answer[1]),
    )


def result_size(framing: Framing, answer: Size, size: OutputSize) -> Size:
    """What the finished picture measures.

    ``as_returned`` keeps the answer's scale: its area, in the input's own ratio. Where the answer
    was asked for in any shape (``fit: none``) it keeps its own size.
    """
    if isinstance(size, tuple):
        return size
    if size == "original":
        return framing.kept_size
    if size == "same_as_input":
        return framing.shown_size
    if framing.fit == "none":
        return answer
    left, top, right, bottom = region(framing, answer)
    if not same_shape(answer, framing.canvas):
        return answer
    area = (right - left) * (bottom - top)
    width, height = framing.kept_size
    shape = Fraction(width, height)
    across = math.sqrt(area * shape)
    return max(1, round(across)), max(1, round(across / shape))


def same_shape(one: Size, other: Size) -> bool:
    """Whether two sizes differ in ratio by no more than models round, or a pixel does."""
    (width, height), (across, down) = one, other
    if abs(width * down / (height * across) - 1) <= SHAPE_TOLERANCE:
        return True
    # In the pixels of the smaller: five by two is as near as pixels come to 21:9.
    return (
        min(
            abs(across - down * width / height),
            abs(down - across * height / width),
            abs(width - height * across / down),
            abs(height - width * down / across),
        )
        <= 1
    )


def parse_size(text: str) -> OutputSize:
    """What ``outputs.size`` says. Raises `JobError`."""
    if text in ("as_returned", "same_as_input", "original"):
        return text  # type: ignore[return-value]  # just compared
    across, _, down = text.lower().partition("x")
    if across.strip().isdecimal() and down.strip().isdecimal():
        size = int(across), int(down)
        if min(size) >= 1 and max(size) <= _LARGEST_SIDE:
            return size
        raise JobError(f"outputs.size: {text!r}; each side is 1 to {_LARGEST_SIDE} pixels")
    raise JobError(
        f"outputs.size: {text!r} is no size; write same_as_input, original, or pixels as 2000x2000"
    )


def fitting(size: Size, max_side: int) -> Size:
    """The size in pixels, its long side at most ``max_side``, no side 0."""
    longest = max(size)
    if longest <= max_side:
        return size
    width, height = (max(1, round(side * max_side / longest)) for side in size)
    return width, height


def _around(size: Size, shape: Fraction) -> Size:
    width, height = size
    if Fraction(width, height) > shape:
        return width, max(height, round(width / shape))
    return max(width, round(height * shape)), height


def _inside(size: Size, shape: Fraction) -> Size:
    width, height = size
    if Fraction(width, height) > shape:
        return max(1, min(width, round(height * shape))), height
    return width, max(1, min(height, round(width / shape)))
