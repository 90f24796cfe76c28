"""The charts of a job: how a run went, how long requests took, what came of it, what it cost.

Drawn here as SVG, without a plotting library: four pictures of a hundred shapes each, that follow
the page's colours and theme, need no script, and print.
"""

from collections.abc import Sequence
from datetime import tzinfo

from pipeline.gallery import latency_chart, outcome_chart, pace_chart, spend_chart
from pipeline.gallery.drawing import Chart, Table
from pipeline.gallery.figures import Figures
from pipeline.ledger import LedgerReader, timeline

__all__ = ["Chart", "Table", "charts_of", "run_to_draw"]

SIZEABLE = 0.2
"""Of the attempts of the largest run: the latest run that has as many is the one to draw."""

QUIET_S = 3600.0
"""A run without an end in which nothing began or ended for so long is taken to be dead."""


def charts_of(
    reader: LedgerReader,
    *,
    now: float,
    run_id: str | None = None,
    cap_usd: float | None = None,
    zone: tzinfo | None = None,
) -> tuple[Chart, ...]:
    """Charts of a job, none where there is nothing to draw yet. Raises `LedgerError`.

    Pace, latency and spend are of one run: ``run_id``, or the latest that is not small beside the
    others, so that redoing twelve edits does not hide the night before. Outcomes are of all edits.
    ``now``: epoch seconds, where a run that goes on ends. ``cap_usd``: the run's cap. ``zone``: of
    the times on the axes; None: this machine's.
    """
    charts: list[Chart] = []
    run_id = run_id or run_to_draw(timeline.attempts_by_run(reader))
    figures = None if run_id is None else _figures(reader, run_id, now)
    if figures is not None:
        charts.append(pace_chart.draw(figures, zone))
        charts.append(latency_chart.draw(figures))
    outcomes = timeline.outcomes(reader)
    if outcomes:
        charts.append(outcome_chart.draw(outcomes))
    if figures is not None:
        charts.append(spend_chart.draw(figures, cap_usd, zone))
    return tuple(charts)


def run_to_draw(runs: Sequence[tuple[str, int]]) -> str | None:
    """Of runs and their attempts, the latest first: the one worth a chart."""
    largest = max((attempts for _, attempts in runs), default=0)
    return next((run for run, attempts in runs if attempts >= SIZEABLE * largest), None)


def _figures(reader: LedgerReader, run_id: str, now: float) -> Figures | None:
    span = timeline.run_span(reader, run_id)
    if span is None:
        return None
    # What is still open belongs to a run that goes on, or to one that was killed long ago.
    alive = span.open and span.goes_on and now - span.end < QUIET_S
    return Figures(span.start, max(now, span.end) if alive else span.end, span.attempts).fold(
        timeline.run_attempts(reader, run_id)
    )
