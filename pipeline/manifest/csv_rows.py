"""CSV as spreadsheets really write it, row by row."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from pipeline.errors import ManifestError
from pipeline.manifest.columns import Column, missing_column, template_name
from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader
from pipeline.models import Edit, Problem

if TYPE_CHECKING:
    from _csv import Reader

MAX_FIELD = 10 * 1024 * 1024
"""Characters of one cell: an inline picture of 7 MB, the most that endpoints take."""

MAX_COLUMNS = 16_384
"""A spreadsheet has no more."""

_DELIMITERS = (",", ";", "\t")


def open_csv(
    lines: Iterator[str], rows: RowReader, *, default_prompt: str, needs_image: bool
) -> Iterator[Edit | Problem]:
    """Reads the header; the rows come lazily.

    ``lines``: of the file, with their ends. ``default_prompt``: for rows without one; may be
    empty. A row's number is the line where it starts. Raises `ManifestError`, at once about the
    header, later about lines.
    """
    first, skipped, delimiter = _first_line(lines, rows.label)
    # The csv module has one limit for the process, too small for pictures: it is only raised.
    if csv.field_size_limit() < MAX_FIELD:
        csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        header = next(reader)
    except csv.Error as error:
        raise _unreadable(rows.label, skipped + 1, error) from None
    table = _Table(header, rows, skipped)
    table.check(default_prompt=default_prompt, needs_image=needs_image)
    return table.edits(reader)


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
        known = sum([name in ("id", "images", "image", "prompt") for name in names])
        return known, len(cells)

    return max(_DELIMITERS, key=found)


class _Table:
    """What each column is for. ``skipped``: lines before the header."""

    def __init__(self, header: Sequence[str], rows: RowReader, skipped: int) -> None:
        self._rows = rows
        self._skipped = skipped
        self._place = f"{rows.label}:{skipped + 1}"
        self._names = [cell.strip() for cell in header]
        if len(header) > MAX_COLUMNS:
            raise ManifestError(
                f"{self._place}: {len(header):,} columns (a table has at most {MAX_COLUMNS:,})"
            )
        self._nameless = [at for at, name in enumerate(self._names) if not name]
        self._one: dict[str, int] = {}
        self._images: list[tuple[Column, int]] = []
        self._parameters: list[tuple[str, int]] = []
        self._variables: list[tuple[str, int]] = []
        seen: dict[str, str] = {}
        problems = []
        for at, written in enumerate(self._names):
            if not written:
                continue
            name = template_name(written) or written
            if name in seen:
                what = "twice" if seen[name] == written else f"as {quoted(seen[name])} too"
                problems.append(f"column {quoted(written)} is there {what} (rename one of them)")
                continue
            seen[name] = written
            try:
                self._sort_in(rows.columns.column(written), at)
            except RowError as error:
                problems.append(str(error))
        self._images.sort(key=lambda image: (image[0].role != "images", image[0].order))
        if problems:
            raise ManifestError(f"{self._place}: " + "; ".join(problems))

    def _sort_in(self, column: Column, at: int) -> None:
        if column.role in ("images", "image"):
            self._images.append((column, at))
        elif column.role == "parameter":
            self._parameters.append((column.name, at))
        elif column.role == "variable":
            self._variables.append((column.name, at))
        else:
            self._one[column.role] = at

    def check(self, *, default_prompt: str, needs_image: bool) -> None:
        """Raises `ManifestError` when no row could become the edit that is meant."""
        others = [name for name, _ in self._variables]
        if not self._images and (needs_image or "id" not in self._one):
            raise ManifestError(
                f"{self._place}: no column 'images'{missing_column(others, 'images')} (the first"
                " row names the columns: id, images, prompt, …)"
            )
        if "prompt" not in self._one and not default_prompt:
            raise ManifestError(
                f"{self._place}: no prompt{missing_column(others, 'prompt')} (add a column"
                " 'prompt', or give the job one)"
            )
        present = [*self._one, *[name for name, _ in self._parameters]]
        for name in others:
            near = self._rows.columns.near_miss(name, present)
            if near and template_name(name) not in default_prompt:
                raise ManifestError(
                    f"{self._place}: nothing uses column {quoted(name)}{near} (if it is your own,"
                    " name it in the prompt, or call it something else)"
                )

    def edits(self, reader: "Reader") -> Iterator[Edit | Problem]:
        line = self._skipped + reader.line_num + 1
        while True:
            try:
                for cells in reader:
                    start, line = line, self._skipped + reader.line_num + 1
                    if cells and (edit := self._edit(start, cells)) is not None:
                        yield edit
                return
            except csv.Error as error:
                if "expected after" not in str(error):  # else the next line starts a row again
                    raise _unreadable(self._rows.label, line, error) from None
                yield self._rows.problem(
                    line,
                    "text behind a closing quote (double the quotes inside a quoted cell:"
                    ' "9"" vase")',
                )
                line = self._skipped + reader.line_num + 1

    def _edit(self, line: int, cells: list[str]) -> Edit | Problem | None:
        """``None``: an empty row."""
        missing = len(self._names) - len(cells)
        if missing > 0:  # spreadsheets leave out what is empty at the end
            cells += [""] * missing
        entries, problems = self._entries(cells)
        if not entries and not any(map(str.strip, cells)):
            return None
        if missing < 0 or self._nameless:
            problems = [*problems, *self._stray(cells)]
        one = self._one
        return self._rows.edit(
            line,
            name=cells[one["id"]].strip() if "id" in one else "",
            entries=entries,
            prompt=cells[one["prompt"]] if "prompt" in one else "",
            variant=cells[one["variant"]].strip() if "variant" in one else "",
            parameters={name: cells[at] for name, at in self._parameters if cells[at]},
            variables={name: cells[at] for name, at in self._variables},
            problems=problems,
        )

    def _entries(self, cells: Sequence[str]) -> tuple[list[str], list[str]]:
        entries: list[str] = []
        problems: list[str] = []
        for column, at in self._images:
            cell = cells[at].strip()
            if not cell:
                continue
            if "|" not in cell:
                entries.append(cell)
            elif column.role == "images":
                entries += [part for entry in cell.split("|") if (part := entry.strip())]
            else:
                entries.append(cell)
                if "://" not in cell:
                    problems.append(
                        f"{column.name} {quoted(cell)} holds '|' (several pictures go into a"
                        " column 'images')"
                    )
        return entries, problems

    def _stray(self, cells: Sequence[str]) -> list[str]:
        width = len(self._names)
        stray = [at for at in (*self._nameless, *range(width, len(cells))) if cells[at].strip()]
        if not stray:
            return []
        return [
            f"cell {stray[0] + 1} ({quoted(cells[stray[0]], 30)}) belongs to no column; the header"
            f" names {width - len(self._nameless)} (quote a cell that holds the delimiter, or name"
            " the column)"
        ]


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
