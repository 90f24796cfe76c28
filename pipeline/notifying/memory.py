"""Who was told of what: kept in the job's ledger, so that a problem of ten nights is told once."""

from pathlib import Path

import msgspec

from pipeline.errors import PipelineError
from pipeline.ledger import open_ledger, open_reader

NOTE = "notified"
MOST = 100
"""Problems that are remembered: the latest."""


class Known(msgspec.Struct, kw_only=True):
    """A problem that was told. ``since``: seconds since the epoch; ``to``: whom."""

    since: float
    run_id: str
    headline: str
    to: list[str]


class Memory:
    """The problems that are open, by their keys. Blocks where it reads and writes.

    A ledger that cannot be read or written costs a second message, never a run.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self.open: dict[str, Known] = read(ledger)
        self._kept = dict(self.open)

    def knows(self, key: str, to: str) -> bool:
        return key in self.open and to in self.open[key].to

    def add(self, key: str, to: str, *, headline: str, run_id: str, now: float) -> None:
        """Notes that somebody was told."""
        known = self.open.pop(key, None)
        if known is None:
            known = Known(since=now, run_id=run_id, headline=headline, to=[])
        others = [one for one in known.to if one != to]
        self.open[key] = msgspec.structs.replace(known, to=[*others, to])

    def settle(self, still: set[str]) -> None:
        """A run came to its end by itself: what it did not meet has passed."""
        self.open = {key: known for key, known in self.open.items() if key in still}

    def save(self) -> None:
        if self.open == self._kept:
            return
        kept = dict(list(self.open.items())[-MOST:])
        try:
            ledger = open_ledger(self._ledger, origin=None)
            try:
                ledger.keep_note(NOTE, msgspec.json.encode(kept).decode())
            finally:
                ledger.close()
        except PipelineError:
            return
        self._kept = dict(kept)


def read(ledger: Path) -> dict[str, Known]:
    """The problems that were told and have not passed; none where nobody can say."""
    try:
        reader = open_reader(ledger)
        if reader is None:
            return {}
        with reader:
            text = reader.note(NOTE)
        return {} if text is None else msgspec.json.decode(text, type=dict[str, Known])
    except (PipelineError, msgspec.DecodeError):
        return {}
