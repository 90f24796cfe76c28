"""The results in other formats: one function per format, all of the same shape.

An `Exporter` is ``(columns, rows, path) -> count``. It writes the rows (mappings that have every
one of ``columns``: text, numbers or ``None``) as they come, without collecting them, and replaces
``path`` in one step when all are on disk: whoever reads sees the old file or the new one, whole.
It returns how many rows there were and raises `StoreError` when the file cannot be written.

To add a format: a module with such a function, and a line in `EXPORTS`.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TextIO

from pipeline.errors import ConfigError, StoreError

EXPORTS: Mapping[str, str] = MappingProxyType(
    {
        "csv": "pipeline.exports.results_csv:write_results_csv",
        "jsonl": "pipeline.exports.results_jsonl:write_results_jsonl",
    }
)
"""Where each format's exporter is; imported when somebody wants it."""


class Exporter(Protocol):
    """What `EXPORTS` names; the contract is above."""

    def __call__(
        self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], path: Path
    ) -> int: ...


def exporter(name: str) -> Exporter:
    """The exporter of a format. Raises `ConfigError` for one that is not in the table."""
    if name not in EXPORTS:
        raise ConfigError(f"no such export format: {name!r} (there are: {', '.join(EXPORTS)})")
    module, _, function = EXPORTS[name].partition(":")
    found: Exporter = getattr(import_module(module), function)
    return found


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A text file (UTF-8, line ends as written) that becomes ``path`` when the block succeeds.

    Temporary file beside it, flush to disk, rename. When the block fails, ``path`` stays what it
    was and the temporary file is removed. Raises `StoreError`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}): close it if another program "
            "has it open, check that its folder is writable and the disk not full, and export "
            "again: the ledger has everything"
        ) from error
    finally:
        with suppress(OSError):  # gone when all went well
            temporary.unlink()


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and need not be
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
