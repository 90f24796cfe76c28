import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pipeline.emulator.testing import emulator

__all__ = ["emulator"]

# On a machine that others load, an example may take any time, and says nothing by it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

MUG = Path(__file__).parent.parent / "manifests" / "images" / "mug.jpg"


@dataclass
class Shop:
    """A folder with a job, a manifest and pictures: what a user has."""

    folder: Path

    @property
    def job(self) -> Path:
        return self.folder / "jobs" / "shop.yaml"

    @property
    def outputs(self) -> Path:
        return self.folder / "outputs" / "shop"

    @property
    def manifest(self) -> Path:
        return self.folder / "manifests" / "shop.csv"

    def write(self, rows: str, **job: Any) -> "Shop":
        """``rows``: CSV with its header. ``job``: sections as nested mappings."""
        import yaml

        self.manifest.parent.mkdir(parents=True, exist_ok=True)
        self.job.parent.mkdir(parents=True, exist_ok=True)
        self.manifest.write_text(rows)
        (self.manifest.parent / "mug.jpg").write_bytes(MUG.read_bytes())
        defaults: dict[str, Any] = {
            "manifest": "../manifests/shop.csv",
            "prompt": "Make it white",
            "retry": {"wait_initial_s": 0.01, "wait_max_s": 0.05, "wait_jitter_s": 0.01},
        }
        self.job.write_text(yaml.safe_dump({**defaults, **job}))
        return self

    def with_edits(self, count: int, **job: Any) -> "Shop":
        rows = "".join([f"e{n},mug.jpg,edit number {n}\n" for n in range(count)])
        return self.write("id,images,prompt\n" + rows, **job)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the real command to its end, without a key unless one is given."""

    def run(
        *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command_line(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(env),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )

    return run


def command_line(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "pipeline", *map(str, arguments)]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIMLAPI")}
    return {**kept, "COLUMNS": "100", **(extra or {})}


@pytest.fixture
def picture_server() -> Iterator[Callable[[Path], str]]:
    """Serves the folder of a file on loopback and gives the file's URL."""
    import functools
    import http.server
    import threading

    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    def serve(file: Path) -> str:
        handler = functools.partial(Quiet, directory=str(file.parent))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/{file.name}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
