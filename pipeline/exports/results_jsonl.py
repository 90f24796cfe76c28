"""JSON Lines: one object a row, UTF-8, values as they are."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.exports import replacing


def write_results_jsonl(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path
) -> int:
    """Writes the rows as JSON Lines; how many rows. Raises `StoreError`."""
    encode = msgspec.json.Encoder().encode
    count = 0
    with replacing(path) as file:
        for row in rows:
            file.write(encode({name: row[name] for name in columns}) + b"\n")
            count += 1
    return count
