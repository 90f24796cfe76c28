"""Signals, as a real process gets them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

PROGRAM = """
import asyncio
from pipeline.engine import Stop
from pipeline.interruption import interruptible

class Told(Stop):
    def request(self, reason):
        super().request(reason)
        print(reason, flush=True)

async def main():
    with interruptible(Told(lambda event: None)):
        print("ready", flush=True)
        await asyncio.to_thread(input)

asyncio.run(main())
print("over", flush=True)
"""


@pytest.fixture
def program() -> Iterator["subprocess.Popen[str]"]:
    """A process that hangs on its input, with the handlers installed."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert heard(process) == "ready"
        yield process
        process.kill()


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("last", [signal.SIGINT, signal.SIGTERM])
def test_the_third_signal_ends_the_process_whatever_hangs(
    program: "subprocess.Popen[str]", last: signal.Signals
) -> None:
    program.send_signal(signal.SIGINT)
    assert heard(program) == "SIGINT received"
    program.send_signal(signal.SIGTERM)
    assert heard(program) == "SIGTERM received"
    program.send_signal(last)
    assert program.wait(60) == -last


def test_afterwards_signals_are_what_they_were(program: "subprocess.Popen[str]") -> None:
    program.send_signal(signal.SIGINT)
    assert heard(program) == "SIGINT received"
    out, _ = program.communicate("\n", timeout=60)
    assert out.strip() == "over"
