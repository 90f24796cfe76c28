"""What is measured: one function a table. Every figure of a table comes from one run."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import (
    Cost,
    client,
    disk_rate,
    folder,
    server,
    write_job,
)

ROUNDS = 3
IN_FLIGHT = (8, 64, 256)
TMPFS = "/dev/shm"

Table = list[dict[str, Any]]


def large() -> Table:
    """1.25 MB PNG as base64 in JSON: this pipeline, the plain script, httpx."""
    table = _compare("large", 600, ("pipeline", "plain", "httpx"))
    if Path(TMPFS).is_dir():
        table += _compare("large", 600, ("pipeline", "plain"), where=TMPFS)
    return table


def url() -> Table:
    """The same picture behind a URL."""
    return _compare("url", 400, ("pipeline", "plain", "httpx"))


def small() -> Table:
    """2 KB pictures: what an edit costs when the picture costs nothing."""
    table = _compare("small", 4000, ("pipeline", "plain"))
    with folder() as path:
        table.append(_row("small", 64, "the disk's own fsyncs", rate=disk_rate(path, threads=8)))
        _say(table[-1])
    if Path(TMPFS).is_dir():
        table += _compare("small", 4000, ("pipeline", "plain"), where=TMPFS)
    return table


def upload() -> Table:
    """Different 3 MB JPEGs that need no change, one an edit, 256 in flight."""
    table: Table = []
    with folder() as path, server("small") as (address, _):
        names = _jpegs(path, 256)
        base = client("pipeline", address, 1, 256, _with_rows(path, ["in.png"], 256)).rss
        for label in ("first time: digests are made", "again: digests are known"):
            # The prompt differs, so that everything is asked for again.
            job = _with_rows(path, names, 256, prompt=label)
            cost = client("pipeline", address, len(names), 256, job)
            table.append(_row("upload", 256, label, cost=cost, extra_mb=cost.rss - base))
            _say(table[-1])
    return table


def million() -> Table:
    """1,000,000 rows: the time to the first request, and planning when everything is done."""
    from benchmarks.million import first_request_s, resume

    rows = 1_000_000
    with folder(TMPFS if Path(TMPFS).is_dir() else None) as path:
        write_job(path, ["in.png"] * rows, 64)
        with server("small") as (address, process):
            start = first_request_s(path, address, process)
        table = [_row("million", 64, "start to first request", seconds=start)]
        _say(table[-1])
        seconds, rss = resume(path, rows)
        table.append(_row("million", 64, "all done already", rate=rows / seconds, rss=rss))
        _say(table[-1])
    return table


def startup() -> Table:
    """``pipeline --help`` beside ``import typer``."""
    table = []
    for label, arguments in (
        ("pipeline --help", ["-m", "pipeline", "--help"]),
        ("import typer", ["-c", "import typer"]),
    ):
        times = [_wall([sys.executable, *arguments]) for _ in range(11)]
        table.append(_row("startup", 1, label, seconds=median(times)))
        _say(table[-1])
    return table


BENCHMARKS: dict[str, Callable[[], Table]] = {
    "large": large,
    "url": url,
    "small": small,
    "upload": upload,
    "million": million,
    "startup": startup,
}


def _compare(
    kind: str,
    count: int,
    names: Sequence[str],
    *,
    where: str | None = None,
) -> Table:
    """Clients take turns, so that a slow minute of the machine hits all of them alike."""
    table: Table = []
    with server(kind) as (address, _), ExitStack() as until_the_end:
        for in_flight in IN_FLIGHT:
            costs: dict[str, list[Cost]] = {name: [] for name in names}
            for _ in range(ROUNDS):
                for name in names:
                    with ExitStack() as until_now:
                        # A disk that has just deleted thousands of files makes new ones slowly:
                        # they stay until the table is done. Memory is too dear for that.
                        stack = until_now if where else until_the_end
                        path = stack.enter_context(folder(where))
                        write_job(path, ["in.png"] * count, in_flight)
                        costs[name].append(client(name, address, count, in_flight, path))
            for name in names:
                what = f"{name} on tmpfs" if where else name
                table.append(_row(kind, in_flight, what, cost=_middle(costs[name])))
                _say(table[-1])
    return table


def _middle(costs: Sequence[Cost]) -> Cost:
    """Each figure's median over the rounds."""
    return Cost(*(median(values) for values in zip(*costs, strict=True)))


def _row(kind: str, in_flight: int, what: str, **figures: Any) -> dict[str, Any]:
    cost: Cost | None = figures.pop("cost", None)
    if cost is not None:
        figures |= {"rate": cost.rate, "cpu_ms": cost.cpu_ms, "rss": cost.rss}
    return {"kind": kind, "in_flight": in_flight, "what": what, **figures}


def _say(row: dict[str, Any]) -> None:
    figures = "  ".join(
        f"{name} {value:,.2f}" for name, value in row.items() if isinstance(value, float)
    )
    print(f"{row['kind']:>8} {row['in_flight']:>4}  {row['what']:<30} {figures}", flush=True)


def _with_rows(path: Path, names: list[str], in_flight: int, *, prompt: str = "") -> Path:
    write_job(path, names, in_flight)
    edits = path / "edits.csv"
    edits.write_text(edits.read_text().replace("edit ", f"{prompt} "))
    return path


def _jpegs(path: Path, count: int) -> list[str]:
    """Pictures of noise, about 3 MB each, all different, none with anything to strip."""
    import os

    from PIL import Image

    side = 1400
    image = Image.frombytes("RGB", (side, side), os.urandom(3 * side * side))
    image.save(path / "0.jpg", quality=90, subsampling=0)
    data = bytearray((path / "0.jpg").read_bytes())
    middle = len(data) // 2
    for number in range(count):
        # Any byte but FF may stand inside the pixels' data without changing the file's structure.
        data[middle : middle + 2] = bytes((number // 250, number % 250))
        (path / f"{number}.jpg").write_bytes(data)
    return [f"{number}.jpg" for number in range(count)]


def _wall(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
