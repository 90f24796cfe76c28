"""The real command on a pseudo-terminal of its own. POSIX only."""

import os
import re
import select
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyte

from tests.conftest import command_line, environment

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command whose input and errors are a pseudo-terminal. ``seen``: what it showed, one thing
    after the other; ``raw``: with what steered the terminal; `screen`: what a person sees now.
    """

    def __init__(self, *arguments: str | Path, columns: int = 120, **variables: str) -> None:
        self._here, there = os.openpty()
        self._screen = pyte.Screen(columns, 24)
        self._painter = pyte.ByteStream(self._screen)
        self.resize(columns)
        kept = environment({"TERM": "xterm-256color", "LINES": "24", **variables})
        del kept["COLUMNS"]  # the terminal itself says it
        self.process = subprocess.Popen(
            command_line(*arguments),
            stdin=there,
            stdout=there,
            stderr=there,
            env=kept,
            start_new_session=True,
        )
        os.close(there)
        self.seen = ""
        self.raw = b""

    @property
    def screen(self) -> list[str]:
        """The lines of the screen, without the empty ones."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    @property
    def cursor_hidden(self) -> bool:
        return bool(self._screen.cursor.hidden)

    def resize(self, columns: int) -> None:
        import fcntl
        import termios

        fcntl.ioctl(self._here, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._screen.resize(columns=columns)

    def until(self, text: str, *, seconds: float = 60) -> None:
        """Reads until it has shown ``text``."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"never showed {text!r}:\n{self.seen}"
            if not self._read(0.1):
                assert text in self.seen, f"ended without {text!r}:\n{self.seen}"

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def to_the_end(self) -> int:
        end = time.monotonic() + 60
        while self._read(0.1):
            assert time.monotonic() < end, f"never ended:\n{self.seen}"
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        os.close(self._here)

    def _read(self, seconds: float) -> bool:
        """False: it has ended."""
        if not select.select([self._here], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._here, 65536)
        except OSError:  # Linux says so when the other side is closed
            return False
        self.raw += data
        self._painter.feed(data)
        self.seen += ESCAPES.sub("", data.decode("utf-8", "replace")).replace("\r", "")
        return bool(data)


@contextmanager
def on_a_terminal(
    *arguments: str | Path, columns: int = 120, **variables: str
) -> Iterator[Terminal]:
    terminal = Terminal(*arguments, columns=columns, **variables)
    try:
        yield terminal
    finally:
        terminal.close()
