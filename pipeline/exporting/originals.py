"""The pictures that an export takes: the input files, and what the store keeps; each looked at
again when it is read, so that nothing gets in that the ledger does not know.
"""

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import msgspec

from pipeline.errors import InputError
from pipeline.exports.samples import PictureBytes
from pipeline.job import Job
from pipeline.ledger import LedgerReader
from pipeline.ledger.material import remembered_digests
from pipeline.manifest import input_folders
from pipeline.pictures.prepare import PrepareSettings, digest_file
from pipeline.pictures.shared import PreparedCache
from pipeline.pictures.source import read_parts
from pipeline.stores import open_shelf

CACHED_BYTES = 64_000_000
"""Of prepared sources: the prompts of one source come one after another."""

_EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


class Original(msgspec.Struct, frozen=True, kw_only=True, tag="input"):
    """One input picture. ``name``: as the manifest spells it; ``digest``: of its content when it
    was sent (of a URL: of its text). ``path``: "" where there is no file, and ``problem`` says why
    it cannot be taken, or "".
    """

    name: str
    digest: str
    path: str = ""
    problem: str = ""


class Stored(msgspec.Struct, frozen=True, kw_only=True, tag="stored"):
    """A picture of the store: its path there, and what the ledger says of it."""

    path: str
    sha256: str
    size: int
    format: str

    @property
    def extension(self) -> str:
        return ".jpg" if self.format == "jpeg" else f".{self.format}"


class Originals:
    """Finds input pictures by how the manifest spells them. Memory: bounded."""

    def __init__(self, job: Job, reader: LedgerReader) -> None:
        self._reader = reader
        self._folders = input_folders(job.manifest, job.inputs.root)
        self._found = lru_cache(maxsize=20_000)(self._look)

    def find(self, source: str, place: str) -> Original:
        """``place``: file:row that spells it. Never raises for what is away: see `Original`."""
        if source[:5].lower() == "data:":
            return Original(
                name=source[:60],
                digest=_of_text(source),
                problem="is inside the manifest (put it into a file to export it)",
            )
        if source.lower().startswith(("http://", "https://")):
            return Original(
                name=source,
                digest=_of_text(source),
                problem="is on the web, and is not fetched (put it into a file to export it)",
            )
        folder = self._folders.get(place.rpartition(":")[0])
        if folder is None and len(set(self._folders.values())) == 1:
            folder = next(iter(self._folders.values()))  # as a sheet of a workbook
        if folder is None:
            return Original(
                name=source,
                digest=_of_text(source),
                problem=f"the job has no manifest {place.rpartition(':')[0]} any more",
            )
        return self._found(str(folder), source)

    def _look(self, folder: str, source: str) -> Original:
        inside = os.path.realpath(folder)
        path = os.path.realpath(os.path.join(inside, source))  # noqa: PTH118
        if not Path(path).is_relative_to(inside):
            return Original(
                name=source, digest=_of_text(source), problem="is outside of its folder"
            )
        known = remembered_digests(self._reader, path)
        digest = known[0][2] if known else ""
        try:
            stat = Path(path).stat()
            if known and (stat.st_size, stat.st_mtime_ns) == known[0][:2]:
                return Original(name=source, digest=digest, path=path)
            now = digest_file(path)
        except (OSError, ValueError, InputError):
            return Original(
                name=source, digest=digest or _of_text(source), problem="is not there (restore it)"
            )
        if digest and now != digest:
            return Original(
                name=source,
                digest=digest,
                problem="was changed since it was sent (restore it, or run the job again)",
            )
        return Original(name=source, digest=now, path=path)


class Pictures:
    """Reads what goes into an export. Any thread may use it.

    A picture that is away ends only its sample. A store that does not answer ends the export: else
    every sample of that moment would be missing.
    """

    def __init__(self, job: Job, settings: PrepareSettings) -> None:
        self._outputs = job.outputs.directory
        store = job.outputs.store
        self._shelf = None if store is None else open_shelf(self._outputs, store)
        self._settings = settings
        self._cache = PreparedCache(CACHED_BYTES, encode_up_to=0)

    def stored(self, picture: Stored) -> PictureBytes:
        """A picture as the endpoint returned it. Raises `InputError` for one that is away, or is
        not what the ledger says; `StoreError`.
        """
        try:
            data = self._read(picture.path)
        except OSError as error:
            raise InputError(
                f"{picture.path}: cannot be read ({error.strerror or error})"
            ) from error
        if data is None:
            raise InputError(f"{picture.path}: is not there (see: pipeline fsck)")
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise InputError(f"{picture.path}: is not what the ledger says (see: pipeline fsck)")
        return PictureBytes(data, picture.extension)

    def _read(self, path: str) -> bytes | None:
        if self._shelf is not None:
            return self._shelf.read(path)
        try:
            return (self._outputs / path).read_bytes()
        except FileNotFoundError:
            return None

    def sent(self, original: Original) -> PictureBytes:
        """An input as it was sent: upright, sRGB, without metadata. Raises `InputError`."""
        if original.problem:
            raise InputError(f"{original.name}: {original.problem}")
        image = self._cache.get(original.path, original.digest, self._settings, name=original.name)
        return PictureBytes(read_parts(image.parts, original.name), _EXTENSIONS[image.mime])


def _of_text(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()
