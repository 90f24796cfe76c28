"""CSV as spreadsheets really write it, row by row."""

import csv
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from pipeline.errors import ManifestError
from pipeline.manifest.columns import template_name
from pipeline.manifest.problems import row_problem
from pipeline.manifest.tables import Row, Source
from pipeline.models import Problem

if TYPE_CHECKING:
    from _csv import Reader

MAX_FIELD = 10 * 1024 * 1024
"""Characters of one cell: an inline picture of 7 MB, the most that endpoints take."""

_DELIMITERS = (",", ";", "\t")
_TELLING = ("id", "images", "image", "prompt", "image_link", "image_src", "handle")


def open_csv(lines: Iterator[str], label: str) -> Source:
    """Reads the header; the rows come lazily.

    ``lines``: of the file, with their ends. A row's number is the line where it starts. Raises
    `ManifestError`, at once about the header, later about lines.
    """
    first, skipped, delimiter = _first_line(lines, label)
    # The csv module has one limit for the process, too small for pictures: it is only raised.
    if csv.field_size_limit() < MAX_FIELD:
        csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        header = next(reader)
    except csv.Error as error:
        raise _unreadable(label, skipped + 1, error) from None
    return Source(label, skipped + 1, header, _rows(reader, label, skipped))


def _rows(reader: "Reader", label: str, skipped: int) -> Iterator[Row | Problem]:
    line = skipped + reader.line_num + 1
    while True:
        try:
            for cells in reader:
                start, line = line, skipped + reader.line_num + 1
                if cells:
                    yield start, cells
            return
        except csv.Error as error:
            if "expected after" not in str(error):  # else the next line starts a row again
                raise _unreadable(label, line, error) from None
            yield row_problem(
                label,
                line,
                'text behind a closing quote (double the quotes inside a quoted cell: "9"" vase")',
            )
            line = skipped + reader.line_num + 1


def _first_line(lines: Iterator[str], label: str) -> tuple[str, int, str]:
    """The header's first line, the number of lines before it, and the delimiter."""
    stated = ""
    for skipped, line in enumerate(lines):
        if "\r" in line.rstrip("\r\n"):
            raise ManifestError(
                f"{label}:{skipped + 1}: lines end with bare carriage returns (save the file as"
                " 'CSV UTF-8', not for old Macintosh)"
            )
        text = line.rstrip("\r\n")
        if text[:4].lower() == "sep=" and len(text) == 5 and not stated:
            stated = text[4]  # what Excel is told at the top of a file
        elif text.strip(',;\t "'):
            return line, skipped, stated or _delimiter(text)
    raise ManifestError(f"{label}: it is empty (the first row names the columns: id, images, …)")


def _delimiter(line: str) -> str:
    """The one that finds most known columns in the header; then, most columns."""

    def found(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([line], delimiter=delimiter))
        names = [template_name(cell) for cell in cells]
        known = sum([name in _TELLING for name in names])
        return known, len(cells)

    return max(_DELIMITERS, key=found)


def _unreadable(label: str, line: int, error: csv.Error) -> ManifestError:
    if "field larger" in str(error):
        return ManifestError(
            f"{label}:{line}: a cell is longer than {MAX_FIELD // 1024 // 1024} MB (is a quote"
            " never closed? Large pictures belong into files)"
        )
    if "unexpected end" in str(error):
        return ManifestError(
            f"{label}:{line}: a quote that this row opens is never closed (close it; double the"
            ' quotes inside a quoted cell: "9"" vase")'
        )
    if "new-line character" in str(error):
        return ManifestError(
            f"{label}:{line}: a bare carriage return (quote the cell, or save the file as 'CSV"
            " UTF-8')"
        )
    return ManifestError(f"{label}:{line}: {error} (save the file as 'CSV UTF-8' again)")
