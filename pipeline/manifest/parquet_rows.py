"""Parquet, a few rows at a time. Needs the extra ``parquet`` (pyarrow)."""

from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import ConfigError, ManifestError
from pipeline.manifest.problems import quoted
from pipeline.manifest.tables import Row, Source
from pipeline.manifest.text_lines import cannot_read

_BATCH = 512


def open_parquet(path: Path, label: str) -> Source:
    """A row's number counts from 1, as there is no header row. Raises `ManifestError`, and
    `ConfigError` without pyarrow.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError(
            f"{label}: reading Parquet needs pyarrow (pip install 'image-edit-pipeline[parquet]')"
        ) from None
    try:
        file = pq.ParquetFile(path, memory_map=False)
        schema = file.schema_arrow
    except OSError as error:
        raise cannot_read(label, error) from error
    except pa.ArrowException as error:
        raise _damaged(label, error) from None
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            raise ManifestError(
                f"{label}: column {quoted(field.name)} holds bytes (put pictures into files and"
                " name those; remove other such columns)"
            )
    return Source(label, 0, list(schema.names), _rows(file, label))


def _rows(file: Any, label: str) -> Iterator[Row]:
    import pyarrow as pa

    number = 0
    with file:
        try:
            for batch in file.iter_batches(batch_size=_BATCH):
                columns = [column.to_pylist() for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield number, [_text(value) for value in values]
        except (pa.ArrowException, OSError) as error:
            raise _damaged(label, error) from None


def _damaged(label: str, error: Exception) -> ManifestError:
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ManifestError(f"{label}: cannot be read as Parquet: {first} (write it again)")


def _text(value: Any) -> str:
    """As templates and the ledger see it; a list of texts is joined by ``|``, as images are."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "|".join(value)
    if isinstance(value, list | dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)
