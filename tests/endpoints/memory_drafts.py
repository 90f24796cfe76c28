"""Drafts that stay in memory, and a factory that remembers them."""

from pathlib import Path


class MemoryDraft:
    def __init__(self) -> None:
        self.path = Path("in memory")
        self.size = 0
        self.data = bytearray()
        self.discarded = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.discarded
        self.data += data
        self.size += len(data)

    def discard(self) -> None:
        self.discarded = True


class MemoryDrafts:
    """Call it for a new draft. ``open``: those that nobody discarded."""

    def __init__(self) -> None:
        self.all: list[MemoryDraft] = []

    def __call__(self) -> MemoryDraft:
        self.all.append(MemoryDraft())
        return self.all[-1]

    @property
    def open(self) -> list[MemoryDraft]:
        return [draft for draft in self.all if not draft.discarded]
