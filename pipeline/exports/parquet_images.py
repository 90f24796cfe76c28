"""Parquet with the pictures inside, as the library `datasets` writes and reads it.

A picture is a struct of ``bytes`` and ``path``; the schema says which columns are pictures, so that
`load_dataset` yields PIL images. Row groups are small, so that a reader that shuffles needs little
memory. The same samples make the same bytes with the same release of pyarrow.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.exports.parquet_needed import arrow
from pipeline.exports.samples import Column, Sample, weight

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 1_000
GROUP_BYTES = 32_000_000


def write_parquet_images(columns: Sequence[Column], samples: Iterable[Sample], path: Path) -> None:
    """Writes one shard, a row group at a time. Raises `OSError`; `ConfigError` without pyarrow."""
    pa, parquet = arrow()
    schema = _schema(pa, columns)
    pictures = [column.name for column in columns if column.kind == "picture"]
    texts = [column.name for column in columns if column.kind == "text"]
    with parquet.ParquetWriter(
        path,
        schema,
        # Pictures are compressed already, and statistics over them are copies of them.
        compression={**dict.fromkeys((c.name for c in columns), "zstd"), **_inner(pictures)},
        compression_level={name: 3 for name in (c.name for c in columns) if name not in pictures},
        use_dictionary=texts,
        write_statistics=[c.name for c in columns if c.kind != "picture"],
    ) as writer:
        rows: list[dict[str, Any]] = []
        size = 0
        for sample in samples:
            rows.append(_row(columns, sample))
            size += weight(sample)
            if len(rows) >= GROUP_ROWS or size >= GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows, size = [], 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, schema))


def _inner(pictures: Sequence[str]) -> dict[str, str]:
    return {f"{name}.{part}": "none" for name in pictures for part in ("bytes", "path")}


def _row(columns: Sequence[Column], sample: Sample) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in columns:
        if column.kind != "picture":
            row[column.name] = sample.values[column.name]
        elif (picture := sample.pictures[column.name]) is not None:
            row[column.name] = {"bytes": picture.data, "path": sample.key + picture.extension}
    return row


def _schema(pa: Any, columns: Sequence[Column]) -> "pa.Schema":
    kinds = {
        "text": pa.string(),
        "integer": pa.int64(),
        "picture": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    }
    named = {
        "text": {"dtype": "string", "_type": "Value"},
        "integer": {"dtype": "int64", "_type": "Value"},
        "picture": {"_type": "Image"},
    }
    features = {column.name: named[column.kind] for column in columns}
    return pa.schema(
        [(column.name, kinds[column.kind]) for column in columns],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
