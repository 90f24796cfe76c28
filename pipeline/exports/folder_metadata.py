"""``metadata.jsonl`` as the imagefolder loader of the library `datasets` reads it.

``file_name`` and ``<column>_file_name`` become the pictures. A text that is not there is empty, not
null: the loader takes the type of a column from the first rows, and one of nulls has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from pipeline.exports.samples import Column

MAIN = "image"


def file_column(name: str) -> str:
    """The column of the file names of a picture column."""
    return "file_name" if name == MAIN else f"{name}_file_name"


def write_metadata(
    columns: Sequence[Column],
    rows: Iterable[tuple[Mapping[str, str | int | None], Mapping[str, str | None]]],
    path: Path,
) -> int:
    """Writes a line for each row: its values, and its pictures' paths from the file's folder, both
    by column; how many rows. A picture that is not there is null. Raises `OSError`.
    """
    encode = msgspec.json.Encoder().encode
    count = 0
    with path.open("wb") as file:
        for values, pictures in rows:
            line: dict[str, str | int | None] = {}
            for column in columns:
                if column.kind == "picture":
                    line[file_column(column.name)] = pictures[column.name]
                else:
                    value = values[column.name]
                    line[column.name] = "" if value is None and column.kind == "text" else value
            file.write(encode(line) + b"\n")
            count += 1
    return count
