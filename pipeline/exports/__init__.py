"""The results in other formats: one function per format, in two shapes.

**Tables.** An `Exporter` is ``(columns, rows, path) -> count``. It writes the rows (mappings that
have every one of ``columns``: text, numbers or ``None``) as they come, without collecting them, and
replaces ``path`` in one step when all are on disk: whoever reads sees the old file or the new one,
whole. It returns how many rows there were and raises `StoreError` when the file cannot be written.

**Shards.** A `ShardWriter` is ``(columns, samples, path)``: it writes the samples of one shard as
they come, to a path where nobody looks yet. The same samples make the same bytes: no times, no
order but theirs. What goes into which shard is decided by who calls it (`pipeline.exporting`).

To add a format: a module with such a function, and a line in `EXPORTS` or `SHARDS`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Protocol, cast

from pipeline import durable
from pipeline.errors import ConfigError, StoreError
from pipeline.exports.samples import Column, Sample

EXPORTS: Mapping[str, str] = MappingProxyType(
    {
        "csv": "pipeline.exports.results_csv:write_results_csv",
        "jsonl": "pipeline.exports.results_jsonl:write_results_jsonl",
        "parquet": "pipeline.exports.results_parquet:write_results_parquet",
    }
)
"""Where each format's exporter is; imported when somebody wants it."""

SHARDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "parquet-images": ("pipeline.exports.parquet_images:write_parquet_images", ".parquet"),
        "webdataset": ("pipeline.exports.webdataset_tar:write_webdataset", ".tar"),
        "instruct-pix2pix": ("pipeline.exports.parquet_images:write_parquet_images", ".parquet"),
        "preferences": ("pipeline.exports.parquet_images:write_parquet_images", ".parquet"),
    }
)
"""Where each format's shard writer is, and the extension of its shards."""


class Exporter(Protocol):
    """What `EXPORTS` names; the contract is above."""

    def __call__(
        self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path
    ) -> int: ...


class ShardWriter(Protocol):
    """What `SHARDS` names; the contract is above."""

    def __call__(
        self, columns: Sequence[Column], samples: Iterable[Sample], path: Path
    ) -> None: ...


def exporter(name: str) -> Exporter:
    """The exporter of a format. Raises `ConfigError` for one that is not in the table."""
    if name not in EXPORTS:
        raise ConfigError(f"no such export format: {name!r} (there are: {', '.join(EXPORTS)})")
    return cast(Exporter, _imported(EXPORTS[name]))


def shard_writer(name: str) -> tuple[ShardWriter, str]:
    """The shard writer of a format in `SHARDS`, and the extension of its shards."""
    place, extension = SHARDS[name]
    return cast(ShardWriter, _imported(place)), extension


def _imported(place: str) -> object:
    module, _, function = place.partition(":")
    return getattr(import_module(module), function)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that becomes ``path`` when the block succeeds; its folder is made.

    When the block fails, ``path`` stays what it was. Raises `StoreError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.replacing(path) as file:
            yield file
        durable.sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}): close it if another program "
            "has it open, check that its folder is writable and the disk not full, and export "
            "again: the ledger has everything"
        ) from error
