"""Manifests: CSV, YAML and JSON lines, row by row to edits, with the row in every complaint."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pipeline.errors import ManifestError
from pipeline.manifest.csv_rows import open_csv
from pipeline.manifest.images import missing_inputs
from pipeline.manifest.jsonl_rows import open_jsonl
from pipeline.manifest.parameters import check_parameters, parse_parameter
from pipeline.manifest.problems import listed
from pipeline.manifest.rows import ManifestDefaults, Reading, RowReader
from pipeline.manifest.text_lines import cannot_read, check_encoding, text_lines
from pipeline.manifest.yaml_sets import open_yaml
from pipeline.models import Edit, ModelSpec, Problem

__all__ = [
    "ManifestDefaults",
    "check_parameters",
    "missing_inputs",
    "parse_parameter",
    "read_manifests",
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
) -> Iterator[Edit | Problem]:
    """The edits of all files, in order, read as they are asked for; ids are unique across files.

    A row that cannot become an edit is a `Problem`, and the rows go on. Its ``id`` is the row's
    own, or, where it has none that is valid and free, its place: never another row's.

    ``root``: no local picture lies outside it, and relative paths start there; ``None``: each
    manifest's own folder. ``prompt``, ``parameters``: the job's, for rows that state none.
    ``output``: the template of `Edit.output`. ``known_parameters``: of all models; a column called
    like one that ``model`` does not take is refused. Edits that state no parameters of their own
    share one dict: treat it as frozen.

    With the first edit all files are opened, so that most of what is wrong with a file or with the
    job's values is found before any edit is given out. Raises `ManifestError` about a file and
    `JobError` about the job's values; for the rest of a long CSV or JSONL file, a broken line
    (encoding, a quote never closed) raises where it is reached.
    """
    if root is not None and not root.is_dir():
        raise ManifestError(f"{root}: no such folder (correct inputs.root in the job)")
    labels = _labels(paths)
    reading = Reading(
        labels,
        model=model,
        known_parameters=known_parameters,
        defaults=ManifestDefaults(prompt=prompt, parameters=dict(parameters)),
        output=output,
    )
    with ExitStack() as stack:
        opened = []
        for number, (path, label) in enumerate(zip(paths, labels, strict=True)):
            folder = root or path.parent
            opened.append(_format(path, label)(path, reading, number, label, folder, stack))
        for edits in opened:
            yield from edits


_Opener = Callable[[Path, Reading, int, str, Path, ExitStack], Iterator[Edit | Problem]]


def _csv(
    path: Path, reading: Reading, number: int, label: str, root: Path, stack: ExitStack
) -> Iterator[Edit | Problem]:
    return open_csv(
        _lines(path, label, stack),
        RowReader(reading, number, label, root=root),
        default_prompt=reading.defaults.prompt or "",
        needs_image=reading.model.min_images > 0,
    )


def _jsonl(
    path: Path, reading: Reading, number: int, label: str, root: Path, stack: ExitStack
) -> Iterator[Edit | Problem]:
    return open_jsonl(_lines(path, label, stack), RowReader(reading, number, label, root=root))


def _yaml(
    path: Path, reading: Reading, number: int, label: str, root: Path, _stack: ExitStack
) -> Iterator[Edit | Problem]:
    return open_yaml(path, reading, number=number, label=label, root=root)


_FORMATS: Mapping[str, _Opener] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}


def _format(path: Path, label: str) -> _Opener:
    try:
        return _FORMATS[path.suffix.lower()]
    except KeyError:
        raise ManifestError(
            f"{label}: manifests of this kind are not read (save it as one of {listed(_FORMATS)})"
        ) from None


def _lines(path: Path, label: str, stack: ExitStack) -> Iterator[str]:
    try:
        file = stack.enter_context(path.open("rb"))
    except OSError as error:
        raise cannot_read(label, error) from error
    check_encoding(file, label)
    return text_lines(file, label)


def _labels(paths: Sequence[Path]) -> list[str]:
    """What messages call each file: its name, with its folder where two have the same."""
    labels = [path.name for path in paths]
    for name in (lambda path: f"{path.parent.name}/{path.name}", str):
        labels = [
            label if labels.count(label) == 1 else name(path)
            for label, path in zip(labels, paths, strict=True)
        ]
    return [label if label.isprintable() else ascii(label) for label in labels]
