"""Records and attempts to write, and the statements that a ledger ran."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger, Run, open_ledger
from pipeline.models import Attempt, AttemptEnd, Edit, ImageRef, Record, StoredImage

ORIGIN = "https://api.example.com"
START = 1_769_828_400.0  # 2026-01-31T03:00:00Z
MODEL = "google/gemini-2.5-flash-image-edit"


def opened(path: Path, **options: Any) -> Ledger:
    return open_ledger(path, origin=ORIGIN, **options)


def an_edit(edit_id: str = "shoe-1", **changes: Any) -> Edit:
    values: dict[str, Any] = {
        "id": edit_id,
        "images": (ImageRef(source="images/shoe.jpg", kind="file", path="/in/shoe.jpg"),),
        "prompt": "Put the shoe on pure white.",
        "parameters": {"num_images": 1},
        "variables": {},
        "place": "shoes.csv:2",
        "output": edit_id,
    }
    return Edit(**(values | changes))


def a_record(edit_id: str = "shoe-1", *, edit: Edit | None = None, **changes: Any) -> Record:
    values: dict[str, Any] = {
        "edit": edit or an_edit(edit_id),
        "model": MODEL,
        "fingerprint": "f" * 64,
        "run_id": "run-1",
        "status": "succeeded",
        "attempts": 1,
        "started_at": START,
        "finished_at": START + 5.25,
        "images": (an_image(f"images/{edit_id}.png"),),
        "cost_usd": 0.042,
    }
    return Record(**(values | changes))


def an_image(path: str) -> StoredImage:
    return StoredImage(
        path=path, sha256="a" * 64, size=1_250_000, width=1024, height=1024, format="png"
    )


def an_attempt(attempt_id: str = "a1", **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": attempt_id,
        "edit_id": "shoe-1",
        "run_id": "run-1",
        "number": 1,
        "fingerprint": "f" * 64,
        "started_at": START,
        "images": 1,
        "reserved_usd": 0.042,
    }
    return Attempt(**(values | changes))


def an_end(status: Any = "succeeded", **changes: Any) -> AttemptEnd:
    values: dict[str, Any] = {"status": status, "finished_at": START + 5.0}
    return AttemptEnd(**(values | changes))


def a_run(run_id: str = "run-1", **changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": run_id,
        "started_at": START,
        "pid": 4711,
        "host": "studio",
        "version": "0.1.0",
        "job": "catalog-white",
    }
    return Run(**(values | changes))


def read(path: Path, statement: str, *values: Any) -> list[Any]:
    """What a connection of somebody else sees."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def change(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            for statement in statements:
                connection.execute(statement)
    finally:
        connection.close()


def traced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that connections opened from now on run."""
    statements: list[str] = []
    connect = sqlite3.connect

    def tracing(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", tracing)
    return statements
