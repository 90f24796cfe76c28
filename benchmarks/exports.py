"""Measures exports: the most memory at 10,000, 100,000 and 1,000,000 records, and records a second.

``python -m benchmarks.exports [COUNT …] [--format NAME]`` prints a table. Pictures are small (about
1 kB) and few files stand for many records, so that what is measured is the export and not the disk.
Each export is a process of its own.
"""

import argparse
import asyncio
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from pipeline.ledger import Run, open_ledger
from pipeline.models import Edit, ImageRef, Record, StoredImage
from pipeline.pictures.prepare import digest_file

FILES = 1_000
BATCH = 2_000
START = 1_769_828_400.0


def make(folder: Path, count: int) -> Path:
    """A job whose ledger has so many records; its file."""
    job, manifests, outputs = folder / "jobs/big.yaml", folder / "manifests", folder / "outputs/big"
    for path in (job.parent, manifests, outputs / "images"):
        path.mkdir(parents=True)
    job.write_text("manifest: ../manifests/big.csv\n")
    (manifests / "big.csv").write_text("id,images\n")
    images, sources = [], []
    for n in range(FILES):
        data = _picture(n)
        path = f"images/{n}.png"
        (outputs / path).write_bytes(data)
        images.append(
            StoredImage(
                path=path,
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
                width=16,
                height=16,
                format="png",
            )
        )
        (manifests / f"{n}.png").write_bytes(_picture(FILES + n))
        sources.append(manifests / f"{n}.png")
    asyncio.run(_write(outputs / "ledger.db", count, images, sources))
    return job


async def _write(path: Path, count: int, images: list[StoredImage], sources: list[Path]) -> None:
    ledger = open_ledger(path, origin="emulator")
    try:
        await ledger.start_run(
            Run(id="r", started_at=START, pid=1, host="h", version="0", job="big")
        )
        for source in sources:
            stat = source.stat()
            ledger.remember_input(
                str(source.resolve()), stat.st_size, stat.st_mtime_ns, digest_file(source)
            )
        for first in range(0, count, BATCH):
            await asyncio.gather(
                *[
                    ledger.record(_record(n, images[n % FILES], sources[n % FILES]))
                    for n in range(first, min(first + BATCH, count))
                ]
            )
    finally:
        ledger.close()


def _record(n: int, image: StoredImage, source: Path) -> Record:
    return Record(
        edit=Edit(
            id=f"sku-{n:07}",
            images=(ImageRef(source=source.name, kind="file", path=str(source)),),
            prompt=f"Put the product on pure white, soft shadow, view {n % 40}.",
            parameters={},
            variables={"product": f"product {n}", "licence": "cc-by-4.0"},
            place=f"big.csv:{n + 2}",
            output=f"sku-{n:07}",
        ),
        model="google/gemini-2.5-flash-image-edit",
        fingerprint=hashlib.sha256(str(n).encode()).hexdigest(),
        run_id="r",
        status="succeeded",
        attempts=1,
        started_at=START,
        finished_at=START + n / 10,
        images=(image,),
        cost_usd=0.042,
    )


def _picture(n: int) -> bytes:
    shades = hashlib.shake_256(str(n).encode()).digest(16 * 16 * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (16, 16), shades).save(file, "PNG")
    return file.getvalue()


def measure(job: Path, output: Path, kind: str) -> tuple[float, float]:
    """Seconds, and the process's most memory in MB."""
    code = (
        "import resource, sys\n"
        "from pipeline.exporting.entrance import export\n"
        "export(sys.argv[1], format=sys.argv[2], output=sys.argv[3],"
        " split='train=0.9,test=0.1', source=sys.argv[2] != 'folder',"
        " shard_size=None if sys.argv[2] == 'folder' else '200MB')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, job, kind, output], check=True, capture_output=True, text=True
    )
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return time.perf_counter() - began, int(done.stdout) / unit


def main() -> None:
    """Prints a row for each number of records: the first export, and one with nothing new."""
    parser = argparse.ArgumentParser()
    parser.add_argument("counts", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--format", default="parquet-images")
    options = parser.parse_args()
    print("| records | most memory | records a second | again, nothing new | memory then |")
    print("|---:|---:|---:|---:|---:|")
    for count in options.counts:
        folder = Path(tempfile.mkdtemp(prefix="bench-exports-"))
        try:
            job = make(folder, count)
            took, most = measure(job, folder / "set", options.format)
            again, most_again = measure(job, folder / "set", options.format)
            print(
                f"| {count:,} | {most:.0f} MB | {count / took:,.0f} | {again / took:.2f} of that"
                f" time | {most_again:.0f} MB |",
                flush=True,
            )
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
