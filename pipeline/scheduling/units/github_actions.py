"""A workflow. GitHub's cron is in UTC, so a schedule with summer time becomes a line per offset."""

import json
import shlex
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice, pairwise
from zoneinfo import ZoneInfo

from pipeline.scheduling.units.unit import Unit, plain_cron

LONGEST_MIN = 360
"""GitHub ends a job of a hosted runner after six hours."""


SHORTEST_S = 300


def write(unit: Unit, *, year: int | None = None) -> dict[str, str]:
    """``pipeline-NAME.yml``, for ``.github/workflows/``."""
    year = year or time.gmtime().tm_year
    _refuse_too_often(unit, year)
    lines = _lines(unit, year)
    zone = unit.schedule.timezone
    crons = "\n".join(
        f"    - cron: {json.dumps(line)}" + (f"  # while {zone} is {offset}" if offset else "")
        for line, offset in lines
    )
    longest = unit.schedule.max_runtime
    minutes = LONGEST_MIN
    if longest is not None:
        whole = longest + unit.schedule.jitter + unit.stop_s + 600
        minutes = min(LONGEST_MIN, int(whole // 60) + 1)
    jitter = " --jitter" if unit.schedule.jitter else ""
    guard, condition = _guard(unit, lines), ""
    if guard:
        condition = "\n        if: steps.now.outputs.due == 'true'"
    key = unit.key_variable
    text = f"""\
# Into .github/workflows/. The key: a repository secret {key}.
# The ledger says what was paid for: it is kept in the cache between runs, and a cache may be lost.
# For real work, let outputs.store send the pictures to a bucket, and keep the ledger on a machine.
# GitHub starts late at times, and leaves runs out under load; it makes up for none.
name: {json.dumps(f"Image edits: {unit.name}")}
on:
  schedule:
{crons}
  workflow_dispatch:
permissions:
  contents: read
concurrency:
  group: pipeline-{unit.slug}
  cancel-in-progress: false
jobs:
  run:
    runs-on: ubuntu-latest
    timeout-minutes: {minutes}
    steps:
{guard}      - uses: actions/checkout@v4{condition}
      - uses: actions/setup-python@v5{condition}
        with:
          python-version: "3.12"
      - name: Install{condition}
        run: python -m pip install image-edit-pipeline  # or wherever you have it from
      - name: The ledger of the last run{condition}
        uses: actions/cache/restore@v4
        with:
          path: outputs
          key: pipeline-{unit.slug}-${{{{ github.run_id }}}}
          restore-keys: pipeline-{unit.slug}-
      - name: Run{condition}
        env:
          {key}: ${{{{ secrets.{key} }}}}
        run: pipeline schedule {_folder(unit)} --once {shlex.quote(unit.name)}{jitter} --json
      - name: Keep the ledger
        if: always(){" && steps.now.outputs.due == 'true'" if guard else ""}
        uses: actions/cache/save@v4
        with:
          path: outputs
          key: pipeline-{unit.slug}-${{{{ github.run_id }}}}
"""
    return {f"pipeline-{unit.slug}.yml": text}


def _refuse_too_often(unit: Unit, year: int) -> None:
    begins = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    found = islice(unit.cron.times(begins, UTC), 2_000)
    if any(after - before < SHORTEST_S for before, after in pairwise(found)):
        raise ValueError("GitHub starts a workflow every five minutes at most")


def _lines(unit: Unit, year: int) -> list[tuple[str, str]]:
    """Cron lines in UTC, each with the offset (``+0200``) while which it counts; none: always."""
    zone = ZoneInfo(unit.schedule.timezone)
    days = (datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=each) for each in range(366))
    offsets = sorted({day.astimezone(zone).utcoffset() or timedelta() for day in days})
    if offsets == [timedelta()]:
        return [(plain_cron(unit.cron, "GitHub"), "")]
    return [
        (line, "" if len(offsets) == 1 else _shown(offset))
        for offset in offsets
        for line in _shifted(unit, round(offset.total_seconds() / 60))
    ]


def _shifted(unit: Unit, minutes: int) -> list[str]:
    """The lines in UTC, while local time is so many minutes ahead."""
    values = unit.cron.values()
    _, _, day, month, weekday = plain_cron(unit.cron, "GitHub").split()
    moved: dict[tuple[int, int], set[int]] = {}
    for hour in values["hour"]:
        for minute in values["minute"]:
            at = hour * 60 + minute - minutes
            shift, at = divmod(at, 1440)
            moved.setdefault((shift, at % 60), set()).add(at // 60)
    if not (len(values["hour"]) == 24 and day == month == weekday == "*") and any(
        shift for shift, _ in moved
    ):
        if (day, month) != ("*", "*"):
            raise ValueError(
                "in UTC it falls on other days of the month, which GitHub's cron cannot say"
                " (state timezone: UTC, or another hour)"
            )
    elif len(values["hour"]) == 24:
        together: dict[tuple[int, int], set[int]] = {}
        for (_, minute), hours in moved.items():
            together.setdefault((0, minute), set()).update(hours)
        moved = together
    numbers = {each % 7 for each in values["weekday"]}
    lines = []
    by_rest = sorted(moved.items(), key=lambda one: (one[0][0], sorted(one[1]), one[0][1]))
    for (shift, at_hours), group in groupby(by_rest, key=lambda one: (one[0][0], sorted(one[1]))):
        at = _listed(minute for (_, minute), _ in group)
        moved_days = weekday if weekday == "*" else _listed((each + shift) % 7 for each in numbers)
        hour = "*" if len(at_hours) == 24 else _listed(at_hours)
        lines.append(f"{at} {hour} {day} {month} {moved_days}")
    return lines


def _guard(unit: Unit, lines: list[tuple[str, str]]) -> str:
    if not any(offset for _, offset in lines):
        return ""
    cases = "\n".join(f'            "{line} {offset}") due=true ;;' for line, offset in lines)
    return f"""\
      - name: Only the line of the offset that is in force
        id: now
        env:
          LINE: ${{{{ github.event.schedule }}}}
        run: |
          due=false
          case "$LINE $(TZ={unit.schedule.timezone} date +%z)" in
{cases}
          esac
          if [ -z "$LINE" ]; then due=true; fi
          echo "due=$due" >>"$GITHUB_OUTPUT"
"""


def _shown(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"


def _listed(numbers: Iterable[int]) -> str:
    return ",".join(str(number) for number in sorted(set(numbers)))


def _folder(unit: Unit) -> str:
    """The jobs' folder, from the repository's root."""
    for parent in unit.folder.parents:
        if (parent / ".git").exists():
            return shlex.quote(unit.folder.relative_to(parent).as_posix())
    return shlex.quote(unit.folder.name)
