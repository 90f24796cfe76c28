"""SVG as text: a few shapes, and values that cannot break out of them.

Colours are custom properties of the page (`--chart-…`), with a fallback that reads on white and on
black. They are attributes, not styles: the page's policy allows no inline style. Text takes the
page's own font.
"""

from collections.abc import Iterable, Sequence
from html import escape

import msgspec

MAIN = "var(--chart-main, #3b76d6)"
SOFT = "var(--chart-soft, #3b76d640)"
ALERT = "var(--chart-alert, #d1495b)"
MUTED = "var(--chart-muted, #74808f)"
GRID = "var(--chart-grid, #74808f40)"
INK = "currentColor"

WIDTH = 600
"""Of every chart, in its own units: about a pixel where two charts share a page. Text has 12."""

Point = tuple[float, float]


class Table(msgspec.Struct, frozen=True):
    """The same as numbers, for those who cannot or would rather not look."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """One drawing. ``svg`` is markup made here, all text in it escaped; the rest is plain text.
    ``summary``: what it shows, in a sentence.
    """

    id: str
    title: str
    summary: str
    svg: str
    table: Table


def tag(name: str, content: str = "", /, **attributes: float | str) -> str:
    """An element; ``content`` is markup. ``stroke_width`` becomes ``stroke-width``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def words(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    fill: str = INK,
    weight: int = 400,
    size: int = 12,
) -> str:
    """One line of text, its baseline at ``y``."""
    return tag(
        "text",
        escape(text),
        x=x,
        y=y,
        text_anchor=anchor,
        fill=fill,
        font_weight=weight,
        font_size=size,
    )


def line(start: Point, end: Point, *, stroke: str = GRID, width: float = 1, dash: str = "") -> str:
    more = {"stroke_dasharray": dash} if dash else {}
    return tag(
        "line",
        x1=start[0],
        y1=start[1],
        x2=end[0],
        y2=end[1],
        stroke=stroke,
        stroke_width=width,
        **more,
    )


def bar(x: float, y: float, width: float, height: float, *, fill: str, tip: str = "") -> str:
    """A rectangle; ``tip`` shows while the pointer rests on it."""
    content = tag("title", escape(tip)) if tip else ""
    return tag("rect", content, x=x, y=y, width=max(0.0, width), height=max(0.0, height), fill=fill)


def path(
    points: Sequence[Point], *, stroke: str = "none", fill: str = "none", **more: float
) -> str:
    """A line through points, or the area inside them."""
    steps = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
    return tag("path", d=f"M{steps}", stroke=stroke, fill=fill, stroke_linejoin="round", **more)


def steps(values: Iterable[float], edges: Sequence[float]) -> list[Point]:
    """The outline of a histogram: each value from its edge to the next."""
    found: list[Point] = []
    for n, value in enumerate(values):
        found += [(edges[n], value), (edges[n + 1], value)]
    return found


def hatching(name: str, stroke: str) -> str:
    """A pattern to fill with as ``url(#name)``: what is unsure, told from what is sure on paper."""
    stripe = tag("path", d="M0,6 L6,0", stroke=stroke, stroke_width=1.5)
    pattern = tag("pattern", stripe, id=name, width=6, height=6, patternUnits="userSpaceOnUse")
    return tag("defs", pattern)


def drawing(name: str, height: float, content: Iterable[str], *, title: str, about: str) -> str:
    """A whole chart. ``title`` and ``about`` are what a screen reader says of it."""
    told = tag("title", escape(title), id=f"{name}-title")
    told += tag("desc", escape(about), id=f"{name}-desc")
    return tag(
        "svg",
        told + "".join(content),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {_text(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        font_size=12,
    )


def nothing(name: str, text: str, *, title: str) -> str:
    """A chart that has nothing to show, and says why."""
    content = (
        tag("rect", x=0.5, y=0.5, width=WIDTH - 1, height=95, rx=6, fill="none", stroke=GRID),
        words(WIDTH / 2, 53, text, anchor="middle", fill=MUTED),
    )
    return drawing(name, 96, content, title=title, about=text)


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
