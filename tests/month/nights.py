"""A month of nights: a scheduler on a virtual clock, whose runs are real ones against an emulator.

A run takes no virtual time while it works; after it, the script lets minutes or hours go by until
the scheduler hears of its end. Nights that are to be killed run as processes of their own.
"""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import pipeline
from pipeline.emulator.testing import RunningEmulator
from pipeline.errors import PipelineError
from pipeline.exporting.result import ExportResult
from pipeline.exporting.splitting import split_of
from pipeline.job import Job
from pipeline.job.exports import shares as splits
from pipeline.pictures.prepare import digest_file
from pipeline.scheduling.processes import Ending
from tests.conftest import environment
from tests.exporting.studio import contents, drawing, file_of
from tests.scheduling.virtual import BERLIN, House, Script, ScriptedRun

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens there."""

PATIENCE_S = 60.0

KILLED_AFTER = 6
"""Pictures of a night that is killed; so many that one night more does what is left of it."""

THEN = """
import os, signal, sys, time
ahead = float(sys.argv[1])
real = time.time
time.time = lambda: real() + ahead
"""
"""A process whose clock is ahead by so many seconds."""

KILLED_AT_ITS_PICTURES = """
written = 0
def watch(event, details):
    global written
    if event == "open" and ".partial/data/" in str(details[0]):
        written += 1
        if written == 2:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
