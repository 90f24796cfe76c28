"""Contact sheets: before and after, side by side, on pages to mail around. JPEG or PDF.

Pages are A4, upright, at `DPI`. The type is the one that Pillow carries, so that a sheet looks the
same on every machine; it has Latin letters only.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from pipeline.durable import replacing
from pipeline.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

DPI = 200
PAGE = (1654, 2339)
MARGIN = 96
GUTTER = 44
MAX_PAGES = 20
"""Of a PDF: 3 MB or so, which every mailbox takes."""

FORMATS = (".jpg", ".jpeg", ".pdf")

_INK, _MUTED, _RULE, _GROUND = "#1c2430", "#697484", "#d9dde3", "#f1f3f5"
_DOTS = {
    "succeeded": "#2c8a57",
    "failed": "#c53b4a",
    "refused": "#c98614",
    "rejected": "#8a55b0",
    "unknown": "#79808a",
    "pending": "#79808a",
}
_HEAD, _FOOT, _CAPTION = 190, 52, 66
_FEW = 18
"""Up to so many, three columns of larger pictures; beyond, four."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One edit on a sheet. ``number``: its place in the manifest, from 1. ``before``, ``after``:
    small pictures, as `thumbnails` makes them. ``reason``: why it has no success, in words.
    """

    number: int
    id: str
    status: str
    reason: str
    decision: str
    before: Path | None
    after: Path | None


class Heading(msgspec.Struct, frozen=True):
    """What stands on top: a title, a date, and a line of facts."""

    title: str
    date: str
    facts: str


def sheet_format(path: Path) -> str:
    """``JPEG`` or ``PDF``, by the name. Raises `ConfigError`."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ConfigError(
            f"--contact-sheet: {path.name}: a contact sheet is a .jpg or a .pdf"
            f" (such as {path.stem or 'sheet'}.pdf)"
        )
    return "PDF" if suffix == ".pdf" else "JPEG"


def room(kind: str) -> int:
    """How many pairs a sheet of this format holds at most."""
    return _per_page(_FEW + 1) * (MAX_PAGES if kind == "PDF" else 1)


