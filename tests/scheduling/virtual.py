"""A scheduler on a virtual clock: real job files and memories, runs that follow a script."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from pipeline.job import Job
from pipeline.job.folder import JobFolder
from pipeline.ledger import open_ledger
from pipeline.notifying.matters import Matter
from pipeline.scheduling.daemon import Daemon
from pipeline.scheduling.memory import Going
from pipeline.scheduling.notices import Notice
from pipeline.scheduling.processes import Ending
from pipeline.scheduling.sharing import Share
from tests.virtual_clock import run_virtual

BERLIN = ZoneInfo("Europe/Berlin")


class ScriptedRun:
    """Ends after ``seconds`` with ``ending``; at the first Ctrl-C within ``drain_s``, unless it is
    ``deaf``; at the second at once.
    """

    def __init__(self, pid: int, seconds: float, ending: Ending, drain_s: float) -> None:
        self.pid = pid
        self.log = Path(f"{pid}.log")
        self.signals: list[str] = []
        self._ending = ending
        self._drain_s = drain_s
        self._over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._later(seconds, ending)

    async def ended(self) -> Ending:
        return await asyncio.shield(self._over)

    def interrupt(self) -> None:
        self.signals.append("interrupt")
        stopped = Ending(exit_code=130, ended="interrupted", run_id="r")
        self._later(self._drain_s if len(self.signals) == 1 else 0.0, stopped)

    def kill(self) -> None:
        self.signals.append("kill")
        self._later(0.0, Ending(exit_code=-9))

    def _later(self, seconds: float, ending: Ending) -> None:
        def end() -> None:
            if not self._over.done():
                self._over.set_result(ending)

        asyncio.get_running_loop().call_later(seconds, end)


class Script:
    """Says how runs go. ``minutes``: how long, by job; ``endings``: how each next one ends."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.minutes: dict[str, float] = {}
        self.endings: dict[str, Iterator[Ending]] = {}
        self.drain_s = 20.0
        self.started: list[tuple[str, float, float | None]] = []
        self.runs: list[ScriptedRun] = []
        self.shares: list[tuple[str, Share]] = []
        self.informed: list[tuple[str, str, str]] = []
        self.alive: dict[int, float] = {}
        self.outcomes: dict[int, Ending] = {}

    def start(self, job: Job, *, cap_usd: float | None) -> ScriptedRun:
        self.started.append((job.name, self.now(), cap_usd))
        ending = next(self.endings.get(job.name, iter(())), finished())
        seconds = self.minutes.get(job.name, 1) * 60
        run = ScriptedRun(1000 + len(self.started), seconds, ending, self.drain_s)
        self.runs.append(run)
        return run

    def adopt(self, job: Job, going: Going) -> ScriptedRun | None:
        if going.pid not in self.alive:
            return None
        return ScriptedRun(going.pid, self.alive[going.pid], finished(), self.drain_s)

    def outcome_of(self, job: Job, going: Going) -> Ending:
        return self.outcomes.get(going.pid, Ending(exit_code=None))

    async def inform(self, job: Job, matter: Matter, text: str) -> tuple[str, ...]:
        self.informed.append((job.name, matter.on, text))
        return ()

    async def tune(self, job: Job, share: Share) -> bool:
        self.shares.append((job.name, share))
        return True


def finished(**totals: Any) -> Ending:
    return Ending(exit_code=0, ended="finished", run_id="r", totals={"succeeded": 1, **totals})


def capped(cost_usd: float) -> Ending:
    return Ending(exit_code=5, ended="budget", run_id="r", totals={"cost_usd": cost_usd})


def attempt(outputs: Path, usd: float, *, at: float, origin: str = "emulator") -> None:
    """One of this price in the ledger there."""
    outputs.mkdir(parents=True, exist_ok=True)
    path = outputs / "ledger.db"
    open_ledger(path, origin=origin).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO attempts (id, edit_id, run_id, number, fingerprint, status,"
            " started_at, images, cost_usd) VALUES (?, 'e', 'r', 1, 'f', 'succeeded', ?, 1, ?)",
            (f"{outputs.name}-{at}", at, usd),
        )


class House:
    """A folder of jobs, and a scheduler for it from ``start`` (local time in Berlin) on."""

    def __init__(self, folder: Path, start: str, *, max_runs: int = 2) -> None:
        self.folder = folder / "jobs"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start = datetime.fromisoformat(start).replace(tzinfo=BERLIN).timestamp()
        self.max_runs = max_runs
        self.script = Script(lambda: self.now)
        self.notices: list[tuple[float, Notice]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._jump = 0.0
        self.daemon: Daemon | None = None

    @property
    def now(self) -> float:
        return self.start + self._jump + (self._loop.time() if self._loop is not None else 0.0)

    def job(self, name: str, cron: str | None = "0 3 * * *", **parts: Any) -> Path:
        schedule = parts.pop("schedule", {})
        if cron is not None:
            schedule = {"cron": cron, "timezone": "Europe/Berlin", **schedule}
        path = self.folder / f"{name}.yaml"
        content = {"manifest": "m.csv", "prompt": "x", "schedule": schedule, **parts}
        path.write_text(yaml.safe_dump(content))
        return path

    def saves(self, path: Path, text: str) -> None:
        """As an editor does, at this moment."""
        path.write_text(text)
        os.utime(path, (self.now, self.now))

    def outputs(self, name: str) -> Path:
        return self.folder.parent / "outputs" / name

    def spends(self, name: str, usd: float) -> None:
        """An attempt of this price, now, in the job's real ledger."""
        attempt(self.outputs(name), usd, at=self.now)

    def sleep_of_the_machine(self, hours: float) -> None:
        """The wall clock goes on while nothing runs."""
        self._jump += hours * 3600

    def lives(
        self, hours: float, *events: tuple[float, Callable[[], object]], stop: bool = True
    ) -> "House":
        """Lets a scheduler live so long; ``events``: after so many hours, do this. ``stop``: at the
        end it is asked to, as by SIGTERM; else it dies without a word.
        """

        async def live() -> None:
            loop = self._loop = asyncio.get_running_loop()
            daemon = self.daemon = Daemon(
                JobFolder(self.folder).entries,
                self.script,
                max_runs=self.max_runs,
                environ={"AIMLAPI_API_KEY": "key"},
                now=lambda: self.now,
                tell=lambda notice: self.notices.append((self.now, notice)),
                look_every_s=60,
            )
            for after, event in events:
                loop.call_later(after * 3600, event)
            task = asyncio.create_task(daemon.run())
            await asyncio.sleep(hours * 3600)
            if stop:
                daemon.stop("SIGTERM received")
                await task
            else:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            self.start, self._loop, self._jump = self.now, None, 0.0

        run_virtual(live())
        return self

    def starts(self, name: str | None = None) -> list[str]:
        """When runs started, local time to the minute, with the day of the month."""
        return [
            datetime.fromtimestamp(at, BERLIN).strftime("%d %H:%M")
            for started, at, _ in self.script.started
            if name in (None, started)
        ]

    def said(self, event: str) -> list[str]:
        return [f"{one.job}: {one.text}" for _, one in self.notices if one.event == event]
