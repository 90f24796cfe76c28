"""The results as Parquet: times as timestamps, money as numbers, everything else as text."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.exports import replacing
from pipeline.exports.parquet_needed import arrow

GROUP_ROWS = 20_000

_TIMES = ("started_at", "finished_at")
_FLOATS = ("cost_usd", "duration_s")
_INTEGERS = ("attempts", "variant")


def write_results_parquet(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path
) -> int:
    """Writes the rows, a group at a time; how many. Raises `StoreError`; `ConfigError` without
    pyarrow.
    """
    pa, parquet = arrow()
    schema = pa.schema([(name, _type(pa, name)) for name in columns])
    count = 0
    source = iter(rows)
    with (
        replacing(path) as file,
        parquet.ParquetWriter(file, schema, compression="zstd", compression_level=3) as writer,
    ):
        while group := [_row(columns, row) for row in islice(source, GROUP_ROWS)]:
            writer.write_table(pa.Table.from_pylist(group, schema))
            count += len(group)
    return count


def _type(pa: Any, name: str) -> Any:
    if name in _TIMES:
        return pa.timestamp("ms", tz="UTC")
    if name in _FLOATS:
        return pa.float64()
    return pa.int64() if name in _INTEGERS else pa.string()


def _row(columns: Sequence[str], row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(name, row[name]) for name in columns}


def _value(name: str, value: Any) -> Any:
    if value is None or name in _INTEGERS or name in _FLOATS:
        return value
    if name in _TIMES:
        return datetime.fromisoformat(value)
    return value if isinstance(value, str) else str(value)
