"""A service and a timer. systemd knows timezones, jitter and missed times by itself."""

import re
from collections.abc import Iterable
from typing import Any

from cronsim import CronSim

from pipeline.cron import Cron
from pipeline.scheduling.units.unit import Unit

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def write(unit: Unit) -> dict[str, str]:
    """``pipeline-NAME.service`` and ``pipeline-NAME.timer``."""
    schedule, name = unit.schedule, f"pipeline-{unit.slug}"
    command = (
        f"{unit.command} schedule {_quoted(str(unit.folder))} --once {_quoted(unit.name)} --json"
    )
    longest = (
        "infinity"
        if schedule.max_runtime is None
        # The command ends the run itself; this is for a command that hangs.
        else f"{schedule.max_runtime + unit.stop_s + 60:.0f}"
    )
    service = f"""\
# Exit codes: 0 all done, 3 some edits did not succeed, 4 fatal, 5 money cap, 6 locked. The journal
# has one line of JSON when the run has ended. To be told of failures, add an OnFailure= unit.
[Unit]
Description=Image edits: {_literal(unit.name)}
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={command}
WorkingDirectory={_literal(str(unit.folder.parent))}
# The key, unless a .env file beside the job has it: {unit.key_variable}=...
EnvironmentFile=-/etc/pipeline/{unit.slug}.env
# What is in flight is finished and kept before the service ends.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStartSec={longest}
TimeoutStopSec={unit.stop_s}
NoNewPrivileges=true
PrivateTmp=true
"""
    calendar = "\n".join(f"OnCalendar={line} {schedule.timezone}" for line in calendars(unit.cron))
    late = "" if schedule.deadline is None else _NO_DEADLINE
    timer = f"""\
[Unit]
Description=When image edits run: {_literal(unit.name)}

[Timer]
{calendar}
AccuracySec=1s
RandomizedDelaySec={schedule.jitter:.0f}
FixedRandomDelay=true
{late}Persistent={"false" if schedule.catch_up == "none" else "true"}

[Install]
WantedBy=timers.target
"""
    return {f"{name}.service": service, f"{name}.timer": timer}


_NO_DEADLINE = "# systemd has no deadline: however late it is, a missed run is made up for.\n"


def calendars(cron: Cron) -> list[str]:
    """Calendar expressions, without a timezone, that together mean the same times."""
    values = cron.values()
    hours = _numbers(values["hour"], range(24))
    minutes = _numbers(values["minute"], range(60))
    months = _numbers(values["month"], range(1, 13))
    clock = f"{hours}:{minutes}:00"
    every_day = {*range(1, 32)} <= values["day"]
    every_weekday = {*range(7)} <= {day % 7 for day in values["weekday"] if isinstance(day, int)}
    days, weekdays = _days(values["day"]), _weekdays(values["weekday"])
    if every_day and every_weekday:
        return [f"*-{months}-* {clock}"]
    if every_weekday and cron.days_and_weekdays:
        return [f"*-{months}{day} {clock}" for day in days]
    if every_day and cron.days_and_weekdays:
        return [f"{weekday}*-{months}{day} {clock}" for weekday, day in weekdays]
    if cron.days_and_weekdays:
        if any(day != "-*" for _, day in weekdays):
            raise ValueError("systemd cannot say both a day and an n-th weekday")
        return [f"{weekday}*-{months}{day} {clock}" for weekday, _ in weekdays for day in days]
    return [
        *(f"*-{months}{day} {clock}" for day in days),
        *(f"{weekday}*-{months}{day} {clock}" for weekday, day in weekdays),
    ]


def _days(days: set[Any]) -> list[str]:
    """After the month: ``-01,15``, ``~01`` (counted from the month's end)."""
    if CronSim.LAST_WEEKDAY in days:
        raise ValueError("systemd cannot say the last weekday of a month (LW)")
    plain = sorted(day for day in days if day > 0)
    found = [f"-{_numbers(plain, range(1, 32))}"] if plain else []
    return [*found, "~01"] if CronSim.LAST in days else found


def _weekdays(weekdays: set[Any]) -> list[tuple[str, str]]:
    """Before the year, and after the month: ``Mon,Tue `` and ``-*``, ``Mon `` and ``-01..07``."""
    plain = sorted({day % 7 for day in weekdays if isinstance(day, int)})
    found = [(",".join(_DAYS[day] for day in plain) + " ", "-*")] if plain else []
    for day, nth in sorted(each for each in weekdays if not isinstance(each, int)):
        week = "~07/1" if nth == CronSim.LAST else f"-{7 * nth - 6:02}..{min(7 * nth, 31):02}"
        found.append((f"{_DAYS[day % 7]} ", week))
    return found


def _numbers(values: Iterable[int], every: range) -> str:
    found = sorted(values)
    return "*" if found == [*every] else ",".join(f"{value:02}" for value in found)


def _quoted(text: str) -> str:
    """As one word of a command."""
    text = _literal(text).replace("$", "$$")
    if re.fullmatch(r"[\w./@%:+=-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _literal(text: str) -> str:
    return text.replace("%", "%%")
