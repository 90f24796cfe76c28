"""What an export is asked to do, parsed and checked."""

import re
from collections.abc import Sequence

import msgspec

from pipeline.errors import ConfigError
from pipeline.exporting.filtering import Condition, condition
from pipeline.exports import EXPORTS, SHARDS

FORMATS = (*EXPORTS, "folder", *SHARDS)
"""All formats: tables of the ledger first, then what trains."""

ALWAYS_WITH_SOURCE = ("instruct-pix2pix", "preferences")

SHARD_BYTES = 1_000_000_000
LEAST_SHARD_BYTES = 100_000

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|[kKMGT]B|[KMGT]iB)?").fullmatch
_UNITS = {"B": 1} | {
    unit: base**power
    for power, letter in enumerate("KMGT", start=1)
    for unit, base in ((f"{letter}B", 1000), (f"{letter}IB", 1024))
}
_SPLIT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}").fullmatch


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One export. ``output``: a path or an fsspec URL. ``splits``: name and share, in the order in
    which they were written; empty: all is ``train``. ``split_by``: ``source``, or a column.
    ``source``: the input pictures as well.
    """

    format: str
    output: str
    splits: tuple[tuple[str, float], ...] = ()
    split_by: str = "source"
    where: tuple[Condition, ...] = ()
    only: tuple[str, ...] = ()
    shard_bytes: int = SHARD_BYTES
    source: bool = False

    @property
    def table(self) -> bool:
        """One file of rows, rather than a folder of pictures."""
        return self.format in EXPORTS

    @property
    def with_source(self) -> bool:
        return self.source or self.format in ALWAYS_WITH_SOURCE


def wish(
    format: str,  # noqa: A002 - it is called that everywhere
    output: str,
    *,
    split: str | None = None,
    split_by: str = "source",
    where: Sequence[str] = (),
    only: Sequence[str] = (),
    shard_size: str | int | None = None,
    source: bool = False,
) -> Wish:
    """The options of the command, checked. Raises `ConfigError`."""
    if format not in FORMATS:
        raise ConfigError(f"--format {format}: there is no such format ({', '.join(FORMATS)})")
    if not output:
        raise ConfigError("--output: name a folder, or a file for csv, jsonl and parquet")
    table = format in EXPORTS
    unused = [
        name
        for name, given in (
            ("--split", split is not None),
            ("--split-by", split_by != "source"),
            ("--shard-size", shard_size is not None),
            ("--source", source),
        )
        if given
    ]
    if table and unused:
        raise ConfigError(f"{unused[0]}: a {format} is one table without pictures: leave it out")
    if format == "folder" and shard_size is not None:
        raise ConfigError("--shard-size: a folder has one file a picture: leave it out")
    if split_by != "source" and split is None:
        raise ConfigError("--split-by says how to split: give --split train=0.9,test=0.1 as well")
    return Wish(
        format=format,
        output=output,
        splits=() if split is None else splits(split),
        split_by=split_by,
        where=tuple(map(condition, where)),
        only=tuple(only),
        shard_bytes=SHARD_BYTES if shard_size is None else size(shard_size),
        source=source,
    )


def splits(text: str) -> tuple[tuple[str, float], ...]:
    """``train=0.9,test=0.1``: names and shares, which come to 1. Raises `ConfigError`."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = (piece.strip() for piece in part.partition("="))
        try:
            number = float(share)
        except ValueError:
            number = -1.0
        if not _SPLIT_NAME(name) or not 0 < number <= 1 or name in found:
            raise ConfigError(
                f"--split: {part.strip()!r} is no share of its own (as in"
                " train=0.9,validation=0.05,test=0.05)"
            )
        found[name] = number
    if abs(sum(found.values()) - 1) > 1e-6:
        raise ConfigError(f"--split: the shares come to {sum(found.values()):g}, and not to 1")
    return tuple(found.items())


def size(value: str | int) -> int:
    """``1GB``, ``256MiB``, or a number of bytes. Raises `ConfigError`."""
    parts = _SIZE(str(value).strip())
    if parts is None:
        raise ConfigError(f"--shard-size: {value!r} is no size (1GB, 256MiB, or bytes)")
    found = int(float(parts[1]) * _UNITS[(parts[2] or "B").upper()])
    if found < LEAST_SHARD_BYTES:
        raise ConfigError(f"--shard-size: {value}: a shard has 100kB at least")
    return found