def draw_sheet(
    pairs: Sequence[Pair], heading: Heading, path: Path, *, of: int | None = None
) -> int:
    """Writes a sheet of the pairs, of ``of`` edits in all; the number of pages.

    A JPEG is one page and a PDF at most `MAX_PAGES`: of more pairs than there is `room` for, it
    shows as many, spread evenly, and says so. One page is in memory at a time. Raises `ConfigError`
    (neither .jpg nor .pdf), `StoreError` (it cannot be written).
    """
    kind = sheet_format(path)
    of = len(pairs) if of is None else of
    chosen = spread(pairs, room(kind))
    per_page = _per_page(len(chosen))
    groups = [chosen[at : at + per_page] for at in range(0, len(chosen), per_page)] or [()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            for number, group in enumerate(groups, start=1):
                foot = _foot(len(chosen), of, number, len(groups))
                picture = _page(group, heading, foot, columns=_columns(len(chosen)), kind=kind)
                if kind == "JPEG":
                    picture.save(file, "JPEG", quality=88, subsampling=0, dpi=(DPI, DPI))
                else:
                    picture.save(
                        file,
                        "PDF",
                        append=number > 1,
                        resolution=DPI,
                        quality=85,
                        title=heading.title,
                    )
    except OSError as error:
        raise StoreError(
            f"{path}: the contact sheet cannot be written: {error.strerror or error}"
            " (choose another place, or free some space)"
        ) from error
    return len(groups)


def spread(pairs: Sequence[Pair], most: int) -> Sequence[Pair]:
    """At most so many, evenly spread, the first and the last among them."""
    if len(pairs) <= most:
        return pairs
    if most == 1:
        return pairs[:1]
    return [pairs[round(n * (len(pairs) - 1) / (most - 1))] for n in range(most)]


def _columns(count: int) -> int:
    return 3 if count <= _FEW else 4


def _side(columns: int) -> int:
    """Of each of the two squares of a pair."""
    return ((PAGE[0] - 2 * MARGIN - (columns - 1) * GUTTER) // columns - 8) // 2


def _per_page(count: int) -> int:
    columns = _columns(count)
    rows = (PAGE[1] - 2 * MARGIN - _HEAD - _FOOT) // (_side(columns) + _CAPTION + 22)
    return columns * rows


def _foot(shown: int, of: int, number: int, pages: int) -> tuple[str, str]:
    left = f"{shown:,} of {of:,} edits, spread over the manifest" if shown < of else ""
    return left, f"{number} / {pages}" if pages > 1 else ""


def _page(
    pairs: Sequence[Pair], heading: Heading, foot: tuple[str, str], *, columns: int, kind: str
) -> "Image":
    from PIL import Image, ImageDraw

    page = Image.new("RGB", PAGE, "white")
    pen = _Pen(ImageDraw.Draw(page))
    right, bottom = PAGE[0] - MARGIN, PAGE[1] - MARGIN
    pen.write((MARGIN, MARGIN + 4), heading.title, 50, within=right - MARGIN - 420)
    pen.write((right, MARGIN + 26), heading.date, 23, fill=_MUTED, anchor="ra", within=400)
    pen.write((MARGIN, MARGIN + 78), heading.facts, 25, fill=_MUTED, within=right - MARGIN - 260)
    pen.write((right, MARGIN + 80), "before | after", 23, fill=_MUTED, anchor="ra", within=240)
    pen.rule(MARGIN, right, MARGIN + 132)
    side = _side(columns)
    down = side + _CAPTION + 22
    top = MARGIN + _HEAD
    for at, pair in enumerate(pairs):
        x = MARGIN + (at % columns) * (2 * side + 8 + GUTTER)
        _pair(page, pen, pair, (x, top + (at // columns) * down), side)
    if not pairs:
        pen.write((MARGIN, top), "No edit to show.", 25, fill=_MUTED, within=right - MARGIN)
    rows = max(1, -(-len(pairs) // columns))
    if kind == "JPEG":  # a page to look at on a screen ends where its pictures end
        bottom = min(bottom, top + rows * down + _FOOT)
    if any(foot):
        pen.write((MARGIN, bottom), foot[0], 21, fill=_MUTED, anchor="ls", within=1000)
        pen.write((right, bottom), foot[1], 21, fill=_MUTED, anchor="rs", within=300)
    return page.crop((0, 0, PAGE[0], bottom + MARGIN)) if kind == "JPEG" else page


def _pair(page: "Image", pen: "_Pen", pair: Pair, at: tuple[int, int], side: int) -> None:
    x, y = at
    for place, picture in ((x, pair.before), (x + side + 8, pair.after)):
        box = (place, y, place + side, y + side)
        pen.draw.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=_GROUND)
        shown = None if picture is None else _fitted(picture, side)
        if shown is not None:
            left, top = place + (side - shown.width) // 2, y + (side - shown.height) // 2
            alpha = shown.getchannel("A") if shown.mode == "RGBA" else None
            page.paste(shown.convert("RGB"), (left, top), alpha)
        else:
            pen.write(
                (place + side // 2, y + side // 2),
                "no picture" if place > x else "no preview",
                19,
                fill=_MUTED,
                anchor="mm",
                within=side - 10,
            )
    below = y + side + 12
    wide = 2 * side + 8
    pen.write((x, below), pen.legible(pair.id, 24) or f"no. {pair.number:,}", 24, within=wide)
    radius, middle = 6, below + 42
    dot = (x, middle - radius, x + 2 * radius, middle + radius)
    pen.draw.ellipse(dot, fill=_DOTS.get(pair.status, _MUTED))
    words = [pair.status, *([pair.decision] if pair.decision not in ("", pair.status) else [])]
    text = " · ".join([*words, *([pair.reason] if pair.reason else [])])
    pen.write((x + 22, middle), text, 20, fill=_MUTED, anchor="lm", within=wide - 22)


def _fitted(path: Path, side: int) -> "Image | None":
    """The picture, as large as fits; ``None`` if it has gone."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.load()
            scale = side / max(picture.size)
            size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
            kept = picture if picture.mode == "RGBA" else picture.convert("RGB")
            return kept.resize(size, Image.Resampling.LANCZOS)
    except OSError:
        return None


class _Pen:
    """Writes on one page."""

    def __init__(self, draw: "ImageDraw") -> None:
        self.draw = draw
        self._fonts: dict[int, FreeTypeFont] = {}
        self._known: dict[str, bool] = {}

    def rule(self, left: int, right: int, y: int) -> None:
        self.draw.line((left, y, right, y), fill=_RULE, width=2)

    def write(
        self,
        at: tuple[int, int],
        text: str,
        size: int,
        *,
        within: float,
        fill: str = _INK,
        anchor: str = "la",
    ) -> None:
        """One line, cut with "…" where it would be wider than ``within``."""
        font = self._font(size)
        text = self._plain(text, size)
        if font.getlength(text) > within:
            text = _longest(lambda cut: font.getlength(cut) <= within, text)
        self.draw.text(at, text, font=font, fill=fill, anchor=anchor)

    def legible(self, text: str, size: int) -> str:
        """The text, or "" if most of it is in letters that the type does not have."""
        missing = sum(not self._has(letter, size) for letter in text)
        return "" if 2 * missing > len(text) else text

    def _plain(self, text: str, size: int) -> str:
        return "".join(letter if self._has(letter, size) else "?" for letter in text)

    def _has(self, letter: str, size: int) -> bool:
        if letter == " " or letter.isascii():
            return letter.isprintable()
        if letter not in self._known:
            font = self._font(size)
            absent: Any = font.getmask("\uffff")
            drawn: Any = font.getmask(letter)
            self._known[letter] = letter.isprintable() and (
                drawn.size != absent.size or bytes(drawn) != bytes(absent)
            )
        return self._known[letter]

    def _font(self, size: int) -> "FreeTypeFont":
        from PIL import ImageFont

        if size not in self._fonts:
            self._fonts[size] = cast("FreeTypeFont", ImageFont.load_default(size))
        return self._fonts[size]


def _longest(fits: Callable[[str], bool], text: str) -> str:
    """The longest beginning that fits with "…" behind it; by halves."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(text[:middle].rstrip() + "…"):
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"
