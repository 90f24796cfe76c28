"""The words on a full picture: the prompt as a caption, the tag that says what this is."""

import unicodedata
from bisect import bisect_right
from functools import cache, lru_cache
from math import ceil

from PIL import Image, ImageDraw, ImageFont

from pipeline.emulator.palette import Palette, mix

TAG = "rehearsal · emulator"

_LONGEST = 600
"""Characters of a prompt that are looked at: more than two lines hold."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=32)
def font(size: int) -> _Font:
    """Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size=size)


_SPELLED = {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "ł": "l", "×": "x", "€": "EUR",
            "–": "-", "—": "-", "’": "'", "‘": "'", "“": '"', "”": '"'}  # fmt: skip
"""What has no base letter, spelled with what the font has."""


def legible(text: str) -> str:
    """The text in letters that Pillow's own font has (it ends with ASCII): é becomes e.

    What cannot be spelled becomes a dot, as a caption of boxes helps nobody.
    """
    letters = font(16)
    missing = bytes(letters.getmask("\uffff"))

    @cache
    def spelled(letter: str) -> str:
        if letter.isspace() or bytes(letters.getmask(letter)) != missing:
            return letter
        if letter in _SPELLED:
            return _SPELLED[letter]
        base = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
        return base or ("" if unicodedata.combining(letter) else "·")

    return "".join(map(spelled, text))


def caption_height(size: tuple[int, int]) -> int:
    """Height in pixels of the band that `caption` draws on a picture of `size`."""
    return _letter_size(size) * 5


def caption(canvas: Image.Image, text: str, palette: Palette) -> None:
    """Write the prompt into a band along the bottom, in at most two lines."""
    size = _letter_size(canvas.size)
    height = caption_height(canvas.size)
    letters = font(size)
    pen = ImageDraw.Draw(canvas)
    top = canvas.height - height
    pen.rectangle((0, top, canvas.width, canvas.height), fill=palette.paper)
    bar = max(3, size // 5)
    margin = round(size * 1.7)
    lines = wrapped(text, letters, canvas.width - 2 * margin - bar * 4, most=2)
    step = round(size * 1.42)
    start = top + (height - step * len(lines)) / 2
    pen.rounded_rectangle(
        (margin, top + height * 0.24, margin + bar, top + height * 0.76),
        radius=bar // 2,
        fill=mix(palette.floor, palette.ink, 0.25),
    )
    for number, line in enumerate(lines):
        at = (margin + bar * 4, start + (number + 0.5) * step)
        pen.text(at, line, font=letters, fill=palette.ink, anchor="lm")


def tags(canvas: Image.Image, palette: Palette, *, index: int, count: int) -> None:
    """Say in the corner what this is, and which of several pictures of one request."""
    unit = min(canvas.size)
    size = max(10, round(unit * 0.0185))
    margin = round(unit * 0.032)
    _pill(canvas, TAG, palette, size, left=margin, top=margin)
    if count > 1:
        letters = f"{index + 1}/{count}"
        left = canvas.width - margin - _pill_width(letters, size)
        _pill(canvas, letters, palette, size, left=left, top=margin)


def wrapped(text: str, letters: _Font, width: int, *, most: int) -> list[str]:
    """At most `most` lines of `width` pixels; what does not fit ends in an ellipsis."""
    rest = " ".join(legible(text[:_LONGEST]).split())
    lines: list[str] = []
    while rest:
        fits = _fitting(rest, letters, width)
        if fits == len(rest):
            lines.append(rest)
            break
        if len(lines) == most - 1:
            fits = _fitting(rest, letters, width - round(letters.getlength("…")))
            lines.append(rest[:fits].rstrip(" ,;:.") + "…")
            break
        # Between words where there are any; other scripts and long names break anywhere.
        space = rest.rfind(" ", 0, fits + 1)
        cut = space if space > 0 else max(1, fits)
        lines.append(rest[:cut])
        rest = rest[cut:].lstrip()
    return lines


def _fitting(text: str, letters: _Font, width: int) -> int:
    """How many characters from the start fit into `width` pixels."""
    return bisect_right(
        range(len(text)), width, key=lambda last: ceil(letters.getlength(text[: last + 1]))
    )


def _letter_size(size: tuple[int, int]) -> int:
    return max(11, round(min(size) * 0.0265))


def _pill_width(text: str, size: int) -> int:
    return round(font(size).getlength(text)) + round(size * 1.7)


def _pill(
    canvas: Image.Image, text: str, palette: Palette, size: int, *, left: int, top: int
) -> None:
    width, height = _pill_width(text, size), round(size * 2.0)
    mask = Image.new("L", (width * 2, height * 2), 0)
    ImageDraw.Draw(mask).rounded_rectangle(
        (0, 0, width * 2 - 1, height * 2 - 1), radius=height, fill=215
    )
    canvas.paste(palette.paper, (left, top), mask.resize((width, height), Image.Resampling.BOX))
    ImageDraw.Draw(canvas).text(
        (left + size * 0.85, top + height / 2),
        text,
        font=font(size),
        fill=palette.ink,
        anchor="lm",
    )
