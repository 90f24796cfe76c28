"""A row of names and values, as JSON and YAML have it, sorted by what they are for."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pipeline.manifest.problems import RowError, quoted
from pipeline.manifest.rows import RowReader

NEEDED = ("id", "images", "image", "prompt")
"""What a mapping names has to stand in every row, be it null; other keys may be left out."""


class Cells:
    """One row. What is wrong with it is in ``problems``."""

    def __init__(self, rows: RowReader, row: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self.one: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        images: list[tuple[bool, int, Any]] = []
        for written, value in row.items():
            if value is None:
                value = ""
            try:
                columns = rows.columns.roles(written)
            except RowError as error:
                self.problems.append(str(error))
                continue
            for column in columns:
                if column.role in ("images", "image"):
                    images.append((column.role == "image", column.order, value))
                elif column.role == "parameter":
                    self.parameters[column.name] = value
                elif column.role == "variable":
                    self.variables[column.name] = variable_text(value)
                else:
                    self.one[column.role] = value
        if rows.columns.mapping:
            self.problems += rows.columns.absent(list(row), NEEDED)
        images.sort(key=lambda image: image[:2])
        self.entries = [
            entry for single, _, value in images for entry in self._entries(value, not single)
        ]

    def text(self, name: str) -> str:
        value = self.one.get(name, "")
        if isinstance(value, str):
            return value.strip() if name == "id" else value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        self.problems.append(f"{name} {quoted(value)} is no text (write it in quotes)")
        return ""

    def _entries(self, value: Any, split: bool) -> list[str]:
        if isinstance(value, str):
            parts = value.split("|") if split else [value]
            return [part.strip() for part in parts if part.strip()]
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return [part.strip() for part in value if part.strip()]
        self.problems.append(
            f"images {quoted(value)} are no texts (a path, or a list of paths; quote numbers)"
        )
        return []


def variable_text(value: Any) -> str:
    """A variable as templates and the ledger see it; what is no text, as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
