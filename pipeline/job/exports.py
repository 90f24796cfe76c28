"""The part ``exports`` of a job: tables and data sets that are made of its results.

One `Export` is also what the command ``pipeline export --format …`` is asked for: its options and
the keys of the job file are the same, read by the same code.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
)

from pipeline.errors import ConfigError
from pipeline.job.values import Part, as_list, size_in_bytes
from pipeline.job.words import in_words
from pipeline.manifest.problems import did_you_mean, listed
from pipeline.manifest.safe_yaml import YamlMap

TABLES = ("csv", "jsonl", "parquet")
"""One file of rows, without pictures."""

FORMATS = (*TABLES, "folder", "parquet-images", "webdataset", "instruct-pix2pix", "preferences")

OF_FIXED_COLUMNS = ("instruct-pix2pix", "preferences")
"""Their columns, sources included, are those that their trainers read."""

SHARD_BYTES = 10**9
LEAST_SHARD_BYTES = 100_000

T = TypeVar("T")
Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
Shares = tuple[tuple[str, float], ...]

_CONDITION = re.compile(r"\s*([^<>=!]+?)\s*(!=|<=|>=|=|<|>)(.*)", re.DOTALL).fullmatch
_SPLIT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}").fullmatch


class Condition(Part):
    """A column, how it is compared, and with what: of several values any may be equal."""

    column: str
    comparison: Comparison
    values: tuple[str, ...]


def condition(text: Any) -> Any:
    """``status=succeeded|rejected``, ``check:ratio>=0.5`` as a `Condition`. Raises `ValueError`."""
    parts = _CONDITION(text) if isinstance(text, str) else None
    if parts is None:
        raise ValueError(
            f"{text!r} is no condition: a column, a comparison and a value, as in"
            " 'status=succeeded|rejected' or 'check:not_blank>=12'"
        )
    column, comparison, value = parts.groups()
    values = tuple([one.strip() for one in value.split("|")])
    if len(values) > 1 and comparison not in ("=", "!="):
        raise ValueError(f"{text!r}: {comparison} takes one value")
    return Condition(column=column, comparison=cast(Comparison, comparison), values=values)


def shares(value: Any) -> Any:
    """``train=0.9,test=0.1``, or the same as a mapping: names and shares, which come to 1, in the
    order in which they were written. Raises `ValueError`.
    """
    if isinstance(value, str):
        pairs = [part.partition("=")[::2] for part in value.split(",")]
    elif isinstance(value, Mapping):
        pairs = [*value.items()]
    else:
        return value
    found: dict[str, float] = {}
    for name, share in [(str(name).strip(), str(share).strip()) for name, share in pairs]:
        try:
            number = float(share)
        except ValueError:
            number = -1.0
        if not _SPLIT_NAME(name) or not 0 < number <= 1 or name in found:
            raise ValueError(
                f"'{name}={share}' is no share of its own (as in"
                " train=0.9,validation=0.05,test=0.05)"
            )
        found[name] = number
    if abs(sum(found.values()) - 1) > 1e-6:
        raise ValueError(f"the shares come to {sum(found.values()):g}, and not to 1")
    return tuple(found.items())


def _format(value: str) -> str:
    if value not in FORMATS:
        hint = did_you_mean(value, FORMATS) or f" (there are {listed(FORMATS)})"
        raise ValueError(f"there is no format {value[:60]!r}{hint}")
    return value


def _output(value: str, info: ValidationInfo) -> str:
    """In a job file relative to it; on the command line as it is."""
    if not value:
        raise ValueError("it is empty (a folder; for csv, jsonl and parquet a file)")
    if "://" in value and urlsplit(value).password is not None:  # not shown
        raise ValueError("it holds a password (keys come from environment variables)")
    folder = (info.context or {}).get("folder")
    if folder is None or "://" in value:
        return value
    return str(os.path.abspath(folder / value))  # noqa: PTH100 - links are not followed


def _with_pictures(value: T, info: ValidationInfo) -> T:
    chosen = info.data.get("format")
    if value and chosen in TABLES:
        raise ValueError(f"a {chosen} is one table without pictures: leave it out")
    return value


def _with_splits(value: str, info: ValidationInfo) -> str:
    if value != "source" and "split" in info.data and not info.data["split"]:
        raise ValueError("it says how to split: say what into as well (split: train=0.9,test=0.1)")
    return value


def _in_shards(value: int, info: ValidationInfo) -> int:
    if info.data.get("format") == "folder":
        raise ValueError("a folder has one file a picture: leave it out")
    return value


def _free_columns(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    chosen = info.data.get("format")
    if chosen in OF_FIXED_COLUMNS:
        raise ValueError(f"{chosen} has columns of its own: leave it out")
    return value


_Texts = Annotated[tuple[str, ...], BeforeValidator(as_list)]
_Pictures = AfterValidator(_with_pictures)


class Export(Part):
    """One export. ``output``: an absolute path (from a command: as written) or an fsspec URL.

    ``split``: name and share, in order; empty: all is ``train``. ``split_by``: ``source``, or a
    column. ``only``: ids or globs. ``columns``: of the results; empty: all. ``shard_size``: bytes.
    ``source``: the input pictures as well.
    """

    format: Annotated[str, AfterValidator(_format)]
    output: Annotated[str, AfterValidator(_output)]
    split: Annotated[Shares, BeforeValidator(shares), _Pictures] = ()
    split_by: Annotated[str, AfterValidator(_with_splits)] = "source"
    where: Annotated[
        tuple[Annotated[Condition, BeforeValidator(condition)], ...], BeforeValidator(as_list)
    ] = ()
    only: _Texts = ()
    columns: Annotated[_Texts, AfterValidator(_free_columns)] = ()
    shard_size: Annotated[
        int,
        BeforeValidator(size_in_bytes),
        Field(ge=LEAST_SHARD_BYTES),
        _Pictures,
        AfterValidator(_in_shards),
    ] = SHARD_BYTES
    source: Annotated[bool, _Pictures] = False

    @property
    def table(self) -> bool:
        """One file of rows, rather than a folder of pictures."""
        return self.format in TABLES

    @property
    def with_source(self) -> bool:
        return self.source or self.format in OF_FIXED_COLUMNS

    def beside(self, suffix: str) -> "Export":
        """The same of other results, beside this: ``catalog-suffix``, ``results-suffix.csv``."""
        stem, extension = self.output, ""
        if self.table:
            stem, extension = os.path.splitext(self.output)  # noqa: PTH122 - also of a URL
        return self.model_copy(update={"output": f"{stem.rstrip('/')}-{suffix}{extension}"})

    def rehearsed(self, directory: Path) -> "Export":
        """The same, of a rehearsal: local, whatever it is otherwise. ``directory``: its outputs."""
        if "://" not in self.output:
            return self.beside("rehearsal")
        name = self.output.rstrip("/").rpartition("/")[2]
        return self.model_copy(update={"output": str(directory / "exports" / name)})


def asked(**options: Any) -> Export:
    """The options of the command, those that were given. Raises `ConfigError`."""
    try:
        return Export.model_validate(options)
    except ValidationError as error:
        problem = in_words(dict(error.errors(include_url=False)[0]), _NO_FILE, Export)[1]
        key, _, rest = problem.partition(": ")
        name = key.partition(".")[0].replace("_", "-")
        raise ConfigError(f"--{_OPTIONS.get(name, name)}: {rest}") from None


_NO_FILE = YamlMap(0, {}, {}, 0)
_OPTIONS = {"columns": "column"}
"""Where an option is called otherwise than the key: it is repeated."""


def _stated(value: Any) -> Any:
    """Keys without a value are as good as absent."""
    return [
        {key: each for key, each in one.items() if each is not None}
        if isinstance(one, Mapping)
        else one
        for one in as_list(value)
    ]


def _apart(exports: tuple[Export, ...]) -> tuple[Export, ...]:
    outputs = [os.path.normcase(one.output.rstrip("/")) for one in exports]
    for at, output in enumerate(outputs):
        if output in outputs[:at]:
            raise ValueError(f"two of them write to {output} (give each an output of its own)")
    return exports


Exports = Annotated[tuple[Export, ...], BeforeValidator(_stated), AfterValidator(_apart)]


def of_model(exports: Iterable[Export], alias: str) -> tuple[Export, ...]:
    """The exports of one of a job's models, each beside those of the others."""
    return tuple([one.beside(alias) for one in exports])
