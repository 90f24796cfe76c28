"""Runs as processes of their own: ``python -m pipeline run … --yes --log-json``."""

import asyncio
import calendar
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from pipeline.errors import PipelineError, StoreError
from pipeline.job import Job
from pipeline.job.design import single_jobs, split_model
from pipeline.ledger import RunRow
from pipeline.notifying import inform
from pipeline.notifying.matters import Matter
from pipeline.scheduling.memory import Going
from pipeline.scheduling.sharing import Share
from pipeline.steering.channel import NAME
from pipeline.steering.client import ask
from pipeline.steering.messages import Tune

STAMP = "%Y%m%dT%H%M%S"
LOOK_EVERY_S = 0.1
ANSWER_S = 3.0
LAST_WORDS = 2_000
"""Characters of what a process said last, where it said nothing of its end."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended. ``exit_code``: as the command's; ``None``: nobody knows, its process is
    gone. ``ended``, ``error``, ``totals``: as in the run's last line, as far as it said one; of a
    job of several models of all of them. ``made``: what was made of its pictures then, in words.
    """

    exit_code: int | None
    run_id: str | None = None
    ended: str | None = None
    error: str | None = None
    totals: dict[str, Any] = {}
    canary_failed: bool = False
    made: tuple[str, ...] = ()


class Run(Protocol):
    """A run that goes on. ``pid``: its process; ``log``: what it says."""

    pid: int
    log: Path

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
        """Gives the run other limits; ``job``: of one model. False: it cannot be asked yet, or any
        more.
        """

    async def inform(self, job: Job, matter: Matter, text: str) -> Sequence[str]:
        """Tells those whom the job names, and returns whom it could not reach, and why."""


