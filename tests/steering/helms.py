"""A helm that notes what it was told, and a socket to talk to its server by hand."""

import json
import socket
from pathlib import Path
from typing import Any

from pipeline.snapshot import Snapshot, Trouble
from pipeline.steering.channel import NAME
from pipeline.steering.messages import Tune


def snapshot(**changes: Any) -> Snapshot:
    return Snapshot(
        **{
            "job": "shop",
            "run_id": "r1",
            "endpoint": "emulator",
            "model": "m",
            "outputs": "outputs/shop",
            "pid": 1,
            "host": "here",
            "started_at": 1.0,
            "at": 2.0,
            "state": "running",
            "why": "",
            "counts": {"succeeded": 1},
            "expected": None,
            "done": 1,
            "waiting": 0,
            "pictures": 1,
            "pictures_per_minute": 1.0,
            "in_flight": 0,
            "concurrency": 4,
            "stated_concurrency": 4,
            "in_force": "nothing",
            "requests_per_minute": None,
            "spent_usd": 0.0,
            "reserved_usd": 0.0,
            "unknown_usd": 0.0,
            "cap_usd": None,
            "left_s": None,
            "retries": 0,
            "rate_limited": 0,
            "attempts": {},
            "latency_s": (),
            "latency_sum_s": 0.0,
            "troubles": (Trouble(1.5, "x" * 2000),),
            **changes,
        }
    )


class NotingHelm:
    """Notes what it was told."""

    def __init__(self) -> None:
        self.told: list[str | Tune] = []
        self.reasons: list[str] = []

    def snapshot(self) -> Snapshot:
        return snapshot(state="paused" if self.told[-1:] == ["pause"] else "running")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def tune(self, change: Tune) -> None:
        self.told.append(change)

    def stop(self) -> None:
        self.told.append("stop")

    def unsteerable(self, reason: str) -> None:
        self.reasons.append(reason)


def dial(outputs: Path) -> socket.socket:
    """A connection made by hand, as another program would."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(60)
    connection.connect(str(outputs / NAME))
    return connection


def say(outputs: Path, line: bytes) -> dict[str, Any]:
    """Sends one line by hand and reads one."""
    with dial(outputs) as connection:
        connection.sendall(line)
        answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return answer
