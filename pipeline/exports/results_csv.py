"""CSV for spreadsheets, pandas and `csv.reader` alike.

UTF-8 without a byte order mark, commas, ``\\r\\n`` between rows (RFC 4180; with it the `csv` module
also quotes a lone carriage return, which pandas would take for the end of a row). Text that a
spreadsheet would run as a formula gets an apostrophe in front.
"""

import codecs
import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from pipeline.exports import replacing

_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
"""OWASP's list for CSV injection, with the full-width forms that East Asian spreadsheets take."""

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def write_results_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Writes the rows as CSV with a header; how many rows. Raises `StoreError`."""
    pick = itemgetter(*columns) if len(columns) > 1 else lambda row: (row[columns[0]],)
    count = 0
    with replacing(path) as file:
        writer = csv.writer(codecs.getwriter("utf-8")(file))
        writer.writerow([cell(name) for name in columns])
        for row in rows:
            writer.writerow([cell(value) for value in pick(row)])
            count += 1
    return count


def cell(value: Any) -> str | int | None:
    """What stands in the cell for a value: safe text, a readable number, or nothing."""
    if isinstance(value, str):
        return _safe(value)
    if isinstance(value, float):
        return _readable(value)
    if value is None or isinstance(value, int):
        return value
    return _safe(str(value))


def as_written(text: str) -> str:
    """A cell's text without the apostrophe that keeps a spreadsheet from running it."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA_STARTS) else text


def _safe(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _readable(number: float) -> str:
    if abs(number) >= 1e15 or number != number:
        return repr(number)
    # Nine digits are more than any price has, and hide what adding cents does to floats.
    return f"{number:.9f}".rstrip("0").rstrip(".")
