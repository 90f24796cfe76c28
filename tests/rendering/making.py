"""A shop whose job has been run, for tests of what becomes of its pictures."""

import asyncio
import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.models import Decision
from pipeline.rendering.result import RenderResult
from pipeline.running import RunResult
from tests.conftest import Shop

SMALL = {"width": 60, "height": 60}
"""A rendition that is quickly made."""


def run(shop: Shop, endpoint: RunningEmulator, **options: Any) -> RunResult:
    options.setdefault("environ", {})
    return asyncio.run(pipeline.run(shop.job, base_url=endpoint.url, **options))


def render(shop: Shop, **options: Any) -> RenderResult:
    return asyncio.run(pipeline.render(shop.job, **options))


def decide(shop: Shop, **decisions: str) -> None:
    said: Any = [Decision(id=name, decision=word) for name, word in decisions.items()]  # type: ignore[arg-type]
    asyncio.run(pipeline.review(shop.job, said))


def files(folder: Path) -> list[str]:
    """All pictures below a folder."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix in (".jpg", ".png", ".webp", ".avif")
    )


def rows(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(shop.outputs / "ledger.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def results(shop: Shop) -> dict[str, dict[str, str]]:
    with (shop.outputs / "results.csv").open(newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def last_line(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found
