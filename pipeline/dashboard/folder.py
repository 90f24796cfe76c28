"""The jobs of a folder, as addresses name them: each with its rehearsal."""

from pathlib import Path

import msgspec

from pipeline.job import Job
from pipeline.job.design import AT, by_model, with_model
from pipeline.job.folder import Entry
from pipeline.job.folder import JobFolder as LoadedFolder

__all__ = ["Entry", "JobFolder", "Side", "side_of"]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """A job, or its rehearsal, which has outputs of its own. ``job`` is set up for that."""

    key: str
    rehearsal: bool
    path: Path
    job: Job

    @property
    def outputs(self) -> Path:
        return self.job.outputs.directory

    @property
    def ledger(self) -> Path:
        return self.outputs / "ledger.db"

    @property
    def kind(self) -> str:
        """How addresses call it."""
        return "rehearsals" if self.rehearsal else "jobs"


class JobFolder(LoadedFolder):
    """A folder of job files, or one job file. Any thread may use it."""

    def entries(self) -> dict[str, Entry]:
        """By key. A job of several models is an entry for each: they have outputs of their own."""
        found = {}
        for key, entry in super().entries().items():
            models = by_model(entry.job) if entry.job is not None else {}
            for name, job in models.items():
                own = f"{key}{AT}{name}"
                path = with_model(entry.path, name)
                found[own] = Entry(key=own, path=path, job=job, problem=None)
            if not models:
                found[key] = entry
        return found

    def side(self, key: str, *, rehearsal: bool) -> Side | Entry | None:
        """The job with this key; its entry, if it does not load; ``None`` if there is none."""
        entry = self.entries().get(key)
        if entry is None or entry.job is None:
            return entry
        return side_of(entry, rehearsal=rehearsal)


def side_of(entry: Entry, *, rehearsal: bool) -> Side:
    """Of an entry that loads."""
    assert entry.job is not None  # noqa: S101 - said above
    job = entry.job.for_rehearsal() if rehearsal else entry.job
    return Side(key=entry.key, rehearsal=rehearsal, path=entry.path, job=job)
