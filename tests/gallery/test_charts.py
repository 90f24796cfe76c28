"""Charts: well-formed, true to the attempts, legible from one request to a hundred thousand."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from pipeline.gallery import Chart, charts_of, latency_chart, outcome_chart, pace_chart, spend_chart
from pipeline.gallery.charting import run_to_draw
from pipeline.gallery.figures import MOST_BINS, Figures
from pipeline.gallery.scales import dollars, duration, number, share, since, ticks, time_ticks
from pipeline.ledger.timeline import ChartRow
from tests.gallery.samples import HOSTILE, Ran
from tests.ledger.samples import START

SVG = "{http://www.w3.org/2000/svg}"


def row(at: float, seconds: float, status: str = "succeeded", **changes: object) -> ChartRow:
    values = {"images": 1, "reserved_usd": 0.042, "cost_usd": 0.042, "http_status": 200}
    values |= {"error_code": None, **changes}
    return ChartRow(at, at + seconds, status, **values)  # type: ignore[arg-type]


def figures(rows: list[ChartRow]) -> Figures:
    ends = [one.finished_at for one in rows if one.finished_at is not None]
    start = min(one.started_at for one in rows)
    return Figures(start, max(ends, default=start), len(rows)).fold(rows)


def drawn(rows: list[ChartRow], cap: float | None = None) -> list[Chart]:
    folded = figures(rows)
    return [
        pace_chart.draw(folded, UTC),
        latency_chart.draw(folded),
        spend_chart.draw(folded, cap, UTC),
    ]


def texts(chart: Chart) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(chart.svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("count", [1, 2, 40, 3000])
@pytest.mark.parametrize("span", [0.0, 3.0, 600.0, 6 * 3600.0, 9 * 86_400.0])
def test_every_size_of_run_can_be_drawn(count: int, span: float) -> None:
    rows = [row(START + span * n / count, 0.5 + n % 7) for n in range(count)]
    for chart in drawn(rows, cap=50.0):
        root = ET.fromstring(chart.svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for element in root.iter():
            if element.tag == f"{SVG}text":
                assert 0 <= float(element.attrib["x"]) <= width, chart.svg
                assert 8 <= float(element.attrib["y"]) <= height
            assert "nan" not in " ".join(element.attrib.values())
            assert "inf" not in element.attrib.get("d", "")
        assert len(chart.svg) < 60_000
        assert 0 < len(chart.table.rows) <= MOST_BINS + 4


def test_a_chart_tells_a_screen_reader_what_it_shows() -> None:
    for chart in drawn([row(START + n, 2) for n in range(50)]):
        root = ET.fromstring(chart.svg)
        assert root.attrib["role"] == "img"
        by_id = {element.attrib.get("id"): element.text for element in root.iter()}
        named = [by_id[name] for name in root.attrib["aria-labelledby"].split()]
        assert named == [chart.title, chart.summary]


def test_colours_are_the_page_s_and_nothing_is_inline() -> None:
    """The page's policy allows neither styles nor scripts in the drawing."""
    rows = [
        row(START + n, 2, "failed" if n % 3 else "succeeded", http_status=429) for n in range(9)
    ]
    for chart in [*drawn(rows), outcome_chart.draw([("failed", "x", 3), ("succeeded", None, 2)])]:
        assert "var(--chart-" in chart.svg
        assert not re.search(r"<style|<script|style=|\son\w+=|href", chart.svg)


def test_pictures_and_429s_are_counted_where_they_happened() -> None:
    rows = [row(START + n, 1.0, images=2) for n in range(100)]
    rows += [row(START + 50, 0.1, "failed", http_status=429, cost_usd=0.0) for _ in range(7)]
    folded = figures(rows)
    assert sum(folded.pictures) == 200
    assert [n for n in folded.limited if n] == [7]
    assert folded.limited.index(7) == int(50.1 / folded.bin_s)
    assert sum(folded.spent) == pytest.approx(4.2)
    assert "200 pictures in 107 requests" in pace_chart.draw(folded, UTC).summary
    assert "429) 7 times" in pace_chart.draw(folded, UTC).summary


def test_concurrency_is_the_time_that_requests_were_under_way() -> None:
    rows = [row(START, 100.0) for _ in range(6)] + [row(START + 50, 50.0) for _ in range(4)]
    folded = figures(rows)
    busy = folded.in_flight()
    assert busy[0] == pytest.approx(6)
    assert busy[-1] == pytest.approx(10)
    total = sum(mean * folded.width_of(n) for n, mean in enumerate(busy))
    assert total == pytest.approx(800)


def test_requests_under_way_last_until_the_end() -> None:
    open_one = ChartRow(START, None, "started", 1, 0.042, None, None, None)
    folded = Figures(START, START + 60, 1).fold([open_one])
    assert folded.in_flight() == pytest.approx([1.0] * len(folded.busy))
    assert sum(folded.unsure) == pytest.approx(0.042)
    assert folded.latencies == []


def test_percentiles_are_of_the_successful() -> None:
    rows = [row(START + n, 1 + n / 100) for n in range(1000)]
    rows += [row(START, 900, "failed") for _ in range(500)]
    chart = latency_chart.draw(figures(rows))
    assert "half within 6 s" in texts(chart)
    assert "95\u00a0% within 10 s" in texts(chart)
    assert chart.summary.startswith("1,000 requests succeeded")
    assert sum(int(count.replace(",", "")) for _, count in chart.table.rows) == 1000


def test_without_a_success_there_is_a_sentence_instead_of_a_chart() -> None:
    chart = latency_chart.draw(figures([row(START, 3, "failed")]))
    assert texts(chart) == ["No request of this run succeeded, so there is no time to show."]
    free = spend_chart.draw(figures([row(START, 3, cost_usd=0.0)]), 5.0, UTC)
    assert "Nothing was charged" in texts(free)[0]


