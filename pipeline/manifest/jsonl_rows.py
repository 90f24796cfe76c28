"""JSON lines: an object a line, with the keys that a CSV's columns would have."""

from collections.abc import Iterator
from typing import Any

import msgspec

from pipeline.manifest.cells import Cells
from pipeline.manifest.rows import RowReader
from pipeline.models import Edit, Problem


def open_jsonl(lines: Iterator[str], rows: RowReader) -> Iterator[Edit | Problem]:
    """The rows, lazily. Raises `ManifestError` from ``lines``."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for line, text in enumerate(lines, start=1):
        if not text or text.isspace():
            continue
        try:
            row = decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            yield rows.problem(line, f"{error} (a line holds one JSON object)")
            continue
        cells = Cells(rows, row)
        yield rows.edit(
            line,
            name=cells.text("id"),
            entries=cells.entries,
            prompt=cells.text("prompt"),
            variant=cells.one.get("variant", ""),
            parameters=cells.parameters,
            variables=cells.variables,
            problems=cells.problems,
        )
