"""``decisions.csv``, as a page or a spreadsheet writes it."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import IO, Any, cast, get_args

import msgspec

from pipeline.errors import ManifestError
from pipeline.exports.results_csv import as_written
from pipeline.manifest.columns import template_name
from pipeline.manifest.problems import RowError, did_you_mean, listed, quoted
from pipeline.manifest.text_lines import text_lines
from pipeline.models import Decision, DecisionWord, PromptMode

COLUMNS = ("id", "decision", "note", "prompt_mode", "fingerprint", "decided_at", "take")
NEEDED = ("id", "decision")

WORDS: tuple[DecisionWord, ...] = get_args(DecisionWord)
MODES: tuple[PromptMode, ...] = get_args(PromptMode)

_DELIMITERS = (",", ";", "\t")


class DecisionTable(msgspec.Struct, frozen=True, kw_only=True):
    """``places``: ``file:row`` of each decision. ``ignored``: columns that mean nothing here.
    ``problems``: what is wrong with rows that cannot be decisions, by their place.
    """

    decisions: tuple[Decision, ...]
    places: dict[str, str] = {}
    ignored: tuple[str, ...] = ()
    problems: dict[str, str] = {}


def read_decisions(file: IO[bytes], label: str) -> DecisionTable:
    """Reads a whole table: UTF-8 or UTF-16, any usual delimiter, columns in any order.

    Case and blanks around words do not matter. Rows without a decision are left out: most of a
    table may be undecided yet. Raises `ManifestError` where the file cannot be read at all.
    """
    lines = text_lines(file, label)
    first, skipped, delimiter = _header(lines, label)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    decisions: list[Decision] = []
    places: dict[str, str] = {}
    problems: dict[str, str] = {}
    try:
        columns, ignored = _columns(next(reader), f"{label}:{skipped + 1}")
        for line, cells in _numbered(reader, skipped):
            place = f"{label}:{line}"
            try:
                one = _decision({name: _cell(cells, at) for name, at in columns.items()})
                if one is None:
                    continue
                if one.id in places:
                    raise RowError(
                        f"{quoted(one.id)} is decided in {places[one.id]} already (keep one row)"
                    )
            except RowError as error:
                problems[place] = str(error)
                continue
            decisions.append(one)
            places[one.id] = place
    except csv.Error as error:
        raise ManifestError(
            f"{label}:{skipped + reader.line_num}: {error} (is a quote never closed? Save the file"
            " as 'CSV UTF-8' again)"
        ) from None
    return DecisionTable(
        decisions=tuple(decisions), places=places, ignored=ignored, problems=problems
    )


def _header(lines: Iterator[str], label: str) -> tuple[str, int, str]:
    """The header's line, the number of lines before it, and the delimiter."""
    stated = ""
    for skipped, line in enumerate(lines):
        text = line.rstrip("\r\n")
        if text[:4].lower() == "sep=" and len(text) == 5 and not stated:
            stated = text[4]  # what Excel is told at the top of a file
        elif text.strip(',;\t "'):
            return line, skipped, stated or max(_DELIMITERS, key=lambda one: _known(line, one))
    raise ManifestError(
        f"{label}: it is empty (the first row names the columns: {', '.join(COLUMNS)})"
    )


def _known(line: str, delimiter: str) -> int:
    cells = next(csv.reader([line], delimiter=delimiter))
    return sum([template_name(cell) in COLUMNS for cell in cells])


def _columns(header: Sequence[str], place: str) -> tuple[dict[str, int], tuple[str, ...]]:
    columns: dict[str, int] = {}
    ignored = []
    for at, written in enumerate(header):
        name = template_name(written)
        if name in columns:
            raise ManifestError(f"{place}: column {quoted(name)} is there twice (remove one)")
        if name in COLUMNS:
            columns[name] = at
        elif name:
            ignored.append(written.strip())
    for name in NEEDED:
        if name not in columns:
            near = next((one for one in ignored if did_you_mean(one, [name])), None)
            guess = f" (did you mean it by {quoted(near)}?)" if near else ""
            raise ManifestError(
                f"{place}: no column {name!r}{guess} (the first row names the columns:"
                f" {', '.join(COLUMNS)}; the first two are needed)"
            )
    return columns, tuple(ignored)


def _numbered(reader: Any, skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Rows, with the line where each starts."""
    line = skipped + reader.line_num + 1
    for cells in cast(Iterable[list[str]], reader):
        yield line, cells
        line = skipped + reader.line_num + 1


def _cell(cells: Sequence[str], at: int) -> str:
    # Spreadsheets leave out what is empty at the end of a row.
    return as_written(cells[at].strip()).strip() if at < len(cells) else ""


def _decision(row: Mapping[str, str]) -> Decision | None:
    """``None``: nothing is decided in this row. Raises `RowError`."""
    word = row["decision"]
    if not word:
        return None
    if not row["id"]:
        raise RowError("no id (say which edit is meant)")
    said = cast(DecisionWord, _one_of(WORDS, word, "decision"))
    return Decision(
        id=row["id"],
        decision=said,
        note=row.get("note", ""),
        prompt_mode=cast(
            PromptMode, _one_of(MODES, row.get("prompt_mode") or "append", "prompt_mode")
        ),
        fingerprint=row.get("fingerprint", "").lower(),
        decided_at=_moment(row.get("decided_at", "")),
        # In a copy of results.csv, a manifest's own column may have that name.
        take=_number(row.get("take", "")) if said == "restore" else None,
    )


def _one_of(words: Sequence[str], written: str, column: str) -> str:
    found = written.casefold()
    if found not in words:
        raise RowError(
            f"{column} {quoted(written)} means nothing{did_you_mean(written, words)}; there are:"
            f" {listed(words)}"
        )
    return found


def _number(written: str) -> int | None:
    if not written:
        return None
    number = written.removesuffix(".0")  # as a spreadsheet may write it
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise RowError(f"take {quoted(written)} is no number of a take (such as 1; see the page)")
    return int(number)


def _moment(written: str) -> float | None:
    """Seconds since the epoch. A time without a zone is this machine's."""
    if not written:
        return None
    try:
        return datetime.fromisoformat(written).timestamp()
    except (ValueError, OverflowError, OSError):
        raise RowError(
            f"decided_at {quoted(written)} is no time (such as 2026-08-17T10:15:00Z; or leave it"
            " empty)"
        ) from None
