"""The rows of one sheet of a workbook, as they come, with the numbers that Excel shows."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.manifest.problems import row_problem
from pipeline.manifest.safe_xml import local, parse
from pipeline.manifest.tables import Row, Source
from pipeline.manifest.workbook import MAX_SHEET, Workbook, merged_ranges, unescaped, whole
from pipeline.models import Problem

MAX_ROWS = 1_048_576
MAX_COLUMNS = 16_384
MAX_ROW_TEXT = 32 * 1024 * 1024
"""Characters of one row; Excel allows 32,767 in a cell."""

_NEVER_CALCULATED = "a formula that was never calculated"


def open_sheet(path: Path, sheet: str, label: str, stack: ExitStack) -> Source:
    """The table that starts with the sheet's first row that is not empty.

    ``sheet``: its name; empty: the first that is not hidden. Raises `ManifestError`, at once about
    the workbook, later about the sheet.
    """
    book = Workbook(path, label, stack)
    part = book.sheet(sheet)
    merged: dict[int, list[tuple[int, int]]] = {}
    for first, last, letters in merged_ranges(book.pieces(part), label):
        merged.setdefault(first, []).append((last, _index(letters)))
    rows = _rows(book, part, label)
    first_row = next((row for row in rows if any(map(str.strip, row[1])) or row[2]), None)
    if first_row is None:
        raise ManifestError(
            f"{label}: the sheet is empty (the first row names the columns: id, images, …; another"
            " sheet is named as in catalog.xlsx#Sheet2)"
        )
    number, cells, _ = first_row
    named = {at for at, name in enumerate(cells) if name.strip()}
    return Source(label, number, cells, _edited(rows, number, named, merged, label))


_Cells = tuple[int, list[str], dict[int, str]]
"""A row's number, its cells, and those that hold no value: column → why."""


def _edited(
    rows: Iterator[_Cells],
    header: int,
    named: set[int],
    merged: dict[int, list[tuple[int, int]]],
    label: str,
) -> Iterator[Row | Problem]:
    """Rows under the header: merged cells filled in, cells in error named."""
    covering: dict[int, tuple[int, str]] = {}  # column → the last row, and the text
    for number, cells, errors in rows:
        for last, at in merged.get(number, ()):
            covering[at] = last, cells[at] if at < len(cells) else ""
        if not errors and not any(map(str.strip, cells)):
            continue
        if covering:
            covering = {at: each for at, each in covering.items() if each[0] >= number}
            for at, (_, text) in covering.items():
                cells += [""] * (at + 1 - len(cells))
                cells[at] = cells[at] or text
        if wrong := {at: why for at, why in errors.items() if at in named}:
            said = ", ".join(f"{_letters(at)}{number} is {why}" for at, why in wrong.items())
            yield row_problem(
                label, number, f"cell {said} (mend or empty it, and save the workbook in Excel)"
            )
        else:
            yield number, cells


def _rows(book: Workbook, part: str, label: str) -> Iterator[_Cells]:
    handler = _Sheet(book, label)
    for _ in parse(book.pieces(part), handler, label=label, limit=MAX_SHEET):
        yield from handler.rows
        handler.rows.clear()


class _Sheet:
    """``rows``: complete ones, for whoever takes them."""

    def __init__(self, book: Workbook, label: str) -> None:
        self.rows: list[_Cells] = []
        self._texts = book.texts
        self._formats = book.formats
        self._label = label
        self._number = 0
        self._cells: list[str] = []
        self._errors: dict[int, str] = {}
        self._row_text = 0
        self._at = -1
        self._type = "n"
        self._style = 0
        self._formula = False
        self._pieces: list[str] = []
        self._taken = False
        self._aside = 0
        self._columns: dict[str, int] = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        if name == "c":
            self._begin_cell(attributes)
        elif name in ("v", "t"):
            self._taken = not self._aside
        elif name == "f":
            self._formula = True
        elif name == "rPh":
            self._aside += 1
        elif name == "row":
            self._begin_row(attributes.get("r", ""))

    def end(self, name: str) -> None:
        name = local(name)
        if name == "c":
            self._end_cell()
        elif name in ("v", "t"):
            self._taken = False
        elif name == "rPh":
            self._aside -= 1
        elif name == "row":
            self.rows.append((self._number, self._cells, self._errors))

    def text(self, data: str) -> None:
        if self._taken:
            self._row_text += len(data)
            if self._row_text > MAX_ROW_TEXT:
                raise self._wrong("a row with too much text (pictures belong into files)")
            self._pieces.append(data)

    def _begin_row(self, stated: str) -> None:
        number = whole(stated) or self._number + 1
        if not self._number < number <= MAX_ROWS:
            raise self._wrong(f"row {number} stands behind it (save the workbook in Excel again)")
        self._number = number
        self._cells, self._errors = [], {}
        self._row_text = 0
        self._at = -1

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        letters = attributes.get("r", "").rstrip("0123456789")
        at = self._columns.get(letters) if letters else self._at + 1
        if at is None:
            at = self._columns[letters] = _index(letters)
        if not 0 <= at < MAX_COLUMNS:
            raise self._wrong(f"a cell outside the sheet (there are {MAX_COLUMNS:,} columns)")
        self._at = at
        self._type = attributes.get("t", "n")
        self._style = whole(attributes.get("s", "0"))
        self._formula = False
        self._pieces = []

    def _end_cell(self) -> None:
        value = "".join(self._pieces) if len(self._pieces) != 1 else self._pieces[0]
        if not value:
            if not self._formula or self._type == "str":
                return
            self._errors[self._at] = _NEVER_CALCULATED
            return
        kind = self._type
        if kind == "s":
            try:
                value = self._texts[int(value)]
            except (ValueError, IndexError):
                raise self._wrong(
                    "a text that the workbook does not hold (save it again)"
                ) from None
        elif kind == "n":
            if self._style < len(self._formats):
                value = self._formats[self._style](value)
        elif kind == "e":
            self._errors[self._at] = value[:20]
            return
        elif kind == "b":
            value = "TRUE" if value == "1" else "FALSE"
        else:
            value = unescaped(value)
        cells = self._cells
        if len(cells) < self._at:
            cells += [""] * (self._at - len(cells))
        if len(cells) == self._at:
            cells.append(value)
        else:
            cells[self._at] = value

    def _wrong(self, what: str) -> ManifestError:
        return ManifestError(f"{self._label}:{self._number}: {what}")


def _index(letters: str) -> int:
    """``A`` → 0, ``AB`` → 27; -1 for what is no column."""
    if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
        return -1
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _letters(at: int) -> str:
    text = ""
    at += 1
    while at:
        at, rest = divmod(at - 1, 26)
        text = chr(65 + rest) + text
    return text
