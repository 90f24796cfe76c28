"""The job files of a folder, loaded; also those that do not load."""

import threading
from collections import Counter
from pathlib import Path

import msgspec
from natsort import natsorted

from pipeline.errors import ConfigError
from pipeline.job import Job, load_job

SUFFIXES = (".yaml", ".yml")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A job file. ``key`` names it in addresses: the file's stem, or its whole name where two
    files share a stem. ``problem``: why it does not load; then ``job`` is ``None``.
    """

    key: str
    path: Path
    job: Job | None
    problem: str | None


class JobFolder:
    """A folder of job files, or one job file. Any thread may use it.

    What did not change is not read again: pages ask every other second.
    """

    def __init__(self, path: Path) -> None:
        """Raises `ConfigError` where there is neither a folder nor a file."""
        if not path.exists():
            raise ConfigError(
                f"{path}: there is no such folder (name the one with the job files, as in"
                " shop/jobs; `pipeline init shop` makes one)"
            )
        self.path = path
        self._lock = threading.Lock()
        self._loaded: dict[Path, tuple[tuple[int, int], Job | str]] = {}

    def entries(self) -> dict[str, Entry]:
        """By key, in natural order of the names."""
        files = self._files()
        stems, there = Counter([file.stem for file in files]), set(files)
        found = {}
        with self._lock:
            self._loaded = {path: kept for path, kept in self._loaded.items() if path in there}
            for file in files:
                key = file.stem if stems[file.stem] == 1 else file.name
                loaded = self._load(file)
                problem = loaded if isinstance(loaded, str) else None
                job = None if isinstance(loaded, str) else loaded
                found[key] = Entry(key=key, path=file, job=job, problem=problem)
        return found

    def _files(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        try:
            found = [
                file
                for file in self.path.iterdir()
                if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
            ]
        except OSError:  # removed meanwhile: there are no jobs until it comes back
            return []
        return natsorted(found, key=lambda file: file.name)

    def _load(self, file: Path) -> Job | str:
        try:
            state = file.stat()
        except OSError as error:
            return f"{file.name}: {error.strerror or error}"
        signature = (state.st_mtime_ns, state.st_size)
        known = self._loaded.get(file)
        if known is not None and known[0] == signature:
            return known[1]
        try:
            loaded: Job | str = load_job(file)
        except ConfigError as error:
            loaded = str(error)
        self._loaded[file] = (signature, loaded)
        return loaded
