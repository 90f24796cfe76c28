"""A `Snapshot` as a compact block of lines that keeps its shape while its numbers grow."""

from collections.abc import Iterable, Sequence

import msgspec
from rich.text import Text

from pipeline.snapshot import RunState, Snapshot
from pipeline.terminal.words import clean, clock, dollars, span, time_of_day

STYLES = {
    "succeeded": "green",
    "failed": "red",
    "refused": "yellow",
    "rejected": "yellow",
    "unknown": "magenta",
}
"""Of statuses. A colour never stands alone: the word is beside it."""

TROUBLES_SHOWN = 3
NARROWEST, WIDEST = 40, 120
LABEL = 9
GAP = 3


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn with: beautiful, or for terminals that know ASCII only."""

    bar: str
    rest: str
    dot: str
    cut: str
    marks: dict[RunState, str]


UNICODE = Glyphs(
    bar="━",
    rest="─",
    dot="·",
    cut="…",
    marks={
        "running": "▶",
        "paused": "‖",
        "cooling down": "◔",
        "endpoint down": "✗",
        "stalled": "!",
        "stopping": "■",
    },
)
ASCII = Glyphs(
    bar="=",
    rest="-",
    dot="-",
    cut=".",
    marks={
        "running": ">",
        "paused": "=",
        "cooling down": "~",
        "endpoint down": "x",
        "stalled": "!",
        "stopping": "#",
    },
)

STATE_STYLES: dict[RunState, str] = {
    "running": "green",
    "paused": "bold cyan",
    "cooling down": "yellow",
    "endpoint down": "bold red",
    "stalled": "bold red",
    "stopping": "bold yellow",
}


def block(shown: Snapshot, *, width: int, height: int = 24, glyphs: Glyphs = UNICODE) -> list[Text]:
    """The lines of a snapshot: none wider than ``width`` cells, at most ``height`` of them."""
    width = min(max(width, NARROWEST), WIDEST)
    lines = [
        _head(shown, width, glyphs),
        _bar(shown, width, glyphs),
        *_flow("", _counts(shown), width, glyphs),
        *_flow("left", _left(shown), width, glyphs),
        *_flow("speed", _speed(shown), width, glyphs),
        *_flow("money", _money(shown), width, glyphs),
    ]
    room = min(TROUBLES_SHOWN, height - len(lines))
    if room > 0:
        for trouble in shown.troubles[-room:]:
            line = Text("  ")
            line.append(f"{time_of_day(trouble.at, now=shown.at)} ", style="dim")
            line.append(clean(trouble.text))
            lines.append(line)
    for line in lines:
        _cut(line, width, glyphs)
    return lines[:height]


def one_line(shown: Snapshot) -> str:
    """All that a log needs, on one line."""
    parts = [_progress(shown)]
    counts = [
        f"{shown.counts.get(status, 0):,} {status}"
        for status in STYLES
        if shown.counts.get(status, 0)
    ]
    if shown.waiting:
        counts.append(f"{shown.waiting:,} waiting")
    parts += counts
    parts.append(f"{_pace(shown.pictures_per_minute)} pictures/min")
    parts.append(f"{shown.in_flight} of {shown.concurrency} in flight")
    money = f"${shown.spent_usd:,.2f}"
    if shown.cap_usd is not None:
        money += f" of {dollars(shown.cap_usd)}"
    parts.append(f"{money} spent")
    if shown.unknown_usd:
        parts.append(f"up to ${shown.unknown_usd:,.2f} unknown")
    if shown.left_s is not None and shown.left_s[1] > 0:
        parts.append(f"{span(*shown.left_s)} left")
    if shown.state != "running":
        parts.append(f"{shown.state}: {clean(shown.why)}")
    return ", ".join(parts)


def _progress(shown: Snapshot) -> str:
    if shown.expected is None:
        return f"{shown.done:,} edits done"
    return f"{shown.done:,} of {shown.expected:,} edits"


def _head(shown: Snapshot, width: int, glyphs: Glyphs) -> Text:
    head = Text(clean(shown.job), style="bold")
    _cut(head, max(width // 3, 16), glyphs)
    head.append("  ")
    head.append(f"{glyphs.marks[shown.state]} {shown.state}", style=STATE_STYLES[shown.state])
    # While all goes well, what holds requests back is no news.
    if shown.state != "running" and shown.why:
        head.append(f"  {clean(shown.why)}", style="not bold")
    elapsed = clock(shown.at - shown.started_at)
    _cut(head, width - len(elapsed) - 2, glyphs)
    head.append(" " * (width - head.cell_len - len(elapsed)))
    head.append(elapsed, style="not bold dim")
    return head


def _bar(shown: Snapshot, width: int, glyphs: Glyphs) -> Text:
    """How far, and by the colours how well."""
    if shown.expected is None:
        words = f"  {shown.done:,} edits, still counting"
        return Text(glyphs.rest * (width - len(words)) + words, style="dim")
    whole = max(shown.expected, shown.done, 1)
    number = f"{shown.expected:,}"
    percent = int(100 * shown.done / whole) if shown.expected else 100
    words = f"  {shown.done:>{len(number)},} of {number} edits  {percent:>3} %"
    room = max(width - len(words), 0)
    bar = Text()
    drawn, so_far = 0, 0
    for status, style in STYLES.items():
        so_far += shown.counts.get(status, 0)
        cells = room * so_far // whole - drawn
        bar.append(glyphs.bar * cells, style=style)
        drawn += cells
    bar.append(glyphs.rest * (room - drawn), style="dim")
    bar.append(words)
    return bar


def _counts(shown: Snapshot) -> list[Text]:
    """Fields of one width each, whatever they grow to."""
    digits = len(f"{shown.expected or max(shown.done, 9_999):,}")
    fields = []
    for status, style in STYLES.items():
        count = shown.counts.get(status, 0)
        if count or status != "rejected":
            fields.append(_count(count, digits, status, style))
    fields.append(_count(shown.waiting, digits, "waiting", "cyan"))
    for state in ("unchanged", "kept"):
        if count := shown.counts.get(state, 0):
            fields.append(_count(count, digits, state, "dim"))
    return fields


def _count(count: int, digits: int, name: str, style: str) -> Text:
    field = Text(f"{count:>{digits},}", style=f"bold {style}" if count else "dim")
    field.append(f" {name}", style=f"not bold {style}" if count else "dim")
    return field


def _left(shown: Snapshot) -> list[Text]:
    if shown.state == "stopping":
        if not shown.in_flight:
            return [Text("until the last records are written")]
        return [Text(f"until {shown.in_flight} in flight are finished and kept")]
    if shown.state == "paused":
        return [Text("paused")]
    if shown.state in ("endpoint down", "stalled"):
        return [Text(f"not known: {shown.state}")]
    if shown.left_s is None:
        return [Text("not known yet", style="dim")]
    low, high = shown.left_s
    fields = [Text(f"{span(low, high):<16}")]
    if high >= 120:
        ends = [time_of_day(shown.at + seconds, now=shown.at) for seconds in (low, high)]
        fields.append(Text(f"ends {' to '.join(dict.fromkeys(ends))}", style="dim"))
    return fields


def _speed(shown: Snapshot) -> list[Text]:
    of = f"{shown.concurrency}"
    stated = shown.stated_concurrency
    flight = f"{shown.in_flight:>{len(str(stated))}} of {of:>{len(str(stated))}} in flight"
    fields = [
        Text(f"{_pace(shown.pictures_per_minute):>5} pictures/min"),
        Text(flight),
    ]
    limits = []
    if shown.concurrency < stated:
        limits.append(f"learned limit, the job's is {stated}")
    if shown.requests_per_minute is not None:
        limits.append(f"at most {shown.requests_per_minute:,.0f} requests/min")
    fields += [Text(limit, style="dim") for limit in limits]
    return fields


def _money(shown: Snapshot) -> list[Text]:
    cap = shown.cap_usd
    digits = len(dollars(cap)) if cap is not None else 6
    spent = Text(f"{f'${shown.spent_usd:,.2f}':>{digits}} spent")
    spent.append(f" + {f'${shown.reserved_usd:,.2f}':>6} reserved")
    if cap is not None:
        spent.append(f" of {dollars(cap)}")
    fields = [spent]
    if shown.unknown_usd:
        fields.append(Text(f"up to ${shown.unknown_usd:,.2f} unknown", style="magenta"))
    return fields


def _pace(per_minute: float) -> str:
    return f"{per_minute:,.1f}" if per_minute < 9.95 else f"{per_minute:,.0f}"


def _flow(label: str, fields: Sequence[Text], width: int, glyphs: Glyphs) -> Iterable[Text]:
    """As many fields on a line as there is room for; a field is never broken."""
    indent = 2 + (LABEL if label else 0)
    line = Text(f"  {label:<{LABEL}}" if label else "  ")
    if label:
        line.stylize("dim")
    used = 0
    for field in fields:
        if used and line.cell_len + GAP + field.cell_len > width:
            yield line
            line = Text(" " * indent)
            used = 0
        if used:
            line.append(" " * GAP)
        line.append_text(field)
        used += 1
    if used:
        yield line


def _cut(line: Text, width: int, glyphs: Glyphs) -> None:
    """Ends in a mark where it was too long."""
    if line.cell_len > width:
        line.truncate(max(width - 1, 0))
        line.append(glyphs.cut)
