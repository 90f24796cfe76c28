"""A table, whatever file it comes from: columns to what they are for, rows to edits."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.errors import ManifestError
from pipeline.manifest.columns import Column, missing_column, template_name
from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader
from pipeline.models import Edit, Problem

MAX_COLUMNS = 16_384
"""A spreadsheet has no more."""

Row = tuple[int, list[str]]
"""A row's number, as messages call it, and its cells."""


class Source(NamedTuple):
    """``line``: the header's number. ``rows``: none of them empty lists; read only once."""

    label: str
    line: int
    header: Sequence[str]
    rows: Iterator[Row | Problem]

    @property
    def place(self) -> str:
        return f"{self.label}:{self.line}"


def table_edits(
    source: Source, rows: RowReader, *, default_prompt: str, needs_image: bool
) -> Iterator[Edit | Problem]:
    """A row, an edit. ``default_prompt``: for rows without one; may be empty.

    Raises `ManifestError`, at once when no row could become the edit that is meant.
    """
    table = _Table(source, rows)
    table.check(default_prompt=default_prompt, needs_image=needs_image)
    return table.edits(source.rows)


class _Table:
    """What each column is for."""

    def __init__(self, source: Source, rows: RowReader) -> None:
        header = source.header
        self._rows = rows
        self._place = source.place
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
                for column in rows.columns.roles(written):
                    self._sort_in(column, at)
            except RowError as error:
                problems.append(str(error))
        problems += rows.columns.absent(self._names)
        problems += self._same_names()
        self._images.sort(key=lambda image: (image[0].role != "images", image[0].order))
        if problems:
            raise ManifestError(f"{self._place}: " + "; ".join(problems))

    def _same_names(self) -> list[str]:
        """A mapped variable that is called like another column."""
        owners: dict[str, str] = {}
        problems = []
        for name, at in self._variables:
            other = owners.setdefault(template_name(name) or name, self._names[at])
            if other != self._names[at]:
                problems.append(
                    f"columns: {quoted(self._names[at])} and {quoted(other)} would both be"
                    f" {quoted(name)} (choose another name in the job's columns)"
                )
        return problems

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
                " row names the columns: id, images, prompt, …; if yours are called otherwise, say"
                " so under 'columns' in the job)"
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

    def edits(self, rows: Iterator[Row | Problem]) -> Iterator[Edit | Problem]:
        for row in rows:
            if isinstance(row, Problem):
                yield row
            elif (edit := self._edit(*row)) is not None:
                yield edit

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
