"""How long the successful requests of a run took, as a histogram on a logarithmic axis."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from pipeline.gallery import drawing, scales
from pipeline.gallery.drawing import GRID, INK, MAIN, MUTED, WIDTH, Chart, Table
from pipeline.gallery.figures import Figures

LEFT, RIGHT = 54.0, WIDTH - 12.0
TOP, BOTTOM = 62.0, 208.0
HEIGHT = 232.0

TITLE = "Time of a request"
PARTS = 10
"""Bars for each factor of ten."""

_DIGITS = (1, 2, 5)


def draw(figures: Figures) -> Chart:
    """The chart of one run; without a success it says so."""
    values = figures.latencies
    if not values:
        text = "No request of this run succeeded, so there is no time to show."
        svg = drawing.nothing("latency", text, title=TITLE)
        return Chart(id="latency", title=TITLE, summary="", svg=svg, table=Table((), ()))
    edges = _edges(values[0], values[-1])
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(len(counts), max(1, bisect_right(edges, value))) - 1] += 1
    about = _about(values)
    svg = drawing.drawing(
        "latency", HEIGHT, _parts(values, edges, counts), title=TITLE, about=about
    )
    rows = tuple(
        (f"{_span(edges[n], edges[n + 1])}", f"{count:,}") for n, count in enumerate(counts)
    )
    return Chart(
        id="latency",
        title=TITLE,
        summary=about,
        svg=svg,
        table=Table(("seconds", "requests"), rows),
    )


def _edges(low: float, high: float) -> list[float]:
    """Borders of bars, ten to a factor of ten, around all values; at least six bars."""
    low, high = max(low, 1e-3), max(high, 1e-3)
    first = math.floor(PARTS * math.log10(low) + 1e-9)
    last = math.ceil(PARTS * math.log10(high) - 1e-9)
    while last - first < 6:
        first, last = first - 1, last + 1
    return [10 ** (n / PARTS) for n in range(first, last + 1)]


def _parts(values: Sequence[float], edges: Sequence[float], counts: Sequence[int]) -> list[str]:
    low, high = math.log10(edges[0]), math.log10(edges[-1])

    def x_of(value: float) -> float:
        at = (math.log10(max(value, 1e-3)) - low) / (high - low)
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, at))

    axis = scales.ticks(max(counts), most=4, whole=True)
    unit = (BOTTOM - TOP) / axis[-1]
    parts = [drawing.words(LEFT, 16, "requests", weight=600)]
    for tick in axis:
        y = BOTTOM - tick * unit
        parts.append(drawing.line((LEFT, y), (RIGHT, y), stroke=GRID))
        parts.append(drawing.words(LEFT - 8, y + 4, scales.number(tick), anchor="end", fill=MUTED))
    for n, count in enumerate(counts):
        if count:
            left, right = x_of(edges[n]), x_of(edges[n + 1])
            tip = f"{count:,} in {_span(edges[n], edges[n + 1])}"
            height = max(1.0, count * unit)
            parts.append(
                drawing.bar(
                    left + 0.5, BOTTOM - height, right - left - 1, height, fill=MAIN, tip=tip
                )
            )
    parts.append(drawing.line((LEFT, BOTTOM), (RIGHT, BOTTOM), stroke=MUTED))
    for value in _round_values(edges[0], edges[-1]):
        x = x_of(value)
        parts.append(drawing.line((x, BOTTOM), (x, BOTTOM + 4), stroke=MUTED))
        anchor = "end" if x > RIGHT - 14 else "middle"
        text = scales.duration(value) if value >= 1 else f"{value:g} s"
        parts.append(drawing.words(x, BOTTOM + 18, text, anchor=anchor, fill=MUTED))
    return [*parts, *_percentiles(values, x_of)]


def _percentiles(values: Sequence[float], x_of: Callable[[float], float]) -> list[str]:
    """Lines at half, 95 and 99 of a hundred, each labelled on a line of its own."""
    marks = [("half", 0.5)] if len(values) < 20 else [("half", 0.5), ("95\u00a0%", 0.95)]
    if len(values) >= 200:
        marks.append(("99\u00a0%", 0.99))
    parts = []
    for n, (name, of) in enumerate(marks):
        value = scales.percentile(values, of)
        x, y = x_of(value), 30.0 + 14 * n
        parts.append(
            drawing.line((x, y - 9), (x, BOTTOM), stroke=INK, dash="" if n == 0 else "3 3")
        )
        near_end = x > RIGHT - 120
        parts.append(
            drawing.words(
                x - 6 if near_end else x + 6,
                y,
                f"{name} within {scales.duration(value)}",
                anchor="end" if near_end else "start",
                weight=600 if n == 0 else 400,
            )
        )
    return parts


def _round_values(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, … between two values; of whole factors of ten only, where that is enough."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = _DIGITS if last - first <= 4 else (1,)
    found = [digit * 10.0**n for n in range(first, last + 1) for digit in digits]
    return [value for value in found if low * 0.98 <= value <= high * 1.02]


def _span(low: float, high: float) -> str:
    return f"{_seconds(low)} to {_seconds(high)}"


def _seconds(value: float) -> str:
    return scales.duration(value) if value >= 1 else f"{value:.2g} s"


def _about(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"One request succeeded, in {scales.duration(values[0])}."
    half, most = (scales.percentile(values, of) for of in (0.5, 0.95))
    return (
        f"{len(values):,} requests succeeded: half within {scales.duration(half)},"
        f" 95\u00a0% within {scales.duration(most)}, the longest {scales.duration(values[-1])}."
    )
