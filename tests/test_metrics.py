"""What Prometheus reads: of a run while it goes on, and of a ledger afterwards."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.engine import Finished
from pipeline.errors import ConfigError
from pipeline.events import Event, MetricsAt, Started
from pipeline.ledger import open_reader
from pipeline.metrics import Meter, exposition, meter_of_ledger, meter_of_run
from pipeline.running import RunResult
from pipeline.snapshot import Snapshot
from tests.conftest import Shop
from tests.dashboard.conftest import serve
from tests.dashboard.serving import Server

__all__ = ["serve"]

DASHBOARD = Path(__file__).parents[1] / "docs" / "grafana" / "pipeline.json"
PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


def values(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, the job left out."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [value for name, value in sample.labels.items() if name != "job_name"]
            found[(sample.name, *labels)] = sample.value
    return found


def run_and_read(shop: Shop, endpoint: RunningEmulator) -> tuple[RunResult, str]:
    """Runs the job and reads its address when the first edit has ended; the others wait for it."""
    endpoint.hold(after=1)

    async def go() -> tuple[RunResult, str]:
        url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        begun = asyncio.Event()

        def observe(event: Event) -> None:
            if isinstance(event, MetricsAt):
                url.set_result(event.url)
            if isinstance(event, Finished):
                begun.set()

        run = asyncio.create_task(
            pipeline.run(
                shop.job, base_url=endpoint.url, environ={}, observe=observe, metrics_port=0
            )
        )
        await begun.wait()
        text = await asyncio.to_thread(fetch, await url)
        endpoint.go_on()
        return await run, text

    return asyncio.run(go())


def fetch(url: str, accept: str = "") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture
def endpoint(emulator: Callable[..., RunningEmulator]) -> RunningEmulator:
    return emulator()


@pytest.fixture
def snapshot(shop: Shop, endpoint: RunningEmulator) -> Snapshot:
    """Of a real run, at its end."""
    last: list[Snapshot] = []
    ask: list[Callable[[], Snapshot]] = []

    def observe(event: Event) -> None:
        if isinstance(event, Started):
            ask.append(event.snapshot)
        if ask:
            last.append(ask[0]())

    shop.with_edits(3)
    asyncio.run(
        pipeline.run(
            shop.job,
            base_url=endpoint.url,
            environ={},
            observe=observe,
        )
    )
    return last[-1]


def test_a_run_tells_at_its_own_address_what_it_does(shop: Shop, endpoint: RunningEmulator) -> None:
    result, text = run_and_read(shop.with_edits(6, budget={"run_usd": 5}), endpoint)
    assert result.exit_code == 0
    now = values(text)
    assert now["pipeline_run_up",] == 1
    assert now["pipeline_run_state", "running"] == 1
    assert now["pipeline_run_state", "paused"] == 0
    assert now["pipeline_run_cap_usd",] == 5
    assert now["pipeline_concurrency_limit_stated",] == 16
    assert now["pipeline_attempts_total", "succeeded"] == 1
    assert (
        now["pipeline_attempt_duration_seconds_count",]
        == now["pipeline_attempt_duration_seconds_bucket", "+Inf"]
        == now["pipeline_attempts_total", "succeeded"]
    )


def test_a_taken_port_is_said_before_anything_is_sent(
    shop: Shop, endpoint: RunningEmulator
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--metrics-port {port}: .*choose another"):
            asyncio.run(
                pipeline.run(
                    shop.with_edits(1).job,
                    base_url=endpoint.url,
                    environ={},
                    metrics_port=port,
                )
            )
    assert not shop.outputs.exists(), "nothing was begun"


def test_a_ledger_tells_of_all_runs(shop: Shop, endpoint: RunningEmulator) -> None:
    shop.with_edits(2)
    for count in (2, 5):
        shop.with_edits(count)
        asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, environ={}))
    with open_reader(shop.outputs / "ledger.db") as reader:  # type: ignore[union-attr]
        meter = meter_of_ledger(reader, job="shop", live=None)
    now = values(exposition([meter])[0].decode())
    assert now["pipeline_attempts_total", "succeeded"] == 5
    assert now["pipeline_pictures_total",] == 5
    assert now["pipeline_spent_usd_total",] == pytest.approx(5 * 0.042)
    assert now["pipeline_edits", "succeeded"] == 5
    assert now["pipeline_attempt_duration_seconds_count",] == 5
    assert now["pipeline_last_run_exit_code",] == 0
    assert now["pipeline_run_up",] == 0
    assert ("pipeline_run_cap_usd",) not in now


def test_what_is_not_known_has_no_sample(snapshot: Snapshot) -> None:
    text = exposition([meter_of_run(msgspec.structs.replace(snapshot, cap_usd=None))])[0].decode()
    assert "pipeline_run_cap_usd{" not in text


def test_hostile_names_stay_labels(snapshot: Snapshot) -> None:
    name = 'a"b\\c\nd{}'
    text = exposition([meter_of_run(msgspec.structs.replace(snapshot, job=name))])[0].decode()
    jobs = {
        sample.labels["job_name"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "job_name" in sample.labels
    }
    assert jobs == {name}


def test_openmetrics_is_spoken_to_those_who_ask(snapshot: Snapshot) -> None:
    asked = "application/openmetrics-text;version=1.0.0"
    text, content_type = exposition([meter_of_run(snapshot)], accept=asked)
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def metric_names(meters: list[Meter]) -> set[str]:
    text = exposition(meters)[0].decode()
    return {
        name
        for family in text_string_to_metric_families(text)
        for name in (
            {family.name, *(sample.name for sample in family.samples)}
            | ({f"{family.name}_total"} if family.type == "counter" else set())
        )
    }


def expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def test_the_dashboard_asks_only_for_what_there_is(snapshot: Snapshot) -> None:
    names = metric_names([meter_of_run(snapshot)])
    asked = {name for text in expressions() for name in re.findall(r"\bpipeline_[a-z_]+", text)}
    assert asked
    assert asked <= names


def test_the_page_names_every_metric(snapshot: Snapshot) -> None:
    page = PAGE.read_text(encoding="utf-8")
    text = exposition([meter_of_run(snapshot)])[0].decode()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            assert f"`{line.split()[2]}`" in page


@pytest.mark.skipif(not shutil.which("promtool"), reason="apt-get install prometheus")
def test_promtool_finds_nothing_to_complain_of(snapshot: Snapshot, tmp_path: Path) -> None:
    text, _ = exposition([meter_of_run(snapshot)])
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    rules = [
        {"record": f"checked:{number}", "expr": _plain(text)}
        for number, text in enumerate(expressions())
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()


def _plain(expression: str) -> str:
    """Without Grafana's variables."""
    return re.sub(r"\$__(rate_interval|range)", "5m", expression).replace("$job", ".*")


def test_the_page_s_server_tells_of_every_job(
    shop: Shop, endpoint: RunningEmulator, serve: Callable[..., Server]
) -> None:
    asyncio.run(pipeline.run(shop.with_edits(2).job, base_url=endpoint.url, environ={}))
    (shop.job.parent / "broken.yaml").write_text("manifest: [")
    (shop.job.parent / "fresh.yaml").write_text(shop.job.read_text())
    server = serve(shop.job.parent, "--token", "a-long-enough-token")
    assert server.client.get("/metrics").status_code == 401
    answer = server.client.get("/metrics", headers={"Authorization": "Bearer a-long-enough-token"})
    assert answer.status_code == 200
    assert 'pipeline_edits{job_name="shop",status="succeeded"} 2.0' in answer.text
    assert 'pipeline_run_up{job_name="shop"} 0.0' in answer.text
    assert "broken" not in answer.text
    assert "fresh" not in answer.text
