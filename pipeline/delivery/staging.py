"""A delivery's folder, filled: what has not changed is a second name for the same file."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from pipeline.delivery.values import File
from pipeline.durable import sync_folder

THREADS = 8
"""Each waits for the disk."""

_STEP = 1 << 20
_SUMS = ("MD5SUMS", "SHA256SUMS")


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be delivered: a copy of ``source``, or ``data``. ``key``: what it was made from;
    empty for ``data``.
    """

    path: str
    source: Path | None = None
    data: bytes = b""
    key: str = ""
    edit_id: str = ""
    sku: str = ""
    number: int = 0


def fill(
    staged: Path, pieces: Sequence[Piece], *, before: Path | None, known: dict[str, File]
) -> Iterator[tuple[File, bool]]:
    """Writes the pieces, and says of each in turn what it is and whether it is new.

    ``before``: the folder of the delivery to take from; ``known``: its files, by path. Raises
    `OSError`.
    """
    folders = {staged / Path(piece.path).parent for piece in pieces}
    for folder in sorted(folders):
        folder.mkdir(parents=True, exist_ok=True)

    def one(piece: Piece) -> tuple[File, bool]:
        target = staged / piece.path
        old = known.get(piece.path)
        if before is not None and old is not None and same(piece, old, before):
            _second_name(before / old.path, target)
            return _described(piece, old), False
        return _written(piece, target), True

    with ThreadPoolExecutor(THREADS, thread_name_prefix="delivery") as threads:
        yield from threads.map(one, pieces)
    for folder in sorted({*folders, staged}, reverse=True):
        sync_folder(folder)


def same(piece: Piece, old: File, before: Path) -> bool:
    """Whether the file of the delivery before is what this one is to be, and nobody changed it."""
    if piece.source is None:
        alike = hashlib.sha256(piece.data).hexdigest() == old.sha256
    else:
        alike = bool(piece.key) and piece.key == old.key
    return alike and _untouched(before / old.path, old)


def sums(files: Sequence[File]) -> tuple[Piece, ...]:
    """``MD5SUMS`` and ``SHA256SUMS``, as the programs of those names read them."""
    listed = sorted(files, key=lambda file: file.path)
    texts = (
        "".join([f"{file.md5}  {file.path}\n" for file in listed]),
        "".join([f"{file.sha256}  {file.path}\n" for file in listed]),
    )
    return tuple(
        [
            Piece(path=name, data=text.encode("utf-8"))
            for name, text in zip(_SUMS, texts, strict=True)
        ]
    )


def _described(piece: Piece, file: File) -> File:
    return msgspec.structs.replace(
        file, key=piece.key, edit_id=piece.edit_id, sku=piece.sku, number=piece.number
    )


def _written(piece: Piece, target: Path) -> File:
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = 0
    with target.open("xb") as file:
        for data in _contents(piece):
            md5.update(data)
            sha256.update(data)
            file.write(data)
            size += len(data)
        file.flush()
        os.fsync(file.fileno())
    written = File(
        path=piece.path,
        size=size,
        md5=md5.hexdigest(),
        sha256=sha256.hexdigest(),
        mtime_ns=target.stat().st_mtime_ns,
    )
    return _described(piece, written)


def _contents(piece: Piece) -> Iterator[bytes]:
    if piece.source is None:
        yield piece.data
        return
    # A copy, not a second name: whoever changes a delivered file must not change the rendition.
    with piece.source.open("rb") as source:
        while data := source.read(_STEP):
            yield data


def _untouched(path: Path, file: File) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return (found.st_size, found.st_mtime_ns) == (file.size, file.mtime_ns)


def _second_name(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system that knows none: then a second file, with the same time
        shutil.copy2(path, target)
        with target.open("rb+") as file:
            os.fsync(file.fileno())
