"""How a run shows: the block at any width, plain lines, JSON lines, and a pen that never waits."""

import io
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from rich.console import Console

from pipeline.events import Event
from pipeline.snapshot import Snapshot, Trouble
from pipeline.terminal.block import ASCII, UNICODE, block, one_line
from pipeline.terminal.json_lines import NAMES
from pipeline.terminal.pen import Pen
from pipeline.terminal.plain import AT_ONCE
from pipeline.terminal.words import clean, clock, dollars, duration, span
from tests.conftest import Shop, command_line, environment

AT = 1_800_000_000.0

HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "two\nlines\r\n",
    "tab\tand\x0bmore",
    "[bold red]markup[/]",
    "\u202eright to left",
    "zero\u200bwidth\ufeff",
    "bad \ud800 half",
    "靴" * 40,
    "e\u0301" * 60,
    "\x9b31m",
    "x" * 10_000,
]


def snapshot(**values: Any) -> Snapshot:
    usual: dict[str, Any] = {
        "job": "catalog-white",
        "run_id": "r",
        "endpoint": "https://api.example",
        "model": "some/model",
        "outputs": "/outputs",
        "pid": 1,
        "host": "here",
        "started_at": AT - 761,
        "at": AT,
        "state": "running",
        "why": "",
        "counts": {
            "succeeded": 1180,
            "failed": 12,
            "refused": 8,
            "rejected": 0,
            "unknown": 4,
            "unchanged": 40,
            "kept": 0,
        },
        "expected": 2000,
        "done": 1204,
        "waiting": 3,
        "pictures": 1180,
        "pictures_per_minute": 72.3,
        "in_flight": 14,
        "concurrency": 16,
        "stated_concurrency": 30,
        "in_force": "nothing",
        "requests_per_minute": 300.0,
        "spent_usd": 49.56,
        "reserved_usd": 0.59,
        "unknown_usd": 0.17,
        "cap_usd": 60.0,
        "left_s": (700.0, 950.0),
        "retries": 30,
        "rate_limited": 2,
        "attempts": {},
        "latency_s": (),
        "latency_sum_s": 0.0,
        "troubles": (Trouble(AT - 60, "12 × server_error: shoe-17: 503, again in 2.1 s"),),
    }
    return Snapshot(**{**usual, **values})


def lines(shown: Snapshot, width: int = 80, **options: Any) -> list[str]:
    return [line.plain for line in block(shown, width=width, **options)]


def test_the_block_says_all_that_a_person_asks() -> None:
    text = "\n".join(lines(snapshot()))
    for words in (
        "catalog-white",
        "running",
        "0:12:41",
        "1,204 of 2,000 edits   60 %",
        "1,180 succeeded",
        "12 failed",
        "8 refused",
        "4 unknown",
        "3 waiting",
        "40 unchanged",
        "12 to 16 min",
        "72 pictures/min",
        "14 of 16 in flight",
        "the job's is 30",
        "at most 300 requests/min",
        "$49.56 spent +  $0.59 reserved of $60.00",
        "up to $0.17 unknown",
        "12 × server_error: shoe-17",
    ):
        assert words in text, f"{words!r} is not in:\n{text}"


@pytest.mark.parametrize("width", [40, 60, 79, 80, 120, 199])
@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_is_wider_than_the_terminal_whatever_the_texts_hold(width: int, text: str) -> None:
    shown = snapshot(job=text, state="endpoint down", why=text, troubles=(Trouble(AT, text),) * 3)
    for line in block(shown, width=width):
        assert line.cell_len <= width
        assert line.plain.isprintable(), ascii(line.plain)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_moves_while_the_numbers_grow(width: int) -> None:
    """Every word stands where it stood, from the first edit to the last."""
    small = snapshot(
        counts=dict.fromkeys(snapshot().counts, 0) | {"succeeded": 1, "unchanged": 40},
        done=1,
        waiting=0,
        in_flight=1,
        pictures_per_minute=0.4,
        spent_usd=0.04,
    )
    words = ("succeeded", "failed", "refused", "waiting", "pictures/min", "in flight", "reserved")
    first, later = lines(small, width), lines(snapshot(), width)
    assert len(first) == len(later)
    for word in words:
        places = [
            [(row, line.index(word)) for row, line in enumerate(shown) if word in line]
            for shown in (first, later)
        ]
        assert places[0] == places[1], word


