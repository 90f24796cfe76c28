"""The clients that are compared. ``python -m benchmarks.clients NAME URL COUNT IN_FLIGHT FOLDER``
prints one line of JSON: seconds, CPU seconds and peak memory (MB) of doing COUNT edits.
"""

import asyncio
import base64
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

MODEL = "google/gemini-2.5-flash-image-edit"


async def plain(url: str, count: int, in_flight: int, folder: Path) -> None:
    """What everyone writes first: aiohttp, `json`, `base64`, a file. Nothing is made durable."""
    import aiohttp

    image = "data:image/png;base64," + base64.b64encode((folder / "in.png").read_bytes()).decode()
    gate = asyncio.Semaphore(in_flight)
    connector = aiohttp.TCPConnector(limit=0)

    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(number: int) -> None:
            body = {"model": MODEL, "prompt": f"edit {number}", "image_urls": [image]}
            async with gate:
                async with session.post(url + "/v1/images/generations", json=body) as answer:
                    item = (await answer.json())["data"][0]
                if "url" in item:
                    async with session.get(item["url"]) as answer:
                        data = await answer.read()
                else:
                    data = base64.b64decode(item["b64_json"])
            (folder / f"{number}.png").write_bytes(data)

        await asyncio.gather(*(one(number) for number in range(count)))


async def httpx(url: str, count: int, in_flight: int, folder: Path) -> None:
    """The same with httpx."""
    import httpx

    image = "data:image/png;base64," + base64.b64encode((folder / "in.png").read_bytes()).decode()
    gate = asyncio.Semaphore(in_flight)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)

    async with httpx.AsyncClient(limits=limits, timeout=300) as client:

        async def one(number: int) -> None:
            body = {"model": MODEL, "prompt": f"edit {number}", "image_urls": [image]}
            async with gate:
                answer = await client.post(url + "/v1/images/generations", json=body)
                item = answer.json()["data"][0]
                if "url" in item:
                    data = (await client.get(item["url"])).content
                else:
                    data = base64.b64decode(item["b64_json"])
            (folder / f"{number}.png").write_bytes(data)

        await asyncio.gather(*(one(number) for number in range(count)))


async def pipeline(url: str, count: int, in_flight: int, folder: Path) -> None:
    """This pipeline as shipped, everything on. The folder's ``job.yaml`` says what to edit."""
    import pipeline

    job = pipeline.load_job(folder / "job.yaml")
    result = await pipeline.run(job, base_url=url, environ={})
    if result.totals.succeeded != count:
        raise SystemExit(f"{result.totals.succeeded} of {count} succeeded: {result}")


CLIENTS: dict[str, Callable[[str, int, int, Path], Awaitable[None]]] = {
    "pipeline": pipeline,
    "plain": plain,
    "httpx": httpx,
}


def main(name: str, url: str, count: str, in_flight: str, folder: str) -> None:
    # Start-up is not what is measured here: what a client imports is imported first.
    __import__({"pipeline": "pipeline.api", "plain": "aiohttp", "httpx": "httpx"}[name])
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    asyncio.run(CLIENTS[name](url, int(count), int(in_flight), Path(folder)))  # type: ignore[arg-type]
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    measured: dict[str, Any] = {
        "seconds": seconds,
        "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "rss": after.ru_maxrss / 1024,
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main(*sys.argv[1:])
