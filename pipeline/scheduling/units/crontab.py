"""A line for `crontab -e`."""

import shlex

from pipeline.scheduling.units.unit import Unit, plain_cron


def write(unit: Unit) -> dict[str, str]:
    """``pipeline-NAME.crontab``."""
    schedule = unit.schedule
    jitter = " --jitter" if schedule.jitter else ""
    log = f">>{shlex.quote(str(unit.folder / f'{unit.name}.cron.log'))} 2>&1"
    command = (
        f"{unit.command} schedule {shlex.quote(str(unit.folder))}"
        f" --once {shlex.quote(unit.name)}{jitter} --json {log}"
    ).replace("%", r"\%")
    missing = [
        words
        for words, wanted in (
            ("catch_up: a time at which the machine was off is lost", schedule.catch_up != "none"),
            ("deadline: a late start is never left out", schedule.deadline is not None),
        )
        if wanted
    ]
    comments = [
        f"# {unit.name}: one line of JSON goes to the log when the run has ended.",
        f"# The key: {unit.key_variable} in a .env file beside the job.",
        *[f"# Not to be had with cron: {words}." for words in missing],
    ]
    if schedule.timezone != "UTC":
        comments.append(
            f"# CRON_TZ works with cronie (Fedora, RHEL, Arch). Debian's cron takes the machine's"
            f" zone:\n# there, it has to be {schedule.timezone} (timedatectl set-timezone)."
        )
    lines = [
        *comments,
        f"CRON_TZ={schedule.timezone}",
        f"{plain_cron(unit.cron, 'cron')} {command}",
    ]
    return {f"pipeline-{unit.slug}.crontab": "\n".join(lines) + "\n"}
