"""Makes the picture of the live page from real runs: `python docs/images/live.py`.

Three runs of one job against the endpoint played on this machine, in a temporary folder: one to its
end, one that its cap stops, and one that goes on while the picture is made. Needs Chromium: see
CONTRIBUTING.md.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from screens import ROOT, opened, saved

from pipeline.emulator.testing import RunningEmulator

EDITS = 400
SHOWN_AT = 230
JOB = """\
manifest: ../manifests/autumn-catalog.csv
prompt: {prompt}
endpoint: {{base_url: "{url}"}}
limits: {{concurrency: 12}}
budget: {{run_usd: {run_usd}, day_usd: 100}}
"""
PROMPT = "Put the {{ product }} on a pure white background."
REFUSED = ("chair-007", "vase-012", "lamp-019", "mug-023", "clock-028", "teapot-031")
FAULTS = {"status_500": 0.04, "status_503": 0.02, "rate_limited": 0.01}
PRODUCTS = ("chair", "vase", "lamp", "mug", "clock", "teapot")


def main() -> None:
    script = [
        {"when": {"prompt_contains": f"the {name} on"}, "fault": "refused_400"} for name in REFUSED
    ]
    endpoint = RunningEmulator(
        pictures="plain", latency={"median_s": 0.5, "sigma": 0.4}, faults=FAULTS, script=script
    )
    try:
        with tempfile.TemporaryDirectory() as temporary:
            job = catalog(Path(temporary))
            write(job, endpoint.url, PROMPT, run_usd=25)
            run(job).wait()
            write(job, endpoint.url, PROMPT + " Soft shadow.", run_usd=12)
            run(job).wait()
            endpoint.use(latency={"median_s": 2.6, "sigma": 0.4})
            write(job, endpoint.url, PROMPT + " Softer shadow.", run_usd=25)
            with served(job.parent) as address:
                going = run(job)
                try:
                    shoot(f"{address}/jobs/{job.stem}")
                finally:
                    going.terminate()
                    going.wait()
    finally:
        endpoint.stop()


def catalog(folder: Path) -> Path:
    """The path of its job."""
    (folder / "jobs").mkdir()
    (folder / "manifests").mkdir()
    shutil.copy(ROOT / "manifests" / "images" / "vase.jpg", folder / "manifests" / "input.jpg")
    rows = [
        f"autumn-catalog-{n:04},input.jpg,{PRODUCTS[n % len(PRODUCTS)]}-{n // len(PRODUCTS):03}"
        for n in range(EDITS)
    ]
    table = folder / "manifests" / "autumn-catalog.csv"
    table.write_text("\n".join(["id,images,product", *rows, ""]), encoding="utf-8")
    return folder / "jobs" / "autumn-catalog.yaml"


def write(job: Path, url: str, prompt: str, *, run_usd: float) -> None:
    job.write_text(JOB.format(url=url, prompt=f'"{prompt}"', run_usd=run_usd), encoding="utf-8")


def run(job: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pipeline", "run", str(job), "--yes", "--no-guards", "--quiet"]
    environment = {**os.environ, "AIMLAPI_API_KEY": "a-key-for-the-emulator"}
    return subprocess.Popen(command, env=environment)  # noqa: S603 - our own command


@contextmanager
def served(jobs: Path) -> Iterator[str]:
    """The address of a server of these jobs."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "pipeline", "serve", str(jobs), "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield next(
            word.rstrip("/")
            for line in process.stdout or ()
            for word in line.split()
            if word.startswith("http")
        )
    finally:
        process.terminate()
        process.wait()


def shoot(address: str) -> None:
    with opened(address, "light", height=860, scale=1, shown="#progress-words b") as page:
        while int(page.inner_text("#progress-words b")) < SHOWN_AT:
            page.wait_for_timeout(200)
        saved(page, "live-page.jpg", most=130_000)


if __name__ == "__main__":
    main()
