"""What a run spent, over its time, against its cap."""

from datetime import tzinfo
from itertools import accumulate

from pipeline.gallery import drawing, scales
from pipeline.gallery.drawing import ALERT, GRID, INK, MAIN, MUTED, SOFT, WIDTH, Chart, Table
from pipeline.gallery.figures import Figures
from pipeline.gallery.pace_chart import time_axis, x_of

LEFT, RIGHT = 54.0, WIDTH - 12.0
TOP, BOTTOM = 30.0, 168.0
HEIGHT = 192.0

TITLE = "Money"

LABEL_WIDTH = 210.0

WORTH_SHOWING = 4.0
"""A cap more than so many times as high as the spending would press the line to the ground."""


def draw(figures: Figures, cap_usd: float | None, zone: tzinfo | None) -> Chart:
    """The chart of one run; where nothing was charged it says so."""
    known = list(accumulate(figures.spent))
    unsure = list(accumulate(figures.unsure))
    if not known[-1] and not unsure[-1]:
        text = "Nothing was charged for this run, as far as is known."
        svg = drawing.nothing("money", text, title=TITLE)
        return Chart(id="money", title=TITLE, summary="", svg=svg, table=Table((), ()))
    both = [sure + maybe for sure, maybe in zip(known, unsure, strict=True)]
    capped = cap_usd is not None and 0 < cap_usd <= WORTH_SHOWING * both[-1]
    about = _about(known[-1], unsure[-1], cap_usd)
    top = max(both[-1], cap_usd or 0.0) if capped else both[-1]
    parts = _parts(figures, known, both, top, cap_usd if capped else None)
    parts.append(time_axis(figures, zone, BOTTOM))
    rows = tuple(
        (
            scales.clock(_end(figures, n), figures.start, figures.end, zone),
            scales.dollars(known[n], like=known[-1] or None),
            scales.dollars(unsure[n], like=unsure[-1] or None),
        )
        for n in range(len(known))
    )
    return Chart(
        id="money",
        title=TITLE,
        summary=about,
        svg=drawing.drawing("money", HEIGHT, parts, title=TITLE, about=about),
        table=Table(("until", "spent", "may have been charged"), rows),
    )


def _parts(
    figures: Figures, known: list[float], both: list[float], top: float, cap: float | None
) -> list[str]:
    axis = scales.ticks(top, most=4)
    unit = (BOTTOM - TOP) / axis[-1]
    parts = [
        drawing.hatching("money-unsure", ALERT),
        drawing.words(LEFT, 14, "dollars spent", weight=600),
    ]
    for tick in axis:
        y = BOTTOM - tick * unit
        parts.append(drawing.line((LEFT, y), (RIGHT, y), stroke=GRID))
        text = scales.dollars(tick, like=axis[1])
        parts.append(drawing.words(LEFT - 8, y + 4, text, anchor="end", fill=MUTED))

    def outline(values: list[float]) -> list[drawing.Point]:
        # What a bin spent is there at its end: a slope, not a step ahead of its time.
        points = [(LEFT, BOTTOM)]
        points += [
            (x_of(figures, _end(figures, n)), BOTTOM - v * unit) for n, v in enumerate(values)
        ]
        return points

    sure, upper = outline(known), outline(both)
    parts.append(drawing.path([*sure, (RIGHT, BOTTOM)], fill=SOFT))
    if both[-1] > known[-1]:
        parts.append(drawing.path([*upper, *reversed(sure)], fill="url(#money-unsure)"))
    parts.append(drawing.path(sure, stroke=MAIN, stroke_width=2))
    if cap is not None:
        y = BOTTOM - cap * unit
        parts.append(drawing.line((LEFT, y), (RIGHT, y), stroke=INK, width=1.5, dash="6 4"))
        text = f"cap {scales.dollars(cap)}"
        parts.append(drawing.words(LEFT + 6, y + 16, text, weight=600))
    parts += _ends(sure, known[-1], both[-1], unit)
    return parts


def _ends(line: list[drawing.Point], known: float, both: float, unit: float) -> list[str]:
    """What the lines came to, near their ends: below the slope, or above where there is no room."""
    lines = [(scales.dollars(known), INK, 600)]
    if both > known:
        lines.append((f"+ {scales.dollars(both - known)} may have been charged", ALERT, 400))
    under = [y for x, y in line if x > RIGHT - LABEL_WIDTH * (0.35 if len(lines) == 1 else 1)]
    y = max(under) + 18
    if y + 16 * len(lines) > BOTTOM:
        y = BOTTOM - both * unit - 8 - 16 * (len(lines) - 1)
    return [
        drawing.words(RIGHT - 6, y + 16 * n, text, anchor="end", fill=fill, weight=weight)
        for n, (text, fill, weight) in enumerate(lines)
    ]


def _end(figures: Figures, at: int) -> float:
    return min(figures.end, figures.start + (at + 1) * figures.bin_s)


def _about(known: float, unsure: float, cap: float | None) -> str:
    text = f"{scales.dollars(known)} spent"
    if unsure:
        text += f", and {scales.dollars(unsure)} that may have been charged"
    if cap:
        text += f", of a cap of {scales.dollars(cap)} ({scales.share(known + unsure, cap)})"
    return f"{text}."
