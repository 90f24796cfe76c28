"""The truth about a job: what was asked, what it cost, what came of it.

One SQLite file, ``ledger.db``. `Ledger` writes, from one event loop; `LedgerReader` reads, from
anywhere, also while a run goes on. The order that nothing may break:

1. `Ledger.start_attempt` returns, then the first byte of the request leaves.
2. The picture is in the store, then `Ledger.record` is called.
3. `Ledger.record` returns, then anybody is told.

So a crash loses no record, invents none, and leaves at worst an attempt ``started``, which
`Ledger.close_orphaned_attempts` turns into ``unknown`` for the next run. Durable means: in the
write-ahead log, and that flushed to the disk (``synchronous=FULL``); those who wait at the same
time share one flush. After `Ledger.close` the one file is complete by itself.
"""

from pipeline.ledger.decisions import Decisions
from pipeline.ledger.opening import open_decisions, open_ledger, open_reader
from pipeline.ledger.queries import LedgerReader
from pipeline.ledger.rows import (
    Applied,
    AttemptRow,
    AttemptTotal,
    EditTotal,
    Holding,
    Left,
    Run,
    RunRow,
    Settlement,
    Take,
)
from pipeline.ledger.writer import Ledger

__all__ = [
    "Applied",
    "AttemptRow",
    "AttemptTotal",
    "Decisions",
    "EditTotal",
    "Holding",
    "Ledger",
    "LedgerReader",
    "Left",
    "Run",
    "RunRow",
    "Settlement",
    "Take",
    "open_decisions",
    "open_ledger",
    "open_reader",
]
