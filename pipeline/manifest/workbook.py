"""An Excel workbook (.xlsx) opened as the archive that it is: sheets, shared texts, number formats.

Read by hand instead of with openpyxl: a million rows in seconds and in constant memory, with a
bound on everything that a hostile archive could unpack. Only values are read, never formulas,
macros or links.
"""

import lzma
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.manifest.cell_formats import Shown, general, shown_by
from pipeline.manifest.problems import did_you_mean, listed, quoted
from pipeline.manifest.safe_xml import PIECE, local, parse
from pipeline.manifest.text_lines import cannot_read

MAX_FILE = 1024 * 1024 * 1024
MAX_PART = 64 * 1024 * 1024
"""Bytes, unpacked, of the parts that list sheets and formats."""
MAX_TEXTS = 512 * 1024 * 1024
"""Bytes, unpacked, of the texts that cells share: all of them are held in memory."""
MAX_SHEET = 4 * 1024 * 1024 * 1024
"""Bytes, unpacked, of one sheet: a million rows of a hundred columns."""
MAX_FORMATS = 100_000

_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
"""What `zipfile` raises where a part cannot be unpacked; ``RuntimeError``: it has a password, or a
method of packing (`NotImplementedError`) that Python does not know.
"""

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_").sub
_SUFFIX = re.compile(r"(?i)(.*\.xls[xm])#(.+)").fullmatch


def split_sheet(path: Path) -> tuple[Path, str]:
    """``catalog.xlsx#Summer`` is the sheet 'Summer' of catalog.xlsx."""
    found = _SUFFIX(path.name)
    return (path.with_name(found.group(1)), found.group(2)) if found else (path, "")


def unescaped(text: str) -> str:
    """``_x000D_`` is how a workbook writes what XML cannot."""
    if "_x" not in text:
        return text
    plain = _ESCAPED(lambda found: chr(int(found.group(1), 16)), text)
    # Halves of pairs are put together; a half alone is no character.
    return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def whole(text: str) -> int:
    """The number that a file states; 0 where it is none, or none that a workbook has."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0


class Workbook:
    """``texts``: shared by cells. ``formats``: by a cell's style. Raises `ManifestError`."""

    def __init__(self, path: Path, label: str, stack: ExitStack) -> None:
        self._label = label
        try:
            if path.stat().st_size > MAX_FILE:
                raise ManifestError(
                    f"{label}: larger than {MAX_FILE // 1024 // 1024:,} MB (save it as CSV)"
                )
            self._archive = stack.enter_context(zipfile.ZipFile(path))
        except OSError as error:
            raise cannot_read(label, error) from error
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise ManifestError(f"{label}: no workbook: {error} (save it again)") from None
        self._parts = {name.lower(): name for name in self._archive.namelist()}
        book = self._related("", "officedocument") or ["xl/workbook.xml"]
        if book[0].lower() not in self._parts:
            raise ManifestError(
                f"{label}: an archive, but no Excel workbook (save it as .xlsx; .xlsb and .ods"
                " are not read)"
            )
        self._book = book[0]
        found = _Elements({"sheet", "workbookPr"})
        self._read(self._book, found, MAX_PART)
        self._sheets = [attributes for name, attributes in found.found if name == "sheet"]
        properties = [each for name, each in found.found if name == "workbookPr"]
        self._since_1904 = any(each.get("date1904") in ("1", "true") for each in properties)
        self.texts = self._shared_texts()
        self.formats = self._formats()

    def sheet(self, wanted: str) -> str:
        """The part that holds a sheet; of the first one that is not hidden, if none is named."""
        names = [each.get("name", "") for each in self._sheets]
        if wanted:
            chosen = [each for each in self._sheets if each.get("name", "") == wanted] or [
                each
                for each in self._sheets
                if each.get("name", "").casefold() == wanted.casefold()
            ]
            if not chosen:
                raise ManifestError(
                    f"{self._label}: no sheet is called {quoted(wanted)}"
                    f"{did_you_mean(wanted, names)} (there are {listed(names)})"
                )
        else:
            chosen = [each for each in self._sheets if each.get("state", "visible") == "visible"]
        if not chosen:
            raise ManifestError(f"{self._label}: it has no sheet (save it again)")
        key = next((value for name, value in chosen[0].items() if name.endswith(":id")), "")
        part = self._targets(self._book).get(key, ("", ""))[1]
        if part.lower() not in self._parts:
            raise ManifestError(
                f"{self._label}: the sheet {quoted(chosen[0].get('name', ''))} holds no table"
                " (name another one, as in catalog.xlsx#Sheet1)"
            )
        return part

    def pieces(self, part: str) -> Iterator[bytes]:
        """The bytes of a part, unpacked. Raises `ManifestError`."""
        try:
            with self._archive.open(self._parts[part.lower()]) as file:
                while piece := file.read(PIECE):
                    yield piece
        except _DAMAGED as error:
            raise ManifestError(
                f"{self._label}: the file is damaged: {error} (save it again)"
            ) from None

    def _read(self, part: str, handler: "_Elements | _Texts", limit: int) -> None:
        for _ in parse(self.pieces(part), handler, label=self._label, limit=limit):
            continue

    def _targets(self, part: str) -> dict[str, tuple[str, str]]:
        """Of a part's relations: id → the last word of its type, and the part it leads to."""
        folder, _, name = part.rpartition("/")
        where = f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"
        if where.lower() not in self._parts:
            return {}
        found = _Elements({"Relationship"})
        self._read(where, found, MAX_PART)
        targets = {}
        for _, each in found.found:
            target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", "")))
            kind = each.get("Type", "").rpartition("/")[2].lower()
            targets[each.get("Id", "")] = (kind, target.lstrip("/"))
        return targets

    def _related(self, part: str, kind: str) -> list[str]:
        return [target for found, target in self._targets(part).values() if found == kind]

    def _shared_texts(self) -> list[str]:
        for part in self._related(self._book, "sharedstrings"):
            if part.lower() in self._parts:
                texts = _Texts()
                self._read(part, texts, MAX_TEXTS)
                return texts.found
        return []

    def _formats(self) -> list[Shown]:
        codes: dict[int, str] = {}
        styles: list[int] = []
        for part in self._related(self._book, "styles"):
            if part.lower() not in self._parts:
                continue
            found = _Elements({"numFmt", "xf"}, inside={"xf": "cellXfs"})
            self._read(part, found, MAX_PART)
            for name, each in found.found:
                number = whole(each.get("numFmtId", "0"))
                if name == "xf":
                    styles.append(number)
                else:
                    codes[number] = each.get("formatCode", "General")
        made = {
            number: shown_by(number, codes.get(number), since_1904=self._since_1904)
            for number in {*styles}
        }
        return [made[number] for number in styles] or [general]


