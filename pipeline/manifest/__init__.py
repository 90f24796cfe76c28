"""Manifests: tables, feeds, YAML and JSON lines, row by row to edits, the row in each complaint."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.errors import JobError, ManifestError
from pipeline.manifest.columns import template_name
from pipeline.manifest.csv_rows import open_csv
from pipeline.manifest.folders import input_folders, printable, spellings
from pipeline.manifest.images import missing_inputs
from pipeline.manifest.jsonl_rows import open_jsonl
from pipeline.manifest.kinds import check_kind, read_once
from pipeline.manifest.merchant import looks_like_merchant, merchant_edits, table_items
from pipeline.manifest.merchant_xml import xml_items
from pipeline.manifest.parameters import check_parameters, parse_parameter
from pipeline.manifest.problems import listed
from pipeline.manifest.rows import ManifestDefaults, Reading, RowReader
from pipeline.manifest.shopify import looks_like_shopify, shopify_edits
from pipeline.manifest.tables import Source, table_edits
from pipeline.manifest.text_lines import cannot_read, check_encoding, text_lines
from pipeline.manifest.workbook import split_sheet
from pipeline.manifest.yaml_sets import open_yaml
from pipeline.models import Edit, ModelSpec, Problem

__all__ = [
    "FORMATS",
    "ManifestDefaults",
    "check_parameters",
    "input_folders",
    "missing_inputs",
    "parse_parameter",
    "read_manifests",
    "read_once",
]


def read_manifests(
    paths: Sequence[Path],
    *,
    model: ModelSpec,
    root: Path | None,
    prompt: str | None,
    parameters: Mapping[str, Any],
    output: str = "{{ id }}",
    known_parameters: frozenset[str] = frozenset(),
    columns: Mapping[str, Sequence[str]] | None = None,
    format: str = "auto",  # noqa: A002 - the job's key
) -> Iterator[Edit | Problem]:
    """The edits of all files, in order, read as they are asked for; ids are unique across files.

    A row that cannot become an edit is a `Problem`, and the rows go on. Its ``id`` is the row's
    own, or, where it has none that is valid and free, its place: never another row's.

    ``root``: no local picture lies outside it, and relative paths start there; ``None``: each
    manifest's own folder. ``prompt``, ``parameters``: the job's, for rows that state none.
    ``output``: the template of `Edit.output`. ``known_parameters``: of all models; a column called
    like one that ``model`` does not take is refused. ``columns``: of tables, what is wanted → the
    columns that hold it. ``format``: of tables and feeds, one of `FORMATS`. Edits that state no
    parameters of their own share one dict: treat it as frozen.

    With the first edit all files are opened, so that most of what is wrong with a file or with the
    job's values is found before any edit is given out. Raises `ManifestError` about a file and
    `JobError` about the job's values; for the rest of a long CSV or JSONL file, a broken line
    (encoding, a quote never closed) raises where it is reached.
    """
    if root is not None and not root.is_dir():
        raise ManifestError(f"{root}: no such folder (correct inputs.root in the job)")
    named = [split_sheet(path) for path in paths]
    labels = _labels(paths)
    reading = Reading(
        labels,
        model=model,
        known_parameters=known_parameters,
        defaults=ManifestDefaults(prompt=prompt, parameters=dict(parameters)),
        output=output,
        mapping=columns,
    )
    with ExitStack() as stack:
        opened = []
        mapped = False
        for number, ((path, sheet), label) in enumerate(zip(named, labels, strict=True)):
            suffix = path.suffix.lower()
            opener = _opener(suffix, label, format)
            check_kind(path, suffix, label)
            file = _File(path, sheet, label, number, root or path.parent, format, stack)
            mapped = mapped or opener is not _yaml
            opened.append(opener(file, reading))
        if columns and not mapped:
            raise JobError("columns: they are for tables; a YAML manifest uses its own words")
        for edits in opened:
            yield from edits


class _File(NamedTuple):
    """``sheet``: of a workbook. ``root``: the folder of local pictures."""

    path: Path
    sheet: str
    label: str
    number: int
    root: Path
    format: str
    stack: ExitStack

    def rows(self, reading: Reading) -> RowReader:
        return RowReader(reading, self.number, self.label, path=self.path, root=self.root)


_Opener = Callable[[_File, Reading], Iterator[Edit | Problem]]


def _csv(file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    return _table(open_csv(_lines(file), file.label), file, reading)


def _workbook(file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    from pipeline.manifest.sheet_rows import open_sheet

    return _table(open_sheet(file.path, file.sheet, file.label, file.stack), file, reading)


def _parquet(file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    from pipeline.manifest.parquet_rows import open_parquet

    return _table(open_parquet(file.path, file.label), file, reading)


def _table(source: Source, file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    rows, prompt = file.rows(reading), reading.defaults.prompt or ""
    kind = file.format
    if kind == "auto":
        kind = _found(source, rows)
    if kind == "shopify":
        return shopify_edits(source, rows, default_prompt=prompt)
    if kind == "google":
        return merchant_edits(
            table_items(source), rows, place=source.place, header=source.header,
            default_prompt=prompt,
        )  # fmt: skip
    return table_edits(
        source, rows, default_prompt=prompt, needs_image=reading.model.min_images > 0
    )


def _found(source: Source, rows: RowReader) -> str:
    """What a header says. Where the job, or the table, says itself where pictures are: a table."""
    mapped = [rows.columns.column(key) for key in rows.columns.mapping]
    own = [template_name(name) for name in source.header]
    if "images" in own or any(column.role in ("images", "image") for column in mapped):
        return "table"
    if looks_like_shopify(source.header):
        return "shopify"
    return "google" if looks_like_merchant(source.header) else "table"


def _feed(file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    try:
        opened = file.stack.enter_context(file.path.open("rb"))
    except OSError as error:
        raise cannot_read(file.label, error) from error
    return merchant_edits(
        xml_items(opened, file.label), file.rows(reading), place=file.label, header=None,
        default_prompt=reading.defaults.prompt or "",
    )  # fmt: skip


def _jsonl(file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    return open_jsonl(_lines(file), file.rows(reading))


def _yaml(file: _File, reading: Reading) -> Iterator[Edit | Problem]:
    return open_yaml(file.path, reading, number=file.number, label=file.label, root=file.root)


_OPENERS: Mapping[str, _Opener] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".xlsx": _workbook,
    ".xlsm": _workbook,
    ".parquet": _parquet,
    ".xml": _feed,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}

FORMATS = ("auto", "table", "shopify", "google")
"""What a table is. ``auto``: told by its columns."""


def _opener(suffix: str, label: str, stated: str) -> _Opener:
    opener = _OPENERS.get(suffix)
    if opener is None:
        raise ManifestError(
            f"{label}: manifests of this kind are not read (save it as one of {listed(_OPENERS)})"
        )
    if opener in (_csv, _workbook, _parquet):
        return opener
    if stated not in ("auto", "google" if opener is _feed else "table"):
        raise ManifestError(f"{label}: it cannot be format: {stated} (remove that from the job)")
    return opener


def _lines(opened: _File) -> Iterator[str]:
    label = opened.label
    try:
        file = opened.stack.enter_context(opened.path.open("rb"))
    except OSError as error:
        raise cannot_read(label, error) from error
    check_encoding(file, label)
    return text_lines(file, label)


def _labels(paths: Sequence[Path]) -> list[str]:
    """What messages call each file: its name, with its folder where two have the same."""
    named = [spellings(path) for path in paths]
    labels = [names[0] for names in named]
    for further in (1, 2):
        labels = [
            label if labels.count(label) == 1 else names[further]
            for label, names in zip(labels, named, strict=True)
        ]
    return [printable(label) for label in labels]
