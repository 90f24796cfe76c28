"""Pictures that lie twice, because a process died while it set one aside or put one back.

A decision copies a picture to its new place, names it there in the ledger, then removes the old
one: cut off in between, the bytes are in both places and the ledger knows one of them.
"""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.ledger import LedgerReader
from pipeline.ledger.marking import first_path
from pipeline.models import StoredImage


def copies(outputs: Path, reader: LedgerReader, loose: Collection[str]) -> Iterator[str]:
    """Of the pictures that nothing in the ledger names (paths from the outputs folder), those whose
    very bytes lie where the ledger says: nothing is lost when they go.
    """
    if not loose:
        return
    for edit_id in reader.edits_with_takes():
        for take in reader.takes_of(edit_id):
            for image in take.images:
                old = first_path(image.path)
                if old in loose and _same(outputs, old, image):
                    yield old
    held = {one.image.path: one.image for one in reader.holdings()}
    for path, image in held.items():
        if path.startswith("takes/"):  # taken back, and not home yet
            home = first_path(path)
            if home in loose and _same(outputs, home, image):
                yield home
    for path in loose:
        if not path.startswith("takes/"):
            continue
        record = held.get(first_path(path))
        if record is not None and _same(outputs, path, record):
            yield path


def _same(outputs: Path, path: str, image: StoredImage) -> bool:
    """Whether a loose file has a recorded picture's bytes, and that is where it should be."""
    try:
        recorded = (outputs / image.path).stat()
        if recorded.st_size != image.size or (outputs / path).stat().st_size != image.size:
            return False
        return hashlib.sha256((outputs / path).read_bytes()).hexdigest() == image.sha256
    except OSError:
        return False