class Processes:
    """`Runs`, for real. ``environ``: where addresses and keys are."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def start(self, job: Job, *, cap_usd: float | None) -> Run:
        words = ["run", str(job.path), "--yes", "--log-json"]
        if cap_usd is not None:
            words += ["--max-cost", f"{cap_usd:.6f}"]
        if job.exports:
            words.append("--export")
        runs = job.outputs.directory / "runs"
        stamp = time.strftime(STAMP, time.gmtime())
        log = runs / f"schedule-{stamp}-{secrets.token_hex(2)}.log"
        try:
            child = _spawn(words, log)
        except OSError as error:
            raise StoreError(
                f"{error.filename or log}: {error.strerror or error} (free some space, or make"
                " the job's outputs writable)"
            ) from error
        named = log.with_name(f"schedule-{stamp}-{child.pid}.log")  # as `log_of` looks for it
        with suppress(OSError):  # Windows, where a file that is written to keeps its name
            log = log.rename(named)
        return _Child(job, child, log)

    def adopt(self, job: Job, going: Going) -> Run | None:
        return _Adopted(job, going) if _goes_on(going) else None

    def outcome_of(self, job: Job, going: Going) -> Ending:
        return _filed(job, Path(going.log), None)

    async def tune(self, job: Job, share: Share) -> bool:
        change = Tune(
            concurrency=share.concurrency,
            requests_per_minute=share.requests_per_minute,
            images_per_minute=share.images_per_minute,
        )
        return await asyncio.to_thread(_tuned, job.outputs.directory, change)

    async def inform(self, job: Job, matter: Matter, text: str) -> Sequence[str]:
        return await inform(job, matter, text, environ=self._environ)


class _Child:
    def __init__(self, job: Job, child: "subprocess.Popen[bytes]", log: Path) -> None:
        self.pid = child.pid
        self.log = log
        self._job = job
        self._child = child

    async def ended(self) -> Ending:
        try:
            while (code := self._child.poll()) is None:  # noqa: ASYNC110 - nothing else tells it
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            # Where the scheduler ends first: nobody here will ask for its end any more.
            if self._child.returncode is None:
                self._child.returncode = 0
        return await asyncio.to_thread(_filed, self._job, self.log, code)

    def interrupt(self) -> None:
        if self._child.poll() is None:
            _interrupt(self.pid)

    def kill(self) -> None:
        if self._child.poll() is None:
            self._child.kill()


class _Adopted:
    def __init__(self, job: Job, going: Going) -> None:
        self.pid = going.pid
        self.log = Path(going.log)
        self._job = job
        self._going = going

    async def ended(self) -> Ending:
        while _goes_on(self._going):  # noqa: ASYNC110 - nothing else tells it
            await asyncio.sleep(1.0)
        return await asyncio.to_thread(_filed, self._job, self.log, None)

    def interrupt(self) -> None:
        if _goes_on(self._going):
            _interrupt(self.pid)

    def kill(self) -> None:
        if _goes_on(self._going):
            with suppress(OSError):
                os.kill(self.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def log_of(job: Job, run: RunRow) -> Path | None:
    """Where a run that a scheduler started says what it does, until it has ended: then its log is
    called like the run. One of several models: all of them say it there. ``None``: there is none.
    Blocks.
    """
    outputs = job.outputs.directory
    if split_model(job.path)[1]:
        outputs = outputs.parent
    for log in sorted((outputs / "runs").glob(f"schedule-*-{run.pid}.log"), reverse=True):
        with suppress(OSError, ValueError):
            began = calendar.timegm(time.strptime(log.name.split("-")[1], STAMP))
            # Numbers of processes come again, but this one was there when the run began.
            if began <= run.started_at <= log.stat().st_mtime:
                return log
    return None


def read_ending(log: Path, *, exit_code: int | None, runs: int = 1) -> Ending:
    """What a run's log says of its end. ``exit_code``: of its process, if anybody heard it.
    ``runs``: so many does the process do, one after the other, if nothing stops it. Blocks.
    """
    endings: list[dict[str, Any]] = []
    last = ""  # of what is no event: what Python says of a bug, and the system of a kill
    for line in _lines(log):
        if not line.startswith("{"):
            last = line
        if '"event":"run_ended"' in line or '"event":"error"' in line:
            with suppress(ValueError):
                endings.append(json.loads(line))
    ended = [said for said in endings if said.get("event") == "run_ended"]
    if not ended or ended[-1] is not endings[-1]:
        error = endings[-1].get("message") if endings else last.strip()[:LAST_WORDS] or None
        code = endings[-1].get("exit_code") if endings and exit_code is None else exit_code
        return Ending(exit_code=code, error=error, totals=_summed(ended))
    final = ended[-1]
    codes = [int(said.get("exit_code", 0)) for said in ended]
    if exit_code is None and (len(ended) == runs or codes[-1] not in (0, 3)):
        exit_code = codes[-1] if codes[-1] not in (0, 3) else max(codes)
    if exit_code is None:  # its process died between two of its runs
        return Ending(exit_code=None, totals=_summed(ended))
    return Ending(
        exit_code=exit_code,
        run_id=final.get("run_id"),
        ended=final.get("ended"),
        error=final.get("error"),
        totals=_summed(ended),
        canary_failed=bool((final.get("canary") or {}).get("failures")),
        made=tuple([line for said in ended for line in said.get("made") or ()]),
    )


def _filed(job: Job, log: Path, exit_code: int | None) -> Ending:
    """How it ended; its log is called like the run from then on. Of several models, each gets its
    part of it.
    """
    ending = read_ending(log, exit_code=exit_code, runs=len(single_jobs(job)))
    with suppress(OSError, ValueError, LookupError):  # Windows, while somebody reads it
        if job.models:
            _split(log)
            if ending.run_id is not None:
                log.unlink()
        elif ending.run_id is not None:
            log.rename(log.with_name(f"{ending.run_id}.log"))
    return ending


def _split(log: Path) -> None:
    """Each run ends with a line that says where its outputs are; words for people may follow it.
    Raises `OSError`.
    """
    draft = log.with_suffix(".part")
    own: Path | None = None
    with log.open("rb") as lines:
        part = draft.open("wb")
        for line in lines:
            if own is not None and line.startswith(b"{"):
                part.close()
                draft.replace(own)
                own, part = None, draft.open("wb")
            part.write(line)
            if b'"event":"run_ended"' in line:
                said = json.loads(line)
                own = Path(said["outputs"]) / "runs" / f"{said['run_id']}.log"
        part.close()
    if own is not None:
        draft.replace(own)
    draft.unlink(missing_ok=True)


def _summed(ended: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The totals of all; of one run as they are."""
    if len(ended) == 1:
        return dict(ended[0].get("totals") or {})
    found: dict[str, Any] = {}
    for said in ended:
        for name, value in (said.get("totals") or {}).items():
            if isinstance(value, int | float):
                found[name] = found.get(name, 0) + value
    return found


def _tuned(outputs: Path, change: Tune) -> bool:
    if not os.path.lexists(outputs / NAME):  # asked often, so that this comes first
        return False
    try:
        ask(outputs, change, timeout_s=ANSWER_S)
    except PipelineError:
        return False
    return True


def _spawn(words: list[str], log: Path) -> "subprocess.Popen[bytes]":
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("xb") as file:
        _hold(file)
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


def _hold(log: IO[bytes]) -> None:
    """Locks it. The lock is the open file's: whoever inherits that holds it, until it dies."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(log, fcntl.LOCK_EX)


def _goes_on(going: Going) -> bool:
    """Whether it is that process: a number alone may be another's by now, above all after a restart
    of the machine or the container. So its log has to be held as well.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        os.kill(going.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # somebody else's: it is there
    try:
        with Path(going.log).open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # cleared away: nobody can tell any more
    return False


def _lines(log: Path) -> Iterator[str]:
    with suppress(OSError), log.open(encoding="utf-8", errors="replace") as file:
        yield from file
