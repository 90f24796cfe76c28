"""Lines that stay in place at the end of a terminal's text, painted over without flicker."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pipeline.terminal.pen import Pen

_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
"""Terminals that know them show nothing in between; the others take no notice."""
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Painter:
    """Writes each line over the one that was there, and all of them at once: nothing is ever
    erased that is not replaced in the same moment. The cursor waits below. ``pen``: writes where
    ``console`` does; while it is behind, frames are left out.
    """

    def __init__(self, console: Console, pen: Pen) -> None:
        self._console = console
        self._pen = pen
        self._painted: list[str] = []
        self._widths: list[int] = []
        self._console_width = console.width

    def paint(self, lines: Sequence[Text]) -> None:
        """Shows these lines in place of what it showed before."""
        if self._pen.behind:
            return
        width = self._console.width
        drawn = [self._drawn(line) for line in lines]
        if drawn == self._painted and width == self._console_width:
            return
        parts = [_BEGIN, _HIDE, self._to_the_top(width)]
        parts += [f"{line}{_CLEAR_LINE}\r\n" for line in drawn]
        parts += [_CLEAR_BELOW, _END]
        self._pen.write("".join(parts))
        self._painted = drawn
        self._widths = [line.cell_len for line in lines]
        self._console_width = width

    def clear(self) -> None:
        """Takes away what it showed. Harmless when nothing shows."""
        if self._painted:
            self._pen.write(f"{self._to_the_top(self._console.width)}{_CLEAR_BELOW}{_SHOW}")
            self._pen.flush()
            self._painted, self._widths = [], []

    def _to_the_top(self, width: int) -> str:
        """A terminal that became narrower has broken the longer lines."""
        rows = sum([max(1, -(-cells // max(width, 1))) for cells in self._widths])
        return f"\r\x1b[{rows}A" if rows else "\r"

    def _drawn(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True)
        return captured.get()
