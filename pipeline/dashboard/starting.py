"""Runs that are started from the page: processes of their own, which outlive the server."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from pipeline.dashboard.folder import Side
from pipeline.errors import LedgerError, StoreError
from pipeline.ledger import open_reader

LOOK_EVERY_S = 0.2
"""How often a started process is looked at: for its run's id, and for its end."""

TAIL_BYTES = 16_384
LAST_WORDS = 2_000
"""Characters of what a process said last."""

TOKEN_VARIABLE = "PIPELINE_SERVE_TOKEN"  # noqa: S105 - the name of a variable


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started for a job. ``run_id``: once it has a row in the ledger;
    ``exit_code``: once it has ended (as the command's); ``last_words``: the end of what it said.
    """

    pid: int
    started_at: float
    command: str
    run_id: str | None = None
    exit_code: int | None = None
    last_words: str = ""


class Starter:
    """Starts runs and keeps an eye on them. Belongs to one event loop."""

    def __init__(self, changed: Callable[[Side], Awaitable[None]]) -> None:
        """``changed`` is awaited whenever a process of that job got its run, or ended."""
        self._changed = changed
        self._processes: dict[Path, Process] = {}
        self._eyes: set[asyncio.Task[None]] = set()
        self._starting: set[Path] = set()

    def process_of(self, side: Side) -> Process | None:
        """The one that was started last."""
        return self._processes.get(side.outputs)

    def is_busy(self, side: Side) -> bool:
        """Whether one that was started here has not ended."""
        process = self.process_of(side)
        going_on = process is not None and process.exit_code is None
        return going_on or side.outputs in self._starting

    async def start(self, side: Side, words: Sequence[str]) -> Process:
        """Starts ``pipeline WORDS``. Raises `StoreError` where its log cannot be written."""
        runs = side.outputs / "runs"
        log = runs / f"start-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{_tag()}.log"
        self._starting.add(side.outputs)
        try:
            child = await asyncio.to_thread(_spawn, words, log)
        except OSError as error:
            raise StoreError(
                f"{error.filename or log}: {error.strerror or error} (make the job's outputs"
                " writable)"
            ) from error
        finally:
            self._starting.discard(side.outputs)
        process = Process(pid=child.pid, started_at=time.time(), command=_shown(words))
        self._processes[side.outputs] = process
        eye = asyncio.create_task(self._watch(side, child, log))
        self._eyes.add(eye)
        eye.add_done_callback(self._eyes.discard)
        return process

    async def close(self) -> None:
        """Looks away. The processes go on."""
        for eye in self._eyes:
            eye.cancel()
        await asyncio.gather(*self._eyes, return_exceptions=True)

    async def _watch(self, side: Side, child: "subprocess.Popen[bytes]", log: Path) -> None:
        try:
            while True:
                exit_code = child.poll()
                process = self._processes[side.outputs]
                if process.run_id is None:
                    run_id = await asyncio.to_thread(
                        _run_of, side, child.pid, process.started_at - 1
                    )
                    if run_id is not None:
                        log = await asyncio.to_thread(_renamed, log, log.with_name(f"{run_id}.log"))
                        await self._note(side, run_id=run_id)
                if exit_code is not None:
                    words = await asyncio.to_thread(last_words, log)
                    await self._note(side, exit_code=exit_code, last_words=words)
                    return
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            # The server ends and the run does not: nobody here will ask for its end any more.
            child.returncode = child.returncode if child.returncode is not None else 0

    async def _note(self, side: Side, **news: Any) -> None:
        process = self._processes[side.outputs]
        self._processes[side.outputs] = msgspec.structs.replace(process, **news)
        await self._changed(side)


def last_words(log: Path) -> str:
    """What a log ends with, in words: its last lines that are not JSON, or else its last message.
    Blocks.
    """
    lines = _tail(log)
    words: list[str] = []
    for line in reversed(lines):
        if not line.strip() or (line.startswith("{") and words):
            if words:
                break
            continue
        words.insert(0, _message_of(line))
    return "\n".join(words)[-LAST_WORDS:]


def _message_of(line: str) -> str:
    if not line.startswith("{"):
        return line
    with suppress(ValueError):
        said = json.loads(line)
        for name in ("error", "message", "line", "text", "event"):
            if isinstance(said, dict) and isinstance(said.get(name), str):
                return str(said[name])
    return line


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _spawn(words: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    log.parent.mkdir(parents=True, exist_ok=True)
    environ = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    with log.open("xb") as file:
        return subprocess.Popen(  # noqa: S603 - our own module; words are options, never a shell's
            [sys.executable, "-m", "pipeline", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environ,
            # Ctrl-C at the server's terminal, and its end, are none of the run's business.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def _run_of(side: Side, pid: int, since: float) -> str | None:
    """The run that this process has begun, if it has: one of after ``since``, pids come again."""
    with suppress(LedgerError):  # asked again in a moment; the page says why it cannot be read
        reader = open_reader(side.ledger)
        if reader is not None:
            with reader:
                run = reader.last_run()
            if run is not None and (run.pid, run.started_at > since) == (pid, True):
                return run.id
    return None


def _renamed(log: Path, better: Path) -> Path:
    try:
        return log.rename(better)
    except OSError:  # Windows, while it is being written to
        return log


def _shown(words: Sequence[str]) -> str:
    return " ".join(["pipeline", *words])


def _tag() -> str:
    return secrets.token_hex(2)
