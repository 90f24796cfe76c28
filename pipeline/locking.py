"""The lock that keeps two runs of one job apart, and whether whoever held it is still there."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from pipeline.errors import LedgerError, LockedError, StoreError
from pipeline.ledger import open_reader


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the job's outputs. The system lets go of it when the process dies, however it dies."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / "lock")
        lock.acquire(blocking=False)
    except filelock.Timeout:
        holder = _holder(directory)
        raise LockedError(
            f"another run of this job is going on{holder}: it holds {directory / 'lock'}"
            " (wait for it, or watch it: pipeline status)"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{directory}: {error.strerror or error} (make it writable, or change"
            " outputs.directory)"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_alive(pid: int, host: str) -> bool | None:
    """Whether a process is there; ``None``: it cannot be told from here (another machine, Windows,
    where asking would end it).
    """
    if host != socket.gethostname() or os.name == "nt":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's: it is there
        return True
    return True


def _holder(directory: Path) -> str:
    with suppress(LedgerError):
        reader = open_reader(directory / "ledger.db")
        if reader is not None:
            with reader:
                run = reader.current_run()
            if run is not None:
                return f" (process {run.pid} on {run.host}, run {run.id})"
    return ""
