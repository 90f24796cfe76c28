"""What people decided, as a reader sees it."""

# ruff: noqa: S608 - every part of these statements is from this file

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipeline.ledger.faults import mapped_errors
from pipeline.ledger.marking import NEXT_VARIANT, REDO
from pipeline.ledger.rows import Holding, Take
from pipeline.ledger.text import clean
from pipeline.models import Decision, PromptMode, Redo, StoredImage

_SAID = ("decision", "note", "prompt_mode", "fingerprint", "decided_at")
_DECISION = f"SELECT edit_id, {', '.join(_SAID)} FROM decisions"
_IMAGE = StoredImage.__struct_fields__
_TAKE = tuple([name for name in Take.__struct_fields__ if name != "images"])


class ReviewedReader:
    """The part of `LedgerReader` that is about decisions. Every method raises `LedgerError`."""

    path: Path
    _connection: sqlite3.Connection

    def decisions(self) -> Iterator[Decision]:
        """What was said of today's records, in alphabetical order of edits. Streams.

        A ``redo`` is among them until its answer is there.
        """
        with mapped_errors(self.path):
            for row in self._connection.execute(f"{_DECISION} ORDER BY edit_id"):
                yield _decision(row)

    def decision_of(self, edit_id: str) -> Decision | None:
        """What was said of an edit's record; ``None``: nothing."""
        rows = self._rows(f"{_DECISION} WHERE edit_id = ?", clean(edit_id))
        return _decision(rows[0]) if rows else None

    def takes_of(self, edit_id: str) -> tuple[Take, ...]:
        """The records of an edit that were set aside for a redo, the oldest first."""
        edit_id = clean(edit_id)
        images: dict[int, list[StoredImage]] = {}
        for number, *values in self._rows(
            f"SELECT number, {', '.join(_IMAGE)} FROM take_images WHERE edit_id = ? "
            "ORDER BY number, position",
            edit_id,
        ):
            images.setdefault(number, []).append(_image(values))
        takes = []
        for row in self._rows(
            f"SELECT {', '.join(_TAKE)} FROM takes WHERE edit_id = ? ORDER BY number", edit_id
        ):
            take = dict(zip(_TAKE, row, strict=True))
            take["parameters"] = msgspec.json.decode(take["parameters"])
            takes.append(Take(**take, images=tuple(images.get(take["number"], ()))))
        return tuple(takes)

    def edits_with_takes(self) -> tuple[str, ...]:
        """Ids of the edits that have any, in alphabetical order."""
        rows = self._rows("SELECT DISTINCT edit_id FROM takes ORDER BY edit_id")
        return tuple([edit_id for (edit_id,) in rows])

    def redo_of(self, edit_id: str, base: str) -> Redo | None:
        """How an edit is asked for of which the manifest asks for what has this fingerprint;
        ``None``: as the manifest says.

        A record that was redone, or taken back, is asked for as it was. Where a redo waits, or the
        row was another one for a while, it is what was said of the last take of this row.
        """
        edit_id = clean(edit_id)
        for fingerprint, its_base, prompt, variant, code in self._rows(
            "SELECT fingerprint, base, prompt, variant, error_code FROM edits WHERE id = ?", edit_id
        ):
            if code != REDO and fingerprint == base:
                return None
            if code != REDO and its_base == base:
                return Redo(prompt, variant)
        for prompt, decision, note, mode, variant in self._rows(
            "SELECT prompt, decision, note, prompt_mode, "
            f"{NEXT_VARIANT.format(base='takes.base')} FROM takes "
            "WHERE edit_id = ?1 AND base = ?2 ORDER BY number DESC LIMIT 1",
            edit_id,
            base,
        ):
            if decision == "redo":
                return Redo(_in_other_words(prompt, note, mode), variant)
        return None

    def waiting_redos(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The edits that wait for a redo, and their parameters. Streams."""
        with mapped_errors(self.path):
            for edit_id, parameters in self._connection.execute(
                "SELECT id, parameters FROM edits WHERE status = 'pending' AND error_code = ?",
                (REDO,),
            ):
                yield edit_id, msgspec.json.decode(parameters)

    def take_holdings(self) -> Iterator[Holding]:
        """Every picture that was set aside, in alphabetical order of edits. Streams."""
        with mapped_errors(self.path):
            for edit_id, status, *values in self._connection.execute(
                f"SELECT edit_id, status, {', '.join(_IMAGE)} FROM take_images "
                "JOIN takes USING (edit_id, number) ORDER BY edit_id, number, position"
            ):
                yield Holding(edit_id=edit_id, status=status, image=_image(values))

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with mapped_errors(self.path):
            return self._connection.execute(statement, values).fetchall()


def _decision(row: tuple[Any, ...]) -> Decision:
    return Decision(**dict(zip(("id", *_SAID), row, strict=True)))


def _in_other_words(prompt: str, note: str, mode: PromptMode) -> str:
    if not note:
        return prompt
    return note if mode == "replace" else f"{prompt}\n{note}"


def _image(values: list[Any]) -> StoredImage:
    return StoredImage(**dict(zip(_IMAGE, values, strict=True)))