def test_the_cap_is_drawn_where_the_spending_comes_near_it() -> None:
    rows = [row(START + n, 1) for n in range(100)]
    near = spend_chart.draw(figures(rows), 5.0, UTC)
    far = spend_chart.draw(figures(rows), 500.0, UTC)
    assert "cap $5" in texts(near)
    assert not [text for text in texts(far) if text.startswith("cap")]
    assert "of a cap of $500" in far.summary
    assert "$4.20" in texts(near)


def test_what_may_have_been_charged_is_told_apart() -> None:
    rows = [row(START + n, 1) for n in range(10)]
    rows += [row(START + n, 1, "unknown", cost_usd=None) for n in range(5)]
    chart = spend_chart.draw(figures(rows), None, UTC)
    assert "+ $0.21 may have been charged" in texts(chart)
    assert "url(#money-unsure)" in chart.svg


def test_outcomes_name_every_reason_and_escape_them() -> None:
    chart = outcome_chart.draw(
        [("succeeded", None, 970), ("failed", HOSTILE, 20), ("refused", "refused", 10)]
    )
    shown = texts(chart)
    assert "970 of 1,000 succeeded" in shown
    assert "The other 30, by reason" in shown
    assert any(text.startswith("failed: </script>") for text in shown)
    assert "refused" in shown
    assert chart.table.rows[1] == ("failed", HOSTILE, "20", "2\u00a0%")


def test_many_reasons_are_gathered_behind_the_most_frequent() -> None:
    outcomes = [("failed", f"code_{n}", 100 - n) for n in range(30)]
    chart = outcome_chart.draw(outcomes)  # type: ignore[arg-type]
    assert "21 other reasons" in texts(chart)
    assert len(chart.table.rows) == 30


def test_the_run_to_draw_is_the_latest_that_is_not_small() -> None:
    assert run_to_draw([]) is None
    assert run_to_draw([("redo", 12), ("night", 2000), ("before", 1900)]) == "night"
    assert run_to_draw([("half", 1000), ("night", 2000)]) == "half"


def test_a_job_s_charts_come_from_its_ledger(tmp_path: Path) -> None:
    ran = Ran(tmp_path)
    for n in range(30):
        ran.add(f"e{n}", status="failed" if n % 5 == 0 else "succeeded", code=None)
    ran.written()
    with ran.reader() as reader:
        charts = charts_of(reader, now=START + 999, cap_usd=5.0, zone=UTC)
        assert [chart.id for chart in charts] == ["pace", "latency", "outcomes", "money"]
        assert "24 of 30 edits succeeded" in charts[2].summary
        assert charts_of(reader, now=START, run_id="no-such-run", zone=UTC)[0].id == "outcomes"


def test_without_attempts_there_is_nothing_to_draw(tmp_path: Path) -> None:
    ran = Ran(tmp_path).written()
    with ran.reader() as reader:
        assert charts_of(reader, now=START) == ()


# --- axes


@pytest.mark.parametrize("top", [0.0003, 0.9, 1, 7, 47.3, 100, 12_345, 9e8])
def test_ticks_are_round_few_and_reach_the_top(top: float) -> None:
    found = ticks(top)
    assert found[0] == 0
    assert found[-1] >= top * 0.999
    assert 2 <= len(found) <= 7
    assert len({round((b - a) / found[1], 6) for a, b in pairwise(found)}) == 1


def test_counts_have_whole_ticks() -> None:
    assert ticks(1, whole=True) == (0, 1)
    assert ticks(3, whole=True) == (0, 1, 2, 3)


def test_short_spans_count_and_long_ones_show_the_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert [text for _, text in time_ticks(START, START + 3, UTC)] == [
        "0 s", "0.5 s", "1 s", "1.5 s", "2 s", "2.5 s", "3 s",
    ]  # fmt: skip
    night = [text for _, text in time_ticks(START - 3600, START + 4 * 3600, UTC)]
    assert night == ["02:00", "03:00", "04:00", "05:00", "06:00", "07:00"]
    assert time_ticks(START, START + 4 * 3600, berlin)[0][1] == "04:00"
    over = [text for _, text in time_ticks(START - 5 * 3600, START, UTC)]
    assert over == ["22:00", "23:00", "31 Jan", "01:00", "02:00", "03:00"]
    weeks = [text for _, text in time_ticks(START, START + 14 * 86_400, UTC)]
    assert weeks[0] == "2 Feb"
    assert len(weeks) <= 8


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *[(0.25, "0.2 s"), (9.96, "10 s"), (59.6, "1 min"), (90, "1 min 30 s")],
        *[(3599, "1 h"), (3600 * 6 + 720, "6 h 12 min"), (3 * 86_400, "3 d")],
    ],
)
def test_durations_read_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_numbers_are_rounded_without_a_lie() -> None:
    assert [number(value) for value in (0, 0.25, 9.5, 51.27, 1250.4)] == [
        "0", "0.25", "9.5", "51.3", "1,250",
    ]  # fmt: skip
    assert [dollars(value) for value in (0, 0.042, 1.5, 12, 1250.4)] == [
        "$0", "$0.042", "$1.50", "$12", "$1,250",
    ]  # fmt: skip
    assert share(1999, 2000) == "99.9\u00a0%"
    assert share(1, 2000) == "< 0.1\u00a0%"
    assert share(2000, 2000) == "100\u00a0%"
    assert since(START, START + 60, UTC) == "31 Jan 2026, 03:00 to 03:01"
