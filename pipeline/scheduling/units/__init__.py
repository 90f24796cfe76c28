"""A job's schedule, as other schedulers have it. To add one: a module, and a line in `FORMATS`.

Each module has one function, ``write(unit) -> dict``: file names to their texts. All of them start
``pipeline schedule FOLDER --once NAME``, so that the day's money, ``max_runtime``, the lock and the
summary are the same whoever starts it. What a scheduler cannot express is refused where it would
change when the job runs, and else said in a comment.
"""

from importlib import import_module
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.job import load_job
from pipeline.manifest.problems import did_you_mean, listed
from pipeline.scheduling.units.unit import Unit, unit_of

FORMATS = {
    "systemd": "pipeline.scheduling.units.systemd",
    "crontab": "pipeline.scheduling.units.crontab",
    "kubernetes": "pipeline.scheduling.units.kubernetes",
    "github-actions": "pipeline.scheduling.units.github_actions",
}

__all__ = ["FORMATS", "Unit", "export"]


def export(job: Path, format: str, *, command: str) -> dict[str, str]:  # noqa: A002 - as the option
    """File names to texts. ``command``: how this program is called on this machine.

    Raises `ConfigError`: no such format, no schedule, or one that the format cannot express.
    """
    if format not in FORMATS:
        hint = did_you_mean(format, FORMATS) or f" (there are {listed(FORMATS)})"
        raise ConfigError(f"--format: there is no {format!r}{hint}")
    unit = unit_of(load_job(job), command=command)
    try:
        found: dict[str, str] = import_module(FORMATS[format]).write(unit)
    except ValueError as error:
        raise ConfigError(f"{job}: schedule.cron {unit.schedule.cron!r}: {error}") from None
    return found
