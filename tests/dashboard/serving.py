"""The real `pipeline serve` in a process of its own, and a small client for it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import command_line, environment

WITHIN_S = 60
"""For all that a process does: the machine may be busy."""
KEY = {"AIMLAPI_API_KEY": "a-key-that-no-log-holds"}


class Server:
    """A server that runs, and what it said; ``client`` shows its pages' token for changes."""

    def __init__(self, process: "subprocess.Popen[str]", said: str, announced: str) -> None:
        self.process = process
        self.said = said
        self.announced = announced
        self.url = announced.split("?")[0].rstrip("/")
        self.client = httpx.Client(base_url=self.url, timeout=WITHIN_S)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def json(self, path: str) -> Any:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def csrf(self) -> dict[str, str]:
        return {"X-CSRF-Token": self.json("/api/session")["csrf"]}

    def post(
        self, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        given = self.csrf() if headers is None else headers
        return self.client.post(path, json={} if body is None else body, headers=dict(given))

    def start(self, job: str, **wish: Any) -> Any:
        """Looks at the plan, then starts it."""
        offer = self.post(f"/api/{job}/plan", wish)
        assert offer.status_code == 200, offer.text
        started = self.post(f"/api/{job}/start", {"ticket": offer.json()["ticket"]})
        assert started.status_code == 202, started.text
        return started.json()

    @contextmanager
    def events(self, path: str) -> Iterator[Iterator[Any]]:
        """The values of a stream of events, as they come."""
        with self.client.stream("GET", path) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/event-stream"
            lines = answer.iter_lines()
            yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))

    def until(
        self, job: str, wanted: Callable[[Any], bool], *, seconds: float = WITHIN_S
    ) -> dict[str, Any]:
        """The first standing of a job, by its stream, that is like that."""
        end = time.monotonic() + seconds
        with self.events(f"/api/{job}/events") as standings:
            for standing in standings:
                if wanted(standing):
                    return dict(standing)
                assert time.monotonic() < end, f"never came: {standing}"
        raise AssertionError("the stream ended")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it as a person does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(WITHIN_S)
        finally:
            self.client.close()
        assert self.process.stdout is not None
        self.said += self.process.stdout.read()
        return code


@contextmanager
def serving(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    process = subprocess.Popen(
        command_line("serve", folder, "--port", "0", *options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment({**KEY, **(env or {})}),
    )
    assert process.stdout is not None
    server = None
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stdout.read()
        server = Server(process, line, found[0])
        yield server
        server.end()
    finally:
        if server is not None:
            server.client.close()
        if process.poll() is None:
            process.kill()
        process.wait(WITHIN_S)
        process.stdout.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