@pytest.mark.parametrize("height", [1, 3, 6, 10])
def test_a_low_terminal_gets_what_matters_most(height: int) -> None:
    shown = lines(snapshot(), height=height)
    assert len(shown) <= height
    assert "catalog-white" in shown[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "paused", "why": "nothing new leaves", "left_s": None}, "paused"),
        ({"state": "cooling down", "why": "nothing leaves for 3.2 s"}, "nothing leaves for 3.2 s"),
        ({"state": "endpoint down", "why": "503", "left_s": None}, "not known: endpoint down"),
        ({"state": "stalled", "why": "nothing has ended for 600 s"}, "nothing has ended for 600 s"),
        ({"state": "stopping", "left_s": None}, "until 14 in flight are finished"),
        ({"state": "stopping", "in_flight": 0}, "until the last records are written"),
        ({"expected": None, "left_s": None}, "1,204 edits, still counting"),
        ({"left_s": None}, "not known yet"),
        ({"expected": 0, "done": 0, "counts": {}}, "0 of 0 edits  100 %"),
        ({"cap_usd": None, "unknown_usd": 0.0}, "$49.56 spent +  $0.59 reserved"),
    ],
)
def test_every_state_says_what_it_means(values: dict[str, Any], words: str) -> None:
    assert words in "\n".join(lines(snapshot(**values)))


def test_a_terminal_without_unicode_gets_ascii() -> None:
    quiet = snapshot(troubles=())
    assert "\n".join(lines(quiet, glyphs=ASCII)).isascii()
    assert not "\n".join(lines(quiet, glyphs=UNICODE)).isascii()


def test_colours_say_nothing_that_words_do_not() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, no_color=True, width=100)
    for line in block(snapshot(), width=80):
        console.print(line, soft_wrap=True)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[3" not in written, "no colour"
    assert "failed" in written


def test_one_line_for_a_log() -> None:
    line = one_line(snapshot(state="paused", why="nothing new leaves until it is resumed"))
    assert line == (
        "1,204 of 2,000 edits, 1,180 succeeded, 12 failed, 8 refused, 4 unknown, 3 waiting,"
        " 72 pictures/min, 14 of 16 in flight, $49.56 of $60.00 spent, up to $0.17 unknown,"
        " 12 to 16 min left, paused: nothing new leaves until it is resumed"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_on_its_line(text: str) -> None:
    shown = clean(text)
    assert shown.isprintable()
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 0.4, "less than a second"),
        (3, 9, "3 to 9 s"),
        (31, 64, "30 to 65 s"),
        (10, 200, "up to 3 min"),
        (700, 950, "12 to 16 min"),
        (590, 610, "about 10 min"),
        (5_000, 8_000, "1.4 to 2.2 h"),
        (200_000, 300_000, "2.3 to 3.5 days"),
    ],
)
def test_a_range_is_as_coarse_as_it_is_sure(low: float, high: float, words: str) -> None:
    assert span(low, high) == words


def test_figures_in_words() -> None:
    assert [duration(s) for s in (0.04, 59.96, 61, 7_322)] == [
        "0.0 s",
        "1 min 0 s",
        "1 min 1 s",
        "2 h 2 min",
    ]
    assert [clock(s) for s in (-1, 59.9, 3_661, 360_000)] == [
        "0:00:00",
        "0:00:59",
        "1:01:01",
        "100:00:00",
    ]
    assert [dollars(usd) for usd in (0, 0.042, 1234.5)] == ["$0.00", "$0.042", "$1,234.50"]


def test_every_event_has_a_stable_name() -> None:
    assert set(get_args(Event)) == set(NAMES)
    assert len(set(NAMES.values())) == len(NAMES)
    assert set(AT_ONCE) <= set(NAMES)


