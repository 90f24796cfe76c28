"""Runs as processes of their own: ``python -m pipeline run … --yes --log-json``."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pipeline.errors import LedgerError, PipelineError, StoreError
from pipeline.job import Job
from pipeline.ledger import RunRow, open_reader
from pipeline.scheduling.memory import Going
from pipeline.scheduling.sharing import Share
from pipeline.steering.client import ask
from pipeline.steering.messages import Tune

LOOK_EVERY_S = 0.1
TAIL_BYTES = 262_144
BEGINNING_S = 60.0
"""A process that was started a shorter time ago may have no row in the ledger yet."""
ANSWER_S = 3.0


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. ``exit_code``: as the command's; ``None``: nobody knows, its process is
    gone. The rest as in the run's last line, as far as it said one.
    """

    exit_code: int | None
    run_id: str | None = None
    ended: str | None = None
    error: str | None = None
    totals: dict[str, Any] = {}
    canary_failed: bool = False


class Run(Protocol):
    """A run that goes on. ``pid``: its process."""

    pid: int

    async def ended(self) -> Ending:
        """Waits for its end."""

    def interrupt(self) -> None:
        """As Ctrl-C: the first drains, the second cancels. Nothing, once it has ended."""

    def kill(self) -> None:
        """Ends the process at once; the ledger bears that."""


class Runs(Protocol):
    """Starts runs. The daemon's only way to processes, sockets and ledgers."""

    def start(self, job: Job, *, cap_usd: float | None) -> Run:
        """Raises `StoreError` where its log cannot be written."""

    def adopt(self, job: Job, going: Going) -> Run | None:
        """A run that an earlier scheduler started, if it still goes on."""

    def outcome_of(self, job: Job, going: Going) -> Ending:
        """How a run ended while nobody was there."""

    async def tune(self, job: Job, share: Share) -> bool:
        """Gives the run other limits. False: it cannot be asked yet, or any more."""


class Processes:
    """`Runs`, for real."""

    def start(self, job: Job, *, cap_usd: float | None) -> Run:
        words = ["run", str(job.path), "--yes", "--log-json"]
        if cap_usd is not None:
            words += ["--max-cost", f"{cap_usd:.6f}"]
        runs = job.outputs.directory / "runs"
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        log = runs / f"schedule-{stamp}-{secrets.token_hex(2)}.log"
        try:
            child = _spawn(words, log)
        except OSError as error:
            raise StoreError(
                f"{error.filename or log}: {error.strerror or error} (make the job's outputs"
                " writable)"
            ) from error
        return _Child(child, log)

    def adopt(self, job: Job, going: Going) -> Run | None:
        if not _alive(going.pid):
            return None
        row = _last_run(job)
        ours = row is not None and row.pid == going.pid and row.ended is None
        beginning = time.time() - going.started_at < BEGINNING_S
        return _Adopted(job, going) if ours or beginning else None

    def outcome_of(self, job: Job, going: Going) -> Ending:
        row = _last_run(job)
        if row is None or row.pid != going.pid:
            return Ending(exit_code=None)
        return Ending(
            exit_code=row.exit_code, run_id=row.id, ended=row.ended, totals=row.totals or {}
        )

    async def tune(self, job: Job, share: Share) -> bool:
        change = Tune(
            concurrency=share.concurrency,
            requests_per_minute=share.requests_per_minute,
            images_per_minute=share.images_per_minute,
        )
        try:
            await asyncio.to_thread(ask, job.outputs.directory, change, timeout_s=ANSWER_S)
        except PipelineError:
            return False
        return True


class _Child:
    def __init__(self, child: "subprocess.Popen[bytes]", log: Path) -> None:
        self.pid = child.pid
        self._child = child
        self._log = log

    async def ended(self) -> Ending:
        try:
            while (code := self._child.poll()) is None:  # noqa: ASYNC110 - nothing else tells it
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            # Where the scheduler ends first: nobody here will ask for its end any more.
            if self._child.returncode is None:
                self._child.returncode = 0
        ending = await asyncio.to_thread(read_ending, self._log, code)
        if ending.run_id is not None:
            with suppress(OSError):  # Windows, while somebody reads it
                self._log.rename(self._log.with_name(f"{ending.run_id}.log"))
        return ending

    def interrupt(self) -> None:
        if self._child.poll() is None:
            _interrupt(self.pid)

    def kill(self) -> None:
        if self._child.poll() is None:
            self._child.kill()


class _Adopted:
    def __init__(self, job: Job, going: Going) -> None:
        self.pid = going.pid
        self._job = job
        self._going = going

    async def ended(self) -> Ending:
        while _alive(self.pid):  # noqa: ASYNC110 - nothing else tells it
            await asyncio.sleep(1.0)
        return await asyncio.to_thread(Processes().outcome_of, self._job, self._going)

    def interrupt(self) -> None:
        _interrupt(self.pid)

    def kill(self) -> None:
        with suppress(OSError):
            os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def read_ending(log: Path, exit_code: int) -> Ending:
    """What the last lines of a run's log say of its end. Blocks."""
    for line in reversed(_tail(log)):
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if not isinstance(said, dict):
            continue
        if said.get("event") == "run_ended":
            canary = said.get("canary") or {}
            return Ending(
                exit_code=exit_code,
                run_id=said.get("run_id"),
                ended=said.get("ended"),
                error=said.get("error"),
                totals=said.get("totals") or {},
                canary_failed=bool(canary.get("failures")),
            )
        if said.get("event") == "error":
            return Ending(exit_code=exit_code, error=said.get("message"))
    words = [line for line in _tail(log) if line.strip()]
    return Ending(exit_code=exit_code, error=words[-1].strip()[:2000] if words else None)


def _spawn(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("xb") as file:
        return subprocess.Popen(  # noqa: S603 - our own module; words are options, never a shell's
            [sys.executable, "-m", "pipeline", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            # Ctrl-C at the scheduler's terminal comes to the run once, from the scheduler.
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def _interrupt(pid: int) -> None:
    with suppress(OSError):
        os.kill(pid, getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))


def _alive(pid: int) -> bool:
    if os.name == "nt":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _last_run(job: Job) -> RunRow | None:
    with suppress(LedgerError):
        reader = open_reader(job.outputs.directory / "ledger.db")
        if reader is not None:
            with reader:
                return reader.last_run()
    return None


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
