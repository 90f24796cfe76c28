"""Meters in Prometheus' words, by prometheus-client's own classes."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pipeline import __version__
from pipeline.metrics.meter import Meter
from pipeline.pulse import LATENCY_BUCKETS_S
from pipeline.snapshot import RunState, Snapshot

RATE_LIMITED = "rate_limited"


def exposition(meters: Sequence[Meter], *, accept: str = "") -> tuple[bytes, str]:
    """The text and its content type. ``accept``: what the asking program takes, as in its header;
    the plain text format unless that names another.
    """
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(_Meters(meters))
    encode, content_type = choose_encoder(accept)
    return encode(collectors), content_type


class _Meters(Collector):
    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("pipeline", "The program.", value={"version": __version__})
        yield from _counters(self._meters)
        yield from _standing(self._meters)
        yield from _living(self._meters)

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is registered beside it, and collecting may be dear


def _counters(meters: Sequence[Meter]) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "pipeline_attempts",
        "Requests that ended, by outcome: succeeded, unknown or an error code.",
        labels=["job_name", "outcome"],
    )
    latency = HistogramMetricFamily(
        "pipeline_attempt_duration_seconds",
        "How long requests took, whatever came of them.",
        labels=["job_name"],
    )
    for meter in meters:
        for outcome, count in sorted(meter.attempts.items()):
            attempts.add_metric([meter.job, outcome], count)
        latency.add_metric([meter.job], list(_cumulative(meter.latency_s)), meter.latency_sum_s)
    yield attempts
    yield latency
    yield _counter("pictures", "Pictures that were kept.", [(m.job, m.pictures) for m in meters])
    yield _counter(
        "retries", "Requests that were not an edit's first.", [(m.job, m.retries) for m in meters]
    )
    yield _counter(
        "rate_limited",
        "Requests that were turned away with 429.",
        [(m.job, m.attempts.get(RATE_LIMITED, 0)) for m in meters],
    )
    yield _counter(
        "spent_usd", "What requests cost, as far as known.", [(m.job, m.spent_usd) for m in meters]
    )


def _standing(meters: Sequence[Meter]) -> Iterator[Metric]:
    edits = GaugeMetricFamily(
        "pipeline_edits",
        "Edits by status; of a run also those it left out (unchanged, kept).",
        labels=["job_name", "status"],
    )
    for meter in meters:
        for status, count in sorted(meter.edits.items()):
            edits.add_metric([meter.job, status], count)
    yield edits
    runs = [(meter.job, meter.last_run) for meter in meters if meter.last_run is not None]
    yield _gauge(
        "unknown_usd",
        "What requests of unknown outcome may have cost.",
        [(m.job, m.unknown_usd) for m in meters],
    )
    yield _gauge(
        "last_run_finished_timestamp_seconds",
        "When the latest run ended.",
        [(job, run.finished_at) for job, run in runs],
    )
    yield _gauge(
        "last_run_exit_code",
        "How the latest run ended: 0 all done, 3 some edits did not succeed, 4 fatal, 5 money cap.",
        [(job, run.exit_code) for job, run in runs],
    )
    yield _gauge(
        "last_success_timestamp_seconds",
        "When the latest picture came.",
        [(m.job, m.last_success_at) for m in meters],
    )
    yield _gauge(
        "run_up", "1 while a run goes on.", [(m.job, float(m.live is not None)) for m in meters]
    )


def _living(meters: Sequence[Meter]) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "pipeline_run_state", "1 for the state that the run is in.", labels=["job_name", "state"]
    )
    live = [(meter.job, meter.live) for meter in meters if meter.live is not None]
    for job, run in live:
        for state in get_args(RunState):
            states.add_metric([job, state], float(run.state == state))
    yield states
    for name, text, value in _OF_A_RUN:
        yield _gauge(name, text, [(job, value(run)) for job, run in live])


_OF_A_RUN: tuple[tuple[str, str, Callable[[Snapshot], float | None]], ...] = (
    ("run_started_timestamp_seconds", "When the run began.", lambda s: s.started_at),
    ("run_edits_expected", "Edits that the run will ask for.", lambda s: s.expected),
    ("run_edits_done", "Edits of the run that have a record.", lambda s: s.done),
    ("run_edits_waiting", "Edits that wait for their next attempt.", lambda s: s.waiting),
    ("in_flight_requests", "Requests that have left and are not back.", lambda s: s.in_flight),
    (
        "concurrency_limit",
        "Requests that may be in flight now, as learned or stated.",
        lambda s: s.concurrency,
    ),
    (
        "concurrency_limit_stated",
        "Requests that may be in flight at most, as stated or tuned.",
        lambda s: s.stated_concurrency,
    ),
    (
        "requests_per_minute_limit",
        "The rate in force, stated or learned; absent: none.",
        lambda s: s.requests_per_minute,
    ),
    ("reserved_usd", "Set aside for requests under way.", lambda s: s.reserved_usd),
    ("run_cap_usd", "What the run may spend at most; absent: no cap.", lambda s: s.cap_usd),
    ("run_spent_usd", "What the run has spent.", lambda s: s.spent_usd),
    (
        "run_left_seconds_low",
        "The run will hardly end sooner than this.",
        lambda s: s.left_s[0] if s.left_s else None,
    ),
    (
        "run_left_seconds_high",
        "The run will hardly end later than this.",
        lambda s: s.left_s[1] if s.left_s else None,
    ),
)


_Samples = Iterable[tuple[str, float | None]]
"""A value for each job; ``None``: no sample, because no cap is not a cap of zero."""


def _counter(name: str, text: str, samples: _Samples) -> Metric:
    return _filled(CounterMetricFamily(f"pipeline_{name}", text, labels=["job_name"]), samples)


def _gauge(name: str, text: str, samples: _Samples) -> Metric:
    return _filled(GaugeMetricFamily(f"pipeline_{name}", text, labels=["job_name"]), samples)


def _filled(family: CounterMetricFamily | GaugeMetricFamily, samples: _Samples) -> Metric:
    for job, value in samples:
        if value is not None:
            family.add_metric([job], value)
    return family


def _cumulative(counts: Sequence[int]) -> Iterator[tuple[str, int]]:
    total = 0
    for upper, count in zip(LATENCY_BUCKETS_S, counts, strict=True):
        total += count
        yield ("+Inf" if math.isinf(upper) else str(upper)), total
