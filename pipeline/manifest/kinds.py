"""What a file really is, by its first bytes: extensions lie."""

from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import ManifestError
from pipeline.manifest.text_lines import cannot_read

_LOOKED_AT = 512

_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\xd0\xcf\x11\xe0", "ole"),
    (b"PAR1", "parquet"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xff\xd8\xff", "a picture"),
    (b"\x89PNG", "a picture"),
)

_WAYS = {
    "zip": "a workbook or another archive (if it is Excel's, name it .xlsx; else unpack it)",
    "ole": (
        "an old Excel workbook (.xls), or one with a password (in Excel: save it as .xlsx, without"
        " a password)"
    ),
    "parquet": "Parquet (name it .parquet)",
    "html": "a web page, perhaps of a login (download the file again)",
    "xml": "XML (a product feed is named .xml)",
}

_PACKED = {"zip": (".xlsx", ".xlsm"), "parquet": (".parquet",)}


def read_once(paths: Iterable[Path]) -> bool:
    """Whether any of the manifests is a pipe: what is taken from it is gone from it."""
    return any(path.exists() and not path.is_file() for path in paths)


def check_kind(path: Path, suffix: str, label: str) -> None:
    """Raises `ManifestError` when a file is plainly not what its ``suffix`` says. Pipes pass."""
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError as error:
        raise cannot_read(label, error) from error
    kind = _kind(head)
    for packed, suffixes in _PACKED.items():
        if suffix in suffixes:
            if kind == packed:
                return
            what = "a workbook" if packed == "zip" else "Parquet"
            found = "it is empty" if not head else f"it is {_said(kind)}"
            raise ManifestError(f"{label}: the name says {what}, but {found}")
    if kind == "text" or (kind == "xml" and suffix == ".xml"):
        return
    raise ManifestError(f"{label}: the name says {suffix}, but it is {_said(kind)}")


def _kind(head: bytes) -> str:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "html"
    return "xml" if text.startswith(b"<?xml") else "text"


def _said(kind: str) -> str:
    if kind == "text":
        return "plain text (if it is a table, name it .csv)"
    return _WAYS.get(kind) or f"{kind} (give a table, or a product feed)"
