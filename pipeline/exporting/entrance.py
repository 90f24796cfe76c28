"""`pipeline.export` and `pipeline.export_named`: the command as functions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ConfigError, PipelineError
from pipeline.job import Job, job_of

if TYPE_CHECKING:
    from pipeline.exporting.result import ExportedJob, ExportResult, Progress
    from pipeline.job.exports import Export


def export(
    job: Job | Path | str,
    *,
    format: str,  # noqa: A002 - it is called that everywhere
    output: Path | str,
    split: str | None = None,
    split_by: str | None = None,
    where: Sequence[str] = (),
    only: Sequence[str] = (),
    columns: Sequence[str] = (),
    shard_size: str | int | None = None,
    source: bool = False,
    rehearse: bool = False,
    observe: Callable[["Progress"], None] = lambda progress: None,
) -> "ExportResult":
    """Makes a table or a data set for training of a job's results, also while a run goes on.

    ``format``: ``csv``, ``jsonl``, ``parquet``, ``folder``, ``parquet-images``, ``webdataset``,
    ``instruct-pix2pix`` or ``preferences``. ``output``: a file for the first three, else a folder;
    or an fsspec URL. ``split``: as in ``train=0.9,test=0.1``. ``split_by``: ``source``, or a column
    of the results. ``where``: conditions, as in ``decision=approved``. ``only``: ids or globs.
    ``columns``: these only. ``shard_size``: bytes, or as in ``1GB``. ``source``: input pictures as
    well. Exporting again to the same place adds what is new. Blocks; sends nothing; pictures that
    are away are in the result.

    Raises `ConfigError`, `LedgerError`, `LockedError`, `StoreError`.
    """
    from pipeline.exporting.writing import export_job
    from pipeline.job.exports import asked

    options = {
        "split": split,
        "split_by": split_by,
        "where": tuple(where),
        "only": tuple(only),
        "columns": tuple(columns),
        "shard_size": shard_size,
        "source": source,
    }
    given = {name: value for name, value in options.items() if value not in (None, (), False)}
    wish = asked(format=format, output=str(output), **given)
    return export_job(job_of(job, rehearse=rehearse), wish, observe=observe)


def export_named(
    job: Job | Path | str,
    *,
    rehearse: bool = False,
    observe: Callable[["Progress"], None] = lambda progress: None,
) -> "ExportedJob":
    """Makes all that the job names under ``exports``, one after the other; of several models, those
    of each. One that cannot be made does not keep the others from it: its ``error`` says why.

    Raises `ConfigError` for a job that names none.
    """
    from pipeline.exporting.result import ExportedJob
    from pipeline.job.design import by_model

    loaded = job_of(job)
    if not loaded.exports:
        raise ConfigError(
            f"{loaded.path.name}: the job names no exports (say --format and --output, or list"
            " them under 'exports')"
        )
    jobs = [*by_model(loaded).values()] or [loaded]
    jobs = [one.for_rehearsal() for one in jobs] if rehearse else jobs
    made = [_made(one, wish, observe) for one in jobs for wish in one.exports]
    return ExportedJob(job=loaded.name, exports=tuple(made))


def _made(job: Job, wish: "Export", observe: Callable[["Progress"], None]) -> "ExportResult":
    from pipeline.exporting.result import ExportResult, NothingToExportError
    from pipeline.exporting.writing import export_job

    try:
        return export_job(job, wish, observe=observe)
    except PipelineError as error:
        return ExportResult(
            output=wish.output,
            format=wish.format,
            changed=False,
            error=str(error),
            exit_code=3 if isinstance(error, NothingToExportError) else error.exit_code,
        )
