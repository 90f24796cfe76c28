"""`pipeline.export`: the options of the command as a function."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.job import Job, load_job

if TYPE_CHECKING:
    from pipeline.exporting.writing import ExportResult, Progress


def export(
    job: Job | Path | str,
    *,
    format: str,  # noqa: A002 - it is called that everywhere
    output: Path | str,
    split: str | None = None,
    split_by: str = "source",
    where: Sequence[str] = (),
    only: Sequence[str] = (),
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
    ``shard_size``: bytes, or as in ``1GB``. ``source``: input pictures as well. Exporting again to
    the same place adds what is new. Blocks; sends nothing; pictures that are away are in the
    result.

    Raises `ConfigError`, `LedgerError`, `LockedError`, `StoreError`.
    """
    from pipeline.exporting.asked import wish
    from pipeline.exporting.writing import export_job

    asked = wish(
        format,
        str(output),
        split=split,
        split_by=split_by,
        where=where,
        only=only,
        shard_size=shard_size,
        source=source,
    )
    loaded = job if isinstance(job, Job) else load_job(Path(job))
    return export_job(loaded.for_rehearsal() if rehearse else loaded, asked, observe=observe)