class _Elements:
    """Attributes of the elements with these names. ``inside``: only within that one."""

    def __init__(self, names: set[str], inside: dict[str, str] | None = None) -> None:
        self.found: list[tuple[str, dict[str, str]]] = []
        self._names = names
        self._inside = inside or {}
        self._open: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        within = self._inside.get(name)
        if name in self._names and (within is None or within in self._open):
            if len(self.found) >= MAX_FORMATS:
                raise ManifestError(
                    "the workbook lists too many sheets or formats (save it as CSV)"
                )
            self.found.append((name, attributes))
        if name in self._inside.values():
            self._open.append(name)

    def end(self, name: str) -> None:
        if self._open and self._open[-1] == local(name):
            self._open.pop()

    def text(self, data: str) -> None:
        pass


class _Texts:
    """The texts that cells share; of rich text its letters, without the reading aids (``rPh``)."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._pieces: list[str] = []
        self._taken = False
        self._aside = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = local(name)
        if name == "si":
            self._pieces = []
        elif name == "rPh":
            self._aside += 1
        elif name == "t":
            self._taken = not self._aside

    def end(self, name: str) -> None:
        name = local(name)
        if name == "t":
            self._taken = False
        elif name == "rPh":
            self._aside -= 1
        elif name == "si":
            self.found.append(unescaped("".join(self._pieces)))

    def text(self, data: str) -> None:
        if self._taken:
            self._pieces.append(data)


def merged_ranges(pieces: Iterable[bytes], label: str) -> Iterator[tuple[int, int, str]]:
    """First row, last row and column letters of each merged range of several rows.

    They stand behind the rows in a sheet, so its bytes are looked through once before.
    """
    find = re.compile(
        rb'<(?:\w+:)?mergeCell\s[^<>]*?ref="([A-Z]{1,3})(\d{1,7}):[A-Z]{1,3}(\d{1,7})"'
    )
    before = b""
    count = seen = 0
    for piece in pieces:
        seen += len(piece)
        if seen > MAX_SHEET:
            return  # said when the rows are read
        window = before + piece
        if b"mergeCell" in window:
            end = 0
            for found in find.finditer(window):
                end = found.end()
                first, last = int(found.group(2)), int(found.group(3))
                count += 1
                if count > MAX_FORMATS:
                    raise ManifestError(f"{label}: too many merged cells (save it as CSV)")
                if last > first:
                    yield first, last, found.group(1).decode()
            before = window[max(end, len(window) - 200) :]
        else:
            before = window[-200:]
