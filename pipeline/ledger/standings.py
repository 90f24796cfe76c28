"""An edit as the ledger has it, for whoever judges a decision about it."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from pipeline.ledger.judging import Standing, TakeStanding
from pipeline.models import Decision

_STANDING = """
SELECT e.status, e.fingerprint, e.base, e.error_code, e.finished_at,
    (SELECT count(*) FROM images WHERE edit_id = e.id),
    EXISTS (SELECT 1 FROM attempts WHERE edit_id = e.id AND status = 'started'),
    d.decision, d.note,
    EXISTS (SELECT 1 FROM takes WHERE edit_id = e.id AND fingerprint = ?2
        AND decision = 'redo' AND note = ?3 AND prompt_mode = ?4),
    length(iif(e.status IN ('pending', 'failed', 'refused') AND t.number IS NOT NULL,
        t.prompt, e.prompt))
FROM edits AS e
LEFT JOIN decisions AS d ON d.edit_id = e.id
LEFT JOIN takes AS t ON t.edit_id = e.id
    AND t.number = (SELECT max(number) FROM takes WHERE edit_id = e.id)
WHERE e.id = ?1
"""
_TAKES = """
SELECT number, fingerprint, base,
    (SELECT count(*) FROM take_images AS i WHERE i.edit_id = t.edit_id AND i.number = t.number),
    decision, note, prompt_mode
FROM takes AS t WHERE edit_id = ?
"""
_TAKE = TakeStanding.__struct_fields__


def standing_for(decision: Decision, connection: sqlite3.Connection) -> Standing | None:
    """``None``: the ledger has no such edit."""
    row = connection.execute(
        _STANDING, (decision.id, decision.fingerprint, decision.note, decision.prompt_mode)
    ).fetchone()
    if row is None:
        return None
    takes = connection.execute(_TAKES, (decision.id,)).fetchall()
    return _standing(row, [TakeStanding(**dict(zip(_TAKE, take, strict=True))) for take in takes])


def _standing(row: tuple[Any, ...], takes: Sequence[TakeStanding]) -> Standing:
    status, fingerprint, base, code, finished_at, count, busy, said, note, done, prompt = row
    return Standing(
        status=status,
        fingerprint=fingerprint,
        base=base,
        error_code=code,
        finished_at=finished_at,
        pictures=count,
        asked=bool(busy),
        said=None if said is None else (said, note),
        takes={take.number: take for take in takes},
        done=bool(done),
        prompt=prompt,
    )
