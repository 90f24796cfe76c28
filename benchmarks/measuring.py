"""Starting servers and clients as processes of their own, and what they cost."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.server import SMALL_SIDE, png

JOB = """\
manifest: edits.csv
inputs: {{root: .}}
limits: {{concurrency: {in_flight}, adaptive: false}}
outputs: {{directory: {outputs}}}
"""


class Cost(NamedTuple):
    """Of ``count`` edits: wall and CPU seconds (user and system), peak memory in MB."""

    count: int
    seconds: float
    cpu: float
    rss: float

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu / self.count * 1000


@contextmanager
def server(kind: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}", process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def folder(where: str | None = None) -> Iterator[Path]:
    """A working folder with one small input, on the disk of the checkout unless told otherwise."""
    base = Path(where) if where else Path(__file__).parent / ".work"
    base.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=base))
    try:
        (path / "in.png").write_bytes(png(SMALL_SIDE))
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def write_job(path: Path, rows: list[str], in_flight: int) -> None:
    """A manifest with a row for each given input name, and its job."""
    lines = [f"e{number},{name},edit {number}\n" for number, name in enumerate(rows)]
    (path / "edits.csv").write_text("id,image,prompt\n" + "".join(lines))
    outputs = path / "outputs"
    (path / "job.yaml").write_text(JOB.format(in_flight=in_flight, outputs=outputs))


def client(name: str, url: str, count: int, in_flight: int, path: Path) -> Cost:
    """Runs one client to its end in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.clients", name, url, str(count), str(in_flight), path],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=600,
    )
    return Cost(count, **json.loads(done.stdout.splitlines()[-1]))


def disk_rate(path: Path, *, threads: int, files: int = 2000) -> float:
    """Small files a second that this disk makes durable: write, fsync, rename, in threads."""
    data = os.urandom(2048)

    def one(number: int) -> None:
        temporary = path / f".{number}"
        descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, data)
        os.fsync(descriptor)
        os.close(descriptor)
        temporary.rename(path / f"f{number}")

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(files)))
    return files / (time.perf_counter() - began)
