"""AVIF and HEIC: C2PA in a box of its own, at the file's top."""

from pipeline.pictures.provenance.embedded import MAX_MANIFEST_BYTES
from pipeline.pictures.source import Source

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MOST_BOXES = 1000


def manifest(source: Source) -> tuple[bytes, int]:
    """The C2PA manifest, cut at `MAX_MANIFEST_BYTES`, and its size; empty where there is none."""
    at = 0
    for _ in range(_MOST_BOXES):
        head = source.read(at, 32)
        if len(head) < 8:
            break
        length, start = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = source.size - at
        if length < start or at + length > source.size:
            break
        if head[4:8] == b"uuid" and head[start : start + 16] == _C2PA:
            size = length - start - 16
            return source.read(at + start + 16, min(size, MAX_MANIFEST_BYTES)), size
        at += length
    return b"", 0