"""
"""The process dies while it opens the second file of the data."""

AND_RUN = """
from pipeline.cli import main
sys.argv = ["pipeline", *sys.argv[2:]]
main()
"""


@dataclass
class Clock:
    """The time of day for everything in this process: ahead of the real one by ``ahead`` s."""

    real: Callable[[], float]
    ahead: float = 0.0

    def __call__(self) -> float:
        return self.real() + self.ahead

    def set(self, now: float) -> None:
        # Never back: a run that took ten real seconds began before the next one.
        self.ahead = max(self.ahead, now - self.real())


@dataclass
class Night:
    """``day``: of the month; ``at``: that and the hour; ``ending``: of its run; ``titles``: of what
    was told; ``export``: after it, ``None`` if that was killed; ``whole``: whether the one before
    was untouched then; ``splits``: source by digest → where its examples are.
    """

    day: int
    at: str
    ending: Ending
    titles: list[str]
    export: ExportResult | None = None
    whole: bool = True
    splits: dict[str, str] = field(default_factory=dict)


class Nights(Script):
    """`Runs`, as the daemon wants them: each is a real run, with an export after it."""

    def __init__(self, month: "Month") -> None:
        super().__init__(lambda: month.house.now)
        self.month = month
        self.nights: list[Night] = []

    def start(self, job: Job, *, cap_usd: float | None) -> ScriptedRun:
        month = self.month
        now = datetime.fromtimestamp(month.house.now, BERLIN)
        month.clock.set(month.house.now)
        heard = len(month.titles())
        kills = month.kills.get(now.day)
        if kills == "run":
            ending = self._killed(job)
        else:
            ending = _on_a_thread(lambda: self._ran(job, now.day, cap_usd))
        night = Night(now.day, f"{now:%d %H:%M}", ending, month.titles()[heard:])
        self.nights.append(night)
        if kills == "export":
            night.whole = self._killed_export(job)
        else:
            night.export = month.export(job.path)
        night.splits = splits_of(month.data)
        self.minutes[job.name] = month.minutes.get(now.day, 20)
        self.endings[job.name] = iter([ending])
        return super().start(job, cap_usd=cap_usd)

    def _ran(self, job: Job, day: int, cap_usd: float | None) -> Ending:
        month = self.month
        url = NOWHERE if day in month.unreachable else month.endpoint.url
        work = pipeline.run(
            job.path, base_url=url, max_cost_usd=cap_usd, environ=month.environ, profile="calm"
        )
        try:
            result = asyncio.run(work)
        except PipelineError as error:
            return Ending(exit_code=error.exit_code, error=str(error))
        totals = {"cost_usd": result.totals.cost_usd, "unknown_usd": result.totals.unknown_usd}
        return Ending(
            exit_code=result.exit_code,
            run_id=result.run_id,
            ended=result.ended,
            error=result.error,
            totals=totals,
        )

    def _killed(self, job: Job) -> Ending:
        """SIGKILL with some pictures stored and others on their way."""
        month = self.month
        month.endpoint.hold(after=KILLED_AFTER)
        before = month.endpoint.bill.pictures
        process = month.process(
            THEN + AND_RUN, "run", job.path, "--base-url", month.endpoint.url, "--yes"
        )
        until = time.monotonic() + PATIENCE_S
        while month.endpoint.bill.pictures < before + KILLED_AFTER:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until
            time.sleep(0.01)
        process.kill()
        code = process.wait(PATIENCE_S)
        # What was under way is charged all the same: still on this night.
        month.endpoint.go_on()
        while month.endpoint.bill.pictures < month.asked():
            assert time.monotonic() < until
            time.sleep(0.01)
        return Ending(exit_code=code)

    def _killed_export(self, job: Job) -> bool:
        """Whether the export before is still there, to the byte."""
        before = contents(self.month.data)
        words = ["export", str(job.path)]
        for name, value in self.month.exported.items():
            words += [f"--{name}", *([] if value is True else [str(value)])]
        process = self.month.process(THEN + KILLED_AT_ITS_PICTURES + AND_RUN, *words)
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
        assert [*self.month.data.parent.glob(".*.partial")], "it had not begun"
        return contents(self.month.data) == before


@dataclass
class Month:
    """``kills``: what is killed on which day; ``unreachable``: days on which the endpoint is not
    there; ``minutes``: how long a night's run takes, if not twenty.
    """

    folder: Path
    start: str
    endpoint: RunningEmulator
    environ: dict[str, str]
    clock: Clock
    titles: Callable[[], list[str]]
    kills: dict[int, str] = field(default_factory=dict)
    unreachable: frozenset[int] = frozenset()
    minutes: dict[int, float] = field(default_factory=dict)
    sources: int = 0

    def __post_init__(self) -> None:
        self.house = House(self.folder, self.start)
        self.runs = Nights(self)
        self.house.script = self.runs
        (self.folder / "manifests" / "sources").mkdir(parents=True)

    @property
    def job(self) -> Path:
        return self.house.folder / "nightly.yaml"

    @property
    def outputs(self) -> Path:
        return self.house.outputs("nightly")

    @property
    def data(self) -> Path:
        return self.folder / "data" / "nightly"

    @property
    def exported(self) -> dict[str, Any]:
        return {
            "format": "parquet-images",
            "output": self.data,
            "split": "train=0.7,test=0.3",
            "source": True,
        }

    def asked(self) -> int:
        """Requests for a picture that the endpoint has seen."""
        return sum([seen["method"] == "POST" for seen in self.endpoint.requests])

    def export(self, job: Path, **changes: Any) -> ExportResult:
        return pipeline.export(job, **{**self.exported, **changes})

    def writes(self, manifest: dict[str, Any], **job: Any) -> None:
        """The manifest and the job, as the researchers left them."""
        path = self.folder / "manifests" / "nightly.yaml"
        path.write_text(yaml.safe_dump(manifest))
        self.job.write_text(yaml.safe_dump({"manifest": f"../manifests/{path.name}", **job}))

    def comes(self, count: int = 1) -> None:
        """New sources, in the folder."""
        for _ in range(count):
            name = f"s{self.sources:02}.png"
            picture = file_of(drawing(self.sources))
            (self.folder / "manifests" / "sources" / name).write_bytes(picture)
            self.sources += 1

    def comes_again(self) -> tuple[str, str]:
        """A source that looks like an earlier one, only larger, and would be in another split by
        its own name. Returns the names of both.
        """
        folder = self.folder / "manifests" / "sources"
        shares = splits(self.exported["split"])
        again = folder / f"s{self.sources:02}.png"
        for seed in range(self.sources):
            before = folder / f"s{seed:02}.png"
            again.write_bytes(file_of(drawing(seed).resize((192, 128))))
            one, other = (split_of(digest_file(path), shares) for path in (before, again))
            if one != other:
                self.sources += 1
                return before.stem, again.stem
        raise AssertionError("no source would do")

    def process(self, program: str, *words: str | Path) -> "subprocess.Popen[bytes]":
        line = [sys.executable, "-c", program, str(self.clock.ahead), *map(str, words)]
        log = (self.folder / "processes.log").open("ab")
        with log:
            return subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment({**os.environ, **self.environ}),
            )


def splits_of(data: Path) -> dict[str, str]:
    """Source by digest → its split. A source that is in two is an error."""
    found: dict[str, str] = {}
    for shard in sorted(data.glob("data/*.parquet")):
        split = shard.name.partition("-")[0]
        for source in pd.read_parquet(shard, columns=["source"])["source"]:
            digest = hashlib.sha256(source["bytes"]).hexdigest()
            assert found.setdefault(digest, split) == split, "a source is in two splits"
    return found


def _on_a_thread(work: Callable[[], Ending]) -> Ending:
    """The scheduler's loop is virtual; a run needs one of its own."""
    done: list[Ending | BaseException] = []

    def do() -> None:
        try:
            done.append(work())
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    thread.join()
    [outcome] = done
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome
