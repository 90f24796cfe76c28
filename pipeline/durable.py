"""Files that are there whole or not at all, also after a power cut: written beside their place,
flushed, renamed.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file, which takes the place of ``path`` where the context ends without an error.

    It lies beside it meanwhile, as ``.<name>.<random>.part``, and may be read again. Raises
    `OSError`.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):  # gone when all went well
            draft.unlink()


def sync_folder(folder: Path | str) -> None:
    """The names in it are on the disk from here on. Raises `OSError`."""
    if os.name == "nt":  # NTFS journals renames; there is no call for it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
