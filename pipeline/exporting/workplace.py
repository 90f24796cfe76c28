"""Where an export works: a folder beside the ledger, and nobody else at the same time."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from pipeline.errors import LockedError
from pipeline.exporting.publishing import store_errors

_PREFIX = ".export-"


@contextmanager
def workplace(outputs: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards. What a killed export left is removed: the lock says
    that nobody needs it. Raises `LockedError` while another goes on, `StoreError`.
    """
    lock = filelock.FileLock(outputs / "export.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise LockedError(
            f"another export of this job is going on: it holds {lock.lock_file} (wait for its end)"
        ) from None
    except OSError:  # outputs that cannot be written: nobody else can write there either
        with tempfile.TemporaryDirectory(prefix="pipeline-export-") as folder:
            yield Path(folder)
        return
    try:
        with store_errors(outputs):
            for left in outputs.glob(f"{_PREFIX}*"):
                shutil.rmtree(left)
            place = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=outputs)
        with place as folder:
            yield Path(folder)
    finally:
        lock.release()
