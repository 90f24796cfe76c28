"""Prepared pictures that many edits share: prepared once, encoded once, within a bound."""

import threading
from collections import OrderedDict

import msgspec
import pybase64

from pipeline.pictures.prepare import FramedImage, PrepareSettings, prepare
from pipeline.pictures.source import read_parts

ENTRY_BYTES = 1024
"""What an entry counts beside its bytes: objects, key, lock."""

_Key = tuple[str, PrepareSettings]


class _Entry:
    """One picture. ``lock`` is held while it is prepared or encoded; ``weight`` is in bytes.

    ``failed``: the thread that prepared it could not, and whoever waited tries by itself.
    """

    __slots__ = ("failed", "image", "lock", "weight")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.image: FramedImage | None = None
        self.weight = 0
        self.failed = False


class PreparedCache:
    """Keeps what was last used, at most ``max_bytes`` of it. Safe to use from many threads.

    A picture asked for once is prepared, and its file still streamed from disk where that is
    possible. Asked for again it is also encoded, once, if it has at most ``encode_up_to`` bytes:
    sending it then costs no reading and no base64. Threads that ask for the same picture at the
    same time wait for the one that prepares it.
    """

    def __init__(self, max_bytes: int = 64 << 20, *, encode_up_to: int = 8 << 20) -> None:
        self._max_bytes = max_bytes
        self._encode_up_to = encode_up_to
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes kept now, `ENTRY_BYTES` for each entry included."""
        return self._size

    def kept(self, digest: str, settings: PrepareSettings) -> FramedImage | None:
        """What `get` would return, if it is at hand and encoded; else None. Never waits."""
        key = (digest, settings)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.image is None or entry.image.encoded is None:
                return None
            self._entries.move_to_end(key)
            return entry.image

    def get(
        self, source: str | bytes, digest: str, settings: PrepareSettings, *, name: str = ""
    ) -> FramedImage:
        """`prepare`, or what it returned before for the same ``digest`` and settings.

        ``digest``: of the source's bytes, see `digest_file`. Raises `InputError` as `prepare` does.
        """
        key = (digest, settings)
        while True:
            with self._lock:
                entry = self._entries.setdefault(key, _Entry())
                self._entries.move_to_end(key)
            with entry.lock:
                if entry.failed:
                    continue
                if entry.image is None:
                    image = self._prepared(key, entry, source, settings, name)
                else:
                    image = _at(source, entry.image)
                    if image.encoded is None and image.size <= self._encode_up_to:
                        image = _encoded(image, name)
                if image is not entry.image:
                    self._keep(key, entry, image)
                return image

    def _prepared(
        self,
        key: _Key,
        entry: _Entry,
        source: str | bytes,
        settings: PrepareSettings,
        name: str,
    ) -> FramedImage:
        try:
            return prepare(source, settings, name=name)
        except BaseException:
            entry.failed = True
            with self._lock:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            raise

    def _keep(self, key: _Key, entry: _Entry, image: FramedImage) -> None:
        held = sum(len(part) for part in image.parts if isinstance(part, bytes))
        weight = ENTRY_BYTES + held + len(image.encoded or b"")
        entry.image = image
        with self._lock:
            if self._entries.get(key) is not entry:  # dropped for others while it was prepared
                return
            if weight > self._max_bytes:  # would push out everything else, and then itself
                self._size -= entry.weight
                del self._entries[key]
                return
            self._size += weight - entry.weight
            entry.weight = weight
            while self._size > self._max_bytes and self._entries:
                _, dropped = self._entries.popitem(last=False)
                self._size -= dropped.weight


def _at(source: str | bytes, image: FramedImage) -> FramedImage:
    """The same picture, read from ``source``: the file that had it first may be gone by now."""
    if isinstance(source, bytes) or all(
        isinstance(part, bytes) or part.path == source for part in image.parts
    ):
        return image
    parts = tuple(
        part if isinstance(part, bytes) else msgspec.structs.replace(part, path=source)
        for part in image.parts
    )
    return msgspec.structs.replace(image, parts=parts)


def _encoded(image: FramedImage, name: str) -> FramedImage:
    data = read_parts(image.parts, name or "picture")
    return msgspec.structs.replace(image, encoded=pybase64.b64encode(data))
