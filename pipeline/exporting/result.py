"""What an export tells whoever asked for it: how far it is, and what it came to."""

from collections.abc import Callable

import msgspec

from pipeline.errors import ConfigError
from pipeline.exporting.reading import Missing


class Progress(msgspec.Struct, frozen=True):
    """``stage``: the edits are being chosen, or samples written. ``total``: 0 if not known."""

    stage: str
    done: int
    total: int


Observe = Callable[[Progress], None]


class NothingToExportError(ConfigError):
    """There is no ledger yet, or no edit that is wanted. What was there before is untouched."""


class ExportResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an export came to.

    ``samples``: examples by split (of a table: its rows, as ``rows``). ``written``, ``kept``,
    ``rewritten``, ``removed``: shards, or picture files of the format ``folder``. ``missing``:
    samples that are not in it because a picture is away or not what it was, the first 1,000 named;
    ``missing_count``: all of them. ``straddling``: edits left out because their source looks like
    pictures of two splits; ``without_source``: because they have none. ``changed``: whether
    anything was published. ``notes``: what a person should know. ``error``: why there is no export,
    where several were asked for at once.
    """

    output: str
    format: str
    edits: int = 0
    samples: dict[str, int] = {}
    written: int = 0
    kept: int = 0
    rewritten: int = 0
    removed: int = 0
    bytes_written: int = 0
    changed: bool = True
    straddling: int = 0
    without_source: int = 0
    missing_count: int = 0
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
    exit_code: int = 0


class ExportedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What the exports that a job names came to, in their order; of several models, model by
    model.
    """

    job: str
    exports: tuple[ExportResult, ...]

    @property
    def exit_code(self) -> int:
        """Of the first that could not be made; else 3 if anything was left out, or nothing was
        there to export.
        """
        codes = [one.exit_code for one in self.exports]
        return next((code for code in codes if code not in (0, 3)), max(codes, default=0))
