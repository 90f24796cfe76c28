"""What all formats are written from."""

import re
from pathlib import Path

import msgspec

from pipeline.cron import Cron
from pipeline.errors import ConfigError
from pipeline.job import Job
from pipeline.job.design import split_model
from pipeline.job.schedule import Schedule
from pipeline.scheduling.going import LEEWAY_S

IMAGE = "image-edit-pipeline:latest"
"""What ``deploy/Dockerfile`` is tagged as in the docs."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """``name``: the job file's stem; ``slug``: that in lower-case letters, digits and dashes.
    ``stop_s``: how long a run may take to stop, once it was asked to.
    """

    name: str
    slug: str
    path: Path
    schedule: Schedule
    cron: Cron
    command: str
    key_variable: str
    stop_s: int

    @property
    def folder(self) -> Path:
        return self.path.parent


def unit_of(job: Job, *, command: str) -> Unit:
    """Raises `ConfigError` for a job without a schedule, and for one of several models."""
    file, model = split_model(job.path)
    if model:
        raise ConfigError(f"{job.path}: a schedule runs all models of a job (export {file})")
    if job.schedule.cron is None:
        raise ConfigError(
            f"{job.path}: it has no schedule to export"
            " (add one: schedule: {cron: '0 3 * * *', timezone: Europe/Berlin})"
        )
    slug = re.sub(r"[^a-z0-9]+", "-", job.path.stem.lower()).strip("-")[:40].strip("-")
    return Unit(
        name=job.path.stem,
        slug=slug or "job",
        path=job.path,
        schedule=job.schedule,
        cron=Cron(job.schedule.cron),
        command=command,
        key_variable=job.endpoint.api_key_env,
        # The run's own drain, then what the scheduler gives it on top, twice.
        stop_s=round(job.limits.drain_s + 2 * LEEWAY_S),
    )


def plain_cron(cron: Cron, scheduler: str) -> str:
    """The five fields, as any plain cron understands them: Sunday is 0, and no ``5/10``.

    Raises `ValueError` for what only some know.
    """
    fields, values = cron.text.split(), cron.values()
    strange = [field for field in (fields[2], fields[4]) if re.search("[lL#]", field)]
    if strange:
        raise ValueError(
            f"{scheduler} does not know {', '.join(strange)} (write plain days, or use systemd, or"
            " `pipeline schedule` itself)"
        )
    for number, name in enumerate(("minute", "hour", "day", "month", "weekday")):
        numbers = {value % 7 for value in values[name]} if name == "weekday" else values[name]
        open_step = re.search(r"(?:^|,)[0-9A-Za-z]+/", fields[number])
        if open_step or (name == "weekday" and "7" in fields[number]):
            fields[number] = ",".join(str(value) for value in sorted(numbers))
    return " ".join(fields)
