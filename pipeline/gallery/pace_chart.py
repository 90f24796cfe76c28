"""Throughput and concurrency over the time of a run, the 429s marked between them."""

from collections.abc import Sequence
from datetime import tzinfo

from pipeline.gallery import drawing, scales
from pipeline.gallery.drawing import ALERT, GRID, INK, MAIN, MUTED, SOFT, WIDTH, Chart, Table
from pipeline.gallery.figures import Figures

LEFT, RIGHT = 54.0, WIDTH - 12.0
UPPER = (26.0, 138.0)  # top and bottom of pictures a minute
MARKS = (158.0, 168.0)  # of the 429s
LOWER = (200.0, 268.0)  # of requests in flight
HEIGHT = 292.0

TITLE = "Pace"


def draw(figures: Figures, zone: tzinfo | None) -> Chart:
    """The chart of one run with at least one attempt."""
    start, end = figures.start, figures.end
    rate, busy = figures.per_minute(), figures.in_flight()
    edges = [x_of(figures, start + n * figures.bin_s) for n in range(len(rate))] + [RIGHT]
    limited = sum(figures.limited)
    about = _about(figures, zone, limited)
    parts = [
        time_axis(figures, zone, LOWER[1]),
        *_panel(rate, edges, UPPER, "pictures a minute", stroke=MAIN, fill=SOFT),
        *_panel(busy, edges, LOWER, "requests in flight", stroke=INK, fill="none"),
        *_marks(figures, edges, zone, limited),
    ]
    rows = [
        (
            scales.clock(start + n * figures.bin_s, start, end, zone),
            scales.number(rate[n]),
            scales.number(busy[n]),
            str(figures.limited[n]),
        )
        for n in range(len(rate))
    ]
    columns = ("from", "pictures a minute", "requests in flight", "429s")
    return Chart(
        id="pace",
        title=TITLE,
        summary=about,
        svg=drawing.drawing("pace", HEIGHT, parts, title=TITLE, about=about),
        table=Table(columns, tuple(rows)),
    )


def x_of(figures: Figures, when: float) -> float:
    """Where a moment of the run is, from left to right."""
    return LEFT + (RIGHT - LEFT) * min(1.0, (when - figures.start) / (figures.end - figures.start))


def time_axis(figures: Figures, zone: tzinfo | None, bottom: float) -> str:
    """The line below a chart, with its ticks and their words."""
    parts = [drawing.line((LEFT, bottom), (RIGHT, bottom), stroke=MUTED)]
    for when, text in scales.time_ticks(figures.start, figures.end, zone):
        x = x_of(figures, when)
        parts.append(drawing.line((x, bottom), (x, bottom + 4), stroke=MUTED))
        anchor = "end" if x > RIGHT - 14 else "middle"
        parts.append(drawing.words(x, bottom + 18, text, anchor=anchor, fill=MUTED))
    return "".join(parts)


def _panel(
    values: Sequence[float],
    edges: Sequence[float],
    span: tuple[float, float],
    name: str,
    *,
    stroke: str,
    fill: str,
) -> list[str]:
    top, bottom = span
    axis = scales.ticks(max(values), most=4 if bottom - top > 90 else 2)
    height = (bottom - top) / axis[-1]
    parts = [drawing.words(LEFT, top - 10, name, weight=600)]
    for tick in axis:
        y = bottom - tick * height
        parts.append(drawing.line((LEFT, y), (RIGHT, y), stroke=GRID))
        parts.append(drawing.words(LEFT - 8, y + 4, scales.number(tick), anchor="end", fill=MUTED))
    outline = drawing.steps([bottom - value * height for value in values], edges)
    if fill != "none":
        parts.append(drawing.path([(edges[0], bottom), *outline, (edges[-1], bottom)], fill=fill))
    parts.append(drawing.path(outline, stroke=stroke, stroke_width=1.5))
    return parts


def _marks(
    figures: Figures, edges: Sequence[float], zone: tzinfo | None, limited: int
) -> list[str]:
    """A bar for each bin in which the endpoint said "too fast"; the taller, the more often."""
    if not limited:
        return []
    top, bottom = MARKS
    most = max(figures.limited)
    parts = [
        drawing.words(LEFT - 8, bottom, "429", anchor="end", fill=ALERT, weight=600),
        drawing.line((LEFT, bottom), (RIGHT, bottom), stroke=GRID),
    ]
    for n, count in enumerate(figures.limited):
        if count:
            height = (bottom - top) * (0.35 + 0.65 * count / most)
            at = scales.clock(figures.start + n * figures.bin_s, figures.start, figures.end, zone)
            width = max(2.0, edges[n + 1] - edges[n] - 1)
            tip = f"{count:,} × 429 from {at}"
            parts.append(drawing.bar(edges[n], bottom - height, width, height, fill=ALERT, tip=tip))
    return parts


def _about(figures: Figures, zone: tzinfo | None, limited: int) -> str:
    start, end = figures.start, figures.end
    pictures = sum(figures.pictures)
    if figures.attempts == 1:
        return f"One request, {scales.since(start, end, zone)}."
    mean = 60 * pictures / (end - start)
    busiest = max(1, round(max(figures.in_flight())))
    text = (
        f"{scales.since(start, end, zone)}: {scales.several(pictures, 'picture')} in"
        f" {scales.several(figures.attempts, 'request')}, {scales.number(mean)} a minute on"
        f" average, at its busiest with {scales.several(busiest, 'request')} in flight."
    )
    if limited:
        times = "once" if limited == 1 else f"{limited:,} times"
        text += f' The endpoint said "too fast" (429) {times}.'
    return text
