"""What the review gallery of a large job costs: ``python -m benchmarks.gallery --edits 20000``.

Makes a ledger and small pictures, each with bytes of its own, and then does what a person does:
a first report, and a second one when nothing is new. Beside it, the same previews as people write
them first: plain Pillow, one after the other, in one process.
"""

import argparse
import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pipeline.ledger import Ledger, Run, open_ledger
from pipeline.models import Attempt, AttemptEnd, Edit, ImageRef, Record, StoredImage
from pipeline.pictures.prepare import digest_file

MUG = Path(__file__).parent.parent / "manifests" / "images" / "mug.jpg"
SIDE = 512
BATCH = 1000
PLAIN = 300
"""Previews made the plain way: enough to know what one costs."""

COLOURS = ("white", "sand", "slate", "olive")


class Cost(NamedTuple):
    """Of one command: wall seconds, CPU seconds of all threads, peak memory in MB."""

    seconds: float
    cpu: float
    rss: float
    said: dict[str, object]


def picture(side: int = SIDE) -> bytes:
    with Image.open(MUG) as mug:
        square = mug.convert("RGB").resize((side, side))
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def unlike(jpeg: bytes, number: int) -> bytes:
    """The same picture with a comment of its own: another file, as far as anybody can tell."""
    comment = b"%16d" % number
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


async def fill(ledger: Ledger, folder: Path, edits: int) -> None:
    jpeg = picture()
    start = time.time() - 6 * 3600
    run = Run(id="run-1", started_at=start, pid=1, host="bench", version="0", job="bench")
    await ledger.start_run(run)
    for first in range(0, edits, BATCH):
        numbers = range(first, min(edits, first + BATCH))
        await asyncio.gather(*[one(ledger, folder, jpeg, n, edits, start) for n in numbers])
    await ledger.end_run("run-1", ended="finished", exit_code=0, totals={}, finished_at=time.time())


async def one(
    ledger: Ledger, folder: Path, jpeg: bytes, number: int, edits: int, start: float
) -> None:
    name = f"e{number:06}"
    source = folder / "in" / f"{name}.jpg"
    source.write_bytes(unlike(jpeg, number))
    stat = source.stat()
    digest = digest_file(source)  # a run remembers it, and so it is not read again
    ledger.remember_input(str(source.resolve()), stat.st_size, stat.st_mtime_ns, digest)
    (folder / "out" / "images" / f"{name}.jpg").write_bytes(unlike(jpeg, edits + number))
    began = start + 6 * 3600 * number / edits
    fails = number % 40 == 7
    attempt = Attempt(
        id=f"a{number}",
        edit_id=name,
        run_id="run-1",
        number=1,
        fingerprint=f"{number:064x}",
        started_at=began,
        images=1,
        reserved_usd=0.042,
    )
    await ledger.start_attempt(attempt)
    end = AttemptEnd(
        status="failed" if fails else "succeeded",
        finished_at=began + 4 + number % 13,
        cost_usd=0.0 if fails else 0.042,
        cost_source="catalog",
        error_code="server_error" if fails else None,
        error_message="the provider failed (500)" if fails else None,
    )
    image = StoredImage(
        path=f"images/{name}.jpg",
        sha256=f"{number:064x}"[::-1],
        size=len(jpeg) + 20,
        width=SIDE,
        height=SIDE,
        format="jpeg",
    )
    edit = Edit(
        id=name,
        images=(ImageRef(source=f"in/{name}.jpg", kind="file"),),
        prompt=f"Put the product number {number} on pure white, with a soft shadow under it.",
        parameters={"num_images": 1},
        variables={"category": f"category {number % 50}", "colour": COLOURS[number % 4]},
        place=f"edits.csv:{number + 2}",
        output=name,
    )
    record = Record(
        edit=edit,
        model="google/gemini-2.5-flash-image-edit",
        fingerprint=attempt.fingerprint,
        run_id="run-1",
        status=end.status if end.status != "started" else "unknown",
        attempts=1,
        started_at=began,
        finished_at=end.finished_at,
        images=() if fails else (image,),
        cost_usd=end.cost_usd,
        error_code=end.error_code,
        error_message=end.error_message,
    )
    await ledger.record(record, attempt_id=attempt.id, end=end)


def report(job: Path) -> Cost:
    """`pipeline report` in a process of its own."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "report", str(job), "--json"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds = time.perf_counter() - began
    scale = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / scale, json.loads(said))


def plain(pictures: Iterator[Path], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds that one preview costs as it is written first."""
    began, worked = time.perf_counter(), time.process_time()
    count = 0
    for count, path in enumerate(pictures, start=1):
        with Image.open(path) as whole:
            whole.thumbnail((384, 384))
            whole.convert("RGB").save(folder / f"{count}.webp", quality=80)
    return (time.perf_counter() - began) / count, (time.process_time() - worked) / count


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--edits", type=int, default=20_000)
    options.add_argument("--keep", type=Path, help="leave the job in this folder, to look at")
    chosen = options.parse_args()
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="gallery-"))
    try:
        for name in ("in", "out/images", "plain"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "edits.csv").write_text("id,image\n")
        job = folder / "bench.yaml"
        job.write_text("manifest: edits.csv\nbudget: {run_usd: 900}\noutputs: {directory: out}\n")
        ledger = open_ledger(folder / "out" / "ledger.db", origin=None)
        try:
            asyncio.run(fill(ledger, folder, chosen.edits))
        finally:
            ledger.close()
        first, second = report(job), report(job)
        sample = sorted((folder / "in").iterdir())[:PLAIN]
        each = plain(iter(sample), folder / "plain")
        made = int(str(first.said["made"]))
        [index] = sorted((folder / "out" / "report" / "data").glob("*/index.js"))[-1:]
        show(chosen.edits, first, second, made, each, index)
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def show(
    edits: int, first: Cost, second: Cost, made: int, each: tuple[float, float], index: Path
) -> None:
    wall, cpu = first.seconds / made, first.cpu / made
    print(f"{edits:,} edits, {made:,} previews of {SIDE} x {SIDE} JPEGs, {os.cpu_count()} cores")
    for name, cost in (("first report", first), ("again", second)):
        print(f"{name:13} {cost.seconds:8.1f} s   {cost.cpu:8.1f} s CPU   {cost.rss:6.0f} MB")
    for name, (seconds, work) in (("one preview", (wall, cpu)), ("plain Pillow", each)):
        print(f"{name:13} {seconds * 1000:8.2f} ms  {work * 1000:8.2f} ms CPU")
    print(f"plain takes {each[0] / wall:.1f} times as long, {each[1] / cpu:.1f} times the CPU")
    print(f"index.js      {index.stat().st_size / 1e6:8.2f} MB")


if __name__ == "__main__":
    main()
