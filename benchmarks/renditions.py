"""Renditions of pictures of one megapixel, beside raw Pillow in as many processes.

``python -m benchmarks.renditions [COUNT] [ROUNDS] [NAME]`` prints milliseconds a rendition and the
multiple, of the clock and of the processors: the median of the rounds, each of which measures both,
one after the other, so that a busy machine is busy for both. ``10000 1 JPEG`` takes ten minutes.
"""

import io
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image

from pipeline.pictures.encoding import srgb_profile
from pipeline.pictures.provenance import Provenance
from pipeline.pictures.rendering import RenderItem, processors, render_all
from pipeline.pictures.renditions import RenditionSpec

PICTURES = Path(__file__).parent.parent / "manifests" / "images"
SIZE = (1184, 864)
SIDE = 1000
FACTS = Provenance(model="google/gemini-2.5-flash-image-edit", created=1.79e9, alt_text="A mug")
SPECS = {
    "JPEG": RenditionSpec(width=SIDE, height=SIDE),
    "JPEG, not sharpened": RenditionSpec(width=SIDE, height=SIDE, sharpening="none"),
    "WebP": RenditionSpec(width=SIDE, height=SIDE, format="webp"),
    "JPEG, at most 100 kB": RenditionSpec(width=SIDE, height=SIDE, max_bytes=100_000),
}
Job = tuple[Path, Path, str]


def raw(job: Job) -> None:
    """What one writes first: open, scale, lay on white, save."""
    source, target, form = job
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    scale = min(SIDE / image.width, SIDE / image.height)
    size = round(image.width * scale), round(image.height * scale)
    image = image.resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    canvas.paste(image, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    options = {"quality": 82} if form == "WEBP" else {"quality": 90, "subsampling": 0}
    canvas.save(target, form, icc_profile=srgb_profile(), **options)


def sources(folder: Path) -> list[Path]:
    """A dozen photographs as PNGs of one megapixel, as an endpoint returns them."""
    found = []
    for path in sorted(PICTURES.glob("*.jpg")):
        target = folder / f"{path.stem}.png"
        with Image.open(path) as image:
            buffer = io.BytesIO()
            image.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).save(buffer, "PNG")
        target.write_bytes(buffer.getvalue())
        found.append(target)
    return found


def main(count: int = 400, rounds: int = 3, *chosen: str) -> None:
    """Measures the ``chosen`` of `SPECS`, or all."""
    folder = Path(__file__).parent / ".work" / f"renditions-{os.getpid()}"
    folder.mkdir(parents=True)
    workers = processors()
    print(f"{count} renditions of {SIZE[0]} x {SIZE[1]} each time, {workers} processes")
    try:
        pictures = [path for path, _ in zip(_endless(sources(folder)), range(count), strict=False)]
        for name in chosen or SPECS:
            spec = SPECS[name]
            targets = [folder / f"out-{n}" for n in range(count)]
            form = spec.format.upper()
            jobs = list(zip(pictures, targets, [form] * count, strict=True))
            items = [
                RenderItem(source=one, spec=spec, target=target, provenance=FACTS)
                for one, target in zip(pictures, targets, strict=True)
            ]
            ours, theirs, threads = [], [], []
            for _ in range(rounds):
                theirs.append(_timed(lambda jobs=jobs: _raw(jobs, workers)))
                ours.append(_timed(lambda items=items: _ours(items, processes=True)))
                threads.append(_timed(lambda items=items: _ours(items, processes=False)))
            print(
                f"{name:22} raw {_shown(theirs, count)}  ours {_shown(ours, count)}"
                f"  multiple {_multiple(ours, theirs)}"
                f"  (threads instead: {_multiple(threads, theirs)})",
                flush=True,
            )
    finally:
        shutil.rmtree(folder)


def _endless(paths: list[Path]):  # type: ignore[no-untyped-def]
    while True:
        yield from paths


def _raw(jobs: list[Job], workers: int) -> None:
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(raw, jobs, chunksize=8))


def _ours(items: list[RenderItem], *, processes: bool) -> None:
    for outcome in render_all(items, processes=processes):
        assert outcome.status == "rendered", outcome.problem


Cost = tuple[float, float]
"""Seconds by the clock, and of processors, this process's and its children's."""


def _timed(work: Callable[[], None]) -> Cost:
    began, spent = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - began, sum(os.times()[:4]) - spent


def _shown(costs: list[Cost], count: int) -> str:
    clock, cpu = (statistics.median(cost[kind] for cost in costs) for kind in (0, 1))
    return f"{clock * 1000 / count:5.1f} ms ({cpu * 1000 / count:5.1f} of CPU)"


def _multiple(ours: list[Cost], theirs: list[Cost]) -> str:
    clock, cpu = (
        statistics.median(one[kind] / other[kind] for one, other in zip(ours, theirs, strict=True))
        for kind in (0, 1)
    )
    return f"{clock:.2f} ({cpu:.2f} of CPU)"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *sys.argv[3:])