class Stuck(io.StringIO):
    """A reader that does not read until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = threading.Event()

    def write(self, text: str) -> int:
        self.goes_on.wait(60)
        return super().write(text)


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    stuck = Stuck()
    pen = Pen(stuck, most_pending=3)
    pen.write("first\n")
    while not pen._writing:
        time.sleep(0.001)
    for number in range(10):
        pen.write(f"{number}\n")
    assert pen.behind
    stuck.goes_on.set()
    pen.close()
    assert stuck.getvalue() == "first\n0\n1\n2\n(7 lines are missing here)\n"


def test_a_reader_that_went_away_ends_the_writing_and_not_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        pen = Pen(stream)
        for _ in range(3):
            pen.write("nobody reads this\n")
        pen.close()
        assert not pen.behind
        with pytest.raises(BrokenPipeError):
            stream.close()


Command = Callable[..., Any]


def test_without_a_terminal_it_says_a_line_an_interval(
    shop: Shop, emulator: Callable[..., Any]
) -> None:
    endpoint = emulator(pictures="plain")
    endpoint.hold(after=6)
    shop.with_edits(12, limits={"concurrency": 4})
    with subprocess.Popen(
        command_line("run", shop.job, "--base-url", endpoint.url, "--interval", "0.1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as run:
        assert run.stderr is not None
        said: list[str] = []
        while len([line for line in said if " of 12 edits" in line]) < 3:
            said.append(run.stderr.readline())
            assert said[-1], "it ended too soon"
        endpoint.go_on()
        said += run.stderr
    assert run.returncode == 0, said
    assert any(": some" in line or "run 2" in line for line in said), "the run's start"
    assert "12 of 12 edits, 12 succeeded" in said[-1]
    assert not [line for line in said if "e3:" in line], "no line for each edit"


def test_verbose_says_each_event(
    command: Command, shop: Shop, emulator: Callable[..., Any]
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "status_503", "times": 1}])
    done = command("run", shop.with_edits(3).job, "--base-url", endpoint.url, "-v")
    assert done.returncode == 0, done.stderr
    for words in ("e0: succeeded", "e1: succeeded", "e2: succeeded", "attempt 1 failed"):
        assert words in done.stderr


def test_quiet_says_nothing_but_errors(
    command: Command, shop: Shop, emulator: Callable[..., Any]
) -> None:
    endpoint = emulator(pictures="plain")
    done = command("run", shop.with_edits(2).job, "--base-url", endpoint.url, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shop.with_edits(3, budget={"run_usd": 0.01})
    capped = command("run", shop.job, "--base-url", endpoint.url, "-q", "--no-preflight")
    assert (capped.returncode, capped.stdout) == (5, "")
    assert capped.stderr.startswith("error: budget.run_usd")
    both = command("run", shop.job, "--base-url", endpoint.url, "-q", "-v")
    assert both.returncode == 2
    assert "contradict" in both.stderr


def test_log_json_is_a_line_of_json_for_each_event_and_nothing_else(
    command: Command, shop: Shop, emulator: Callable[..., Any]
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "status_503", "times": 1}])
    shop.with_edits(3)
    done = command("run", shop.job, "--base-url", endpoint.url, "--log-json", "--interval", "0.1")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    names = [event["event"] for event in events]
    assert all(event["ts"].endswith("Z") for event in events)
    assert names.index("preflight") < names.index("run_started") < names.index("attempt_ended")
    assert names[-1] == "run_ended"
    assert names.count("edit_finished") == 3
    assert names.count("attempt_ended") == 6, "one 503 for each edit"
    outcomes = [event["outcome"] for event in events if event["event"] == "attempt_ended"]
    assert sorted(outcomes) == ["server_error"] * 3 + ["succeeded"] * 3
    [last] = [event for event in events if event["event"] == "snapshot"][-1:]
    shown = msgspec.convert(
        {key: value for key, value in last.items() if key not in ("ts", "event")}, Snapshot
    )
    assert (shown.done, shown.attempts) == (3, {"succeeded": 3, "server_error": 3})
    assert sum(shown.latency_s) == 6


def test_log_json_tells_errors_as_json_too(command: Command, shop: Shop) -> None:
    done = command("run", shop.folder / "jobs" / "nowhere.yaml", "--log-json")
    assert done.returncode == 2
    [error] = [json.loads(line) for line in done.stderr.splitlines()]
    assert (error["event"], error["exit_code"]) == ("error", 2)
    assert "nowhere.yaml" in error["message"]


def test_an_attempt_is_told_whatever_becomes_of_it(
    command: Command, shop: Shop, emulator: Callable[..., Any]
) -> None:
    endpoint = emulator(pictures="plain", script=[{"fault": "not_a_picture", "times": 1}])
    done = command("run", shop.with_edits(1).job, "--base-url", endpoint.url, "--log-json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    told = [event for event in events if event["event"] == "attempt_ended"]
    assert [(event["outcome"], event["images"]) for event in told] == [
        ("bad_response", 0),
        ("succeeded", 1),
    ]
    assert all(event["cost_usd"] == pytest.approx(0.042) for event in told)
    assert all(event["seconds"] > 0 for event in told)


def test_help_is_the_same_for_run_and_retry(command: Command) -> None:
    for name in ("run", "retry"):
        text = command(name, "--help").stdout
        for option in ("--quiet", "--verbose", "--log-json", "--interval"):
            assert option in text, (name, option)
