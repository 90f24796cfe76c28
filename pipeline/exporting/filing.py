"""The format ``folder``: every picture a file of its own, and a ``metadata.jsonl`` for each split.

Where a file lies follows from its sample alone, so a file that is there with the right checksum is
taken over, whatever else changes.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping

from pipeline.errors import InputError
from pipeline.exporting.choosing import Chosen, Layout
from pipeline.exporting.originals import Original, Pictures, Stored
from pipeline.exporting.publishing import Target, sha256_of
from pipeline.exporting.reading import LeftOut
from pipeline.exporting.scratch import Scratch
from pipeline.exporting.sharding import Shards
from pipeline.exports.folder_metadata import write_metadata
from pipeline.exports.samples import PictureBytes

_Line = tuple[Mapping[str, str | int | None], Mapping[str, str | None]]


class PictureFolder:
    """The files of one export: what is there, and what it takes to bring them up to date."""

    def __init__(self, target: Target, scratch: Scratch, layout: Layout, *, prepared: str) -> None:
        """``prepared``: how sources are prepared, for their names."""
        self._target = target
        self._scratch = scratch
        self._layout = layout
        self._prepared = prepared
        self.done = Shards(sizes={}, samples={})

    def update(self, pictures: Pictures, left_out: LeftOut, each: Callable[[int], None]) -> None:
        """``each``: hears of samples that are done."""
        for split in sorted(self._scratch.wanted_splits()):
            name = f"{split}/metadata.jsonl"
            path = self._target.new(name)
            lines = self._lines(split, pictures, left_out, each)
            count = write_metadata(self._layout.columns, lines, path)
            if not count:
                path.unlink()
                continue
            self._scratch.file(name, sha256_of(path), fresh=True)
            self.done.samples[split] = count

    def _lines(
        self, split: str, pictures: Pictures, left_out: LeftOut, each: Callable[[int], None]
    ) -> Iterator[_Line]:
        for chosen in self._scratch.all_of(split):
            try:
                files = self._files(chosen, split, pictures)
            except InputError as error:
                left_out.add(chosen, str(error))
                continue
            finally:
                each(1)
            yield chosen.values, files

    def _files(self, chosen: Chosen, split: str, pictures: Pictures) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        # Sources first: if one is away, its result is not written for nothing.
        for column, one in sorted(chosen.pictures.items(), key=lambda item: item[0] == "image"):
            if one is None:
                found[column] = None
            elif isinstance(one, Stored):
                name = f"{_bucket(chosen.key)}/{chosen.key}{one.extension}"
                found[column] = self._stored(name, split, one, pictures)
            else:
                found[column] = self._source(split, one, pictures)
        return found

    def _stored(self, name: str, split: str, one: Stored, pictures: Pictures) -> str:
        path = f"{split}/{name}"
        known = self._scratch.old_sha256(path)
        if known == one.sha256 and self._target.has(path, one.size):
            self._keep(path, known)
        else:
            self.done.repaired |= known == one.sha256
            self._put(path, pictures.stored(one))
        return name

    def _source(self, split: str, one: Original, pictures: Pictures) -> str:
        """One file for all edits of a source."""
        plain = hashlib.sha256(f"{one.digest}\0{self._prepared}".encode()).hexdigest()[:32]
        stem = f"sources/{plain[:2]}/{plain}"
        for extension in (".jpg", ".png", ".webp"):
            path = f"{split}/{stem}{extension}"
            if self._scratch.has_file(path):
                return f"{stem}{extension}"
        for extension in (".jpg", ".png", ".webp"):
            path = f"{split}/{stem}{extension}"
            if (known := self._scratch.old_sha256(path)) is not None:
                try:
                    self._keep(path, known)
                except FileNotFoundError:
                    self.done.repaired = True
                    break
                return f"{stem}{extension}"
        data = pictures.sent(one)
        self._put(f"{split}/{stem}{data.extension}", data)
        return f"{stem}{data.extension}"

    def _put(self, path: str, picture: PictureBytes) -> None:
        self._target.new(path).write_bytes(picture.data)
        self._scratch.file(path, hashlib.sha256(picture.data).hexdigest(), fresh=True)
        self.done.written += 1
        self.done.bytes_written += len(picture.data)

    def _keep(self, path: str, sha256: str) -> None:
        self._target.keep(path)
        self._scratch.file(path, sha256, fresh=False)
        self.done.kept += 1


def _bucket(key: str) -> str:
    """One of 256 folders: no tool likes a million files in one."""
    return hashlib.sha256(key.encode()).hexdigest()[:2]
