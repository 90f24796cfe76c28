"""Where pictures are kept: the `OutputStore` protocol, and how to open one."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from pipeline.models import Draft, PictureFacts, StoredImage

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
        self, draft: Draft, name: str, *, inspect: Callable[[memoryview], PictureFacts]
    ) -> StoredImage:
        """Keeps a draft as ``images/<name><extension>``, replacing what is there, durably.

        ``inspect`` is called in a thread on the draft's bytes, which are its own only while it
        runs, before anything gets its name; what it raises is raised here, and the draft is
        discarded. The extension follows from what it found. ``name``: relative, forward slashes,
        checked by the manifest; one that would lead out of the store is a `StoreError` all the
        same. Raises `StoreError`.
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


def open_store(directory: Path, url: str | None = None) -> OutputStore:
    """Opens the folder, or, where a URL such as ``s3://bucket/folder`` is given, what it names.

    The lock of ``directory`` must be held. Raises `StoreError`, `JobError`.
    """
    module, _, function = STORES["fsspec" if url else "local"].partition(":")
    open_kind = getattr(importlib.import_module(module), function)
    return cast(OutputStore, open_kind(directory, url))
