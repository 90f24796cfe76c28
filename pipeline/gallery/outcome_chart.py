"""What came of all edits: one bar of the whole, then one for each reason why not."""

from collections.abc import Sequence

from pipeline.gallery import drawing, scales
from pipeline.gallery.drawing import ALERT, GRID, INK, MAIN, MUTED, WIDTH, Chart, Table
from pipeline.models import Status

LEFT, RIGHT = 208.0, WIDTH - 108.0
ROW = 26.0
MOST_ROWS = 10

TITLE = "Outcomes"

Outcomes = Sequence[tuple[Status, str | None, int]]


def draw(outcomes: Outcomes) -> Chart:
    """The chart of all edits with a record; at least one."""
    total = sum(count for _, _, count in outcomes)
    done = sum(count for status, _, count in outcomes if status == "succeeded")
    others = [(status, code, count) for status, code, count in outcomes if status != "succeeded"]
    about = _about(total, done, others)
    shown = _shown(others)
    parts = _whole(total, done)
    y = 64.0
    if shown:
        most = max(count for _, count in shown)
        parts.append(drawing.words(0, y + 10, f"{_others(total - done)}, by reason", weight=600))
        y += 24
        for name, count in shown:
            parts += _row(name, count, total, most, y)
            y += ROW
    rows = tuple(
        (status, code or "", f"{count:,}", scales.share(count, total))
        for status, code, count in outcomes
    )
    return Chart(
        id="outcomes",
        title=TITLE,
        summary=about,
        svg=drawing.drawing("outcomes", y if shown else 52.0, parts, title=TITLE, about=about),
        table=Table(("status", "reason", "edits", "of all"), rows),
    )


def _whole(total: int, done: int) -> list[str]:
    width = WIDTH * done / total
    if 0 < done < total:  # a sliver must still be seen, on either side
        width = min(WIDTH - 3.0, max(3.0, width))
    text = f"{done:,} of {total:,} succeeded"
    parts = [
        drawing.words(0, 14, text, weight=600),
        drawing.words(WIDTH, 14, scales.share(done, total), anchor="end", weight=600),
        drawing.bar(0, 24, width, 18, fill=MAIN, tip=text),
    ]
    if done < total:
        gap = 1.5 if done else 0.0
        tip = f"{total - done:,} did not succeed"
        parts.append(drawing.bar(width + gap, 24, WIDTH - width - gap, 18, fill=ALERT, tip=tip))
    return parts


def _row(name: str, count: int, total: int, most: int, y: float) -> list[str]:
    width = max(2.0, (RIGHT - LEFT) * count / most)
    return [
        drawing.words(0, y + 13, _cut(name)),
        drawing.line((LEFT, y + 18.5), (RIGHT, y + 18.5), stroke=GRID),
        drawing.bar(LEFT, y + 2, width, 14, fill=ALERT, tip=f"{name}: {count:,}"),
        drawing.words(RIGHT + 54, y + 13, f"{count:,}", anchor="end", fill=INK, weight=600),
        drawing.words(WIDTH, y + 13, scales.share(count, total), anchor="end", fill=MUTED),
    ]


def _shown(others: Outcomes) -> list[tuple[str, int]]:
    named = [(_name(status, code), count) for status, code, count in others]
    if len(named) <= MOST_ROWS:
        return named
    rest = sum(count for _, count in named[MOST_ROWS - 1 :])
    return [*named[: MOST_ROWS - 1], (f"{len(named) - MOST_ROWS + 1} other reasons", rest)]


def _name(status: Status, code: str | None) -> str:
    plain = (code or "").replace("_", " ")
    return status if not plain or plain == status else f"{status}: {plain}"


def _others(count: int) -> str:
    return "The other one" if count == 1 else f"The other {count:,}"


def _cut(text: str) -> str:
    return text if len(text) <= 32 else text[:31] + "…"


def _about(total: int, done: int, others: Outcomes) -> str:
    if not others:
        return "The one edit succeeded." if total == 1 else f"All {total:,} edits succeeded."
    status, code, count = others[0]
    text = f"{done:,} of {total:,} edits succeeded."
    if len(others) == 1:
        return f"{text} {_others(count)}: {_name(status, code)}."
    return f"{text} The most frequent reason otherwise: {_name(status, code)} ({count:,})."
