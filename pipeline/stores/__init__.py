"""Where pictures are kept: the `OutputStore` and `Shelf` protocols, and how to open one."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

from pipeline.models import Draft, PictureFacts, StoredImage
from pipeline.stores.labels import Label

STORES = {
    "local": "pipeline.stores.local:open_local",
    "fsspec": "pipeline.stores.remote:open_fsspec",
}
"""Each kind's `open_…` function, imported when it is used."""


class OutputStore(Protocol):
    """Keeps pictures so that a reader sees a whole one or none, and a crash loses none put."""

    def draft(self) -> Draft:
        """A new, empty draft. Does not wait."""
        ...

    async def put(
        self,
        draft: Draft,
        name: str,
        *,
        inspect: Callable[[memoryview], PictureFacts],
        label: Label | None = None,
    ) -> StoredImage:
        """Keeps a draft as ``images/<name><extension>``, replacing what is there, durably.

        ``inspect`` is called in a thread on the draft's bytes, which are its own only while it
        runs, before anything gets its name; what it raises is raised here, and the draft is
        discarded. The extension follows from what it found. ``label`` may put something into the
        picture before it is hashed: what is returned speaks of what is stored. ``name``: relative,
        forward slashes, checked by the manifest; one that would lead out of the store is a
        `StoreError` all the same. Raises `StoreError`.
        """
        ...

    async def remove(self, path: str) -> None:
        """Removes a stored picture by its `StoredImage.path`; missing is fine."""
        ...

    async def keep_unparsed(self, attempt_id: str, body: bytes) -> None:
        """Keeps an answer that could not be understood as ``unparsed/<attempt_id>.txt``."""
        ...

    async def close(self) -> None:
        """Ends its threads. Drafts that were not put are gone."""
        ...


SHELVES = {
    "local": "pipeline.stores.local:LocalShelf",
    "fsspec": "pipeline.stores.remote:FsspecShelf",
}
"""The same for `open_shelf`."""


class Shelf(Protocol):
    """Pictures that were put already, for whoever moves them. Blocks; any thread may use it.

    Needs no lock: it makes no drafts, and leaves those of a run alone.
    """

    def holds(self, path: str) -> bool:
        """Whether there is such a picture. Raises `StoreError`."""
        ...

    def copy(self, path: str, target: str) -> bool:
        """Makes a picture durable under a second path, replacing what is there; the first stays.

        Whoever reads ``target`` sees it whole or not at all. False: there is no such picture.
        Paths as `StoredImage.path`. Raises `StoreError`.
        """
        ...

    def read(self, path: str) -> bytes | None:
        """A whole picture; ``None``: there is no such picture. Raises `StoreError`."""
        ...

    def remove(self, path: str) -> None:
        """Removes a picture; missing is fine. Raises `StoreError`."""
        ...


def open_store(directory: Path, url: str | None = None) -> OutputStore:
    """Opens the folder, or, where a URL such as ``s3://bucket/folder`` is given, what it names.

    The lock of ``directory`` must be held. Raises `StoreError`, `JobError`.
    """
    return cast(OutputStore, _imported(STORES, url)(directory, url))


def open_shelf(directory: Path, url: str | None = None) -> Shelf:
    """What `open_store` keeps there, also while a run holds the lock. Raises as it does."""
    return cast(Shelf, _imported(SHELVES, url)(directory, url))


def _imported(table: Mapping[str, str], url: str | None) -> Callable[[Path, str | None], object]:
    module, _, name = table["fsspec" if url else "local"].partition(":")
    opened: Callable[[Path, str | None], object] = getattr(importlib.import_module(module), name)
    return opened
