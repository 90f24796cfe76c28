"""A manifest of a million rows: how soon the first request leaves, how fast all are found done.

``python -m benchmarks.million FOLDER`` plans the folder's job in this process and prints JSON.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from select import select

from pipeline.api import load_job
from pipeline.endpoints.catalog import model_spec
from pipeline.ledger import Run, open_ledger
from pipeline.models import Edit, Record, StoredImage
from pipeline.planning import Planned
from pipeline.preview import ledger_path, make_planner, read_edits

TOGETHER = 5_000


def first_request_s(path: Path, url: str, server: "subprocess.Popen[str]") -> float:
    """Seconds from starting the command to its first request at the server.

    The guard rails stand aside: a disk seldom has room for a million pictures, and few are made.
    """
    assert server.stdout is not None
    began = time.time()
    command = [sys.executable, "-m", "pipeline", "run", path / "job.yaml", "--base-url", url]
    run = subprocess.Popen(
        [*command, "--no-guards"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        while not select([server.stdout], [], [], 0.5)[0]:
            if run.poll() is not None:
                raise SystemExit(f"the run ended with {run.returncode} before its first request")
        return float(server.stdout.readline()) - began
    finally:
        run.terminate()
        run.wait(60)


def resume(path: Path, rows: int) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a run that finds every row done."""
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (path / "outputs" / name).unlink(missing_ok=True)
    asyncio.run(_finish_all(path))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.million", path],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    if found["unchanged"] != rows:
        raise SystemExit(f"{found} instead of {rows} unchanged")
    return found["seconds"], found["rss"]


async def _finish_all(path: Path) -> None:
    """Gives every edit the record that a run would have given it."""
    job = load_job(path / "job.yaml")
    model = model_spec(job.endpoint.model)
    ledger = open_ledger(ledger_path(job), origin="emulator")
    run = Run(id="r", started_at=0, pid=0, host="h", version="0", job="j")
    await ledger.start_run(run)
    writes = []
    planner = make_planner(job, model, None, ledger.remember_input)
    for item in planner.plan(read_edits(job, model)):
        assert isinstance(item, Planned)
        writes.append(ledger.record(_record(item.edit, item.fingerprint, model.id)))
        if len(writes) == TOGETHER:
            await asyncio.gather(*writes)
            writes.clear()
    await asyncio.gather(*writes)
    await ledger.end_run("r", ended="finished", exit_code=0, totals={}, finished_at=1)
    ledger.close()


def _record(edit: Edit, fingerprint: str, model: str) -> Record:
    image = StoredImage(
        path=f"images/{edit.id}.png", sha256="0" * 64, size=1968, width=25, height=25, format="png"
    )
    return Record(
        edit=edit,
        model=model,
        fingerprint=fingerprint,
        run_id="r",
        status="succeeded",
        attempts=1,
        started_at=0.0,
        finished_at=1.0,
        images=(image,),
        cost_usd=0.042,
    )


def main(path: Path) -> None:
    import pipeline

    (path / "outputs" / "results.csv").touch()  # writing the table is not what is measured
    began = time.perf_counter()
    result = asyncio.run(pipeline.run(path / "job.yaml", base_url="http://127.0.0.1:9", environ={}))
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - began,
                "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "unchanged": result.totals.unchanged,
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
